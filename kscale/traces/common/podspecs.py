"""Pods and nodes as Kubernetes writes them, as columns of a trace; what these do not hold is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from kscale.errors import InputError
from kscale.state.descriptions import DEFAULT_SCHEDULER, PodTemplate
from kscale.state.labels import Taint, Term, Toleration, format_term
from kscale.state.manifests import models
from kscale.state.manifests.admission import Place, template_of
from kscale.state.manifests.faults import told
from kscale.state.manifests.inventory import NodeObject
from kscale.state.manifests.kinds import KINDS
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.others import Node
from kscale.state.manifests.surroundings import Kept, add, node_of
from kscale.traces import NODES, SPECS
from kscale.traces.common.specs import RESOURCE, conform_nodes

_AMOUNTS = {
    "cpu": "cpu_milli",
    "memory": "memory_bytes",
    "ephemeral-storage": "ephemeral_storage_bytes",
    "pods": "pods",
}
_NO_VOLUME = models.Volume()
_decode_spec = msgspec.json.Decoder(models.PodSpec).decode
_encode = msgspec.json.Encoder().encode


class PodSpecs:
    """Collects the specs of pods; equal ones are read once.

    ``untold`` counts pods by what they ask that no column holds.
    """

    def __init__(self) -> None:
        self.untold: Counter[str] = Counter()
        self._kept = Kept()
        self._known: dict[bytes, int] = {}
        self._rows: list[dict[str, Any]] = []
        self._unheld: list[list[str]] = []

    def take_class(self, found: Mapping[str, Any]) -> None:
        """Take a PriorityClass, for the pods that come after it. Raises InputError."""
        add(self._kept, "PriorityClass", decoded("PriorityClass", found), "", name_of(found))

    def number(self, spec: Any) -> int:
        """Return the number of a pod's spec, as JSON has it. Raises InputError with the field that is wrong."""
        if not isinstance(spec, Mapping):
            raise InputError("is missing", field="spec", expected="the pod's spec")
        try:
            read = _decode_spec(_encode(spec))
        except (msgspec.DecodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _within_spec(told(error)) from None
        volumes = any(volume != _NO_VOLUME for volume in read.volumes or ())
        read.volumes = None
        key = _encode(read) + bytes([volumes])
        if key not in self._known:
            row, unheld = self._row(read)
            self._rows.append(row)
            self._unheld.append([*unheld, *(["volumes"] if volumes else [])])
            self._known[key] = len(self._known)
        return self._known[key]

    def asked(self, number: int) -> None:
        """Count a pod of this spec."""
        self.untold.update(self._unheld[number])

    def _row(self, spec: models.PodSpec) -> tuple[dict[str, Any], list[str]]:
        unheld = []
        classes = self._kept.priorities
        if spec.priority is None and spec.priority_class_name and spec.priority_class_name not in classes:
            spec.priority_class_name = None
            unheld.append("a PriorityClass that is not there (their priority is 0)")
        template = template_of(spec, Place("default", {}, False, classes, None, {}))
        row, beyond = spec_row(template)
        return row, unheld + beyond

    def frame(self) -> pl.DataFrame:
        """Return the specs by number, with the columns of ``SPECS`` and ``resource.<name>``."""
        extended = sorted({name for row in self._rows for name in row if name.startswith(RESOURCE)})
        return pl.DataFrame(self._rows, schema=SPECS | dict.fromkeys(extended, pl.Int64), orient="row")

    def notes(self, name: str) -> tuple[str, ...]:
        """Return the sentence that says what no column holds, or none."""
        if not self.untold:
            return ()
        parts = ", ".join(f"{what} ({count:,} pods)" for what, count in sorted(self.untold.items()))
        return (f"{name}: a trace has no column for {parts}; kscale replay -f takes manifests whole.",)


def spec_row(template: PodTemplate) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of ``SPECS`` and resources of a template, and what of it they do not hold."""
    asked = dict(template.requests)
    cpu, memory = template.nonzero or (1, 1)
    # Sums of 0 are left out of requests; scores tell 0 that is stated from what is not stated.
    row: dict[str, Any] = {
        "cpu_milli": asked.get("cpu", None if cpu else 0),
        "memory_bytes": asked.get("memory", None if memory else 0),
        "ephemeral_storage_bytes": asked.get("ephemeral-storage"),
        "priority": template.priority,
    }
    row |= {RESOURCE + name: amount for name, amount in asked.items() if name not in _AMOUNTS}
    wanted = template.description
    row["node_selector"] = ",".join(f"{key}={value}" for key, value in wanted.node_selector) or None
    row["tolerations"] = ",".join(map(_toleration, wanted.tolerations)) or None
    row["node_name"] = wanted.node_name or None
    unheld = []
    named = _only_node(wanted.terms)
    if named is not None and row["node_name"] in (None, named):
        row["node_name"] = named
    elif wanted.terms is not None and not _expressible(wanted.terms):
        unheld.append("node affinity by fields or without requirements")
    elif wanted.terms is not None:
        row["node_affinity"] = " | ".join(map(format_term, wanted.terms))
    if _expressible([term for _, term in wanted.preferred]):
        preferred = (f"{weight}: {format_term(term)}" for weight, term in wanted.preferred)
        row["preferred_node_affinity"] = " | ".join(preferred) or None
    elif wanted.preferred:
        unheld.append("preferred node affinity by fields or without requirements")
    return row, unheld + _beyond(template)


def _beyond(template: PodTemplate) -> list[str]:
    """Return what a template asks that no column of a trace holds, beside volumes."""
    found = {
        "pod affinity": template.affinity or template.preferred_affinity,
        "pod anti-affinity": template.anti_affinity or template.preferred_anti_affinity,
        "topology spread constraints": template.spread,
        "host ports": template.ports,
        "scheduling gates": template.gates,
        "resource claims": template.devices or template.device_claims,
        "preemptionPolicy Never": not template.preempts,
        "a scheduler of their own": template.description.profile != DEFAULT_SCHEDULER,
    }
    return [what for what, there in found.items() if there]


def _expressible(terms: Sequence[Term] | None) -> bool:
    """Tell whether terms have a written form: some, each with requirements, none of them on fields."""
    return bool(terms) and all(term and not any(one.field for one in term) for term in terms or ())


def _only_node(terms: Sequence[Term] | None) -> str | None:
    """Return the node that terms of node affinity name, where they say nothing else, as those of DaemonSets do."""
    if terms is None or len(terms) != 1 or len(terms[0]) != 1:
        return None
    only = terms[0][0]
    return only.values[0] if only.field and only.operator == "In" and len(only.values) == 1 else None


def _toleration(one: Toleration) -> str:
    value = f"={one.value}" if one.operator == "Equal" else ""
    return f"{one.key or '*'}{value}" + (f":{one.effect}" if one.effect else "")


def _taint(one: Taint) -> str:
    return f"{one.key}={one.value}:{one.effect}" if one.value else f"{one.key}:{one.effect}"


def node_object(found: Mapping[str, Any], name: str) -> NodeObject:
    """Return a Node as JSON has it, called ``name``. Raises InputError with the field that is wrong."""
    read = decoded("Node", {"metadata": _labelled(found), "spec": found.get("spec"), "status": found.get("status")})
    assert isinstance(read, Node)
    node = node_of(read, name)
    check_labels(node.labels)
    return node


def _labelled(found: Mapping[str, Any]) -> dict[str, Any]:
    metadata = found.get("metadata")
    return {"labels": metadata.get("labels") if isinstance(metadata, Mapping) else None}


def nodes_frame(nodes: Sequence[NodeObject]) -> pl.DataFrame:
    """Return nodes with the columns of ``NODES`` and their extended resources."""
    rows: list[dict[str, Any]] = []
    for node in nodes:
        offered = {column: node.allocatable.get(name) for name, column in _AMOUNTS.items()}
        extended = {RESOURCE + name: amount for name, amount in node.allocatable.items() if _extended(name, amount)}
        rows.append(
            {"name": node.name} | offered | extended | {
                "cpu_milli": offered["cpu_milli"] or 0,
                "memory_bytes": offered["memory_bytes"] or 0,
                "labels": ",".join(f"{key}={value}" for key, value in node.labels.items()) or None,
                "taints": ",".join(map(_taint, node.taints)) or None,
                "unschedulable": node.unschedulable,
            }
        )  # fmt: skip
    names = sorted({name for row in rows for name in row if name.startswith(RESOURCE)})
    return conform_nodes(pl.DataFrame(rows, schema=NODES | dict.fromkeys(names, pl.Int64), orient="row"))


def _extended(name: str, amount: int) -> bool:
    return name not in _AMOUNTS and amount > 0 and ("/" in name or name.startswith("hugepages-"))


def decoded(kind: str, found: Mapping[str, Any]) -> object:
    """Return an object of JSON as its struct. Raises InputError with the field that is wrong."""
    try:
        return KINDS[kind].decode(_encode(found))
    except (msgspec.DecodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise told(error) from None


def name_of(found: Mapping[str, Any]) -> str:
    """Return the name of an object. Raises InputError."""
    metadata = found.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str):
        raise InputError("is missing", field="metadata.name", expected="a name")
    return check_name(name)


def namespace_of(found: Mapping[str, Any]) -> str:
    """Return the namespace of an object; default where it states none. Raises InputError."""
    metadata = found.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, Mapping) else None
    if namespace is None or namespace == "":
        return "default"
    if not isinstance(namespace, str):
        raise InputError("is no text", field="metadata.namespace", expected="a namespace")
    return check_name(namespace, "metadata.namespace", "namespace")


def _within_spec(error: InputError) -> InputError:
    field = f"spec.{error.field}" if error.field else "spec"
    return InputError(error.problem, field=field, expected=error.expected)
