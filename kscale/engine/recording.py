"""Recordings by node: groups of nodes over time, and each node's stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.changes import ABSENT
from kscale.engine.ledger import Fields, column_name
from kscale.state.alike import alike
from kscale.state.intake import Intake
from kscale.state.quantities import format_quantity
from kscale.state.tables import Cluster

MOST_GROUPS = 200
MOST_SAMPLES = 500


def pools(intake: Intake) -> tuple[np.ndarray[Any, Any], list[str]]:
    """Return each node's pool (int64 per node) and the pools' names: nodes of one shape are a pool."""
    cluster = intake.cluster
    shapes = np.vstack(
        [cluster.node_allocatable, cluster.node_device_count[None], cluster.node_device_model[None].astype(np.int64)]
    )
    firsts, codes = alike(pl.DataFrame({str(row): amounts for row, amounts in enumerate(shapes)}))
    return codes, [_shape(intake, tuple(key)) for key in shapes[:, firsts].T.tolist()]


def _shape(intake: Intake, key: tuple[int, ...]) -> str:
    *amounts, devices, model = key
    parts = [f"{format_quantity(amounts[0], 'cpu')} cpu", format_quantity(amounts[1], "memory")]
    for name, amount in list(zip(intake.resources, amounts, strict=True))[4:]:
        if amount:
            parts.append(f"{format_quantity(amount, name)} {name}")
    if devices:
        parts.append(f"{devices}x{intake.models[model] if model >= 0 else 'GPU'}")
    return ", ".join(parts)


def groups(pool: np.ndarray[Any, Any], most: int = MOST_GROUPS) -> np.ndarray[Any, Any]:
    """Return each node's group: at most ``most``, each within a pool and in the order of the nodes.

    With more pools than groups, the smallest pools share the last group.
    """
    sizes = np.bincount(pool)
    result = np.full(len(pool), min(len(sizes), most) - 1 if len(sizes) > most else 0, np.int64)
    order = np.argsort(-sizes, kind="stable")[: most - (len(sizes) > most)]
    spare, start = most - len(order) - (len(sizes) > most), 0
    share = sizes[order] / max(sizes[order].sum(), 1)
    for code, part in sorted(zip(order.tolist(), share.tolist(), strict=True)):
        members = np.flatnonzero(pool == code)
        count = min(len(members), 1 + int(part * spare))
        result[members] = start + np.arange(len(members)) * count // len(members)
        start += count
    if len(sizes) > most:
        result[~np.isin(pool, order)] = start
    return result


class NodeTimeline:
    """Sums by group of nodes, at most 500 samples: when more come, every second one is dropped and the step doubles."""

    def __init__(self, intake: Intake, devices: bool) -> None:
        self._intake, self._devices = intake, devices
        pool, self.pool_names = pools(intake)
        self.group = groups(pool)
        order = np.argsort(self.group, kind="stable")
        ordered = self.group[order]
        # None where the nodes stand by group: most lists give them pool by pool.
        self._order = None if (ordered == self.group).all() else order
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        firsts = order[self._starts]
        self.group_pools = [self.pool_names[pool[node]] for node in firsts]
        self._samples: list[tuple[int, np.ndarray[Any, Any]]] = []
        self._every, self._seen = 1, 0

    def _sums(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.add.reduceat(values if self._order is None else values.take(self._order), self._starts)

    def sample(self, cluster: Cluster, now_us: int) -> None:
        """Take a sample, unless the step has grown past it."""
        if self._samples and self._samples[-1][0] == now_us:
            self._samples.pop()
            self._seen -= 1
        if self._seen % self._every == 0:
            there = cluster.node_shut != ABSENT
            offered = 1000 * cluster.node_device_count
            rows = [
                *map(self._sums, cluster.node_requested), *map(self._sums, cluster.node_allocatable * there),
                self._sums(cluster.node_bound_pods), self._sums(there.astype(np.int64)), self._sums(offered * there),
                self._sums(offered - cluster.node_device_free_total),
            ]  # fmt: skip
            self._samples.append((now_us, np.stack(rows)))
            if len(self._samples) >= MOST_SAMPLES:
                self._samples = self._samples[::2]
                self._every *= 2
        self._seen += 1

    def frame(self, kept: list[int]) -> pl.DataFrame:
        """Return the table ``node_timeline`` for the resources of these rows."""
        count = len(self._starts)
        times = np.array([time for time, _ in self._samples], np.int64)
        resources = len(self._intake.resources)
        empty = np.zeros((0, 2 * resources + 4, count), np.int64)
        data = np.stack([rows for _, rows in self._samples]) if self._samples else empty
        frame: dict[str, Any] = {
            "time_us": np.repeat(times, count),
            "group": np.tile(np.arange(count, dtype=np.int32), len(times)),
            "pool": pl.Series(self.group_pools * len(times), dtype=pl.String),
            "nodes": data[:, 2 * resources + 1].reshape(-1).astype(np.int32),
            "bound_pods": data[:, 2 * resources].reshape(-1),
        }
        for row in kept:
            key = column_name(self._intake.resources[row])
            frame[f"allocatable_{key}"] = data[:, resources + row].reshape(-1)
            frame[f"requested_{key}"] = data[:, row].reshape(-1)
        if self._devices:
            frame["allocatable_gpu_milli"] = data[:, 2 * resources + 2].reshape(-1)
            frame["used_gpu_milli"] = data[:, 2 * resources + 3].reshape(-1)
        return pl.DataFrame(frame)


@dataclass(frozen=True)
class Presence:
    """When nodes were there, int64 by node: when they joined first and left for good (-1: not), and how long in all."""

    joined_us: np.ndarray[Any, Any]
    left_us: np.ndarray[Any, Any]
    present_us: np.ndarray[Any, Any]

    @classmethod
    def throughout(cls, nodes: int, ended_us: int) -> Presence:
        """Return that of nodes that were there from the start to the end."""
        return cls(np.zeros(nodes, np.int64), np.full(nodes, -1, np.int64), np.full(nodes, ended_us, np.int64))


class Stays:
    """What pods held of each node, and how long, added up pod by pod in the order of the trace.

    The order counts: sums of doubles in another order differ in their last bits. ``kept`` are the rows of the resources
    to tell of.
    """

    def __init__(self, intake: Intake, ended_us: int, kept: list[int]) -> None:
        cluster, count = intake.cluster, len(intake.nodes)
        self._intake, self._ended_us, self._kept = intake, ended_us, kept
        self._bound = np.zeros(count, np.int64)
        self._requests = {row: cluster.template_request[:, row].astype(np.float64) for row in kept}
        self._held = {row: np.zeros(count) for row in kept}
        self._milli = (cluster.template_device_count * cluster.template_device_milli).astype(np.float64)
        self._held_milli = np.zeros(count)

    def add(self, fields: Fields, spec: np.ndarray[Any, Any]) -> None:
        """Take the next stretch of the trace: the ledger's fields, and each pod's template."""
        rows = np.flatnonzero(fields["node"] >= 0)
        node, template, ended = fields["node"][rows], spec[rows], fields["ended_us"][rows]
        held_us = (np.where(ended >= 0, ended, self._ended_us) - fields["bound_us"][rows]).astype(np.float64)
        self._bound += np.bincount(node, minlength=len(self._bound))
        for row in self._kept:
            np.add.at(self._held[row], node, self._requests[row][template] * held_us)
        if self._milli.any():
            np.add.at(self._held_milli, node, self._milli[template] * held_us)

    def frame(self, timeline: NodeTimeline, presence: Presence | None = None) -> pl.DataFrame:
        """Return the table ``nodes``; without ``presence``, all were there all the time."""
        intake, cluster, ended_us = self._intake, self._intake.cluster, self._ended_us
        presence = presence or Presence.throughout(len(intake.nodes), ended_us)
        stay = np.maximum(presence.present_us.astype(np.float64), 1.0)
        since = cluster.node_idle_since_us
        idle_us = cluster.node_idle_us + np.where(since >= 0, ended_us - since, 0)
        models = [intake.models[code] if code >= 0 else None for code in cluster.node_device_model.tolist()]
        frame: dict[str, Any] = {
            "name": pl.Series(intake.nodes.names, dtype=pl.String),
            "group": timeline.group.astype(np.int32),
            "joined_us": _known(presence.joined_us),
            "left_us": _known(presence.left_us),
            "present_us": presence.present_us,
            "device_model": pl.Series(models, dtype=pl.String),
            "devices": cluster.node_device_count,
            "pods_bound": self._bound,
        }
        for row in self._kept:
            key = column_name(intake.resources[row])
            frame[f"allocatable_{key}"] = cluster.node_allocatable[row]
            frame[f"requested_mean_{key}"] = self._held[row] / stay
            frame[f"requested_peak_{key}"] = cluster.node_requested_peak[row]
            frame[f"requested_end_{key}"] = cluster.node_requested[row]
        if cluster.node_device_count.any():
            frame["used_gpu_milli_mean"] = self._held_milli / stay
            frame["used_gpu_milli_end"] = 1000 * cluster.node_device_count - cluster.node_device_free_total
            frame["fragmented_gpu_milli_end"] = cluster.node_fragmented_gpu_milli
        frame["idle_share"] = idle_us / stay if ended_us > 0 else (cluster.node_bound_pods == 0).astype(np.float64)
        return pl.DataFrame(frame)


def _known(times: np.ndarray[Any, Any]) -> pl.Series:
    """Return times; -1 is null."""
    return pl.Series(times).replace(-1, None)
