"""Nodes in any state, twice: as columns, and as objects of the plain twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from kscale.engine.pods import take_devices, take_resources
from kscale.kernels import parameters
from kscale.scheduler.configuration import SchedulerConfiguration, default_configuration
from kscale.scheduler.fragmentation import measure_node
from kscale.scheduler.plugins import Plugin, found
from kscale.scheduler.plugins.gpu_clustering import count_tag
from kscale.scheduler.profile import DEFAULT, Profile, profile
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import PodTemplate
from kscale.state.intake import Sizes, gather
from kscale.state.tables import Cluster
from kscale.traces import NODES, SPECS
from tests import naive
from tests.engine.columns import call
from tests.worlds import World, worlds

SIZES = Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2)
#: First bit of the reasons in these tests: any number will do.
BIT = 3


def profile_of(
    policy: str = DEFAULT,
    *,
    devices: bool,
    preempts: bool = False,
    configuration: SchedulerConfiguration | None = None,
    templates: Sequence[PodTemplate] = (),
) -> Profile:
    """Return the profile for one plain node, and pods that ask for nothing that a trace cannot say."""
    configuration = configuration or default_configuration()
    building = gather(
        pl.DataFrame([{"name": "n"}], schema=NODES), pl.DataFrame(schema=SPECS), None, list(templates),
        {each.name: each for each in configuration.profiles},
    )  # fmt: skip
    for plugin in found().values():
        if plugin.plan is not None and (plugin.used is None or plugin.used(building)):
            plugin.plan(building)
    return profile(configuration, building, policy, devices=devices, preempts=preempts)


@dataclass
class State:
    """One state in both forms; templates and specs have the same rows."""

    simulation: Simulation
    nodes: list[naive.NodeState]
    specs: list[naive.Spec]
    typical: list[naive.Typical]

    @property
    def cluster(self) -> Cluster:
        """The columns."""
        return self.simulation.cluster

    def place(self, spec: int, node: int, devices: Sequence[int]) -> None:
        """Put a pod on a node."""
        self.nodes[node].take(self.specs[spec], devices)
        bits = np.uint64(sum(1 << device for device in devices))
        call(take_resources, self.cluster, spec, node, 1, compiled=False)
        call(take_devices, self.cluster, bits, self.specs[spec].gpu_milli, node, 1, compiled=False)
        call(count_tag, self.cluster, spec, node, 1, compiled=False)

    def measure(self) -> None:
        """Bring the fragmentation of all nodes up to date."""
        for node in range(len(self.nodes)):
            call(measure_node, self.cluster, node, compiled=False)

    def rejects(self, plugin: str, spec: int) -> list[int]:
        """Return the bits that a filter sets per node, shifted to start at 0."""
        self.cluster.scan_reject[:] = 0
        kernel = found()[plugin].filter
        assert kernel is not None
        call(kernel, self.cluster, spec, 0, len(self.nodes), BIT)
        return [int(bits) >> BIT for bits in self.cluster.scan_reject]

    def scores(self, plugin: str, spec: int) -> dict[int, int]:
        """Return the raw scores of the nodes that have room for the spec."""
        self.rejects("NodeResourcesFit", spec)
        if self.simulation.with_devices:
            call(found()["GpuShare"].filter, self.cluster, spec, 0, len(self.nodes), BIT)  # type: ignore[arg-type]
        self.cluster.scan_raw[:] = -77
        kernel = found()[plugin].score
        assert kernel is not None
        call(kernel, self.cluster, spec, 0, len(self.nodes))
        fitting = np.flatnonzero(self.cluster.scan_reject == 0)
        return {int(node): int(self.cluster.scan_raw[node]) for node in fitting}

    def twin_scores(self, raw: naive.Raw, spec: int) -> dict[int, int]:
        """Return what the twin says."""
        return {
            index: raw(state, self.specs[spec], self.typical)
            for index, state in enumerate(self.nodes)
            if not naive.node_resources_fit(state, self.specs[spec]) and not naive.gpu_share(state, self.specs[spec])
        }

    def devices(self, plugin: Plugin, spec: int, node: int, draw: int = 0) -> tuple[int, ...]:
        """Return the devices that a plug-in picks."""
        assert plugin.assign is not None
        bits = int(call(plugin.assign, self.cluster, spec, node, draw))
        return tuple(device for device in range(64) if bits >> device & 1)


def state_of(world: World, placed: Sequence[tuple[int, int, int]] = ()) -> State:
    """Return the nodes of ``world`` with pods on them: (spec, node, choice of device), where they fit."""
    simulation = Simulation(world.trace(), world.node_frame(), Settings(), sizes=SIZES)
    specs = [naive.spec_of(row) for row in world.specs]
    typical = naive.typical_pods(specs[pod["spec"]] for pod in world.pods) if simulation.with_devices else []
    state = State(simulation, [naive.NodeState(naive.node_of(row)) for row in world.nodes], specs, typical)
    for spec_index, node_index, choice in placed:
        spec, node = specs[spec_index % len(specs)], state.nodes[node_index % len(state.nodes)]
        if naive.node_resources_fit(node, spec) or naive.gpu_share(node, spec):
            continue
        fitting = [device for device, free in enumerate(node.devices) if free >= spec.gpu_milli]
        first = choice % max(len(fitting) - spec.gpu_count + 1, 1)
        devices = fitting[first : first + spec.gpu_count]
        state.place(spec_index % len(specs), node_index % len(state.nodes), devices)
    state.measure()
    return state


@st.composite
def states(draw: st.DrawFn, gpus: bool = True) -> State:
    """A state of a random world, with device pods in it if ``gpus``."""
    pool: Any = worlds(gpus=gpus, most_pods=8)
    if gpus:
        pool = pool.filter(lambda world: any(row["gpu_count"] for row in [*world.nodes, *world.specs]))
    number = st.integers(0, 7)
    return state_of(draw(pool), draw(st.lists(st.tuples(number, number, number), max_size=12)))


def columns_of(plugin: str) -> set[str]:
    """Return the columns that a plug-in's score reads and writes."""
    score = found()[plugin].score
    assert score is not None
    return set(parameters(score)[3:])
