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


@dataclass(frozen=True)
class Status:
    """A verdict: the plug-in that gives it, its code in kube-scheduler's words, and the reasons; empty is success."""

    plugin: str = ""
    code: str = "Success"
    reasons: tuple[str, ...] = ()


class Verdicts:
    """All verdicts and scores for a template, as things stand.

    ``simulation`` must be ``detailed`` and compiled. What is read here is copied, so that the run may go on.
    """

    def __init__(self, simulation: Simulation, template: int) -> None:
        self._simulation, self.template = simulation, template
        cluster = simulation.cluster
        self.description = simulation.building.templates[template].description
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
        if plugin.mask:
            return self._masks[plugin.name][0] >= 0
        return np.asarray(self._reject[self._simulation.profile.filters.index(plugin)] != 0)

    @cached_property
    def _masks(self) -> dict[str, tuple[npt.NDArray[np.int64], list[str]]]:
        nodes = self._simulation.building.nodes
        return {p.name: p.mask(nodes, self.description) for p in self.filters if p.mask}

    def status(self, node: int) -> Status:
        """Return the verdict on a node: that of the first filter to reject it."""
        if self.left_out[node]:
            return Status("", UNRESOLVABLE, (LEFT_OUT,))
        for plugin in self.filters:
            if plugin.mask:
                rejected, texts = self._masks[plugin.name]
                if rejected[node] >= 0:
                    return Status(plugin.name, UNRESOLVABLE, (texts[rejected[node]],))
            else:
                profile = self._simulation.profile
                bits = int(self._reject[profile.filters.index(plugin), node])
                if bits:
                    return self._usage_status(plugin, node, bits)
        return Status()

    def _usage_status(self, plugin: Plugin, node: int, bits: int) -> Status:
        profile, intake = self._simulation.profile, self._simulation.intake
        texts = profile.reasons(intake.resources)
        reasons = tuple(sorted(text for bit, text in enumerate(texts) if bits >> bit & 1))
        hopeless = bits & profile.unresolvable_bits != 0
        if plugin.name == "NodeResourcesFit":
            request = self._simulation.cluster.template_fit_request[self.template]
            over = (request > self._left[:, node]) & (request > self._simulation.cluster.node_allocatable[:, node])
            over[intake.resources.index("pods")] = False
            hopeless = hopeless or bool(over.any())
        return Status(plugin.name, UNRESOLVABLE if hopeless else UNSCHEDULABLE, reasons)

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
