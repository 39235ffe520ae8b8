"""Verdicts: what each plug-in says of each node for one template, in kube-scheduler's words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.scheduler import planes
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.node_affinity import LEFT_OUT
from kscale.scheduler.profile import Profile
from kscale.simulation import Simulation

UNSCHEDULABLE, UNRESOLVABLE = "Unschedulable", "UnschedulableAndUnresolvable"
#: What kube-scheduler says of nodes where it looks for no victims, and where it finds none.
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
#: The bit of ``scan_reject`` that marks a node which its description rejects.
_DESCRIBED = 1 << 30


@dataclass(frozen=True)
class Status:
    """A verdict: the plug-in that gives it, its code in kube-scheduler's words, and the reasons; empty is success."""

    plugin: str = ""
    code: str = "Success"
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Eviction:
    """What evicting pods of lower priority on a node comes to.

    Attributes:
        victims: who would go, by row of the trace, the most important first; empty where that does not help.
        broken: how many of them break a disruption budget.
        reasons: why it does not help.
    """

    victims: tuple[int, ...] = ()
    broken: int = 0
    reasons: tuple[str, ...] = ()


class Verdicts:
    """All verdicts and scores for a template, as things stand.

    ``simulation`` must be ``detailed`` and compiled. What is read here is copied, so that the run may go on; only
    ``eviction`` must be asked before it does.
    """

    def __init__(self, simulation: Simulation, template: int) -> None:
        self._simulation, self.template = simulation, template
        cluster = simulation.cluster
        self.described = simulation.building.templates[template]
        self.description = self.described.description
        self.profile_row = int(cluster.template_profile[template])
        self.configuration = simulation.profile.configurations[self.profile_row]
        bar = simulation.verdicts.bars.get(int(cluster.template_description[template]))
        self.bar = None if bar is None else Status(bar[0], bar[1].code, (bar[1].reason,))
        simulation.detail(template)
        self._reject, self._sums = cluster.detail_reject.copy(), cluster.detail_sums.copy()
        self._raw, self._points = cluster.detail_raw.copy(), cluster.detail_points.copy()
        self._said = cluster.detail_said.copy()
        self._left = cluster.node_left.copy()

    @cached_property
    def left_out(self) -> npt.NDArray[np.bool_]:
        """The nodes that the pod's own terms leave out of the search."""
        simulation = self._simulation
        named = planes.left_in(simulation.building.nodes, self.description, simulation.profile)
        return np.zeros(len(self._sums), bool) if named is None else ~named

    @cached_property
    def feasible(self) -> npt.NDArray[np.int64]:
        """The nodes that every filter passes, by row."""
        return np.flatnonzero(self._sums >= 0)

    @cached_property
    def filters(self) -> list[Plugin]:
        """The filters that run for the template, in order."""
        return [p for p in self._simulation.profile.filters if Profile.enabled(p, self.configuration)]

    def rejects(self, plugin: Plugin) -> npt.NDArray[np.bool_]:
        """Return which nodes a filter rejects when it runs alone."""
        return np.asarray(self._rejecting[self.filters.index(plugin)])

    @cached_property
    def _rejecting(self) -> npt.NDArray[np.bool_]:
        """Which nodes each filter rejects when it runs alone."""
        sieves = self._simulation.profile.filters
        rows = [self._masks[p.name][0] >= 0 if p.mask else self._reject[sieves.index(p)] != 0 for p in self.filters]
        return np.array(rows, bool).reshape(len(rows), len(self._sums))

    @cached_property
    def _masks(self) -> dict[str, tuple[npt.NDArray[np.int64], list[str]]]:
        nodes = self._simulation.building.nodes
        return {p.name: p.mask(nodes, self.description) for p in self.filters if p.mask}

    def status(self, node: int) -> Status:
        """Return the verdict on a node: that of the first filter to reject it."""
        return self.statuses[node]

    @cached_property
    def statuses(self) -> list[Status]:
        """The verdict on each node."""
        profile, filters = self._simulation.profile, self.filters
        if not filters:
            return [Status()] * len(self._sums)
        first = np.where(self._rejecting.any(axis=0), self._rejecting.argmax(axis=0), len(filters))
        bits = np.zeros(len(first), np.int64)
        for place, plugin in enumerate(filters):
            mine = first == place
            if mine.any():
                row = self._masks[plugin.name][0] if plugin.mask else self._reject[profile.filters.index(plugin)]
                bits[mine] = row[mine]
        first[self.left_out] = -1
        known: dict[tuple[int, int, bool], Status] = {}
        result = []
        for key in zip(first.tolist(), bits.tolist(), self._beyond.tolist(), strict=True):
            if key not in known:
                known[key] = self._status_of(*key)
            result.append(known[key])
        return result

    def _status_of(self, place: int, found: int, beyond: bool) -> Status:
        """Return the verdict of a filter by its place: the reason that a mask gives, or the bits of one on usage."""
        if place < 0:
            return Status("", UNRESOLVABLE, (LEFT_OUT,))
        if place == len(self.filters):
            return Status()
        plugin = self.filters[place]
        if plugin.mask:
            return Status(plugin.name, UNRESOLVABLE, (self._masks[plugin.name][1][found],))
        profile = self._simulation.profile
        hopeless = found & profile.unresolvable_bits != 0 or (plugin.name == "NodeResourcesFit" and beyond)
        return Status(plugin.name, UNRESOLVABLE if hopeless else UNSCHEDULABLE, self._reasons(found))

    def _reasons(self, bits: int) -> tuple[str, ...]:
        texts = self._simulation.profile.reasons(self._simulation.intake.resources)
        return tuple(sorted(text for bit, text in enumerate(texts) if bits >> bit & 1))

    @cached_property
    def _beyond(self) -> npt.NDArray[np.bool_]:
        """The nodes that could not hold the pod if they were empty."""
        cluster, resources = self._simulation.cluster, self._simulation.intake.resources
        request = cluster.template_fit_request[self.template][:, None]
        over = (request > self._left) & (request > cluster.node_allocatable)
        over[resources.index("pods")] = False
        return np.asarray(over.any(axis=0))

    @property
    def may_evict(self) -> bool:
        """Whether other pods may be evicted for this one."""
        return "DefaultPreemption" in self.configuration.points["postFilter"] and self.described.preempts

    def eviction(self, node: int) -> Eviction:
        """Return what evicting pods on a node comes to, for a pod that fits nowhere."""
        first = self.status(node)
        if first.code != UNSCHEDULABLE:
            return Eviction(reasons=(NOT_HELPFUL,))
        simulation, cluster = self._simulation, self._simulation.cluster
        if not simulation.profile.preempts or not self._lower(node):
            return Eviction(reasons=(NO_VICTIMS,))
        # A node that its description rejects too is tried like others, so that what is wrong there then can be told.
        place = next(place for place, plugin in enumerate(simulation.profile.filters) if plugin.name == first.plugin)
        cluster.scan_sums[node] = -1 - int(self._reject[place, node])
        if simulation.try_evicting(self.template, node, node + 1) == node:
            count, broken = int(cluster.cluster_preemption[2]), int(cluster.cluster_preemption[1])
            return Eviction(tuple(cluster.pod_trace_row[cluster.scan_chosen[:count]].tolist()), broken)
        late = -1 - int(cluster.scan_check[node]) if cluster.scan_check[node] < 0 else 0
        return Eviction(reasons=self._first_reasons(node, (int(cluster.scan_reject[node]) & ~_DESCRIBED) | late))

    def _first_reasons(self, node: int, bits: int) -> tuple[str, ...]:
        """Return the reasons of the first filter to reject a node, with these bits of the filters on usage."""
        for plugin in self.filters:
            if plugin.mask:
                rejected, texts = self._masks[plugin.name]
                if rejected[node] >= 0:
                    return (texts[rejected[node]],)
            elif mine := bits & self._simulation.profile.bits(plugin):
                return self._reasons(mine)
        return ()

    def _lower(self, node: int) -> bool:
        """Tell whether some pod on the node has a lower priority."""
        cluster = self._simulation.cluster
        pod, priority = int(cluster.node_first_pod[node]), cluster.template_priority[self.template]
        while pod >= 0:
            if cluster.template_priority[cluster.pod_template[pod]] < priority:
                return True
            pod = int(cluster.pod_node_next[pod])
        return False

    @cached_property
    def scores(self) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]]:
        """Per score plug-in that has something to say: raw and normalised scores of the feasible nodes, its weight."""
        result: dict[str, tuple[Any, Any, int]] = {}
        for place, (plugin, weights) in enumerate(self._simulation.profile.scores):
            weight = weights[self.profile_row]
            if weight and self._said[place]:
                name = "NodeResourcesFit" if plugin.variant else plugin.name
                raw, points = self._raw[place, self.feasible], self._points[place, self.feasible]
                result[name] = (raw, points, weight)
        return result

    @cached_property
    def totals(self) -> npt.NDArray[np.int64]:
        """The totals of the feasible nodes; 1 each where no plug-in scores, as kube-scheduler has it."""
        if not self.configuration.weights:
            return np.ones(len(self.feasible), np.int64)
        total = np.zeros(len(self.feasible), np.int64)
        for _, points, weight in self.scores.values():
            total += points * weight
        return total

    @cached_property
    def ties(self) -> list[int]:
        """The feasible nodes with the highest total, by row; the first is chosen."""
        if not len(self.feasible):
            return []
        return [int(node) for node in self.feasible[self.totals == self.totals.max()]]
