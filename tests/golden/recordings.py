"""Decisions recorded from kube-scheduler v1.34.1, as frames for kscale.

A recording is ``{"scenario": {name, objects, pending}, "result": {...}}``: Kubernetes objects, and what became of each
pending pod in order. ``trimmed`` keeps what a comparison needs; ``case_of`` makes a run of it.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kscale.engine.pods import take_resources
from kscale.scheduler.planes import message
from kscale.simulation import Settings, Simulation
from kscale.state.intake import derive
from kscale.state.labels import Requirement, format_term
from kscale.traces import NODES, PODS, SPECS, Trace
from tests import naive
from tests.engine.columns import call
from tests.test_naive import NAME, recorded_node, recorded_spec

FAMILIES = ("fit_cpu_mem", "taints", "node_selector_affinity", "unschedulable", "node_name", "dense_fill")
FILE = Path(__file__).with_name("recordings.json.gz")
#: What matches no node: every node has a name.
NOTHING = f"{NAME} in ()"
_AMOUNTS = {
    "cpu": "cpu_milli",
    "memory": "memory_bytes",
    "ephemeral-storage": "ephemeral_storage_bytes",
    "pods": "pods",
}


class NotModelled(Exception):
    """The scenario has something that this version of kscale does not model."""


@dataclass(frozen=True)
class Expected:
    """What became of a pod; ``reason`` is None where it was not recorded per node."""

    name: str
    status: str
    node: str | None
    reason: str | None


def recordings(folder: Path, family: str) -> Iterator[dict[str, Any]]:
    """The recordings of a family, trimmed."""
    for file in sorted((folder / "golden" / "scheduler" / family).glob("*.json.gz")):
        with gzip.open(file) as stream:
            yield trimmed(json.load(stream))


def trimmed(recording: dict[str, Any]) -> dict[str, Any]:
    """The recording without what no comparison reads."""
    scenario, result = recording["scenario"], recording["result"]
    return {
        "scenario": {
            "name": scenario["name"],
            "objects": [_trimmed_object(item) for item in scenario["objects"]],
            "pending": [_trimmed_object(item) for item in scenario["pending"]],
        },
        "pods": [_trimmed_result(pod, result["statuses"]) for pod in result["pods"]],
    }


def _trimmed_object(item: dict[str, Any]) -> dict[str, Any]:
    spec = dict(item.get("spec", {}))
    for kind in ("containers", "initContainers"):
        if kind in spec:
            spec[kind] = [{k: v for k, v in each.items() if k not in ("name", "image")} for each in spec[kind]]
    meta = {key: item["metadata"][key] for key in ("name", "labels") if key in item["metadata"]}
    kept = {"kind": item.get("kind", "Pod"), "metadata": meta, "spec": spec}
    if kept["kind"] == "Node":
        kept["status"] = {"allocatable": item["status"]["allocatable"]}
    return kept


def _trimmed_result(pod: dict[str, Any], statuses: list[dict[str, Any]]) -> dict[str, Any]:
    """Reasons are counted over the nodes, unless some were left out before the filters."""
    kept = {"pod": pod["pod"], "status": pod["status"], "node": pod.get("node")}
    if pod["status"] == "unschedulable" and "filter" in pod and "prefilter_nodes" not in pod:
        kept["reasons"] = Counter(reason for code in pod["filter"] for reason in statuses[code]["reasons"])
    return kept


def play(recording: dict[str, Any]) -> tuple[list[Expected], list[Expected]]:
    """What was recorded of each pending pod, and what kscale makes of it. Raises NotModelled.

    Left out of both: pods that are scored by another request than they take (pod-level requests). They are put where
    they were recorded.
    """
    scenario = recording["scenario"]
    nodes = [recorded_node(item) for item in scenario["objects"] if item["kind"] == "Node"]
    bound = [item for item in scenario["objects"] if item["kind"] == "Pod"]
    for item in [*scenario["objects"], *scenario["pending"]]:
        _check(item)
    specs = [recorded_spec(item, bound=True) for item in [*bound, *scenario["pending"]]]
    rows = [_spec_row(spec) for spec in specs]
    expected = []
    for item, pod, row, spec in zip(
        scenario["pending"], recording["pods"], rows[len(bound) :], specs[len(bound) :], strict=True
    ):
        if pod["status"] == "scheduled" and recorded_spec(item, bound=False).nonzero != spec.nonzero:
            row |= {"node_name": pod["node"], "tolerations": "*", "node_selector": "", "node_affinity": ""}
            continue
        status = {"scheduled": "running", "unschedulable": "refused"}[pod["status"]]
        reasons = pod.get("reasons")
        reason = None if reasons is None else message(reasons, len(nodes))
        expected.append(Expected(pod["pod"], status, pod["node"], reason))
    compared = {each.name: each.reason for each in expected}
    simulation = _simulation(nodes, rows, [pod["pod"] for pod in recording["pods"]])
    _occupy(simulation, [item["spec"]["nodeName"] for item in bound], specs)
    simulation.compile()
    simulation.run()
    found = [
        Expected(row["name"], row["status"], row["node"], row["reason"] if compared[row["name"]] else None)
        for row in simulation.pods().iter_rows(named=True)
        if row["name"] in compared
    ]
    return expected, found


def _check(item: dict[str, Any]) -> None:
    if item["kind"] not in ("Node", "Pod"):
        raise NotModelled(item["kind"])  # a Service brings spreading along
    if "topologySpreadConstraints" in item["spec"] or set(item["spec"].get("affinity", {})) - {"nodeAffinity"}:
        raise NotModelled("pods that look at other pods")


def _simulation(nodes: list[naive.Node], specs: list[dict[str, Any]], pending: list[str]) -> Simulation:
    """A run of the pending pods, in order; their specs are the last rows."""
    extended = {key: pl.Int64 for row in specs for key in row if key.startswith("resource.")}
    first = len(specs) - len(pending)
    pods = [
        {"name": name, "namespace": "default", "arrival_us": place, "spec": first + place}
        for place, name in enumerate(pending)
    ]
    trace = Trace("recording", pl.DataFrame(pods, schema=PODS), pl.DataFrame(specs, schema={**SPECS, **extended}))
    rows = [_node_row(node) for node in nodes]
    extended = {key: pl.Int64 for row in rows for key in row if key.startswith("resource.")}
    return Simulation(trace, pl.DataFrame(rows, schema={**NODES, **extended}), Settings(inflate=True))


def _occupy(simulation: Simulation, nodes: list[str], specs: list[naive.Spec]) -> None:
    """Put the bound pods, whose specs come first, on these nodes, whether they fit or not.

    A frame gives a pod one container; what several containers count in the book of scores is set here.
    """
    cluster = simulation.cluster
    for template, spec in enumerate(specs):
        assert spec.nonzero is not None
        for resource in naive.NONZERO:
            column = simulation.intake.resources.index(resource)
            cluster.template_nonzero_request[template, column] = spec.nonzero[resource]
    names = list(simulation.intake.nodes.names)
    for template, name in enumerate(nodes):
        call(take_resources, cluster, template, names.index(name), 1)
    derive(cluster)


def _node_row(node: naive.Node) -> dict[str, Any]:
    return {
        "name": node.name,
        **_amounts_row(node.allocatable),
        "labels": ",".join(f"{key}={value}" for key, value in node.labels.items()),
        "taints": ",".join(f"{t.key}={t.value}:{t.effect}" if t.value else f"{t.key}:{t.effect}" for t in node.taints),
        "unschedulable": node.unschedulable,
    }


def _spec_row(spec: naive.Spec) -> dict[str, Any]:
    # A preferred term without requirements matches nothing, like the required one that is written as NOTHING.
    return {
        **_amounts_row({name: amount for name, amount in spec.requests.items() if name != "pods"}),
        "node_selector": ",".join(f"{key}={value}" for key, value in spec.node_selector.items()),
        "node_affinity": "" if spec.affinity is None else " | ".join(map(_term, spec.affinity)) or NOTHING,
        "preferred_node_affinity": " | ".join(f"{weight}: {_term(term)}" for weight, term in spec.preferred),
        "tolerations": ",".join(map(_toleration, spec.tolerations)),
        "node_name": spec.node_name,
    }


def _amounts_row(amounts: Any) -> dict[str, int]:
    return {_AMOUNTS.get(name, f"resource.{name}"): amount for name, amount in amounts.items()}


def _term(term: Any) -> str:
    return format_term(tuple(Requirement(r.key, r.operator, tuple(r.values)) for r in term)) or NOTHING


def _toleration(toleration: Any) -> str:
    key = toleration.key or "*"
    if toleration.operator != "Exists":
        key += f"={toleration.value}"
    return f"{key}:{toleration.effect}" if toleration.effect else key
