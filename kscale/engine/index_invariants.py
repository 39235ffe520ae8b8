"""Invariants of the class index: its maxima, counts and lists are what its scores and the tallies come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kscale.state.schema.segment import BITS
from kscale.state.tables import Cluster

Array = np.ndarray[Any, Any]
Expect = Callable[[object, str], None]


def index_violations(cluster: Cluster, expect: Expect) -> None:
    """Tell what does not hold of the lanes, the lists of touched rows and the plots."""
    lanes = np.flatnonzero(cluster.lane_ask >= 0)
    if len(lanes):
        _levels(cluster, lanes, expect)
        _barriers(cluster, lanes, expect)
        expect(np.array_equal(cluster.ask_lane[cluster.lane_ask[lanes]], lanes), "a lane is not that of its ask")
    _touched(cluster, expect)
    for plot in np.flatnonzero(cluster.plot_template >= 0).tolist():
        _plot(cluster, plot, expect)


def _levels(cluster: Cluster, lanes: Array, expect: Expect) -> None:
    spots = cluster.spot_score[:, lanes]
    blocks = spots.reshape(cluster.sizes["block"], -1, len(lanes)).max(axis=1)
    expect(np.array_equal(blocks, cluster.block_score[:, lanes]), "block_score is not the highest of its spots")
    banks = blocks.reshape(cluster.sizes["bank"], -1, len(lanes)).max(axis=1)
    expect(np.array_equal(banks, cluster.bank_score[:, lanes]), "bank_score is not the highest of its blocks")
    halls = np.maximum.reduceat(banks, cluster.hall_first_bank, axis=0)
    expect(np.array_equal(halls, cluster.hall_score[:, lanes]), "hall_score is not the highest of its banks")
    kinds = np.maximum.reduceat(halls, cluster.kind_first_hall, axis=0)
    expect(np.array_equal(kinds, cluster.kind_best[:, lanes]), "kind_best is not the highest of its halls")
    fitting = np.zeros((cluster.sizes["kind"], len(lanes)), np.int64)
    np.add.at(fitting, cluster.node_kind, spots[cluster.node_spot] >= 0)
    expect(np.array_equal(fitting, cluster.kind_fitting[:, lanes]), "kind_fitting is not the number of nodes that fit")


def _barriers(cluster: Cluster, lanes: Array, expect: Expect) -> None:
    if cluster.sizes["guarded"] == 0:
        return
    for lane in lanes.tolist():
        ask = int(cluster.lane_ask[lane])
        wanted = np.zeros(cluster.sizes["node"], np.int64)
        for counter in cluster.barrier_counter[cluster.ask_barrier_first[ask] : cluster.ask_barrier_last[ask]]:
            domain = cluster.topology_domain[cluster.counter_topology[counter]]
            wanted += (domain >= 0) & (cluster.tally_count[_rows(cluster, int(counter), np.maximum(domain, 0))] > 0)
        found = cluster.spot_barriers[cluster.node_spot, lane]
        expect(np.array_equal(found, wanted), "spot_barriers is not the number of barriers with pods")


def _rows(cluster: Cluster, counter: int, domains: Array) -> Array:
    """Return the rows of tally in which a counter's domains are counted."""
    segments = cluster.counter_first[counter] + (domains >> BITS)
    rows: Array = cluster.segment_place[segments] + (domains & ((1 << BITS) - 1))
    return rows


def _touched(cluster: Cluster, expect: Expect) -> None:
    for counter in np.flatnonzero(cluster.counter_single).tolist():
        domains = np.arange(int(cluster.counter_domains[counter]))
        rows = _rows(cluster, counter, domains)
        listed: list[int] = []
        domain = int(cluster.counter_touched[counter])
        while domain >= 0 and len(listed) <= len(domains):
            listed.append(domain)
            domain = int(cluster.tally_next[rows[domain]]) - 1
        counted = np.flatnonzero(cluster.tally_count[rows] != 0)
        expect(sorted(listed) == counted.tolist(), "the lists of touched nodes are not those with pods")


def _plot(cluster: Cluster, plot: int, expect: Expect) -> None:
    patches, scores = cluster.plot_spot_patch[plot], cluster.plot_spot_score[plot]
    fits = (cluster.spot_node >= 0) & (scores >= 0)
    count = int(cluster.plot_patches[plot])
    fitting = np.bincount(patches[fits], minlength=count)
    expect(np.array_equal(fitting, cluster.plot_fitting[plot, :count]), "plot_fitting is not the number that fit")
    best = np.full((count, cluster.sizes["bank"]), -1, np.int64)
    banks = np.arange(len(patches)) // (len(patches) // cluster.sizes["bank"])
    np.maximum.at(best, (patches[fits], banks[fits]), scores[fits])
    expect(np.array_equal(best, cluster.plot_best[plot, :count]), "plot_best is not the highest of its spots")
