"""Planes: what the plug-ins that read descriptions say of every node, once per description."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kscale.scheduler.profile import Profile
from kscale.state.intake import Intake


@dataclass(frozen=True)
class Verdicts:
    """The reasons of ``description_verdict`` (a verdict is 1 + an index into ``reasons``), and how often each occurs.

    Attributes:
        reasons: the texts.
        counts: per description, the number of nodes that each reason turns away.
    """

    reasons: list[str]
    counts: list[dict[str, int]]


def fill(intake: Intake, profile: Profile) -> Verdicts:
    """Fill the description table for all descriptions; the first filter to reject a node is the one that is told."""
    cluster = intake.cluster
    reasons: dict[str, int] = {}
    counts: list[dict[str, int]] = []
    for row, description in enumerate(intake.descriptions):
        verdict = np.zeros(len(intake.nodes), np.int16)
        for plugin in profile.filters:
            if plugin.mask is None:
                continue
            rejected, texts = plugin.mask(intake.nodes, description)
            codes = np.array([reasons.setdefault(text, len(reasons)) for text in texts] or [0], np.int16)
            verdict = np.where((verdict == 0) & (rejected >= 0), codes[rejected] + np.int16(1), verdict)
        cluster.description_verdict[row] = verdict
        for plugin, _ in profile.planes:
            assert plugin.plane is not None
            cluster.columns[plugin.plane_column][row] = plugin.plane(intake.nodes, description)
            plane = cluster.columns[plugin.plane_column][row]
            if len(plane) and plane.min() != plane.max():
                cluster.description_uneven[row] = 1
        names = list(reasons)
        codes_seen, times = np.unique(verdict[verdict > 0], return_counts=True)
        counts.append({names[code - 1]: int(n) for code, n in zip(codes_seen, times, strict=True)})
    return Verdicts(list(reasons), counts)


def message(counts: dict[str, int], nodes: int) -> str:
    """Return the message a user knows from kubectl: ``0/5 nodes are available: 3 Insufficient cpu, …``.

    kube-scheduler sorts the parts as texts, counts included.
    """
    parts = sorted(f"{count} {reason}" for reason, count in counts.items() if count > 0)
    return f"0/{nodes} nodes are available: {', '.join(parts)}." if parts else f"0/{nodes} nodes are available."
