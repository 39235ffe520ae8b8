"""Invariants of pods that wait by whole classes: their lines and cohorts, counted and walked anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kscale.engine.pods import RESTING_STATE
from kscale.state.tables import Cluster

Expect = Callable[[object, str], None]


def queue_violations(cluster: Cluster, expect: Expect) -> None:
    """Hold lines and cohorts against the rows of the pods that wait in them."""
    resting = np.flatnonzero(cluster.pod_state == RESTING_STATE)
    line = cluster.pod_line[resting]
    known = (line >= 0) & (line < cluster.cluster_lines[0])
    expect(known.all(), "a pod waits in none of the lines")
    pods, line = resting[known], line[known]
    sizes = np.bincount(line, minlength=cluster.sizes["line"])
    taken = np.flatnonzero(sizes)
    expect(np.array_equal(sizes[taken], cluster.line_pods[taken]), "lines are miscounted")
    expect((cluster.line_template[line] == cluster.pod_template[pods]).all(), "lines hold pods of other templates")
    cohort = cluster.line_cohort[taken]
    expect((cohort >= 0).all(), "lines are used that are free")
    held = np.bincount(cohort[cohort >= 0], sizes[taken][cohort >= 0], cluster.sizes["line"]).astype(np.int64)
    expect(np.array_equal(held[held > 0], cluster.cohort_pods[held > 0]), "cohorts are miscounted")
    place, after = cluster.pod_queue_sequence[pods], cluster.pod_next[pods]
    inner = after >= 0
    expect((place[inner] < cluster.pod_queue_sequence[after[inner]]).all(), "places in lines do not ascend")
    of = cluster.line_cohort[line]
    bounded = (cluster.cohort_low[of] <= place) & (place < cluster.cohort_high[of])
    expect(bounded.all(), "places are out of the bounds of their cohorts")
    expect((np.bincount(line[~inner], minlength=len(sizes))[taken] == 1).all(), "lines do not end once")
