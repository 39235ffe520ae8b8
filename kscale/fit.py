"""Fit: how many more of a pod there is room for, by placing clones of it one after another until none fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kscale.placing import Outcome, choose_form, outcomes, simulation_of
from kscale.scheduler.configuration import SchedulerConfiguration, default_configuration
from kscale.selecting import with_pending
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory
from kscale.state.quantities import BASE_RESOURCES

#: Clones of a pod that are placed at most, where nothing else is said: one that requests nothing always fits.
LIMIT = 100_000
#: Clones that are tried between looks at whether one was refused: few at first, then twice as many each time.
_FIRST, _MOST = 64, 1 << 14
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class Room:
    """How many clones of a pod fit.

    Attributes:
        pod: ``namespace/name``.
        nodes: how many on each node, by name, in input order; nodes with none are left out.
        limited: whether more might fit: the limit was reached.
        message: what stops the next one, as an event line; empty where nothing does.
    """

    pod: str
    nodes: dict[str, int]
    limited: bool
    message: str

    @property
    def count(self) -> int:
        """How many fit in all."""
        return sum(self.nodes.values())


def fit(
    inventory: Inventory, rows: list[int], configuration: SchedulerConfiguration | None = None, *, limit: int = LIMIT,
    together: bool = False, compiled: bool = True, progress: Callable[[int], None] | None = None,
) -> list[Room]:  # fmt: skip
    """Return how many more of the pods in these rows fit next to the bound pods; nobody is evicted for them.

    Each alone, or ``together``: in turns, until a whole round finds no node. ``progress`` is told how many are placed.
    Raises InputError.
    """
    settings = Settings(configuration=_without_preemption(configuration or default_configuration()), compiled=compiled)
    if together:
        return _fit(inventory, rows, settings, limit, progress)
    return [room for row in rows for room in _fit(inventory, [row], settings, limit, progress)]


def _without_preemption(configuration: SchedulerConfiguration) -> SchedulerConfiguration:
    profiles = tuple(
        replace(profile, points=profile.points | {"postFilter": ()}) for profile in configuration.profiles
    )  # fmt: skip
    return replace(configuration, profiles=profiles)


def _fit(
    inventory: Inventory, rows: list[int], settings: Settings, limit: int, progress: Callable[[int], None] | None
) -> list[Room]:
    """Place clones in turns."""
    rounds = min(limit, _most(inventory, settings, rows) + 1)
    names = [inventory.pods.names[row] for row in rows]
    copies = [f"{name}-{turn}" for turn in range(1, rounds + 1) for name in names]
    cloned = with_pending(inventory, rows * rounds, copies)
    simulation = simulation_of(cloned, choose_form(cloned, settings, given=True), given=True)
    simulation.compile()
    tried = _run(simulation, len(rows), rounds, progress)
    found = outcomes(simulation, cloned)[: tried * len(rows)]
    return [_room(simulation, inventory, row, found[kind :: len(rows)], limit) for kind, row in enumerate(rows)]


def _room(simulation: Simulation, inventory: Inventory, row: int, clones: list[Outcome], limit: int) -> Room:
    placed = Counter(clone.node for clone in clones if clone.node is not None)
    limited = placed.total() >= limit
    stopped = next((clone for clone in reversed(clones) if clone.node is None), None)
    return Room(
        f"{inventory.pods.namespaces[row]}/{inventory.pods.names[row]}",
        {name: placed[name] for name in simulation.intake.nodes.names if placed[name]}, limited,
        "" if limited or stopped is None else stopped.message,
    )  # fmt: skip


def _most(inventory: Inventory, settings: Settings, rows: list[int]) -> int:
    """Return a bound on the clones that fit, by what nodes have left of cpu, memory and the like."""
    assert settings.configuration is not None
    profiles = {profile.name: profile for profile in settings.configuration.profiles}
    templates, pods = inventory.templates, inventory.pods
    bound = np.flatnonzero(pods.node >= 0)
    total = 0
    for row in rows:
        template = templates[pods.template[row]]
        profile = profiles.get(template.description.profile)
        if profile is None or "NodeResourcesFit" not in profile.points["filter"]:
            return LIMIT**2
        most = np.full(len(inventory.nodes), np.iinfo(np.int64).max)
        for name, amount in [("pods", 1), *template.requests]:
            if name not in BASE_RESOURCES or amount <= 0:
                continue
            each = np.array([dict(t.requests).get(name, 0) if name != "pods" else 1 for t in templates], np.int64)
            taken = np.zeros(len(inventory.nodes), np.int64)
            np.add.at(taken, pods.node[bound], each[pods.template[bound]])
            offered = np.array([node.allocatable.get(name, 0) for node in inventory.nodes], np.int64)
            most = np.minimum(most, np.maximum(offered - taken, 0) // amount)
        total += int(most.sum())
    return total


def _run(simulation: Simulation, kinds: int, rounds: int, progress: Callable[[int], None] | None) -> int:
    """Try rounds of clones until a whole one finds no node, after which none does; return how many were tried."""
    running = simulation.cluster.cluster_running_pods
    simulation.start()
    simulation.advance(0)
    bound, done, batch, placed = int(running[0]), 0, _FIRST, True
    while done < rounds and placed:
        following = min(done + batch, rounds)
        simulation.advance((following - 1) * kinds * _SECOND_US)
        before = int(running[0])
        simulation.advance(following * kinds * _SECOND_US)
        placed, done, batch = int(running[0]) > before, following, min(2 * batch, _MOST)
        if progress is not None:
            progress(int(running[0]) - bound)
    simulation.finish(done * kinds * _SECOND_US)
    return done
