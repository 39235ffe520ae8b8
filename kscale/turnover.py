"""Turnover of nodes: they join, leave, change what they offer and are cordoned, while a run goes on.

All nodes have a row from the start. One that is not there, or is cordoned, is kept out of by a filter
(``kscale.scheduler.plugins.node_presence``), so that totals, the class index and preemption follow from the change log
as they do when pods come and go. What changes is worked out here, in plain Python: node events are few beside pods.

Which waiting pods an event wakes follows kube-scheduler's queueing hints (v1.34.1): of the plug-ins that turned the pod
away when it was last tried, one must see in the event a reason to try again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.engine.changes import ABSENT, CORDONED, OPEN
from kscale.engine.clock import FREE, NEVER, RESTING
from kscale.engine.growing import ReturningPods
from kscale.engine.ledger import Supply
from kscale.engine.pods import RESTING_STATE, RUNNING
from kscale.engine.recording import Presence
from kscale.errors import InputError, nearest
from kscale.scheduler import hints, planes
from kscale.scheduler.arguments import search_order
from kscale.scheduler.planes import Verdicts
from kscale.scheduler.profile import Profile
from kscale.settings import NodeChanges
from kscale.state.building import Building
from kscale.state.intake import Intake, derive, grow_pods
from kscale.state.quantities import BASE_RESOURCES

Rows = npt.NDArray[Any]
_AMOUNTS = {"cpu": "cpu_milli", "memory": "memory_bytes"}


def without_cordons(nodes: pl.DataFrame) -> pl.DataFrame:
    """Return the nodes as they are described where cordons come and go: none is cordoned for good."""
    return nodes.with_columns(unschedulable=pl.lit(False)) if "unschedulable" in nodes.columns else nodes


class Turnover:
    """What happens to the nodes of a run.

    ``nodes`` is the node list as it was given. ``call`` calls an entry of the compiled loop. Raises InputError where
    an event names a node that is not in the list.
    """

    def __init__(
        self, changes: NodeChanges, nodes: pl.DataFrame, intake: Intake, building: Building, profile: Profile,
        call: Callable[..., Any],
    ) -> None:  # fmt: skip
        self._intake, self._building, self._profile, self._call = intake, building, profile, call
        self._cluster = intake.cluster
        self._again = changes.leaving == "requeue"
        self._read(changes.events)
        listed = nodes["unschedulable"].fill_null(False).to_numpy() if "unschedulable" in nodes.columns else False
        self._cordoned = np.zeros(len(intake.nodes), bool) | listed
        offered = [self._amounts[name][self._amounts[name] >= 0] for name in _AMOUNTS]
        most = max(len(amounts) for amounts in offered)
        later = np.zeros((len(intake.resources), most), np.int64) + self._cluster.node_allocatable[:, :1]
        for row, amounts in enumerate(offered):
            later[row, : len(amounts)] = amounts
        derive(self._cluster, later)

    def _read(self, events: pl.DataFrame) -> None:
        names = {name: row for row, name in enumerate(self._intake.nodes.names)}
        unknown = events.filter(~pl.col("node").is_in(list(names)))
        if unknown.height:
            name = unknown["node"][0]
            raise InputError(
                f"an event is of the node '{name[:80]}', which the node list does not have{nearest(name, names)}",
                field="node", expected="a node of the node list",
            )  # fmt: skip
        self._times = events["time_us"].to_numpy()
        self._nodes = events["node"].replace_strict(names, return_dtype=pl.Int64).to_numpy()
        self._kinds = events["event"].to_list()
        self._amounts = {name: events[column].fill_null(-1).to_numpy() for name, column in _AMOUNTS.items()}
        self._next = 0

    def begin(self, verdicts: Verdicts, pods: ReturningPods, drain: Callable[[], None]) -> None:
        """Put the nodes as they are at the start: those whose first event is that they join are not there yet."""
        cluster = self._cluster
        self._pods, self._drain = pods, drain
        absent = np.zeros(cluster.sizes["node"], bool)
        first = np.unique(self._nodes, return_index=True)[1]
        absent[self._nodes[[place for place in first.tolist() if self._kinds[place] == "join"]]] = True
        cluster.node_shut[:] = np.where(absent, ABSENT, np.where(self._cordoned, CORDONED, OPEN))
        self._hints = hints.NodeHints(self._intake, self._profile, verdicts)
        cluster.node_idle_since_us[absent] = -1
        self._joined = np.where(absent, -1, 0)
        self._since = self._joined.copy()
        self._left = np.full(len(absent), -1, np.int64)
        self._present = np.zeros(len(absent), np.int64)
        self._supplies: list[tuple[int, Rows, int]] = []
        self._happened: list[int] = []
        self._note_supply(-NEVER)
        self._set_next()

    def _set_next(self) -> None:
        more = self._next < len(self._times)
        self._cluster.cluster_change_us[0] = max(int(self._times[self._next]), 0) if more else NEVER

    def _note_supply(self, now_us: int) -> None:
        cluster = self._cluster
        there = cluster.node_shut != ABSENT
        allocatable = (cluster.node_allocatable * there).sum(axis=1)
        devices = int(cluster.node_device_count[there].sum())
        cluster.resource_allocatable[:] = allocatable
        cluster.cluster_nodes[0] = int(there.sum())
        if self._profile.samples:
            cluster.node_search[:] = search_order(self._building, there)
        if self._profile.assign is not None:
            self._call("measure_all")
            cluster.node_fragmented_gpu_milli[~there] = 0.0
        self._supplies.append((now_us, allocatable, devices))

    def happen(self) -> None:
        """Let all happen that is to happen now."""
        cluster = self._cluster
        now_us = int(cluster.cluster_now_us[0])
        # What was found so far is told by the nodes of that time.
        self._drain()
        cluster.template_reason_count[:] = -1
        while self._next < len(self._times) and self._times[self._next] <= now_us:
            node, kind = int(self._nodes[self._next]), self._kinds[self._next]
            there = cluster.node_shut[node] != ABSENT
            before = cluster.node_allocatable[:, node].copy()
            if kind in ("join", "update"):
                self._offer(node)
            if kind == "join" and not there:
                self._join(node, now_us)
            elif kind == "leave" and there:
                self._leave(node, now_us)
            elif kind in ("cordon", "uncordon") and there:
                self._shut(node, CORDONED if kind == "cordon" else OPEN)
            self._log(node)
            if cluster.node_shut[node] != ABSENT:
                self._wake(node, "join" if not there else kind, before, now_us)
            if there or kind == "join":
                self._happened.append(self._next)
            self._next += 1
        self._note_supply(now_us)
        self._set_next()

    def _offer(self, node: int) -> None:
        """Set what a node has allocatable, as far as the event says."""
        cluster = self._cluster
        for name in _AMOUNTS:
            amount, row = int(self._amounts[name][self._next]), BASE_RESOURCES.index(name)
            if amount >= 0:
                cluster.node_allocatable[row, node] = amount
                cluster.node_allocatable_double[row, node] = amount
                cluster.node_left[row, node] = amount - cluster.node_requested[row, node]
                if cluster.node_left[row, node] < 0:
                    cluster.node_lowered[node] = 1

    def _shut(self, node: int, value: int) -> None:
        self._hints.turn(node, int(self._cluster.node_shut[node]), value)
        self._cluster.node_shut[node] = value

    def _log(self, node: int) -> None:
        """Write into the change log that the node changed."""
        cluster, head = self._cluster, int(self._cluster.cluster_log_head[0])
        cluster.memo_log[head & (cluster.sizes["log"] - 1)] = node
        cluster.node_changed_at[node] = head
        cluster.cluster_log_head[0] = head + 1

    def _join(self, node: int, now_us: int) -> None:
        cluster = self._cluster
        self._shut(node, CORDONED if self._cordoned[node] else OPEN)
        cluster.node_idle_since_us[node] = now_us
        self._since[node], self._left[node] = now_us, -1
        if self._joined[node] < 0:
            self._joined[node] = now_us

    def _leave(self, node: int, now_us: int) -> None:
        cluster = self._cluster
        if cluster.cluster_pod_in_flight[0] >= 0 and cluster.cluster_node_in_flight[0] == node:
            self._call("break_try", now_us)
        on = np.flatnonzero((cluster.pod_state == RUNNING) & (cluster.pod_node == node))
        for pod in on[np.argsort(cluster.pod_decision[on], kind="stable")].tolist():
            while cluster.queue_size[FREE] == 0:
                grow_pods(cluster)
            if cluster.ledger_rows[0] >= cluster.sizes["ledger"]:
                self._drain()
            place = self._pods.add(int(cluster.pod_trace_row[pod]), now_us) if self._again else -1
            self._call("lose", pod, place, now_us)
        self._shut(node, ABSENT)
        cluster.node_idle_us[node] += now_us - cluster.node_idle_since_us[node]
        cluster.node_idle_since_us[node] = -1
        self._present[node] += now_us - self._since[node]
        self._left[node] = now_us

    def _wake(self, node: int, kind: str, before: Rows, now_us: int) -> None:
        """Wake the pods at rest that the event may help."""
        cluster = self._cluster
        flight = int(cluster.cluster_pod_in_flight[0])
        trying = flight >= 0 and cluster.cluster_node_in_flight[0] < 0
        if cluster.queue_size[RESTING] == 0 and not trying:
            return
        pods = np.flatnonzero(cluster.pod_state == RESTING_STATE)
        if len(pods):
            helped = self._hints.help(node, kind, before, cluster.pod_template[pods], cluster.pod_diagnosis[pods])
            for pod in pods[helped].tolist():
                self._call("wake", pod, now_us)
        if trying:
            template = cluster.pod_template[flight : flight + 1]
            if self._hints.help(node, kind, before, template, cluster.template_diagnosis[template])[0]:
                cluster.cluster_woken_in_flight[0] = 1

    def tell(self, counts: dict[int, int], description: int) -> str:
        """Return kube-scheduler's message for a diagnosis made since nodes changed last; see ``Simulation.tell``."""
        named = self._hints.named(counts, description)
        nodes = int(self._cluster.cluster_nodes[0])
        return planes.message(named, nodes) if nodes else "no nodes available to schedule pods"

    def tell_and_keep(self, counts: dict[int, int], description: int) -> str:
        """Do the same for the next diagnosis of the ledger, and keep which plug-ins turned the pod away."""
        self._hints.keep(counts, description)
        return self.tell(counts, description)

    def supply(self) -> Supply:
        """Return what all nodes offered over the run."""
        times, allocatable, devices = zip(*self._supplies, strict=True)
        return Supply(np.array(times, np.int64), np.array(allocatable, np.int64), np.array(devices, np.int64))

    def presence(self, ended_us: int) -> Presence:
        """Return when nodes were there."""
        there = self._cluster.node_shut != ABSENT
        present = self._present + np.where(there, ended_us - self._since, 0)
        return Presence(self._joined, self._left, present)

    def happened(self) -> pl.DataFrame:
        """Return what happened to nodes: columns ``time_us``, ``node`` (its row) and ``event``."""
        return pl.DataFrame(
            {
                "time_us": np.maximum(self._times[self._happened], 0), "node": self._nodes[self._happened],
                "event": pl.Series([self._kinds[place] for place in self._happened], dtype=pl.String),
            }
        )  # fmt: skip
