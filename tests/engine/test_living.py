"""What kubelets have to do, as a heap, and pods that become available: kernels on bare columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine import living
from kscale.engine.clock import NEVER
from tests.engine.columns import call, small


@pytest.mark.plain
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 7)), max_size=20), st.permutations(range(8)))
def test_pods_are_looked_at_by_time_and_then_by_their_arrival(
    entries: list[tuple[int, int]], serials: list[int]
) -> None:
    cluster = small(due=32)
    cluster.pod_trace_row[:] = serials
    for time, pod in entries:
        call(living.due_push, cluster, pod, time, compiled=False)
    popped = []
    while cluster.cluster_due[0]:
        time = int(cluster.due_time_us[0])
        popped.append((time, serials[call(living.due_pop, cluster, compiled=False)]))
    assert popped == sorted((time, serials[pod]) for time, pod in entries)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_pod_is_available_once_it_was_ready_for_long_enough(compiled: bool) -> None:
    cluster = small(object=2)
    cluster.life_owner[0], cluster.object_min_ready_us[1] = 1, 10
    cluster.life_ready[0], cluster.life_ready_us[0] = 1, 100
    cluster.life_due_us[0] = NEVER
    assert call(living.become_available, cluster, 0, 105, compiled=compiled) == 0
    assert cluster.life_due_us[0] == 110
    assert call(living.become_available, cluster, 0, 110, compiled=compiled) == 1
    assert cluster.life_available[0] == 1
    cluster.life_ready[0] = 0
    assert call(living.become_available, cluster, 0, 111, compiled=compiled) == 1
    assert cluster.life_available[0] == 0
    cluster.life_owner[0], cluster.life_ready[0] = -1, 1
    assert call(living.become_available, cluster, 0, 100, compiled=compiled) == 1


def test_a_look_at_what_is_not_there_is_the_next_instant_of_all() -> None:
    cluster = small(due=4)
    cluster.queue_size[:] = 0
    cluster.cluster_control_us[0] = NEVER
    assert call(living.next_living, cluster, 50, compiled=False) == 50
    cluster.cluster_control_us[0] = 40
    assert call(living.next_living, cluster, 50, compiled=False) == 40
    call(living.due_push, cluster, 1, 30, compiled=False)
    assert call(living.next_living, cluster, 50, compiled=False) == 30
    cluster.cluster_now_us[0] = 35
    assert call(living.next_living, cluster, 50, compiled=False) == 35
    # Pods that rest have their timers only as long as something else is to come.
    cluster.queue_size[4], cluster.cluster_next_leftover_us[0], cluster.cluster_next_flush_us[0] = 1, 36, 37
    assert call(living.next_living, cluster, NEVER, compiled=False) == 35
    cluster.cluster_due[0], cluster.cluster_control_us[0] = 0, 90
    assert call(living.next_living, cluster, NEVER, compiled=False) == 36
    cluster.cluster_control_us[0] = NEVER
    assert call(living.next_living, cluster, NEVER, compiled=False) == NEVER
    assert np.array_equal(cluster.due_pod[:1], [1])
