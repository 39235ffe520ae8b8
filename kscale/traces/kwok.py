"""KWOK's recordings (``kwokctl snapshot record``): a stream of YAML documents.

First come the objects that were there, then ``ResourcePatch`` documents: what was created, patched or deleted, so many
nanoseconds after the first of them. They may be somewhat out of order, and are put in order as kwokctl does.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError
from kscale.state.manifests import NodeObject
from kscale.state.manifests.yamls import documents
from kscale.state.quantities import LARGEST
from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files
from kscale.traces.common.podspecs import name_of, namespace_of, node_object, nodes_frame
from kscale.traces.common.recorded import Events, Recorded, at, merged, whole

_GROUP = "action.kwok.x-k8s.io/v1alpha1"
#: Patches that wait, so that an earlier one may still come (as many as kwokctl holds back when it replays).
_WAITING = 1024
_NANOSECONDS = LARGEST
_KIND = re.compile(rb"^kind:[ \t]*[\"']?(\w+)", re.MULTILINE)
_RESOURCE = re.compile(rb"^resource:[ \t]*\r?\n(?:[ \t]+.*\r?\n)*?[ \t]+resource:[ \t]*[\"']?(\w+)", re.MULTILINE)
_KINDS = {b"Pod", b"Node", b"PriorityClass", b"ResourcePatch", b"List", b"PodList", b"NodeList", b"PriorityClassList"}
_RESOURCES = {b"pods", b"nodes", b"priorityclasses"}
_ENDED = ("Succeeded", "Failed")


def _detects(path: Path, head: bytes) -> bool:
    return (
        b"\x00" not in head
        and _GROUP.encode() in head
        and re.search(rb"^kind:\s*ResourcePatch", head, re.M) is not None
    )


def _texts(path: Path, options: Options) -> Iterator[bytes]:
    """Yield the documents of a YAML stream as texts, one at a time. Raises InputError."""
    parts: list[bytes] = []
    size = 0
    with files.opened(path, options.told) as file:
        while line := file.readline(files.BATCH_BYTES):
            if line.startswith(b"---") and line[3:4] in b" \t\r\n":
                yield b"".join(parts)
                parts, size = [], 0
            parts.append(line)
            size += len(line)
            if size > files.BATCH_BYTES:
                raise InputError(f"has a document of more than {files.BATCH_BYTES >> 20} MiB", file=path)
    yield b"".join(parts)


def _concerns(text: bytes) -> bool:
    """Tell whether a document may be of pods or nodes, from its kind alone; parsing YAML is slow."""
    kind = _KIND.search(text)
    if kind is None:
        return bool(text.strip())
    if kind[1] == b"ResourcePatch" and (resource := _RESOURCE.search(text)):
        return resource[1] in _RESOURCES
    return kind[1] in _KINDS


@dataclass
class _Pod:
    row: int
    bound_us: int | None = None


@dataclass
class _Replay:
    """The pods and nodes of a recording as it goes on."""

    recorded: Recorded
    events: Events = field(default_factory=Events)
    counts: Counter[str] = field(default_factory=Counter)
    nodes: dict[str, NodeObject] = field(default_factory=dict)
    _pods: dict[tuple[str, str], _Pod] = field(default_factory=dict)
    _live: dict[str, tuple[dict[str, Any], NodeObject]] = field(default_factory=dict)
    _cordoned: dict[str, bool] = field(default_factory=dict)

    def take(self, found: Mapping[str, Any]) -> None:
        """Take an object that was there at the start. Raises InputError."""
        kind = found.get("kind")
        if kind == "PriorityClass":
            self.recorded.specs.take_class(found)
        elif kind == "Node":
            self._add_node(found, name_of(found), 0)
        elif kind == "Pod" and at(found, "status", "phase") in _ENDED:
            self.counts["pods that had ended at the start"] += 1
        elif kind == "Pod":
            spec = dict(found["spec"]) if isinstance(found.get("spec"), Mapping) else found.get("spec")
            bound = isinstance(spec, dict) and bool(spec.pop("nodeName", None))
            self.counts["bound"] += bound
            pod = self._add_pod(found, spec, name_of(found), namespace_of(found), 0)
            pod.bound_us = 0 if bound else None
            self._follow(pod, found, 0)

    def patch(self, found: Mapping[str, Any]) -> None:
        """Take a ResourcePatch. Raises InputError with the field that is wrong."""
        resource, method = at(found, "resource", "resource"), found.get("method")
        time_us = whole(found.get("durationNanosecond"), "durationNanosecond", _NANOSECONDS, 0) // 1000
        name, namespace = at(found, "target", "name"), at(found, "target", "namespace") or ""
        if not isinstance(name, str) or not isinstance(namespace, str):
            raise InputError("is missing", field="target.name", expected="the name of an object")
        if method not in ("create", "patch", "delete"):
            raise InputError(f"'{str(method)[:60]}' is no method", field="method", expected="create, patch or delete")
        template = found.get("template")
        if method != "delete" and not isinstance(template, Mapping):
            raise InputError("is missing", field="template", expected="an object, or a patch of one")
        if resource == "pods":
            self._patch_pod(str(method), template, name, namespace or "default", time_us)
        elif resource == "nodes":
            self._patch_node(str(method), template, name, time_us)
        elif resource == "priorityclasses" and method == "create":
            self.recorded.specs.take_class({"metadata": {"name": name}} | dict(template or {}))

    def _add_pod(self, found: Any, spec: Any, name: str, namespace: str, time_us: int) -> _Pod:
        owner = next((one for one in at(found, "metadata", "ownerReferences") or () if at(one, "controller")), None)
        called = f"{str(at(owner, 'kind')).lower()}/{at(owner, 'name')}" if owner else None
        number = self.recorded.specs.number(spec)
        self._delete_pod((namespace, name), time_us)
        pod = self._pods[namespace, name] = _Pod(self.recorded.comes(name, namespace, called, time_us, number))
        return pod

    def _patch_pod(self, method: str, template: Any, name: str, namespace: str, time_us: int) -> None:
        key = namespace, name
        if method == "create":
            self._follow(self._add_pod(template, at(template, "spec"), name, namespace, time_us), template, time_us)
        elif key not in self._pods:
            self.counts["patches and deletions of pods that never came"] += 1
        elif method == "patch":
            self.counts["changes of what pods ask for"] += bool(set(at(template, "spec") or ()) - {"nodeName"})
            self._follow(self._pods[key], template, time_us)
        else:
            self._delete_pod(key, time_us)

    def _follow(self, pod: _Pod, found: Any, time_us: int) -> None:
        """See whether a pod is bound, starts or ends."""
        phase = at(found, "status", "phase")
        if pod.bound_us is None and at(found, "spec", "nodeName"):
            pod.bound_us = time_us
        if phase == "Running":
            self.recorded.starts(pod.row, time_us)
        elif phase in _ENDED:
            self._end(pod, time_us)

    def _end(self, pod: _Pod, time_us: int) -> None:
        if pod.bound_us is not None:
            self.recorded.starts(pod.row, pod.bound_us)
        self.recorded.ends(pod.row, time_us)

    def _delete_pod(self, key: tuple[str, str], time_us: int) -> None:
        pod = self._pods.pop(key, None)
        if pod is not None:
            self._end(pod, time_us)

    def _add_node(self, found: Mapping[str, Any], name: str, time_us: int) -> None:
        node = node_object(found, name)
        again = name in self.nodes
        if not again:
            self.nodes[name] = node
            self._cordoned[name] = node.unschedulable
        self._live[name] = _kept(found, _NODE | {"spec": ("unschedulable", "taints")}), node
        if time_us or again:
            self.events.add(time_us, name, "join", node.allocatable.get("cpu"), node.allocatable.get("memory"))
        if again and node.unschedulable != self.nodes[name].unschedulable:
            # Said anew: whoever replays may take the node back as the node list has it.
            self._cordoned[name] = not node.unschedulable
        self._cordon(node, time_us)

    def _cordon(self, node: NodeObject, time_us: int) -> None:
        if self._cordoned[node.name] != node.unschedulable:
            self._cordoned[node.name] = node.unschedulable
            self.events.add(time_us, node.name, "cordon" if node.unschedulable else "uncordon")

    def _patch_node(self, method: str, template: Any, name: str, time_us: int) -> None:
        if method == "create":
            self._add_node(template, name, time_us)
            return
        if name not in self._live:
            self.counts["patches and deletions of nodes that never came"] += 1
            return
        if method == "delete":
            del self._live[name]
            self.events.add(time_us, name, "leave")
            return
        before, old = self._live[name]
        now = merged(before, _kept(template, _NODE))
        node = node_object(now, name)
        self._live[name] = now, node
        self._cordon(node, time_us)
        cpu, memory = ((node.allocatable.get(what), old.allocatable.get(what)) for what in ("cpu", "memory"))
        if cpu[0] != cpu[1] or memory[0] != memory[1]:
            self.events.add(time_us, name, "update", cpu[0], memory[0])
        others = [{k: v for k, v in one.allocatable.items() if k not in ("cpu", "memory")} for one in (old, node)]
        changed = "taints" in (at(template, "spec") or ()) or (old.labels, others[0]) != (node.labels, others[1])
        self.counts["changes of nodes' labels, taints and other resources"] += changed


#: What is followed of a node. Taints are not: a patch names single ones, and a trace has no event for them.
_NODE = {"metadata": ("labels",), "spec": ("unschedulable",), "status": ("allocatable", "capacity")}


def _kept(found: Any, parts: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return an object, or a patch of one, with nothing but these fields of its parts."""
    inner = {part: at(found, part) for part in parts}
    return {
        part: {n: value[n] for n in parts[part] if n in value}
        for part, value in inner.items()
        if isinstance(value, Mapping)
    }


def _read(path: Path, options: Options) -> Trace:
    replay = _Replay(Recorded(path, options, "document"))
    waiting: list[tuple[int, int, Mapping[str, Any]]] = []
    counts: Counter[str] = Counter()
    for number, text in enumerate(_texts(path, options), 1):
        if not _concerns(text):
            counts["others"] += bool(text.strip(b"- \t\r\n"))
            continue
        try:
            for found in _objects(text, f"{path}, document {number}"):
                known = _known(found)
                counts["read" if known else "others"] += 1
                if not known:
                    continue
                if found.get("kind") == "ResourcePatch":
                    heapq.heappush(waiting, (_nanoseconds(found), number, found))
                else:
                    replay.take(found)
        except InputError as error:
            replay.recorded.bad(error, number)
        if len(waiting) >= _WAITING:
            _pop(replay, waiting)
    while waiting:
        _pop(replay, waiting)
    nodes = nodes_frame(list(replay.nodes.values())) if replay.nodes else None
    return replay.recorded.trace("kwok", _notes(replay, counts), nodes, replay.events)


def _known(found: Mapping[str, Any]) -> bool:
    """Tell whether an object, or a patch of one, is of a kind that is followed."""
    if found.get("kind") == "ResourcePatch":
        resource = at(found, "resource", "resource")
        return not isinstance(resource, str) or resource.encode() in _RESOURCES
    return found.get("kind") in ("Pod", "Node", "PriorityClass")


def _objects(text: bytes, file: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a document; those of a list one by one. Raises InputError."""
    for found in documents(text, file):
        if not isinstance(found, dict):
            raise InputError("is no object", expected="a Kubernetes object")
        items = found.get("items")
        if isinstance(items, list) and str(found.get("kind")).endswith("List"):
            kind = str(found["kind"]).removesuffix("List")
            inner = (msgspec.json.decode(one) if isinstance(one, msgspec.Raw) else one for one in items)
            yield from ({"kind": kind} | one if kind else one for one in inner if isinstance(one, dict))
        else:
            yield found


def _nanoseconds(found: Mapping[str, Any]) -> int:
    if found.get("apiVersion") != _GROUP:
        problem = f"'{str(found.get('apiVersion'))[:60]}' is another form"
        raise InputError(problem, field="apiVersion", expected=f"{_GROUP}, as kwokctl writes since 0.6")
    return whole(found.get("durationNanosecond"), "durationNanosecond", _NANOSECONDS, 0)


def _pop(replay: _Replay, waiting: list[tuple[int, int, Mapping[str, Any]]]) -> None:
    """Take the earliest patch that waits."""
    _, number, found = heapq.heappop(waiting)
    try:
        replay.patch(found)
    except InputError as error:
        replay.recorded.bad(error, number, str(at(found, "target", "name") or ""))


def _notes(replay: _Replay, counts: Counter[str]) -> tuple[str, ...]:
    bound = replay.counts.pop("bound", 0)
    pods, nodes, events = len(replay.recorded), len(replay.nodes), len(replay.events)
    return (
        f"kwok: {counts['read']:,} objects and patches of pods, nodes and priority classes are {pods:,} pods and "
        f"{nodes:,} nodes with {events:,} events; {counts['others']:,} documents are of other kinds.",
        "kwok: a pod lasts from when it runs (or is bound, or comes) until it ends or is deleted; where it was bound "
        f"is not kept: {bound:,} pods that were bound at the start arrive at 0.",
        "kwok: all that controllers did is in the recording: nothing is made of Deployments and the like.",
        *(f"kwok: left out: {what} ({count:,})." for what, count in sorted(replay.counts.items()) if count),
    )


READER = Reader(
    name="kwok",
    doc="KWOK: recordings of kwokctl, YAML documents of objects and their changes.",
    detects=_detects,
    read=_read,
)
