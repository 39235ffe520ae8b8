"""The queue's kernels, joined by its drivers, against the plain twin's queue and by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import kernels
from kscale.composer import Composer
from kscale.engine import pods
from kscale.engine.clock import ACTIVE, BACKOFF, NEVER, RESTING, SECOND
from kscale.scheduler import queue
from tests import naive
from tests.engine.columns import call, small

PODS = 12
PRIORITIES = (0, 5, -3)
ENTRIES = {
    "arrive": ("pod, now_us", "reset(pod)\nenter(pod, now_us)\npush_active(pod)"),
    "pop": ("", "return pop_next()"),
    "fail": (
        "pod, now_us, kind, cured",
        "pod_rests_for[pod] = kind\nback_off(pod, now_us)\nenter(pod, now_us)\n"
        "if cured:\n    requeue(pod, now_us)\nelse:\n    rest(pod, now_us)",
    ),
    "wake": ("now_us", "wake_all(now_us)"),
    "flush": ("now_us", "flush_backoff(now_us)"),
    "leftover": ("now_us", "wake_leftover(now_us)"),
}


@cache
def composed() -> tuple[Any, dict[str, list[str]]]:
    composer = Composer(small().columns)
    pods.define(composer)
    queue.define(composer)
    for name, (arguments, body) in ENTRIES.items():
        composer.define(name, arguments, body, entry=True)
    return kernels.load(composer.source()), {name: composer.columns_of(name) for name in ENTRIES}


class Pair:
    """The columns and the twin's queue, told the same things at the same times."""

    def __init__(self) -> None:
        self.module, self.names = composed()
        self.cluster = small(pod=PODS, template=len(PRIORITIES))
        self.cluster.template_priority[:] = PRIORITIES
        self.twin = naive.Queue()
        self.entries: dict[int, naive.Entry] = {}
        self.now_us = 0

    def call(self, entry: str, *arguments: int) -> Any:
        return getattr(self.module, entry)(*arguments, *self.cluster.arguments(self.names[entry]))

    def size(self, part: int) -> int:
        return int(self.cluster.queue_size[part])

    def arrive(self, template: int) -> None:
        """A pod in the first row that is free, if there is one."""
        row = next((row for row in range(PODS) if row not in self.entries), None)
        if row is not None:
            self.cluster.pod_template[row] = template
            self.entries[row] = naive.Entry(row, PRIORITIES[template])
            self.call("arrive", row, self.now_us)
            self.twin.arrive(self.entries[row])

    def pop(self) -> int | None:
        expected = self.twin.pop()
        if expected is None:
            assert self.size(ACTIVE) + self.size(BACKOFF) == 0
            return None
        row = int(self.call("pop"))
        assert row == expected.index
        return row

    def fail(self, row: int, kind: int, cured: bool) -> None:
        self.call("fail", row, self.now_us, kind, int(cured))
        self.twin.fail(self.entries[row], self.now_us, bool(kind), cured)
        assert self.cluster.pod_backoff_us[row] == self.entries[row].backoff_us

    def end(self) -> None:
        self.call("wake", self.now_us)
        self.twin.pod_ended(self.now_us)

    def wait(self, us: int) -> None:
        """Let time pass; the timers are looked at each whole second, as by a scheduler that is busy."""
        until = self.now_us + us
        for second in range(self.now_us // SECOND + 1, until // SECOND + 1):
            now = second * SECOND
            if self.size(RESTING) > 0 and self.cluster.cluster_next_leftover_us[0] <= now:
                self.call("leftover", now)
            if self.cluster.cluster_next_flush_us[0] <= now:
                self.call("flush", now)
            self.twin.flush(now)
        self.now_us = until

    def resting(self) -> list[int]:
        rows = []
        for kind in range(2):
            row = int(self.cluster.queue_resting[kind])
            while row >= 0:
                rows.append(row)
                row = int(self.cluster.pod_next[row])
        return rows

    def compare(self) -> None:
        cluster = self.cluster
        heaps = [cluster.queue_active[: self.size(ACTIVE)], cluster.queue_backoff[: self.size(BACKOFF)]]
        assert sorted(heaps[0]) == sorted(entry.index for entry in self.twin.active)
        assert sorted(heaps[1]) == sorted(entry.index for entry in self.twin.backoff)
        assert sorted(self.resting()) == sorted(entry.index for entry in self.twin.resting)
        assert self.size(RESTING) == len(self.twin.resting)


arrivals = st.tuples(st.just("arrive"), st.integers(0, len(PRIORITIES) - 1))
#: A try: whether it binds the pod, else what it rests for, whether a pod ended meanwhile, and how long it takes.
tries = st.tuples(
    st.just("try"), st.sampled_from([True, False, False]), st.integers(0, 1), st.booleans(),
    st.sampled_from([0, 0, 1, 400_000, SECOND, 7 * SECOND]),
)  # fmt: skip
waits = st.tuples(
    st.just("wait"), st.sampled_from([0, 1, 999_999, SECOND, 1_500_000, 4 * SECOND, 31 * SECOND, 301 * SECOND])
)
ends = st.tuples(st.just("end"))


@settings(deadline=None)
@given(st.lists(st.one_of(arrivals, arrivals, tries, tries, waits, ends), max_size=60))
def test_pops_come_in_the_twins_order(events: list[tuple[Any, ...]]) -> None:
    pair = Pair()
    for name, *rest in events:
        if name == "try":
            bound, kind, cured, cost = rest
            row = pair.pop()
            if row is None:
                continue
            pair.wait(cost)
            if bound:
                del pair.entries[row]
            else:
                pair.fail(row, kind, cured)
        else:
            {"arrive": pair.arrive, "wait": pair.wait, "end": pair.end}[name](*rest)
        pair.compare()
    pair.wait(331 * SECOND)
    assert not pair.resting()  # whoever rests is woken after 300 s, at a multiple of 30 s
    while pair.pop() is not None:
        pass


def test_back_off_doubles_up_to_ten_seconds_and_is_cut_to_whole_seconds() -> None:
    cluster = small()
    found = []
    for _ in range(7):
        call(queue.back_off, cluster, 0, 2_700_000)
        found.append(int(cluster.pod_backoff_us[0]) / SECOND)
    # 2.7 s and 1, 2, 4, 8, 10, 10, 10 s: 3.7, 4.7, 6.7, 10.7, 12.7
    assert found == [3, 4, 6, 10, 12, 12, 12]
    assert cluster.pod_unschedulable_count[0] == 7


@pytest.mark.parametrize(
    ("now_us", "lasts"),
    [(0, True), (4 * SECOND, True), (4 * SECOND + 999_999, True), (5 * SECOND, False), (5 * SECOND + 1, False)],
)
def test_a_back_off_lasts_through_the_second_of_its_expiry(now_us: int, lasts: bool) -> None:
    cluster = small()
    cluster.pod_backoff_us[0] = 4 * SECOND
    assert bool(call(queue.is_backing_off, cluster, 0, now_us)) is lasts


def test_equal_priorities_are_first_come_first_served() -> None:
    pair = Pair()
    for template in (0, 1, 0, 1, 2, 0):  # priorities 0, 5, 0, 5, -3, 0
        pair.arrive(template)
    assert [pair.pop() for _ in range(6)] == [1, 3, 0, 2, 5, 4]


def test_within_one_second_of_expiry_the_order_is_that_of_the_active_queue() -> None:
    pair = Pair()
    pair.arrive(0)
    pair.arrive(1)
    pair.arrive(2)
    assert [pair.pop() for _ in range(3)] == [1, 0, 2]
    pair.now_us = 1_100_000
    pair.fail(2, 1, cured=True)  # 2.1 s: 2 s
    pair.fail(0, 1, cured=True)  # 2 s as well
    pair.now_us = 1_900_000
    pair.fail(1, 1, cured=True)  # 2.9 s: 2 s, and the highest priority
    assert [pair.pop() for _ in range(3)] == [1, 0, 2]


def test_the_back_off_queue_is_flushed_at_the_next_whole_second_while_it_holds_pods() -> None:
    pair = Pair()
    pair.call("flush", 0)
    assert pair.cluster.cluster_next_flush_us[0] == NEVER
    pair.arrive(0)
    pair.pop()
    pair.now_us = 300_000
    pair.fail(0, 1, cured=True)  # backs off until 1 s
    assert pair.cluster.cluster_next_flush_us[0] == SECOND
    pair.wait(1_600_000)  # at 1 s it still backs off
    assert (pair.size(BACKOFF), pair.cluster.cluster_next_flush_us[0]) == (1, 2 * SECOND)
    pair.wait(200_000)  # 2.1 s
    assert (pair.size(BACKOFF), pair.size(ACTIVE), pair.cluster.cluster_next_flush_us[0]) == (0, 1, NEVER)


def test_a_pod_popped_while_it_backs_off_leaves_no_flush_behind() -> None:
    pair = Pair()
    pair.arrive(0)
    pair.pop()
    pair.fail(0, 1, cured=True)
    assert pair.pop() == 0
    assert pair.cluster.cluster_next_flush_us[0] == NEVER


def test_an_end_wakes_those_that_usage_turned_away_only() -> None:
    pair = Pair()
    for _ in range(3):
        pair.arrive(0)
    for kind in (1, 0, 1):
        row = pair.pop()
        assert row is not None
        pair.fail(row, kind, cured=False)
    assert pair.resting() == [1, 0, 2]  # kind 0 first, then kind 1 in the order of the tries
    pair.now_us = 5 * SECOND
    pair.end()
    pair.compare()
    assert pair.resting() == [1]
    assert pair.cluster.cluster_woken_in_flight[0] == 1
