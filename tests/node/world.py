"""Kubelets by themselves: pods are bound and deleted by hand, and time goes from look to look."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from kscale import controllers, kernels
from kscale.composer import Composer
from kscale.engine.clock import NEVER
from kscale.engine.living import HAS_FINISHED, HAS_STOPPED
from kscale.kernels import parameters, plain_form
from kscale.node import kubelet
from kscale.node.columns import COLUMNS
from kscale.node.filling import SIZES, fill
from kscale.node.runtimes import Runtime
from kscale.state import schema
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.lives import PodLife
from kscale.state.tables import Cluster

ADDED = [*controllers.columns(), COLUMNS]
ROWS = schema.full_names(schema.load(ADDED))
DIMENSIONS = {dimension: 1 for table, column in ROWS.values() for dimension in column.dims or (table.name,)}
SECOND = 1_000_000
#: A runtime whose calls take no time.
NOTHING = Runtime("nothing", 0, 0, 0, 0)
ENTRIES = {
    "admit": ("pod, node, now_us", "kubelet_admit(pod, node, now_us)"),
    "resume": ("pod, node, now_us", "kubelet_resume(pod, node, now_us)"),
    "stop": ("pod, now_us", "kubelet_stop(pod, now_us)"),
    "look": ("pod, now_us", "what = kubelet_look(pod, now_us)\nreturn what"),
    "leave": ("pod", "kubelet_leave(pod)"),
}


@cache
def module(kinds: frozenset[tuple[str, str, int, int]], compiled: bool) -> tuple[Any, list[str]]:
    known = {name: (dtype, dimensions, stride) for name, dtype, dimensions, stride in kinds}
    composer = Composer(known, known)
    kubelet.define(composer)
    for name, (arguments, body) in ENTRIES.items():
        composer.define(name, arguments, body, entry=True)
    return kernels.load(composer.source(), compiled=compiled), composer.columns_of("look")


class Kubelets:
    """Nodes with their kubelets, in plain Python or compiled."""

    def __init__(
        self, *lives: PodLife, nodes: int = 2, pods: int = 64, seed: int = 1, runtime: Runtime = NOTHING,
        described: NodeDescriptions | None = None, pullers: int = 1, collects: bool = False, compiled: bool = False,
        **parameters_: int,
    ) -> None:  # fmt: skip
        self.cluster = Cluster(
            {**DIMENSIONS, **SIZES, "node": nodes, "pod": pods, "life": pods, "template": max(len(lives), 1)}, ADDED
        )
        self.cluster.cluster_seed[0] = seed
        for name, value in parameters_.items():
            self.cluster.columns[f"kubelet_{name}"][0] = value
        templates = [PodTemplate(life=life) for life in lives]
        fill(self.cluster, templates, nodes=described, runtime=runtime, pullers=pullers, collects=collects)
        for name, value in parameters_.items():
            self.cluster.columns[f"kubelet_{name}"][0] = value
        self.compiled = compiled
        self.module, columns = module(self.cluster.kinds(), compiled)
        self.table = kernels.table(self.cluster.arguments(columns), compiled=compiled)
        self.now, self.count, self.looks = 0, 0, 0
        #: (time, pod, what, phase, ready) of each look that changed something.
        self.log: list[tuple[int, int, int, int, int]] = []
        #: When the address of each pod was told.
        self.addressed: dict[int, int] = {}

    def call(self, function: Any, *own: Any) -> Any:
        with np.errstate(over="ignore"):
            return plain_form(function)(*own, *self.cluster.arguments(parameters(function)[len(own) :]))

    def bind(self, template: int = 0, node: int = 0, duration_us: int = -1) -> int:
        """Create a pod that is bound now; return its row."""
        cluster, pod = self.cluster, self.count
        self.count += 1
        cluster.pod_trace_row[pod], cluster.pod_template[pod], cluster.pod_node[pod] = pod, template, node
        cluster.pod_bound_us[pod], cluster.pod_started_us[pod], cluster.pod_duration_us[pod] = self.now, -1, duration_us
        cluster.life_phase[pod], cluster.life_ready[pod], cluster.life_deleted_us[pod] = 0, 0, -1
        cluster.life_addressed[pod] = 0
        self.module.admit(pod, node, self.now, self.table)
        return pod

    def delete(self, pod: int, grace_us: int = -1) -> None:
        """Ask for a pod's deletion now."""
        cluster = self.cluster
        grace = int(cluster.template_grace_us[cluster.pod_template[pod]]) if grace_us < 0 else grace_us
        cluster.life_deleted_us[pod], cluster.life_grace_us[pod] = self.now, grace
        self.module.stop(pod, self.now, self.table)

    def look(self, pod: int) -> int:
        """Look at a pod as the loop does; return what happened."""
        cluster = self.cluster
        cluster.cluster_now_us[0] = self.now
        cluster.life_due_us[pod] = NEVER
        what = int(self.module.look(pod, self.now, self.table))
        self.looks += 1
        if what:
            self.log.append((self.now, pod, what, int(cluster.life_phase[pod]), int(cluster.life_ready[pod])))
        if cluster.life_addressed[pod] and pod not in self.addressed:
            assert what, "an address is told"
            self.addressed[pod] = self.now
        if what & (HAS_FINISHED | HAS_STOPPED):
            cluster.life_due_us[pod] = NEVER
            self.module.leave(pod, self.table)
        return what

    def run(self, until_us: int = 1 << 61, most: int = 100_000) -> Kubelets:
        """Let time pass until ``until_us``, or until nothing is due."""
        due = self.cluster.life_due_us
        for _ in range(most):
            pod = int(np.argmin(due[: self.count])) if self.count else -1
            if pod < 0 or due[pod] > until_us:
                self.now = until_us
                return self
            self.now = int(due[pod])
            self.look(pod)
        raise AssertionError("looks do not end")

    def read(self, name: str, *place: int) -> int:
        return int(self.cluster.columns[name][place])
