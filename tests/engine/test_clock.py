"""The calendar against a sorted list, and what comes next."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.clock import ACTIVE, BACKOFF, CALENDAR, NEVER, RESTING, calendar_pop, calendar_push, next_due
from tests.engine.columns import call, small

PODS = 60


@pytest.mark.parametrize("compiled", [True, False])
@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=PODS), st.permutations(range(PODS)),
)  # fmt: skip
def test_the_calendar_is_a_sorted_list(compiled: bool, steps: list[int | None], rows: list[int]) -> None:
    cluster = small(pod=PODS)
    cluster.pod_trace_row[:] = rows
    expected: list[tuple[int, int, int]] = []
    for pod, time_us in enumerate(steps):
        if time_us is not None:
            call(calendar_push, cluster, pod, time_us, compiled=compiled)
            expected.append((time_us, rows[pod], pod))
        elif expected:
            first = min(expected)
            assert cluster.queue_calendar_us[0] == first[0]
            assert call(calendar_pop, cluster, compiled=compiled) == first[2]
            expected.remove(first)
        assert cluster.queue_size[CALENDAR] == len(expected)
    for time_us, _, pod in sorted(expected):
        assert cluster.queue_calendar_us[0] == time_us
        assert call(calendar_pop, cluster, compiled=compiled) == pod
    assert cluster.queue_size[CALENDAR] == 0


def test_the_calendar_holds_every_pod() -> None:
    cluster = small(pod=2000)
    cluster.pod_trace_row[:] = range(2000)
    times = [(pod * 7919) % 500 for pod in range(2000)]
    for pod, time_us in enumerate(times):
        call(calendar_push, cluster, pod, time_us)
    popped = [call(calendar_pop, cluster) for _ in range(2000)]
    assert popped == sorted(range(2000), key=lambda pod: (times[pod], pod))


def due(**state: int) -> int:
    """Return what is due next, at 1,000 us, in a cluster in which nothing goes on but ``state``."""
    cluster = small()
    cluster.cluster_now_us[0] = 1000
    cluster.cluster_next_flush_us[0] = NEVER
    cluster.cluster_next_leftover_us[0] = 700_000
    sizes = {"active": ACTIVE, "backoff": BACKOFF, "resting": RESTING}
    for name, value in state.items():
        if name in sizes:
            cluster.queue_size[sizes[name]] = value
        elif name == "ends":
            cluster.queue_size[CALENDAR], cluster.queue_calendar_us[0] = 1, value
        elif name == "arrives":
            cluster.cluster_arrivals[0], cluster.arrival_time_us[0] = 1, value
        else:
            cluster.columns[f"cluster_{name}"][0] = value
    return int(call(next_due, cluster))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, NEVER),
        ({"ends": 5000}, 5000),
        ({"arrives": 4000, "ends": 5000}, 4000),
        ({"arrives": 4000, "arrivals_cursor": 1, "ends": 5000}, 5000),  # taken in already
        ({"ends": 900}, 1000),  # time does not run back
        ({"active": 1, "ends": 5000}, 1000),  # an idle scheduler tries at once
        ({"backoff": 1, "ends": 5000}, 1000),  # also whom it would let wait
        ({"active": 1, "pod_in_flight": 3, "scheduler_free_us": 3000, "ends": 5000}, 3000),
        ({"backoff": 1, "pod_in_flight": 3, "scheduler_free_us": 3000, "next_flush_us": 2000}, 2000),
        ({"pod_in_flight": 0, "scheduler_free_us": 3000}, 3000),
        ({"resting": 1}, NEVER),  # timers alone do not keep a run going
        ({"resting": 1, "ends": 800_000}, 700_000),
        ({"resting": 1, "ends": 600_000}, 600_000),
        ({"ends": 800_000}, 800_000),  # nobody rests
    ],
)
def test_what_comes_next(state: dict[str, int], expected: int) -> None:
    assert due(**state) == expected


def test_never_is_later_than_every_instant_and_can_be_added_to() -> None:
    assert NEVER > 1 << 59
    assert NEVER + NEVER // 2 < 1 << 63
