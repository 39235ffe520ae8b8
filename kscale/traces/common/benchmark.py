"""The operations of scheduler_perf, one after another: what they make, and when.

A benchmark waits for the scheduler; a trace has its times beforehand. So an operation that waits lasts as long as its
pods take to be made, and, where the workload states a threshold, as they take at that many a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kscale.errors import InputError, nearest
from kscale.state.manifests import NodeObject
from kscale.state.manifests.yamls import documents
from kscale.state.quantities import parse_duration
from kscale.traces import Options
from kscale.traces.common import files, gotemplates
from kscale.traces.common.podspecs import node_object
from kscale.traces.common.recorded import Events, Recorded, at, whole

#: Pods a second that scheduler_perf's client makes (its QPS).
MADE_PER_SECOND = 5000
_MOST = 10**7
_SECOND = 10**6
#: What is made where no template is named (test/utils and test/integration/framework of Kubernetes).
_POD = {
    "metadata": {"generateName": "pod-"},
    "spec": {"containers": [{"name": "pause", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}]},
}
_NODE: dict[str, Any] = {"status": {"capacity": {"cpu": "4", "memory": "32Gi", "pods": "110"}}}
#: Operations that change neither pods nor nodes.
_SILENT = {"createNamespaces", "startCollectingMetrics", "stopCollectingMetrics", "startCollectingProfile",
           "stopCollectingProfile"}  # fmt: skip


@dataclass
class _Template:
    """A template file, or an object itself; ``at`` gives what it comes to for one of many."""

    text: str | None
    fixed: Any
    path: Path

    def at(self, values: Mapping[str, Any]) -> Any:
        if self.text is None:
            return self.fixed
        try:
            rendered = gotemplates.render(self.text, values)
        except InputError as error:
            raise InputError(error.problem, file=self.path, expected=error.expected) from None
        return _only(rendered.encode(), self.path)


@dataclass
class _Churn:
    started_us: int
    interval_us: int
    number: int
    recreates: bool
    namespace: str
    templates: list[Any]
    place: int


@dataclass
class Benchmark:
    """A workload as it runs. ``counts`` is what was left out."""

    path: Path
    options: Options
    params: Mapping[str, Any]
    threshold: float
    default_pod: str | None
    events: Events = field(default_factory=Events)
    nodes: dict[str, NodeObject] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    now_us: int = 0
    _waiting: int = 0
    _alive: dict[str, list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    _churns: list[_Churn] = field(default_factory=list)
    _gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.recorded = Recorded(self.path, self.options, "operation")

    @property
    def pace_note(self) -> str:
        """How long things take, in a sentence."""
        pace = f"and, at the workload's threshold, {self.threshold:g} are scheduled" if self.threshold else "not longer"
        return f"an operation that waits lasts until its pods are made, {MADE_PER_SECOND:,} a second, {pace}."

    def run(self, number: int, operation: Any) -> None:
        """Do an operation, the one at place ``number`` from 0. Raises InputError."""
        opcode = at(operation, "opcode")
        if opcode in _SILENT:
            return
        does: dict[str, Callable[[int, Mapping[str, Any]], None]] = {
            "createNodes": self._create_nodes,
            "createPods": self._create_pods,
            "createPodSets": self._create_pod_sets,
            "deletePods": self._delete_pods,
            "churn": self._churn,
            "barrier": lambda place, found: self._wait(self._waiting),
            "sleep": self._sleep,
            "createAny": self._create_any,
        }
        if not isinstance(opcode, str):
            raise InputError("is missing", field="opcode", expected=", ".join(does))
        if opcode in does:
            does[opcode](number, operation)
        else:
            self.counts[f"operation {opcode[:60]}"] += 1

    def _param(self, name: Any, what: str) -> Any:
        key = str(name).removeprefix("$")
        if key not in self.params:
            close = nearest(key, list(map(str, self.params)))
            problem = f"'{str(name)[:60]}' is not given{close}"
            raise InputError(problem, field=what, expected="a parameter of the workload")
        return self.params[key]

    def _count(self, found: Mapping[str, Any], default: int | None = None) -> int:
        if found.get("countParam"):
            return whole(self._param(found["countParam"], "countParam"), "countParam", _MOST)
        return whole(found.get("count"), "count", _MOST, default)

    def _duration(self, found: Mapping[str, Any]) -> int:
        given = found.get("durationParam")
        text = self._param(given, "durationParam") if given else found.get("duration")
        if not isinstance(text, str):
            raise InputError("is missing", field="duration", expected="such as 10s or 1m30s")
        try:
            return parse_duration(text)
        except InputError as error:
            raise InputError(error.problem, field="duration", expected=error.expected) from None

    def _values(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._param(value, f"templateParams.{name}") if str(value).startswith("$") else value
            for name, value in _mapping(found.get("templateParams"), "templateParams").items()
        }

    def _template(self, name: Any, default: Any) -> _Template:
        """Return a template file: beside the configuration, or, in older layouts, beside its folder."""
        if name is None:
            return _Template(None, default, self.path)
        if not isinstance(name, str):
            raise InputError("is no text", field="templatePath", expected="the name of a file")
        folder = self.path.parent
        candidates = [folder / name, folder.parent / name]
        path = next((one for one in candidates if one.is_file()), candidates[0])
        data = files.whole(path, self.options)
        with files.readable(path, "text"):
            text = data.decode()
        return _Template(text, None, path) if "{{" in text else _Template(None, _only(data, path), path)

    def _create_nodes(self, number: int, found: Mapping[str, Any]) -> None:
        count, template = self._count(found), self._template(found.get("nodeTemplatePath"), _NODE)
        values, label = self._values(found), found.get("labelNodePrepareStrategy")
        more = _mapping(at(found, "nodeAllocatableStrategy", "nodeAllocatable"), "nodeAllocatableStrategy")
        unique = at(found, "uniqueNodeLabelStrategy", "labelKey")
        for index in range(count):
            one = template.at(values | {"Index": index, "Count": count})
            name = _name(one, "node-", f"{number}-{index}")
            labels = {at(label, "labelKey"): _turn(at(label, "labelValues"), index)} if label else {}
            labels |= {unique: name} if unique else {}
            self._add_node(one, name, labels, more)

    def _add_node(self, found: Any, name: str, labels: Mapping[Any, Any], more: Mapping[str, Any]) -> None:
        if name in self.nodes and name not in self._gone:
            raise InputError(f"the node '{name[:80]}' is there twice", expected="names that differ")
        if len(self.nodes) >= self.options.max_input // 1000:
            raise InputError("comes to too many nodes", file=self.path, expected="fewer, or a larger --max-input")
        complete = dict(_mapping(found, "node"))
        if labels:
            stated = _mapping(at(found, "metadata", "labels"), "metadata.labels")
            complete["metadata"] = {"labels": stated | dict(labels)}
        if more:
            offered = at(found, "status", "allocatable") or at(found, "status", "capacity")
            complete["status"] = {"allocatable": _mapping(offered, "status") | dict(more)}
        node = node_object(complete, name)
        self.nodes.setdefault(name, node)
        self._gone.discard(name)
        if self.now_us:
            self.events.add(self.now_us, name, "join", node.allocatable.get("cpu"), node.allocatable.get("memory"))

    def _create_pods(self, number: int, found: Mapping[str, Any], namespace: str | None = None) -> None:
        count = self._count(found)
        if found.get("countMultiplierParam"):
            times = self._param(found["countMultiplierParam"], "countMultiplierParam")
            count *= whole(times, "countMultiplierParam", _MOST)
        space = namespace or found.get("namespace") or f"namespace-{number}"
        steady = self._param(found["steadyStateParam"], "steadyStateParam") if found.get("steadyStateParam") else None
        steady = found.get("steadyState") if steady is None else steady
        template = self._template(found.get("podTemplatePath", self.default_pod), _POD)
        if found.get("persistentVolumeClaimTemplatePath") or found.get("persistentVolumeTemplatePath"):
            self.recorded.specs.untold["volumes"] += count
        held_us = self._duration(found) if steady else 0
        began, first = self.now_us, len(self.recorded)
        values = self._values(found)
        for index in range(count):
            one = template.at(values | {"Index": index, "Count": count})
            self.now_us = began + index * _SECOND // MADE_PER_SECOND
            self._add_pod(one, str(space), f"{number}-{index}")
        self.now_us = began + count * _SECOND // MADE_PER_SECOND
        if steady:
            self.now_us = max(self.now_us, began + held_us)
            self._end(range(first, len(self.recorded)), self.now_us)
            self.counts["steady states: pods are held, and not made anew"] += 1
        elif found.get("skipWaitToCompletion"):
            self._waiting += count
        else:
            self.now_us = max(self.now_us, began + self._scheduling_us(count))

    def _add_pod(self, found: Any, namespace: str, place: str) -> int:
        name = _name(found, "pod-", place)
        row = self.recorded.comes(name, namespace, None, self.now_us, self.recorded.specs.number(at(found, "spec")))
        self._alive.setdefault(namespace, []).append(
            (row, _mapping(at(found, "metadata", "labels"), "metadata.labels"))
        )
        return row

    def _end(self, rows: range | list[int], time_us: int) -> None:
        for row in rows:
            self.recorded.ends(row, time_us)

    def _create_pod_sets(self, number: int, found: Mapping[str, Any]) -> None:
        inner, prefix = found.get("createPodsOp"), found.get("namespacePrefix")
        if not isinstance(inner, Mapping) or not isinstance(prefix, str):
            raise InputError("is missing", field="createPodsOp", expected="an operation, and namespacePrefix")
        for index in range(self._count(found)):
            self._create_pods(number, inner, f"{prefix}-{index}")

    def _delete_pods(self, number: int, found: Mapping[str, Any]) -> None:
        space, wanted = found.get("namespace"), _mapping(found.get("labelSelector"), "labelSelector")
        rate = whole(found.get("deletePodsPerSecond"), "deletePodsPerSecond", _MOST, 0)
        if not isinstance(space, str):
            raise InputError("is missing", field="namespace", expected="a namespace")
        kept: list[tuple[int, dict[Any, Any]]] = []
        deleted: list[tuple[int, dict[Any, Any]]] = []
        for row, labels in self._alive.get(space, []):
            fits = all(labels.get(key) == value for key, value in wanted.items())
            (deleted if fits else kept).append((row, labels))
        for place, (row, _) in enumerate(deleted, 1):
            self.recorded.ends(row, self.now_us + (place * _SECOND // rate if rate else 0))
        self._alive[space] = kept
        if rate and not found.get("skipWaitToCompletion"):
            self.now_us += len(deleted) * _SECOND // rate

    def _scheduling_us(self, pods: int) -> int:
        return int(pods * _SECOND / self.threshold) if self.threshold else 0

    def _wait(self, pods: int) -> None:
        self.now_us += self._scheduling_us(pods)
        self._waiting = 0

    def _sleep(self, number: int, found: Mapping[str, Any]) -> None:
        self.now_us += self._duration(found)

    def _create_any(self, number: int, found: Mapping[str, Any]) -> None:
        count, values = self._count(found, 1), self._values(found)
        template = self._template(found.get("templatePath"), {})
        for index in range(count):
            one = template.at(values | {"Index": index, "Count": count})
            if at(one, "kind") == "PriorityClass":
                self.recorded.specs.take_class(one)
            else:
                self._make(one, str(found.get("namespace") or "default"), f"{number}-{index}")

    def _make(self, found: Any, namespace: str, place: str) -> str | int | None:
        """Make a node or a pod; return its name or row, or None for another object, and for a node that is there."""
        kind = at(found, "kind")
        if kind == "Pod":
            return self._add_pod(found, namespace, place)
        if kind == "Node":
            name = _name(found, "node-", place)
            if name in self.nodes and name not in self._gone:
                return None
            self._add_node(found, name, {}, {})
            return name
        self.counts[f"objects: {str(kind)[:60]}"] += 1
        return None

    def _churn(self, number: int, found: Mapping[str, Any]) -> None:
        mode, paths = found.get("mode"), found.get("templatePaths")
        if mode not in ("create", "recreate") or not isinstance(paths, list):
            problem = f"'{str(mode)[:60]}' is no mode"
            raise InputError(problem, field="mode", expected="create or recreate, and templatePaths")
        many = whole(found.get("number"), "number", _MOST, 0)
        if mode == "recreate" and not many:
            raise InputError("is 0", field="number", expected="1 or more")
        interval = whole(found.get("intervalMilliseconds"), "intervalMilliseconds", _MOST, 0) or 500
        templates = [self._template(path, None).at({}) for path in paths]
        space = str(found.get("namespace") or f"namespace-{number}")
        self._churns.append(_Churn(self.now_us, interval * 1000, many, mode == "recreate", space, templates, number))

    def end(self) -> None:
        """Let what churns do so until now, the end. Raises InputError when there is too much of it."""
        last = self.now_us
        for churn in self._churns:
            made: dict[tuple[int, int], str | int] = {}
            for tick, time_us in _ticks(churn, last, self.options.max_input // 100, self.path):
                self.now_us = time_us
                slot = tick % churn.number if churn.recreates else tick
                for place, template in enumerate(churn.templates):
                    if (slot, place) in made:
                        self._take_away(made.pop((slot, place)))
                        continue
                    one = self._make(template, churn.namespace, f"{churn.place}-churn-{place}-{tick}")
                    if one is not None:
                        made[slot, place] = one
        self.now_us = last

    def _take_away(self, made: str | int) -> None:
        if isinstance(made, int):
            self.recorded.ends(made, self.now_us)
        else:
            self._gone.add(made)
            self.events.add(self.now_us, made, "leave")


def _mapping(value: Any, name: str) -> dict[Any, Any]:
    """Return a mapping; nothing is an empty one. Raises InputError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("is no mapping", field=name, expected="names and values")
    return value


def _ticks(churn: _Churn, last_us: int, most: int, path: Path) -> Iterator[tuple[int, int]]:
    """Yield the ticks of what churns and their times, up to the end."""
    count = (last_us - churn.started_us) // churn.interval_us
    if not churn.recreates and churn.number:
        count = min(count, churn.number)
    if count > most:
        raise InputError(f"churns {count:,} times", file=path, expected=f"at most {most:,}; see --max-input")
    for tick in range(count):
        yield tick, churn.started_us + (tick + 1) * churn.interval_us


def _only(data: bytes, path: Path) -> Any:
    """Return the one object of a template. Raises InputError."""
    found = list(documents(data, str(path)))
    if len(found) != 1 or not isinstance(found[0], dict):
        raise InputError("is no template", file=path, expected="one Kubernetes object")
    return found[0]


def _name(found: Any, prefix: str, place: str) -> str:
    """Return the name of an object; one that asks for a made one gets its place behind the prefix."""
    name = at(found, "metadata", "name")
    if isinstance(name, str) and name:
        return name
    generate = at(found, "metadata", "generateName")
    return f"{generate if isinstance(generate, str) and generate else prefix}{place}"


def _turn(values: Any, index: int) -> Any:
    if not isinstance(values, list) or not values:
        raise InputError("is missing", field="labelNodePrepareStrategy.labelValues", expected="a list of values")
    return values[index % len(values)]
