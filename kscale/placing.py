"""Placing: Kubernetes objects as a run of the scheduler, in queue order or each pending pod once in the order given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.clock import NEVER
from kscale.engine.pods import UNKNOWN_START
from kscale.errors import InputError
from kscale.scheduler.arguments import GATED, NO_PROFILE
from kscale.simulation import Objects, Settings, Simulation
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.labels import Labels, Taint
from kscale.state.manifests import Inventory, NodeObject
from kscale.traces import NODES, PODS, SPECS, Trace

#: Words for pods that are held outside the queue, by ``template_held``.
HELD = {GATED: "gated", NO_PROFILE: "no_profile"}
#: Seconds: runs that plain Python is estimated to take so long are compiled; up to the first, without a look at what
#: is compiled already, because loading that takes as long.
_LOAD_SECONDS, _PLAIN_SECONDS = 1.0, 4.0
#: Seconds that plain Python takes per pending pod and node, the same where many may be evicted, and per bound pod
#: (measured on the recorded scenarios, on a busy machine: 20 to 50 µs, and 80 to 350 µs).
_PER_NODE, _PER_NODE_EVICTING, _PER_BOUND = 30e-6, 150e-6, 150e-6
#: Share of a resource from which on pods are likely to be evicted.
_FULL = 0.7
_HOUR_US = 3_600_000_000
_COLUMN_OF = {
    "cpu": "cpu_milli",
    "memory": "memory_bytes",
    "ephemeral-storage": "ephemeral_storage_bytes",
    "pods": "pods",
}


@dataclass(frozen=True)
class Frames:
    """An inventory as a run takes it."""

    trace: Trace
    nodes: pl.DataFrame
    objects: Objects


def describe_nodes(inventory: Inventory) -> NodeDescriptions:
    """Return how the nodes of an inventory are described."""
    nodes = inventory.nodes
    taints: dict[tuple[Taint, ...], int] = {}
    images: dict[tuple[tuple[str, int], ...], int] = {}
    taint_set = [taints.setdefault(node.taints, len(taints)) for node in nodes]
    image_set = [images.setdefault(node.images, len(images)) for node in nodes]
    return NodeDescriptions(
        tuple(node.name for node in nodes), Labels([node.labels for node in nodes]), tuple(taints) or ((),),
        np.array(taint_set, np.int32), np.array([node.unschedulable for node in nodes], bool),
        tuple(images) or ((),), np.array(image_set, np.int32), inventory.surroundings,
    )  # fmt: skip


def frames(inventory: Inventory, *, given: bool) -> Frames:
    """Return an inventory as frames and objects; with ``given``, pending pods keep the start times of the inventory."""
    pods = inventory.pods
    asked = sorted({name for template in inventory.templates for name, _ in template.requests} - set(_COLUMN_OF))
    trace = Trace(
        "objects",
        pl.DataFrame(
            {
                "name": pods.names, "namespace": pods.namespaces, "owner": [None] * len(pods),
                "arrival_us": np.zeros(len(pods), np.int64), "duration_us": [None] * len(pods),
                "end_us": [None] * len(pods), "spec": pods.template.astype(np.uint32),
            },
            schema=PODS,
        ),
        _specs(inventory.templates, asked),
    )  # fmt: skip
    bound = pods.node >= 0
    # Every pod that is bound has begun before the run, at whose start time is 0.
    relative = pods.start_us - (pods.start_us[bound].max(initial=0) + 1)
    begun = np.where(bound | given, relative, UNKNOWN_START)
    return Frames(
        trace, _nodes(inventory.nodes, asked), Objects(describe_nodes(inventory), inventory.templates, pods.node, begun)
    )


def _nodes(nodes: list[NodeObject], extended: list[str]) -> pl.DataFrame:
    columns: dict[str, Any] = {name: [None] * len(nodes) for name in NODES}
    columns["name"] = [node.name for node in nodes]
    for resource, column in [*_COLUMN_OF.items(), *((name, f"resource.{name}") for name in extended)]:
        columns[column] = [node.allocatable.get(resource, 0) for node in nodes]
    schema = {**NODES, **{f"resource.{name}": pl.Int64 for name in extended}}
    return pl.DataFrame(columns, schema=schema)


def _specs(templates: list[PodTemplate], extended: list[str]) -> pl.DataFrame:
    amounts = [dict(template.requests) for template in templates]
    columns: dict[str, Any] = {name: [None] * len(templates) for name in SPECS}
    for resource, column in [*_COLUMN_OF.items(), *((name, f"resource.{name}") for name in extended)]:
        if column in columns or column.startswith("resource."):
            columns[column] = [each.get(resource) for each in amounts]
    columns["priority"] = [template.priority for template in templates]
    schema = {**SPECS, **{f"resource.{name}": pl.Int64 for name in extended}}
    return pl.DataFrame(columns, schema=schema)


def simulation_of(inventory: Inventory, settings: Settings, *, given: bool) -> Simulation:
    """Return a run of the scheduler over an inventory. Raises InputError.

    With ``given`` each pending pod is tried once, in input order: what does not fit stays unplaced, victims vanish at
    once and the pod that they made room for is bound in the same step.
    """
    if not inventory.nodes:
        raise InputError("has no Node", file=", ".join(inventory.inputs)[:200] or None, expected="one node or more")
    taken = frames(inventory, given=given)
    return Simulation(taken.trace, taken.nodes, replace(settings, inflate=given), objects=taken.objects)


#: Why pods wait where nothing is scheduled.
UNTRIED = "Not tried: nothing was scheduled"
_UNTRIED = 3


def hold_pending(simulation: Simulation, inventory: Inventory) -> dict[int, str]:
    """Keep pending pods out of the queue, before the run starts; return why those of each template wait."""
    held = simulation.cluster.template_held
    waiting = {}
    for template in set(inventory.pods.template[inventory.pending].tolist()):
        if held[template] == 0:
            held[template] = _UNTRIED
            waiting[template] = UNTRIED
    return waiting


def plain_seconds(inventory: Inventory, tries: int | None = None) -> float:
    """Return an estimate of how long a run over an inventory takes as plain Python.

    ``tries`` is how often a pod is tried; each pending pod once where it is not given.
    """
    evicting = len({template.priority for template in inventory.templates}) > 1 and _is_full(inventory)
    looks = (len(inventory.pending) if tries is None else tries) * len(inventory.nodes)
    bound = len(inventory.pods) - len(inventory.pending)
    return looks * (_PER_NODE_EVICTING if evicting else _PER_NODE) + bound * _PER_BOUND


def _is_full(inventory: Inventory) -> bool:
    """Return whether all pods ask for nearly as much as all nodes have, so that many are likely to evict others."""
    counts = np.bincount(inventory.pods.template, minlength=len(inventory.templates))
    asked: dict[str, int] = {}
    for template, count in zip(inventory.templates, counts.tolist(), strict=True):
        for name, amount in template.requests:
            asked[name] = asked.get(name, 0) + amount * count
    return any(
        amount > _FULL * sum(node.allocatable.get(name, 0) for node in inventory.nodes)
        for name, amount in asked.items()
    )  # fmt: skip


def choose_form(inventory: Inventory, settings: Settings, *, given: bool = False, tries: int | None = None) -> Settings:
    """Return the settings with the form that is done sooner: compiled code, or plain Python, which starts at once.

    Both come to the same results. Compiling takes half a minute for every new combination of what a run makes use of.
    ``tries`` is how often a pod is tried; each pending pod once where it is not given.
    """
    seconds = plain_seconds(inventory, tries)
    if not settings.compiled or seconds >= _PLAIN_SECONDS or not inventory.nodes:
        return settings
    if seconds >= _LOAD_SECONDS and simulation_of(inventory, settings, given=given).is_compiled():
        return settings
    return replace(settings, compiled=False)


def run(simulation: Simulation, progress: Callable[[int, int], None] | None = None) -> None:
    """Run until nothing more can happen, and stand still for the rest of an hour (a moment in given order).

    All happens at once: without the hour there would be no shares of time, and no node-hours.
    """
    simulation.start()
    simulation.advance(NEVER - 1, progress)
    last = max(int(simulation.cluster.cluster_now_us[0]), 1 if simulation.settings.inflate else _HOUR_US)
    simulation.settings = replace(simulation.settings, until_us=last)
    simulation.finish(last)


@dataclass(frozen=True)
class Outcome:
    """What became of a pending pod.

    Attributes:
        status: scheduled, preempted (placed, and others were evicted for it), unschedulable, gated, no_profile, error.
        node: None where it was not placed.
        victims: ``namespace/name`` of the pods that were evicted for it, the most important first.
        message: the event line, where it was not placed, or was evicted later.
        evicted: whether it was placed, and then evicted for another.
    """

    namespace: str
    name: str
    status: str
    node: str | None
    victims: tuple[str, ...] = ()
    message: str = ""
    evicted: bool = False


def outcomes(simulation: Simulation, inventory: Inventory) -> list[Outcome]:
    """Return what became of each pending pod, in input order, after the run."""
    fields, pods = simulation.ledger.fields, inventory.pods
    victims: dict[int, list[str]] = {}
    preemptor = fields.get("preemptor", np.full(len(pods), -1))
    if "eviction" in fields:
        evicted = np.flatnonzero(preemptor >= 0)
        for row in evicted[np.argsort(fields["eviction"][evicted], kind="stable")].tolist():
            victims.setdefault(int(preemptor[row]), []).append(f"{pods.namespaces[row]}/{pods.names[row]}")
    nodes, reasons = simulation.intake.nodes.names, simulation.ledger.reasons
    result = []
    for row in inventory.pending.tolist():
        template = int(pods.template[row])
        node, diagnosis = int(fields["node"][row]), int(fields["diagnosis"][row])
        held = int(simulation.cluster.template_held[template])
        if held:
            status, message = HELD[held], simulation.messages.held_message(template)
        elif node >= 0:
            status, message = ("preempted" if row in victims else "scheduled"), ""
            if preemptor[row] >= 0:
                other = f"{pods.namespaces[preemptor[row]]}/{pods.names[preemptor[row]]}"
                message = f"Preempted by pod {other} on node {nodes[node]}"
        else:
            status, message = simulation.messages.failed_status(template), reasons[diagnosis] if diagnosis >= 0 else ""
        result.append(
            Outcome(
                pods.namespaces[row], pods.names[row], status, nodes[node] if node >= 0 else None,
                tuple(victims.get(row, ())), message, bool(preemptor[row] >= 0),
            )
        )  # fmt: skip
    return result
