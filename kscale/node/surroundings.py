"""What the world around nodes does to them while a run goes on: containers that crash, a registry in trouble.

What holds for a while is written over what manifests say and what parameters are, which come back when it ends.
Containers and pulls turn on what holds when they begin: one that runs keeps the time at which it crashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kscale.state.descriptions import PodTemplate
from kscale.state.lives import REGULAR, crash_mean_us
from kscale.state.tables import Cluster

#: (kind, namespace, name) of a workload.
Key = tuple[str, str, str]
_MILLION = 1_000_000


class Surroundings:
    """The surroundings of the nodes of a cluster, whose tables are filled (kscale.node.filling)."""

    def __init__(self, cluster: Cluster, templates: Sequence[PodTemplate]) -> None:
        """Take the templates, the rows of ``template`` in order: those whose crashes may be set say so."""
        self._cluster = cluster
        self._bytes_per_s = int(cluster.kubelet_pull_bytes_per_s[0])
        self._lives = {row: one.life for row, one in enumerate(templates) if one.life and one.life.crashing}
        self._settings: dict[str, float] = {}
        self._crashes: dict[Key, tuple[float, float]] = {}

    def apply(self, settings: Mapping[str, float], crashes: Mapping[Key, tuple[float, float]]) -> None:
        """Let these hold from now on: ``World.settings`` and ``World.crashes``."""
        if settings != self._settings:
            self._settings = dict(settings)
            factor = settings.get("registry_bandwidth", 1.0)
            self._cluster.kubelet_pull_bytes_per_s[0] = max(round(self._bytes_per_s * factor), 1)
            self._cluster.kubelet_registry_failing[0] = settings.get("registry_failing", 0.0) != 0
        if crashes != self._crashes:
            self._crashes = dict(crashes)
            self._write_crashes()

    def _write_crashes(self) -> None:
        """Write how often regular containers crash: as is set for the nearest workload, or as before."""
        cluster = self._cluster
        for row, life in self._lives.items():
            told = next((self._crashes[key] for key in life.crashing if key in self._crashes), None)
            for place, container in enumerate(life.containers, int(cluster.template_container_first[row])):
                mean_us, millionths = container.crash_mean_us, container.crash_millionths
                if told is not None and container.kind == REGULAR:
                    mean_us, millionths = crash_mean_us(told[0]), round(told[1] * _MILLION)
                cluster.container_crash_mean_us[place] = mean_us
                cluster.container_crash_millionths[place] = millionths
