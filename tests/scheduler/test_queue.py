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
from kscale.state.descriptions import PodTemplate, PodTerm, Selector
from kscale.state.intake import Sizes
from kscale.state.labels import Requirement
from tests import naive
from tests.engine.columns import call, small
from tests.objects import simulation_of

PODS = 12
PRIORITIES = (0, 5, -3)
SIZES = Sizes(pod=PODS, arrival=2, ledger=2, timeline=2, diagnosis=2, event=4)
WANTS = PodTerm("kubernetes.io/hostname", Selector((Requirement("app", "In", ("y",)),)), ("default",))
#: What they may wait for: a port, a pod labelled y, or either; only the middle one is labelled y.
TEMPLATES = [
    PodTemplate(priority=0, ports=(("TCP", "0.0.0.0", 80),)),
    PodTemplate(priority=5, ports=(("TCP", "0.0.0.0", 81),), labels=(("app", "y"),)),
    PodTemplate(priority=-3, ports=(("TCP", "0.0.0.0", 80),), affinity=(WANTS,)),
]
ENTRIES = {
    "arrive": ("pod, now_us", "reset(pod)\nenter(pod, now_us)\npush_active(pod)"),
    "pop": ("", "return pop_next()"),
    "turn_away": ("pod, bits", "set_rest(pod, bits)"),
    "happen": ("other, added, now_us", "note_event(other, added)\nsettle_events(now_us)"),
    "fail": (
        "pod, now_us, cured",
        "back_off(pod, now_us)\nenter(pod, now_us)\nif cured:\n    requeue(pod, now_us)\nelse:\n    rest(pod, now_us)",
    ),
    "flush": ("now_us", "flush_backoff(now_us)"),
    "leftover": ("now_us", "wake_leftover(now_us)"),
}
#: Who turns a pod away, as the filters that have something to say of these templates.
PORTS, COMPANY, ROOM = "NodePorts", "InterPodAffinity", "NodeResourcesFit"


@cache
def composed() -> tuple[Any, dict[str, list[str]], dict[str, int]]:
    """Return the queue's entries with hints, their columns, and a bit of each filter."""
    made = simulation_of([{}], TEMPLATES, [], sizes=SIZES)
    composer = Composer(made.cluster.columns)
    pods.define(composer)
    queue.define(composer, made.profile)
    for name, (arguments, body) in ENTRIES.items():
        composer.define(name, arguments, body, entry=True)
    bits = {plugin.name: 1 << made.profile.first_bit(plugin) for plugin in made.profile.reason_order}
    return kernels.load(composer.source()), {name: composer.columns_of(name) for name in ENTRIES}, bits


class Twin(naive.Queue):
    """The plain twin's queue, whose pods tell by themselves what may help them."""

    def happened(self, other: int, added: bool, now_us: int) -> None:
        self._return([entry for entry in self.resting if helps(entry, other, added)], now_us)


def helps(entry: Any, other: int, added: bool) -> bool:
    """Whether a pod that came or went may help: by hand, for the templates above."""
    same_port = TEMPLATES[entry.template].ports == TEMPLATES[other].ports
    if not added and (ROOM in entry.turned_away or (PORTS in entry.turned_away and same_port)):
        return True
    return COMPANY in entry.turned_away and added and (entry.template, other) == (2, 1)


class Pair:
    """The columns and the twin's queue, told the same things at the same times."""

    def __init__(self) -> None:
        self.module, self.names, self.bits = composed()
        self.cluster = simulation_of([{}], TEMPLATES, [], sizes=SIZES).cluster
        self.twin = Twin()
        self.entries: dict[int, Any] = {}
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
            self.entries[row].template, self.entries[row].turned_away = template, set()
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

    def turn_away(self, row: int, *filters: str) -> None:
        """The pod in flight finds no node, and these filters are why."""
        self.entries[row].turned_away = set(filters)
        self.cluster.cluster_pod_in_flight[0], self.cluster.cluster_node_in_flight[0] = row, -1
        self.cluster.cluster_woken_in_flight[0] = 0
        self.call("turn_away", row, sum(self.bits[name] for name in filters))

    def fail(self, row: int, *filters: str, cured: bool = False) -> None:
        """The try of a pod is over."""
        if filters:
            self.turn_away(row, *filters)
        self.call("fail", row, self.now_us, int(cured))
        self.cluster.cluster_pod_in_flight[0] = -1
        self.twin.fail(self.entries[row], self.now_us, False, cured)
        assert self.cluster.pod_backoff_us[row] == self.entries[row].backoff_us

    def happen(self, other: int, added: bool) -> None:
        """A pod of a template comes or goes."""
        self.call("happen", other, int(added), self.now_us)
        self.twin.happened(other, added, self.now_us)

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
        for kind in range(4):
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
happenings = st.tuples(st.just("happen"), st.integers(0, 2), st.booleans())
#: A try: whether it binds the pod, else who turns it away, what happens meanwhile, and how long it takes.
tries = st.tuples(
    st.just("try"), st.sampled_from([True, False, False]), st.sets(st.sampled_from([PORTS, COMPANY, ROOM])),
    st.lists(happenings, max_size=2), st.sampled_from([0, 0, 1, 400_000, SECOND, 7 * SECOND]),
)  # fmt: skip
waits = st.tuples(
    st.just("wait"), st.sampled_from([0, 1, 999_999, SECOND, 1_500_000, 4 * SECOND, 31 * SECOND, 301 * SECOND])
)


@settings(deadline=None)
@given(st.lists(st.one_of(arrivals, arrivals, tries, tries, waits, happenings), max_size=60))
def test_pops_come_in_the_twins_order(events: list[tuple[Any, ...]]) -> None:
    pair = Pair()
    for name, *rest in events:
        if name == "try":
            bound, turned_away, meanwhile, cost = rest
            row = pair.pop()
            if row is None:
                continue
            entry = pair.entries[row]
            pair.turn_away(row, *(() if bound else turned_away))
            pair.cluster.cluster_node_in_flight[0] = 0 if bound else -1
            cured = False
            for _, other, added in meanwhile:
                pair.happen(other, added)
                cured = cured or helps(entry, other, added)
                assert bool(pair.cluster.cluster_woken_in_flight[0]) is cured
            pair.wait(cost)
            if bound:
                pair.cluster.cluster_pod_in_flight[0] = -1
                del pair.entries[row]
            else:
                pair.fail(row, cured=cured)
        else:
            {"arrive": pair.arrive, "wait": pair.wait, "happen": pair.happen}[name](*rest)
        pair.compare()
    pair.wait(331 * SECOND)
    assert not pair.resting()  # whoever rests is woken after 300 s, at a multiple of 30 s
    while pair.pop() is not None:
        pass


def test_back_off_doubles_up_to_ten_seconds_and_is_cut_to_whole_seconds() -> None:
    cluster = small()
    cluster.cluster_initial_backoff_us[0], cluster.cluster_max_backoff_us[0] = SECOND, 10 * SECOND
    found = []
    for _ in range(7):
        call(queue.back_off, cluster, 0, 2_700_000)
        found.append(int(cluster.pod_backoff_us[0]) / SECOND)
    # 2.7 s and 1, 2, 4, 8, 10, 10, 10 s: 3.7, 4.7, 6.7, 10.7, 12.7
    assert found == [3, 4, 6, 10, 12, 12, 12]
    assert cluster.pod_unschedulable_count[0] == 7


@pytest.mark.parametrize(
    ("first", "most", "expected"),
    # From 2.7 s on, cut to whole seconds: 2.7 + 0.5, 1, 2, 4, 8, 16, 20 and so on.
    [(0.5, 20, [3, 3, 4, 6, 10, 18, 22, 22]), (3, 3, [5, 5]), (5, 3, [5, 5]), (0, 10, [2, 2]), (1, 0, [-1e-6] * 2)],
)
def test_the_configuration_sets_the_back_off(first: float, most: float, expected: list[float]) -> None:
    cluster = small()
    cluster.cluster_initial_backoff_us[0], cluster.cluster_max_backoff_us[0] = int(first * SECOND), int(most * SECOND)
    for seconds in expected:
        call(queue.back_off, cluster, 0, 2_700_000)
        assert cluster.pod_backoff_us[0] == seconds * SECOND
    assert not call(queue.is_backing_off, cluster, 0, 0) or most > 0


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
    pair.fail(2, ROOM, cured=True)  # 2.1 s: 2 s
    pair.fail(0, ROOM, cured=True)  # 2 s as well
    pair.now_us = 1_900_000
    pair.fail(1, ROOM, cured=True)  # 2.9 s: 2 s, and the highest priority
    assert [pair.pop() for _ in range(3)] == [1, 0, 2]


def test_the_back_off_queue_is_flushed_at_the_next_whole_second_while_it_holds_pods() -> None:
    pair = Pair()
    pair.call("flush", 0)
    assert pair.cluster.cluster_next_flush_us[0] == NEVER
    pair.arrive(0)
    pair.pop()
    pair.now_us = 300_000
    pair.fail(0, ROOM, cured=True)  # backs off until 1 s
    assert pair.cluster.cluster_next_flush_us[0] == SECOND
    pair.wait(1_600_000)  # at 1 s it still backs off
    assert (pair.size(BACKOFF), pair.cluster.cluster_next_flush_us[0]) == (1, 2 * SECOND)
    pair.wait(200_000)  # 2.1 s
    assert (pair.size(BACKOFF), pair.size(ACTIVE), pair.cluster.cluster_next_flush_us[0]) == (0, 1, NEVER)


def test_a_pod_popped_while_it_backs_off_leaves_no_flush_behind() -> None:
    pair = Pair()
    pair.arrive(0)
    pair.pop()
    pair.fail(0, ROOM, cured=True)
    assert pair.pop() == 0
    assert pair.cluster.cluster_next_flush_us[0] == NEVER


def test_what_happens_wakes_those_that_it_may_help() -> None:
    pair = Pair()
    for template in (0, 0, 0, 2, 2, 2):
        pair.arrive(template)
    reasons = ((ROOM,), (), (PORTS,), (COMPANY,), (COMPANY, ROOM), ())
    for turned_away in reasons:
        row = pair.pop()
        assert row is not None
        pair.turn_away(row, *turned_away)
        pair.fail(row)
    # By what may help: nothing of the kind, an end, an end or a hint, a hint; each in the order of the tries.
    assert pair.resting() == [1, 5, 0, 4, 2, 3]
    pair.now_us = 5 * SECOND
    steps = (
        ((0, True), [1, 5, 0, 4, 2, 3]),  # came, and is not labelled y
        ((1, True), [1, 5, 0, 2]),  # came, and is
        ((1, False), [1, 5, 2]),  # went: room, but another port
        ((2, False), [1, 5]),  # went: the port
    )
    for happened, left in steps:
        pair.happen(*happened)
        pair.compare()
        assert pair.resting() == left


def test_of_the_pod_in_flight_it_is_noted_that_it_may_be_helped() -> None:
    pair = Pair()
    pair.arrive(0)
    pair.turn_away(pair.pop() or 0, PORTS)
    for happened, woken in (((1, False), 0), ((0, True), 0), ((2, False), 1), ((1, False), 1)):
        pair.happen(*happened)
        assert pair.cluster.cluster_woken_in_flight[0] == woken
    # One that has found a node waits for nothing.
    pair.turn_away(0, PORTS)
    pair.cluster.cluster_node_in_flight[0] = 0
    pair.happen(2, False)
    assert pair.cluster.cluster_woken_in_flight[0] == 0


def test_events_are_told_in_turn_and_forgotten() -> None:
    pair = Pair()
    for other, added in ((2, 1), (0, 0)):
        call(queue.note_event, pair.cluster, other, added)
    assert pair.cluster.cluster_events[0] == 2
    assert (pair.cluster.event_template[:2].tolist(), pair.cluster.event_added[:2].tolist()) == ([2, 0], [1, 0])
    pair.happen(1, True)
    assert pair.cluster.cluster_events[0] == 0
