"""Joins rooms: what stands in columns of one and is read in columns of another, at the start and at control points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kscale.engine.kinds import GONE
from kscale.engine.world import World
from kscale.state.descriptions import DisruptionBudget, NodeDescriptions, PodTemplate, Selector
from kscale.state.manifests.inventory import Ordinals
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]
ZONE = "topology.kubernetes.io/zone"
#: Labels of nodes of the control plane, today's and the older one.
CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
BUDGET, CLAIM = "PodDisruptionBudget", "PersistentVolumeClaim"
#: What a budget that is not there allows.
UNLIMITED = (1 << 31) - 1


def fill(cluster: Cluster, templates: Sequence[PodTemplate], nodes: NodeDescriptions) -> None:
    """Fill what controllers read of the manifests of pods and nodes: limits of cpu, and zones by number."""
    cluster.template_cpu_limit_milli[: len(templates)] = [
        one.life.cpu_limit_milli if one.life is not None else 0 for one in templates
    ]
    zones = nodes.labels.texts(ZONE)
    numbers = {zone: number for number, zone in enumerate(sorted({zone for zone in zones if zone is not None}))}
    cluster.node_zone[: len(zones)] = [-1 if zone is None else numbers[zone] for zone in zones]
    for label in CONTROL_PLANE:
        cluster.node_control_plane[: len(zones)] |= [text is not None for text in nodes.labels.texts(label)]


def fill_ordinals(cluster: Cluster, ordinals: Sequence[Ordinals]) -> None:
    """Fill the templates that ordinals of StatefulSets go by."""
    rows = [(one.template, number, row) for one in ordinals for number, row in one.rows.items()]
    rows.sort()
    if len(rows) > cluster.sizes["ordinal"]:
        cluster.resize("ordinal", len(rows))
    cluster.ordinal_number[: len(rows)] = [number for _, number, _ in rows]
    cluster.ordinal_template[: len(rows)] = [row for _, _, row in rows]
    templates, every = [template for template, _, _ in rows], np.arange(cluster.sizes["template"])
    cluster.template_ordinal_first[:] = np.searchsorted(templates, every, "left")
    cluster.template_ordinal_last[:] = np.searchsorted(templates, every, "right")


class Claims:
    """Lets the scheduler know which claims are gone: one of the same name that comes after is bound anew.

    ``rows`` are those of its table of claims, by ``namespace/name``.
    """

    def __init__(self, world: World, rows: Mapping[str, int]) -> None:
        self._world, self._rows = world, rows

    def mirror(self) -> None:
        """Forget what claims were bound to that are gone, of those objects that the log says changed."""
        world, cluster = self._world, self._world.cluster
        changed = cluster.object_log[: cluster.cluster_objects_changed[0]]
        claims = world.of_kind(changed, CLAIM)
        for claim in claims[cluster.object_live[claims] == GONE].tolist():
            row = self._rows.get(f"{world.namespace(claim)}/{world.name(claim)}")
            # Its volume is deleted with it, or is released: no other claim gets it.
            if row is not None:
                cluster.claim_settled[row], cluster.claim_volume[row], cluster.claim_node[row] = 0, -1, -1


class Budgets:
    """Lets the scheduler know what budgets allow by now: preemption goes by it.

    The table ``budget`` has a row for each selector that a budget has at some time of the run.
    """

    def __init__(self, world: World, budgets: Sequence[DisruptionBudget], selectors: Sequence[Selector | None]) -> None:
        """Take the budgets, by the rows of their table, and the selectors by handle."""
        self._world, self._budgets, self._selectors = world, budgets, selectors
        self._version = -1
        self._objects = np.empty(0, np.int64)

    def mirror(self) -> None:
        """Write what each allows; where that changes, what it costs to clear nodes is worked out anew."""
        world, cluster = self._world, self._world.cluster
        if self._version != world.versions[BUDGET]:
            self._version = world.versions[BUDGET]
            self._objects = np.array([self._find(budget) for budget in self._budgets], np.int64)
        there = self._objects >= 0
        allowed = np.full(len(there), UNLIMITED)
        allowed[there] = cluster.poddisruptionbudget_allowed[cluster.object_row[self._objects[there]]]
        if not np.array_equal(allowed, cluster.budget_allowed):
            cluster.budget_allowed[:] = allowed
            cluster.clearing_cursor[:] = -1

    def _find(self, budget: DisruptionBudget) -> int:
        """Return the object of a budget while it has this selector, -1 while it has not."""
        world, cluster = self._world, self._world.cluster
        found = world.find(BUDGET, budget.namespace, budget.name)
        if found < 0:
            return -1
        handle = int(cluster.poddisruptionbudget_selection[cluster.object_row[found]])
        return found if (self._selectors[handle] if handle >= 0 else None) == budget.selector else -1
