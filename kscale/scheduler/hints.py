"""Queueing hints of node events: which pods that wait are to be tried again, and what turned them away.

What kube-scheduler v1.34.1 asks, by the plug-in that turned the pod away (pkg/scheduler/framework/plugins):

* NodeResourcesFit: the pod fits an empty node of this kind, which has joined or has more of something it asks for;
* NodeUnschedulable: the node takes pods now, and did not before;
* NodeAffinity, TaintToleration: the node that has joined matches, or is tolerated; NodeName: a node has joined;
* GpuShare, kscale's own: the node that has joined has enough devices of an allowed model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.engine.changes import ABSENT, CORDONED, OPEN
from kscale.scheduler.planes import Verdicts, running_masks
from kscale.scheduler.plugins.node_presence import PRESENCE
from kscale.scheduler.profile import Profile
from kscale.state.intake import Intake

Rows = npt.NDArray[Any]
#: Bits of what turned a pod away.
_FIT, _CORDON, _AFFINITY, _TAINT, _NAME, _DEVICES = (1 << bit for bit in range(6))
_BY_PLUGIN = {
    "NodeResourcesFit": _FIT, "NodeUnschedulable": _CORDON, "NodeAffinity": _AFFINITY, "TaintToleration": _TAINT,
    "NodeName": _NAME, "GpuShare": _DEVICES,
}  # fmt: skip
#: Verdict of nodes that a pod's own terms leave out of the search: NodeAffinity says so before any filter.
_LEFT_OUT = 1


class NodeHints:
    """Counts the verdicts on the nodes that are there, and answers whom an event may help."""

    def __init__(self, intake: Intake, profile: Profile, verdicts: Verdicts) -> None:
        self._intake, self._profile, self._verdicts = intake, profile, verdicts
        self._cluster = cluster = intake.cluster
        descriptions = cluster.sizes["description"]
        self._passes = np.zeros(descriptions, bool)
        self._passes[cluster.template_description] = cluster.template_passes_cordon != 0
        self._reasons = profile.reasons(intake.resources)
        self._own = {profile.first_bit(PRESENCE) + index for index in range(2)}
        self._plugin_of_bit = {
            profile.first_bit(plugin) + index: plugin.name
            for plugin in profile.reason_order if plugin.reasons
            for index in range(len(plugin.reasons(intake.resources)))
        }  # fmt: skip
        self._open = np.zeros((descriptions, len(verdicts.reasons) + 1), np.int64)
        self._cordoned = 0
        for node in range(cluster.sizes["node"]):
            self.turn(node, ABSENT, int(cluster.node_shut[node]))
        self._kept: list[int] = []
        self._passing: dict[tuple[str, int], npt.NDArray[np.bool_]] = {}

    def turn(self, node: int, before: int, after: int) -> None:
        """Count a node whose ``node_shut`` changes."""
        verdict = self._cluster.description_verdict[:, node]
        for shut, sign in ((before, -1), (after, 1)):
            counted = np.flatnonzero(self._passes if shut == CORDONED else np.full(len(verdict), shut == OPEN))
            self._open[counted, verdict[counted]] += sign
            self._cordoned += sign * (shut == CORDONED)

    def named(self, counts: dict[int, int], description: int) -> dict[str, int]:
        """Return how many nodes each reason turned away; ``counts`` are those of usage."""
        named: dict[str, int] = {}
        for verdict in np.flatnonzero(self._open[description, 1:]).tolist():
            text = self._verdicts.reasons[verdict]
            named[text] = named.get(text, 0) + int(self._open[description, verdict + 1])
        if self._cordoned and not self._passes[description]:
            named[self._reasons[min(self._own)]] = self._cordoned
        for reason, count in counts.items():
            if reason not in self._own:
                named[self._reasons[reason]] = named.get(self._reasons[reason], 0) + count
        return named

    def keep(self, counts: dict[int, int], description: int) -> None:
        """Keep which plug-ins turned pods away, for the next diagnosis by number."""
        bits = _CORDON if self._cordoned and not self._passes[description] else 0
        for verdict in np.flatnonzero(self._open[description, 1:]).tolist():
            bits |= _AFFINITY if verdict + 1 == _LEFT_OUT else _BY_PLUGIN.get(self._verdicts.plugins[verdict], 0)
        for reason in counts:
            bits |= 0 if reason in self._own else _BY_PLUGIN.get(self._plugin_of_bit[reason], 0)
        self._kept.append(bits)

    def help(self, node: int, kind: str, before: Rows, templates: Rows, diagnoses: Rows) -> npt.NDArray[np.bool_]:
        """Tell which pods an event may help: those of these templates that were last turned away with these diagnoses.

        ``kind`` is that of the event, and the node is as it is after it; ``before`` is what it had allocatable.
        """
        bits = np.array(self._kept, np.int64)[diagnoses]
        helped = np.zeros(len(templates), bool)
        if kind == "update":
            return ((bits & _FIT) != 0) & self._fits(node, templates) & self._gains(node, before, templates)
        schedulable = self._cluster.node_shut[node] == OPEN
        if kind == "uncordon" and schedulable:
            return (bits & _CORDON) != 0
        if kind == "join":
            helped |= ((bits & _FIT) != 0) & self._fits(node, templates)
            helped |= ((bits & _CORDON) != 0) & schedulable
            helped |= ((bits & _AFFINITY) != 0) & self._passed("NodeAffinity", node, templates)
            helped |= ((bits & _TAINT) != 0) & self._passed("TaintToleration", node, templates)
            helped |= ((bits & _DEVICES) != 0) & self._has_devices(node, templates)
            # Where nothing turned a pod away there was no node at all.
            helped |= ((bits & _NAME) != 0) | (bits == 0)
        return helped

    def _fits(self, node: int, templates: Rows) -> npt.NDArray[np.bool_]:
        """Tell which templates fit the node when it is empty."""
        request, allocatable = self._cluster.template_fit_request[templates], self._cluster.node_allocatable[:, node]
        return np.asarray(((request <= 0) | (request <= allocatable)).all(axis=1))

    def _gains(self, node: int, before: Rows, templates: Rows) -> npt.NDArray[np.bool_]:
        """Tell which templates ask for something of which the node has more than before."""
        more = self._cluster.node_allocatable[:, node] > before
        return np.asarray(((self._cluster.template_fit_request[templates] > 0) & more).any(axis=1))

    def _has_devices(self, node: int, templates: Rows) -> npt.NDArray[np.bool_]:
        cluster = self._cluster
        enough = cluster.template_device_count[templates] <= cluster.node_device_count[node]
        allowed = cluster.template_device_models[templates]
        model = np.uint64(max(int(cluster.node_device_model[node]), 0))
        found: npt.NDArray[np.bool_] = enough & ((allowed == 0) | ((allowed >> model) & np.uint64(1) != 0))
        return found

    def _passed(self, name: str, node: int, templates: Rows) -> npt.NDArray[np.bool_]:
        """Tell which templates a filter on descriptions lets onto the node."""
        distinct, place = np.unique(self._cluster.template_description[templates], return_inverse=True)
        return np.array([self._passing_nodes(name, row)[node] for row in distinct.tolist()], bool)[place]

    def _passing_nodes(self, name: str, row: int) -> npt.NDArray[np.bool_]:
        if (name, row) not in self._passing:
            nodes, description = self._intake.nodes, self._intake.descriptions[row]
            passing = np.ones(len(nodes), bool)
            for plugin in running_masks(self._profile, description):
                if plugin.name == name and plugin.mask is not None:
                    passing = plugin.mask(nodes, description)[0] < 0
            self._passing[name, row] = passing
        return self._passing[name, row]
