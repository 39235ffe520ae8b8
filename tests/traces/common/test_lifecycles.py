"""Pods from events of tasks, against a twin that looks at one event after the other."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.traces.common.lifecycles import (
    ENABLE,
    EVICT,
    FAIL,
    FINISH,
    KILL,
    LOST,
    QUEUE,
    RESTART_US,
    SCHEDULE,
    SUBMIT,
    UPDATE_PENDING,
    UPDATE_RUNNING,
    Counts,
    Lifecycles,
    _stable_order,
)

COLUMNS = {
    "job": pl.Int64, "index": pl.Int64, "time": pl.Int64, "kind": pl.Int8, "flag": pl.Boolean, "cpu": pl.Float64,
    "memory": pl.Float64,
}  # fmt: skip
STOPS, ENDS, RUNS = (EVICT, FAIL), (FINISH, KILL, LOST), (SCHEDULE, UPDATE_RUNNING)
ORDER = (SUBMIT, QUEUE, ENABLE, UPDATE_PENDING, SCHEDULE, UPDATE_RUNNING, EVICT, FAIL, FINISH, KILL, LOST)


def frame(rows):
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").sort("time", maintain_order=True)


def fast(rows, cuts=()):
    """Return pods and counts; ``cuts`` are times before which a new call begins."""
    events, lives = frame(rows), Lifecycles(("cpu", "memory"))
    pods, bounds = [], [-1, *sorted(cuts), 1 << 62]
    for first, last in pairwise(bounds):
        pods.append(lives.add(events.filter((pl.col("time") >= first) & (pl.col("time") < last))))
    return pl.concat([*pods, lives.end()]), lives.counts


class Task:
    """A pod in the making."""

    def __init__(self):
        self.first = self.enabled = self.start = None
        self.ran = self.flag = self.resubmitted = False
        self.asked = [None, None]
        self.events = 0

    def take(self, last, time, kind, flag, asked, counts):
        begins = kind not in STOPS + ENDS
        again = begins and (last == EVICT or (last in RUNS and kind == SUBMIT))
        counts.evictions += begins and last == EVICT
        counts.failures += begins and last == FAIL
        counts.unrecorded += last in RUNS and kind == SUBMIT
        counts.updates += kind == UPDATE_RUNNING
        self.events += 1
        self.flag |= bool(flag)
        if again:
            self.start = None
        if begins and self.first is None:
            self.first = time
        if kind == ENABLE and self.enabled is None and not self.ran:
            self.enabled = time
        for i, value in enumerate(asked):
            if value is not None and (not self.ran or self.asked[i] is None):
                self.asked[i] = value
        if kind in RUNS:
            self.start = time if self.start is None else self.start
            self.ran = True

    def row(self, job, index, end):
        arrival = self.first if self.enabled is None else self.enabled
        return (job, index, arrival, self.start, end, self.flag, *self.asked)


def in_turn(events):
    """Yield the events of a task in the order in which they follow from each other."""
    there = False
    for time in sorted({event[2] for event in events}):
        group = [event for event in events if event[2] == time]
        group.sort(key=lambda event: ORDER.index(event[3]))
        ends = [event for event in group if event[3] in STOPS + ENDS]
        begins = [event for event in group if event[3] not in STOPS + ENDS]
        if there and any(event[3] == SUBMIT for event in begins):
            group = ends + begins
        there = group[-1][3] not in STOPS + ENDS
        yield from group


def plain(rows):
    """Return what ``fast`` gives, event by event: the pods in no order, and the counts."""
    counts, pods = Counts(events=len(rows)), []

    def close(task, job, index, end):
        if task.first is None:
            counts.strays += task.events
            return
        counts.never_ran += end is not None and task.start is None
        counts.endless += end is None
        pods.append(task.row(job, index, end))

    for job, index in sorted({row[:2] for row in rows}):
        task, last, before = None, None, 0
        for event in in_turn([row for row in rows if row[:2] == (job, index)]):
            time, kind = event[2], event[3]
            if task and (last in ENDS or (last in STOPS and time - before > RESTART_US)):
                close(task, job, index, before)
                task, last = None, None
            task = task or Task()
            task.take(last, time, kind, event[4], event[5:], counts)
            last, before = kind, time
        close(task, job, index, before if last in STOPS + ENDS else None)
    return pods, counts


def ev(time, kind, task=0, cpu=None, memory=None, flag=False, job=1):
    return (job, task, time, kind, flag, cpu, memory)


MINUTE = 60 * 10**6


def one(rows):
    pods, counts = fast(rows)
    assert pods.height == 1
    return pods.row(0, named=True), counts


def test_from_submission_to_end():
    pod, counts = one([ev(5, SUBMIT, cpu=0.5), ev(7, SCHEDULE, memory=0.25), ev(90, FINISH)])
    assert pod == {
        "job": 1, "index": 0, "arrival": 5, "start": 7, "end": 90, "flag": False, "cpu": 0.5, "memory": 0.25,
    }  # fmt: skip
    assert counts == Counts(events=3)


def test_an_eviction_begins_the_run_anew():
    rows = [ev(1, SUBMIT), ev(2, SCHEDULE), ev(50, EVICT), ev(50, SUBMIT), ev(60, SCHEDULE), ev(100, FINISH)]
    pod, counts = one(rows)
    assert (pod["arrival"], pod["start"], pod["end"]) == (1, 60, 100)
    assert (counts.evictions, counts.failures) == (1, 0)


def test_a_failure_goes_on():
    rows = [ev(1, SUBMIT), ev(2, SCHEDULE), ev(50, FAIL), ev(51, SUBMIT), ev(60, SCHEDULE), ev(100, KILL)]
    pod, counts = one(rows)
    assert (pod["arrival"], pod["start"], pod["end"]) == (1, 2, 100)
    assert (counts.evictions, counts.failures) == (0, 1)


def test_what_stops_for_good_ends_there():
    for stop in STOPS:
        pod, _ = one([ev(1, SUBMIT), ev(2, SCHEDULE), ev(50, stop)])
        assert (pod["start"], pod["end"]) == (2, 50)


def test_a_submission_long_after_a_stop_is_another_pod():
    later = 50 + RESTART_US + 1
    rows = [ev(1, SUBMIT), ev(2, SCHEDULE), ev(50, FAIL), ev(later, SUBMIT), ev(later + 1, SCHEDULE)]
    pods, _ = fast(rows)
    assert pods.select("arrival", "end").rows() == [(1, 50), (later, None)]
    pods, _ = fast([*rows[:3], ev(later - 1, SUBMIT)])
    assert pods.select("arrival", "end").rows() == [(1, None)]


def test_a_submission_after_the_end_is_another_pod():
    for end in ENDS:
        pods, _ = fast([ev(1, SUBMIT), ev(2, SCHEDULE), ev(9, end), ev(9 + MINUTE, SUBMIT), ev(10 + MINUTE, end)])
        assert pods.select("arrival", "start", "end").rows() == [(1, 2, 9), (9 + MINUTE, None, 10 + MINUTE)]


def test_missing_records():
    pod, _ = one([ev(4, SCHEDULE), ev(9, FINISH)])  # no SUBMIT
    assert (pod["arrival"], pod["start"], pod["end"]) == (4, 4, 9)
    pod, counts = one([ev(1, SUBMIT), ev(2, SCHEDULE), ev(50, SUBMIT), ev(60, SCHEDULE), ev(90, FINISH)])  # no end
    assert (pod["arrival"], pod["start"], counts.unrecorded) == (1, 60, 1)
    pod, _ = one([ev(3, UPDATE_RUNNING, cpu=0.5), ev(9, LOST)])
    assert (pod["start"], pod["cpu"]) == (3, 0.5)
    pods, counts = fast([ev(3, KILL), ev(4, EVICT, task=2)])
    assert (pods.height, counts.strays, counts.events) == (0, 2, 2)
    pod, counts = one([ev(1, SUBMIT), ev(9, KILL)])
    assert (pod["start"], pod["end"], counts.never_ran) == (None, 9, 1)
    pod, counts = one([ev(1, SUBMIT)])
    assert (pod["start"], pod["end"], counts.endless) == (None, None, 1)


def test_the_batch_queue_holds_a_task_back():
    rows = [
        ev(1, SUBMIT),
        ev(1, QUEUE),
        ev(80, ENABLE),
        ev(81, SCHEDULE),
        ev(99, EVICT),
        ev(99, SUBMIT),
        ev(100, ENABLE),
    ]
    pod, _ = one(rows)
    assert (pod["arrival"], pod["start"], pod["end"]) == (80, None, None)


def test_requests_are_those_until_the_first_run():
    rows = [
        ev(1, SUBMIT, cpu=0.1),
        ev(2, UPDATE_PENDING, cpu=0.2),
        ev(3, SCHEDULE),
        ev(4, UPDATE_RUNNING, cpu=0.3, memory=0.4),
        ev(5, UPDATE_RUNNING, memory=0.5),
    ]
    for cuts in ((), (2, 3, 4, 5)):
        pods, counts = fast(rows, cuts)
        assert pods.select("cpu", "memory").rows() == [(0.2, 0.4)]
        assert counts.updates == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_one_microsecond(shuffled):
    turn = reversed if shuffled else list
    # Not there before: what is at one time begins, runs, and ends.
    pod, _ = one(list(turn([ev(5, SUBMIT), ev(5, ENABLE), ev(5, SCHEDULE), ev(5, FINISH)])))
    assert (pod["arrival"], pod["start"], pod["end"]) == (5, 5, 5)
    # There before: it ends, and begins again.
    again = turn([ev(9, EVICT), ev(9, SUBMIT), ev(9, SCHEDULE)])
    pod, counts = one([ev(5, SUBMIT), ev(6, SCHEDULE), *again])
    assert (pod["arrival"], pod["start"], pod["end"], counts.evictions) == (5, 9, None, 1)
    again = turn([ev(9, KILL), ev(9, SUBMIT)])
    pods, _ = fast([ev(5, SUBMIT), ev(6, SCHEDULE), *again])
    assert pods.select("arrival", "end").rows() == [(5, 9), (9, None)]


def test_pods_come_in_the_order_of_their_ends():
    rows = [ev(t, SUBMIT, task=t) for t in (1, 2, 3, 4)] + [
        ev(9, KILL, task=3),
        ev(8, FAIL, task=2),
        ev(9, KILL, task=1),
    ]
    for cuts in ((), (9,), (2, 8, 9)):
        assert fast(rows, cuts)[0]["index"].to_list() == [1, 3, 2, 4]


def test_numbers_too_large_to_be_packed():
    rows = [
        ev(1, SUBMIT, 1 << 40, job=1 << 58), ev(2, SUBMIT, 7, job=1 << 58), ev(3, KILL, 1 << 40, job=1 << 58),
    ]  # fmt: skip
    assert fast(rows)[0].select("job", "index", "end").rows() == [(1 << 58, 1 << 40, 3), (1 << 58, 7, None)]


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 2), st.integers(0, 1), st.sampled_from([0, 1, 2, 3, RESTART_US + 2, RESTART_US + 3]),
        st.integers(0, 10), st.booleans(), st.sampled_from([None, 0.0, 0.5]), st.sampled_from([None, 0.25]),
    ),
    max_size=24,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(EVENTS, st.lists(st.sampled_from([1, 2, 3, RESTART_US + 2, RESTART_US + 3]), max_size=4))
def test_the_twin_gives_the_same(rows, cuts):
    # Two records of one kind at one time follow each other in the order of the file, which says nothing.
    rows = list({row[:4]: row for row in rows}.values())
    pods, counts = fast(rows, cuts)
    expected, counted = plain(rows)
    assert sorted(pods.rows(), key=str) == sorted(expected, key=str)
    assert counts == counted
    assert pods.equals(fast(rows)[0])
    assert fast(rows[::-1])[0].equals(pods)
    assert pods.select("job", "index", "arrival").is_unique().all()


@given(st.lists(st.integers(0, 9) | st.integers(0, (1 << 63) - 1), max_size=300))
def test_the_order_of_keys_is_stable(keys):
    numbers = np.array(keys, np.int64)
    assert _stable_order(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
