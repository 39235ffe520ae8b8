"""Scheduler plug-ins: each module here declares one or more ``Plugin``.

To add one, add a module (or an entry point of the group ``kscale.scheduler.plugins``) that declares a ``Plugin``,
and its test. A plug-in says which forms of contribution it gives:

* ``mask`` and ``plane`` depend on how nodes are described; they run once per kind of pod, over all nodes at once;
* ``filter`` and ``score`` depend on what is used on the node itself; they are kernels that loop over a range of nodes;
* ``late`` and ``raw`` depend on pods elsewhere in the same domain (or on all feasible nodes); they run for every try;
* ``bar`` turns a kind of pod away before any node is looked at;
* ``plan`` names counters and lists before the tables are allocated, ``fill`` writes the plug-in's own columns then;
* ``assign`` picks devices on the chosen node, ``reserve`` keeps the plug-in's own columns when a pod comes or goes;
* ``hint`` tells whether what happened to one pod may help another that the plug-in turned away;
* ``lanes`` gives ``filter`` and ``score`` in a second form, for the class index: one node, a range of kinds of pods.

A kernel's parameters are its own arguments, then columns by full name. Columns of its own a leaf declares as
``COLUMNS = {"table": (Column(...), ...)}``, tables of its own with ``NewTable``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale import shelf
from kscale.state.building import Building
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.schema import Addition
from kscale.state.tables import Cluster

#: A mask gives, per node, the index of the reason that rejects it, or -1, and the reasons.
Mask = Callable[[NodeDescriptions, PodDescription], tuple[npt.NDArray[np.int64], list[str]]]
#: A plane gives a raw score per node.
Plane = Callable[[NodeDescriptions, PodDescription], npt.NDArray[np.int64]]
#: How a plane or a raw score becomes points: as it is, 100 * raw // highest over the feasible nodes, or 100 less that.
NORMALISATIONS = ("none", "highest", "reversed", "own")


#: kube-scheduler's own filters, in the order in which it runs them.
UPSTREAM_FILTERS = (
    "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit",
    "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity",
    "DynamicResources",
)  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """Why a kind of pod is turned away before any node is looked at; ``code`` in kube-scheduler's words."""

    reason: str
    code: str = "UnschedulableAndUnresolvable"


@dataclass(frozen=True)
class Lanes:
    """The second form of ``filter`` and ``score``: one node for a range of lanes, each the ask of a kind of pod.

    Attributes:
        open: kernel ``(template, lane, columns…)`` that fills the lane's columns.
        filter: kernel ``(node, lanes, columns…)`` that sets ``lane_reject`` to 1 for those of the first ``lanes``
            lanes that the node rejects.
        score: kernel ``(node, lanes, columns…)`` that fills ``lane_raw``, as ``score`` fills ``scan_raw``.
    """

    open: Callable[..., Any]
    filter: Callable[..., Any] | None = None
    score: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Plugin:
    """One plug-in, by its name in kube-scheduler's configuration.

    Attributes:
        name: its name.
        rank: its place in the order of filters; the first to reject a node is the one that is told.
        mask: which nodes it rejects by their description.
        bar: whether it turns a description away as a whole.
        plane: a raw score by description, and ``plane_column``, where it is kept.
        normalise: one of ``NORMALISATIONS``; ``own`` calls ``points``.
        filter: kernel ``(template, first, last, reason, columns…)`` that sets bits from ``reason`` in ``scan_reject``.
        late: kernel ``(template, first, last, reason, sums, columns…)`` that puts -1 - (1 << bit) into ``sums`` for the
            nodes it rejects, of those that are not negative; bits from ``reason``.
        skips: kernel ``(template, columns…)``, asked once for a try: whether ``late`` is left out of it, also in trials
            with other pods (kube-scheduler's Skip of PreFilter).
        reasons: the texts of these bits, from the names of the resources.
        unresolvable: the indices of reasons that no preemption helps.
        hopeless: kernel ``(template, node, columns…)`` that tells whether its rejection is one that none helps.
        score: kernel ``(template, first, last, columns…)`` that fills ``scan_raw``; nodes with a ``scan_reject`` do not
            count.
        raw: kernel ``(template, sums, columns…)`` that fills ``scan_wide`` for the feasible nodes and tells whether it
            has anything to say; ``points``: kernel ``(template, weight, sums, columns…)`` that turns that into 0 to 100
            and adds the weighted points to ``sums``.
        dear: whether a score costs more than a few nanoseconds per node, so that a rescan is worth avoiding.
        draw: choose at random among the best instead of the first.
        assign: kernel ``(template, node, draw, columns…)`` that returns the bit set of the devices to take.
        reserve: kernel ``(template, node, sign, columns…)``, called with 1 when a pod comes and -1 when it goes.
        remember, recall: kernels ``(node, slot, columns…)`` that keep what ``reserve`` cannot give back of a node
            before a trial, and put it back after it; trials nest in slots 0 and 1.
        hint: kernel ``(template, other, added, columns…)``: whether a pod of the template ``other`` that came (1) or
            went (0) may help; ``always`` where any pod that went may.
        lanes: see the module; a plug-in without it leaves the pods that it concerns to the scan, and all pods when it
            does not tell which by ``lists`` or ``concerns``.
        concerns: the tables of lists that its ``filter`` reads, template by template.
        by_domain: whether ``late``, ``raw`` and ``points`` tell nodes apart by ``topology_domain`` and columns of
            ``scan`` alone, so that they serve groups of nodes as well as nodes.
        barring: the table of lists whose rows make ``late`` reject the domains with pods of their counter, and do no
            more: lanes keep that where domains are single nodes.
        ungrouped: the templates, as a mask, that groups cannot serve.
        plan, fill: see the module; ``lists``: the tables of lists that ``late`` and ``raw`` read, template by template.
        used: whether it has anything to do for an input; always, where it is None.
        variant: the scoring strategy of NodeResourcesFit that the score stands for.
        weight: its weight in the total.
        standard: whether the default profile has it.
        needs_devices: whether it is for clusters with devices only.
        innate: whether it belongs to what is replayed: no configuration switches it off, and it is composed only where
            it is ``used``.
    """

    name: str
    rank: int = 0
    mask: Mask | None = None
    bar: Callable[[NodeDescriptions, PodDescription], Bar | None] | None = None
    plane: Plane | None = None
    plane_column: str = ""
    normalise: str = "highest"
    filter: Callable[..., Any] | None = None
    late: Callable[..., Any] | None = None
    skips: Callable[..., Any] | None = None
    reasons: Callable[[list[str]], list[str]] | None = None
    unresolvable: tuple[int, ...] = ()
    hopeless: Callable[..., Any] | None = None
    score: Callable[..., Any] | None = None
    raw: Callable[..., Any] | None = None
    points: Callable[..., Any] | None = None
    dear: bool = False
    draw: bool = False
    assign: Callable[..., Any] | None = None
    reserve: Callable[..., Any] | None = None
    remember: Callable[..., Any] | None = None
    recall: Callable[..., Any] | None = None
    hint: Callable[..., Any] | None = None
    always: bool = False
    lanes: Lanes | None = None
    concerns: tuple[str, ...] = ()
    by_domain: bool = False
    barring: str = ""
    ungrouped: Callable[[Cluster], npt.NDArray[np.bool_]] | None = None
    plan: Callable[[Building], None] | None = None
    fill: Callable[[Building, Cluster], None] | None = None
    lists: tuple[str, ...] = ()
    used: Callable[[Building], bool] | None = None
    variant: str = ""
    weight: int = 1
    standard: bool = False
    needs_devices: bool = False
    innate: bool = False

    @property
    def standard_filter(self) -> bool:
        """Whether it is one of kube-scheduler's own filters."""
        return self.name in UPSTREAM_FILTERS

    @property
    def fills(self) -> list[str]:
        """The extension points that it fills, in kube-scheduler's words."""
        filled = {
            "filter": self.mask or self.filter or self.late,
            "score": self.plane or self.score or self.raw or self.draw,
            "reserve": self.assign or self.reserve,
        }
        return [point for point, function in filled.items() if function]


@cache
def found() -> dict[str, Plugin]:
    """Return every plug-in of the shelf by name."""
    return shelf.declared(__name__, Plugin)


@cache
def columns() -> list[Addition]:
    """Return the columns and tables that the leaves of this shelf add to the schema."""
    return [module.COLUMNS for module in shelf.modules(__name__) if hasattr(module, "COLUMNS")]
