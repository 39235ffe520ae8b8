"""Casting: objects that live in a replay, put together with the pods of a trace and its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from kscale import controllers
from kscale.controllers.common.addresses import Ranges, check_address, check_ports, check_stated
from kscale.controllers.garbage import check_owners
from kscale.engine.pods import UNKNOWN_START
from kscale.errors import InputError
from kscale.joining import BUDGET, UNLIMITED
from kscale.living import Cast
from kscale.networking import Proxying
from kscale.node.manifests import life_of
from kscale.placing import frames
from kscale.scenario import Action, Scenario, Script, plan
from kscale.scenario.effects import Create, Write
from kscale.simulation import Objects
from kscale.state.descriptions import DisruptionBudget, NodeDescriptions
from kscale.state.intake import describe_nodes, describe_template
from kscale.state.lives import NEVER_RESTART, ContainerLife, PodLife
from kscale.state.manifests import Inventory, ReadOptions
from kscale.state.manifests.taking import Gathering, gather_objects, no_collection
from kscale.traces import PODS, Trace

#: How a pod of a trace lives: it runs as long as recorded, once.
_TRACED = PodLife((ContainerLife(restart=NEVER_RESTART),), NEVER_RESTART)
#: Seconds of plain Python per pod's life, and per node that is scored for it (measured on small runs, kubelets, their
#: controllers and the recording included); and how many pods come in the place of one.
_PER_LIFE, _PER_NODE, _LIVES = 20e-3, 30e-6, 4
#: Runs of a CronJob that are reckoned with.
_RUNS = 50
AUTOSCALER = "HorizontalPodAutoscaler"


@dataclass(frozen=True)
class Staged:
    """What a replay with objects runs on.

    Attributes:
        trace: the pods of the objects, then those of the trace, and the specs of both.
        objects: what the frames cannot say.
    """

    trace: Trace
    nodes: pl.DataFrame
    objects: Objects
    cast: Cast
    inventory: Inventory


def read_objects(paths: Sequence[str], options: ReadOptions) -> Gathering:
    """Return what files of objects hold, kinds that controllers look after included. Raises InputError."""
    manifests = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest is not None}
    with no_collection():
        return gather_objects(paths, options, manifests, life_of)


def stage(
    gathering: Gathering, trace: Trace | None, nodes: pl.DataFrame | None, *, limited: bool, where: str = "",
    scenario: Scenario | None = None, seed: int = 0, ranges: Ranges | None = None, proxying: Proxying | None = None,
) -> Staged:  # fmt: skip
    """Put objects, a trace and nodes together; nodes come from the one or the other. Raises InputError.

    ``scenario`` is what is done to the objects; the seed is that of the times that it draws; ``ranges`` are what
    Services get their addresses out of; ``proxying`` is how the nodes' kube-proxies run, as by default without it.
    """
    ranges = ranges or Ranges()
    check_owners(gathering.workloads.made)
    check_stated(gathering.workloads.made, ranges)
    actions: list[Action] = []
    if scenario is not None:
        actions = plan(scenario, gathering, controllers.kinds(), seed)
        _note_budgets(gathering, actions)
        _check_services(actions, ranges)
    _note_replicas(gathering, actions)
    inventory = gathering.inventory(gathering.inputs)
    if nodes is not None and inventory.nodes:
        raise InputError("there are nodes among the objects, and others", field="--nodes", expected="one of the two")
    if nodes is None and not inventory.nodes:
        raise InputError("has no Node", file=where or None, expected="one node or more, or --nodes")
    taken = frames(inventory, given=False)
    count, pods = len(inventory.templates), taken.trace.pods
    specs, templates = taken.trace.specs, list(inventory.templates)
    if trace is not None:
        pods = pl.concat([pods, _moved(trace.pods, count)])
        specs = pl.concat([specs, trace.specs], how="diagonal")
        templates += [replace(describe_template(row), life=_TRACED) for row in trace.specs.iter_rows(named=True)]
    added = pods.height - len(inventory.pods)
    described: NodeDescriptions = taken.objects.nodes
    if nodes is not None:
        described = replace(describe_nodes(nodes), surroundings=inventory.surroundings)
    objects = Objects(
        described, templates, np.concatenate([taken.objects.node, np.full(added, -1, np.int32)]),
        np.concatenate([taken.objects.begun_us, np.full(added, UNKNOWN_START)]),
    )  # fmt: skip
    cast = Cast(
        inventory.workloads, inventory.wanted, inventory.pods.controllers, inventory.pods.names,
        inventory.pods.namespaces, limited, Script(actions, inventory.wanted) if scenario is not None else None,
        ordinals=inventory.ordinals,
        ranges=ranges, proxying=proxying or Proxying.of(seed=seed),
    )  # fmt: skip
    whole = replace(trace or taken.trace, format=trace.format if trace else "objects", pods=pods, specs=specs)
    return Staged(whole, taken.nodes if nodes is None else nodes, objects, cast, inventory)


def _note_budgets(gathering: Gathering, actions: Sequence[Action]) -> None:
    """Let the scheduler know the budgets that a scenario makes or gives another selector, and whom these cover."""
    known = {(one.namespace, one.name, one.selector) for one in gathering.kept.budgets}
    for effect in (effect for action in actions for effect in action.effects):
        if isinstance(effect, (Create, Write)) and effect.key[0] == BUDGET and effect.columns.get("selection", -1) >= 0:
            selector, _ = gathering.workloads.selections[effect.columns["selection"]]
            _, namespace, name = effect.key
            if (namespace, name, selector) not in known:
                known.add((namespace, name, selector))
                gathering.kept.budgets.append(DisruptionBudget(name, namespace, selector, UNLIMITED))


def _note_replicas(gathering: Gathering, actions: Sequence[Action]) -> None:
    """Note how many replicas a scenario and autoscalers may give StatefulSets: so many ordinals may get templates."""
    workloads = gathering.workloads
    effects = [effect for action in actions for effect in action.effects if isinstance(effect, (Create, Write))]
    stated = [(effect.key, effect.columns) for effect in effects]
    stated += [((one.kind, one.namespace, one.name), one.columns) for one in workloads.made]
    references = list(workloads.references)
    targets = {
        key: references[columns["target"]] for key, columns in stated if key[0] == AUTOSCALER and "target" in columns
    }
    for key, columns in stated:
        most = columns.get("most" if key[0] == AUTOSCALER else "replicas", 0)
        about = targets.get(key, key)
        workloads.most[about] = max(workloads.most.get(about, 0), int(most))


def _check_services(actions: Sequence[Action], ranges: Ranges) -> None:
    """Check that Services which a scenario makes or changes state what is in the ranges. Raises InputError."""
    addresses, ports = ranges.address_band(), ranges.port_band()
    for effect in (effect for action in actions for effect in action.effects):
        if isinstance(effect, (Create, Write)) and effect.key[0] == "Service":
            check_address(effect.columns, effect.key[1:], addresses, ranges.addresses, {})
            check_ports(effect.columns, effect.key[1:], ports, ranges.ports, {})


def plain_seconds(staged: Staged) -> float:
    """Return an estimate of how long a run takes as plain Python, where each pod is replaced a few times."""
    nodes, lives = staged.nodes.height, staged.trace.pods.height
    for one in staged.cast.workloads.made:
        asked = one.columns.get("replicas", one.columns.get("parallelism", _RUNS if one.kind == "CronJob" else 0))
        lives += nodes if one.kind == "DaemonSet" else int(asked)
    return lives * _LIVES * (_PER_LIFE + nodes * _PER_NODE)


def _moved(pods: pl.DataFrame, count: int) -> pl.DataFrame:
    return pods.select(*PODS).with_columns(spec=(pl.col("spec") + count).cast(pl.UInt32))
