"""Planes: what the plug-ins that read descriptions say of every node, once per description."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from kscale.scheduler.configuration import ProfileConfiguration
from kscale.scheduler.plugins import Bar, Plugin
from kscale.scheduler.plugins.images import IMAGES
from kscale.scheduler.plugins.node_affinity import AFFINITY, LEFT_OUT, named_nodes
from kscale.scheduler.profile import Profile
from kscale.state.building import Building
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.intake import Intake


@dataclass(frozen=True)
class Verdicts:
    """The reasons of ``description_verdict`` (a verdict is 1 + an index into ``reasons``), and how often each occurs.

    Attributes:
        reasons: the texts; the first is of nodes that the pod's own terms leave out.
        plugins: the plug-in that gives each.
        counts: per description, the number of nodes that each reason turns away.
        bars: the plug-in and why, for descriptions that are turned away before any node is looked at.
    """

    reasons: list[str]
    plugins: list[str]
    counts: list[dict[str, int]]
    bars: dict[int, tuple[str, Bar]] = field(default_factory=dict)


def fill(intake: Intake, profile: Profile) -> Verdicts:
    """Fill the description table for all descriptions; the first filter to reject a node is the one that is told."""
    cluster, nodes = intake.cluster, intake.nodes
    reasons: dict[tuple[str, str], int] = {("", LEFT_OUT): 0}
    counts: list[dict[str, int]] = []
    bars: dict[int, tuple[str, Bar]] = {}
    for row, description in enumerate(intake.descriptions):
        verdict = np.zeros(len(nodes), np.int16)
        bar = first_bar(nodes, description, profile)
        if bar is not None:
            bars[row] = bar
            cluster.template_breaks[cluster.template_description == row] = bar[1].code == "Error"
            verdict[:] = reasons.setdefault((bar[0], bar[1].reason), len(reasons)) + 1
        elif (named := left_in(nodes, description, profile)) is not None:
            verdict[~named] = 1
            cluster.description_left_out[row] = int((~named).sum())
        for plugin in running_masks(profile, description):
            assert plugin.mask is not None
            rejected, texts = plugin.mask(nodes, description)
            codes = [reasons.setdefault((plugin.name, text), len(reasons)) for text in texts] or [0]
            verdict = np.where(
                (verdict == 0) & (rejected >= 0), np.array(codes, np.int16)[rejected] + np.int16(1), verdict
            )
        cluster.description_verdict[row] = verdict
        _fill_planes(intake, profile, row, description)
        names = [text for _, text in reasons]
        codes_seen, times = np.unique(verdict[verdict > 0], return_counts=True)
        counted: dict[str, int] = {}
        for code, times_seen in zip(codes_seen.tolist(), times.tolist(), strict=True):
            counted[names[code - 1]] = counted.get(names[code - 1], 0) + times_seen
        counts.append(counted)
    return Verdicts([text for _, text in reasons], [name for name, _ in reasons], counts, bars)


def share(building: Building, profile: Profile) -> None:
    """Leave out of descriptions what no plane depends on, so that more templates share a row of planes.

    Claims only bar a pod, and are looked at one by one by the plug-ins for volumes; images that no node has score
    nothing.
    """
    scored = any(plugin is IMAGES for plugin, _ in profile.scores)
    known = {name for images in building.nodes.image_sets for name, _ in images} if scored else set()
    for description in dict.fromkeys(template.description for template in building.templates):
        images = description.images if known.intersection(description.images) else ()
        claims = description.claims
        if claims and first_bar(building.nodes, description, profile) is None:
            claims = ()
        if (images, claims, ()) != (description.images, description.claims, description.own_drivers):
            building.shared[description] = replace(description, images=images, claims=claims, own_drivers=())


def _configuration(profile: Profile, description: PodDescription) -> ProfileConfiguration | None:
    return next((c for c in profile.configurations if c.name == description.profile), None)


def running_masks(profile: Profile, description: PodDescription) -> list[Plugin]:
    """Return the filters on descriptions that run for a description, in their order."""
    configuration = _configuration(profile, description)
    return [
        plugin for plugin in profile.filters
        if plugin.mask and (configuration is None or Profile.enabled(plugin, configuration))
    ]  # fmt: skip


def first_bar(nodes: NodeDescriptions, description: PodDescription, profile: Profile) -> tuple[str, Bar] | None:
    """Return the plug-in that turns the description away before any node is looked at, and why."""
    configuration = _configuration(profile, description)
    for plugin in profile.filters:
        if plugin.bar and (configuration is None or Profile.enabled(plugin, configuration)):
            found = plugin.bar(nodes, description)
            if found is not None:
                return plugin.name, found
    return None


def left_in(nodes: NodeDescriptions, description: PodDescription, profile: Profile) -> npt.NDArray[np.bool_] | None:
    """Return the nodes that the pod's own terms name, as a boolean array; None when they do not name any."""
    configuration = _configuration(profile, description)
    if configuration is not None and not Profile.enabled(AFFINITY, configuration):
        return None
    named = named_nodes(description)
    return None if named is None else np.array([name in named for name in nodes.names], bool)


def _fill_planes(intake: Intake, profile: Profile, row: int, description: PodDescription) -> None:
    cluster = intake.cluster
    for place, (plugin, _) in enumerate(profile.scores):
        if plugin.plane is None:
            continue
        cluster.columns[plugin.plane_column][row] = plugin.plane(intake.nodes, description)
        plane = cluster.columns[plugin.plane_column][row]
        if len(plane) and plane.min() != plane.max():
            cluster.description_uneven[row] |= 1 << place


def message(counts: dict[str, int], nodes: int) -> str:
    """Return the message a user knows from kubectl: ``0/5 nodes are available: 3 Insufficient cpu, …``.

    kube-scheduler sorts the parts as texts, counts included.
    """
    parts = sorted(f"{count} {reason}" for reason, count in counts.items() if count > 0)
    return f"0/{nodes} nodes are available: {', '.join(parts)}." if parts else f"0/{nodes} nodes are available."
