"""The Job controller, by the figures of its upstream tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from kscale.controllers.common import jobs
from kscale.controllers.common.job_indexes import ranges
from kscale.controllers.common.job_policies import (
    COUNT,
    FAIL_INDEX,
    FAIL_JOB,
    IGNORE,
    FailureRule,
    SuccessRule,
    text_of,
)
from kscale.engine.objects import COUNTED, FAILED, TRACKED
from tests.controllers.world import Hand

SECOND = 1_000_000


class Jobs(Hand):
    """A world with one job."""

    def __init__(self, *, limited: bool = False, **columns: Any) -> None:
        super().__init__("job", limited=limited)
        for name in ("failure_policy", "success_policy"):
            if name in columns:
                self.world.texts.append(text_of(columns[name]))
                columns[name] = len(self.world.texts) - 1
        self.job = self.make("Job", "one", **columns)

    def sync(self) -> None:
        """Let the job be looked at when its changes have been gathered."""
        self.wait(SECOND)

    def says(self, *columns: str) -> tuple[Any, ...]:
        return tuple(self.read(self.job, column) for column in columns)

    def status(self) -> tuple[int, int, int]:
        """Return active, succeeded, failed."""
        return self.says("active", "succeeded", "failed")  # type: ignore[return-value]

    def numbers(self) -> list[int]:
        """Return the indexes of active pods."""
        return sorted(int(self.cluster.life_number[pod]) for pod in self.active(self.job))

    def of_index(self, number: int) -> int:
        return next(pod for pod in self.active(self.job) if self.cluster.life_number[pod] == number)

    def states(self) -> list[int]:
        first, count = self.says("part_first", "part_count")
        return self.cluster.jobindex_state[first : first + count].tolist()


def make(active: int, succeeded: int = 0, failed: int = 0, **columns: Any) -> Jobs:
    """Return a job that has these pods, as upstream's tests set them up: unbound, bound, ready or ended."""
    hand = Jobs(**{"parallelism": active + succeeded + failed, "completions": 1000, **columns})
    hand.settle()
    own = hand.pods(hand.job)
    assert len(own) == active + succeeded + failed
    hand.run(*own)
    for pod in own[:succeeded]:
        hand.finish(pod)
    for pod in own[succeeded : succeeded + failed]:
        hand.finish(pod, well=False)
    return hand


@pytest.mark.parametrize(
    ("parallelism", "completions", "active", "succeeded", "created", "deleted"),
    [
        (2, 5, 0, 0, 2, 0), (2, -1, 0, 0, 2, 0), (2, 5, 2, 0, 0, 0), (2, -1, 2, 0, 0, 0), (2, 5, 1, 1, 1, 0),
        (2, 5, 3, 0, 0, 1), (2, 5, 10, 0, 0, 8), (3, 4, 3, 2, 0, 1), (2, -1, 1, 1, 0, 0),
    ],
)  # fmt: skip
def test_pods_are_created_and_deleted(
    parallelism: int, completions: int, active: int, succeeded: int, created: int, deleted: int
) -> None:
    if active + succeeded == 0:
        hand = Jobs(parallelism=parallelism, completions=completions)
        hand.settle()
    else:
        hand = make(active, succeeded, completions=completions if completions < 0 else 1000)
        hand.write(hand.job, parallelism=parallelism, completions=completions)
        hand.settle()
    assert len(hand.active(hand.job)) == active + created - deleted
    assert hand.says("active", "succeeded") == (active + created - deleted, succeeded)


def test_a_job_is_complete_when_its_completions_are_reached() -> None:
    hand = make(0, 5, completions=5)
    hand.sync()
    assert hand.says("succeeded", "finished", "reason") == (5, jobs.COMPLETE, jobs.COMPLETIONS_REACHED)
    assert hand.says("completion_us", "finish_us") == (SECOND, SECOND)
    assert hand.pods(hand.job) == []


def test_a_work_queue_is_complete_when_one_did_well_and_none_is_left() -> None:
    hand = make(0, 1, 1, completions=-1)
    hand.sync()
    assert hand.says("succeeded", "failed", "finished") == (1, 1, jobs.COMPLETE)


def test_a_job_that_is_being_deleted_makes_no_pods() -> None:
    hand = Jobs(parallelism=2, completions=5)
    hand.cluster.object_deleted_us[hand.job] = 0
    hand.settle()
    assert hand.pods(hand.job) == []


def test_a_burst_is_500() -> None:
    hand = Jobs(parallelism=1200, completions=2000)
    hand.settle()
    counts = [len(hand.pods(hand.job))]
    for _ in range(2):
        hand.sync()
        counts.append(len(hand.pods(hand.job)))
    assert counts == [500, 1000, 1200]


def test_suspended_and_resumed() -> None:
    hand = make(2, completions=5)
    hand.now += 7 * SECOND
    hand.write(hand.job, suspend=1)
    hand.settle()
    assert hand.says("suspended", "start_us", "active", "terminating") == (jobs.SUSPENDED, -1, 0, 2)
    assert hand.active(hand.job) == []
    hand.stopped()
    hand.sync()
    assert hand.says("terminating", "failed") == (0, 0)
    hand.write(hand.job, suspend=0)
    hand.settle()
    assert hand.says("suspended", "start_us", "active") == (jobs.RESUMED, hand.now, 2)


def test_suspended_from_the_start() -> None:
    hand = Jobs(parallelism=2, completions=2, suspend=1, deadline_us=SECOND)
    hand.wait(5 * SECOND)
    assert hand.says("start_us", "suspended", "finished") == (-1, jobs.SUSPENDED, 0)


@pytest.mark.parametrize(
    ("limit", "restarts", "failed"),
    [(0, (0,), 0), (1, (0,), 0), (1, (1,), 1), (2, (2,), 1), (2, (1, 1), 2), (3, (1, 1), 0)],
)
def test_restarts_count_against_the_limit(limit: int, restarts: tuple[int, ...], failed: int) -> None:
    hand = make(len(restarts), restarts=1, backoff_limit=limit)
    for pod, number in zip(hand.active(hand.job), restarts, strict=True):
        hand.change(pod, restarts=number)
    hand.sync()
    if not failed:
        assert hand.says("active", "failed", "target") == (len(restarts), 0, jobs.NO_TARGET)
        return
    assert hand.says("active", "failed", "reason") == (0, failed, jobs.BACKOFF_LIMIT_EXCEEDED)
    assert hand.says("target", "finished") == (jobs.FAILURE_TARGET, jobs.UNFINISHED)
    hand.stopped()
    hand.sync()
    assert hand.says("finished", "failed") == (jobs.FAILED_JOB, failed)


@pytest.mark.parametrize(
    ("limit", "active", "failed", "ends"), [(1, 0, 1, False), (1, 0, 2, True), (6, 1, 6, False), (6, 0, 7, True)]
)
def test_failed_pods_count_against_the_limit(limit: int, active: int, failed: int, ends: bool) -> None:
    hand = make(active, 0, failed, backoff_limit=limit)
    if not ends:
        hand.write(hand.job, parallelism=2 if active else 1)
    hand.wait(601 * SECOND)
    if ends:
        assert hand.says("failed", "finished", "reason") == (failed, jobs.FAILED_JOB, jobs.BACKOFF_LIMIT_EXCEEDED)
    else:
        assert hand.says("active", "failed", "finished") == (2 if active else 1, failed, 0)


def test_back_off_doubles_up_to_ten_minutes() -> None:
    hand = Jobs(parallelism=1, completions=1, backoff_limit=100)
    hand.settle()
    waits = []
    for _ in range(9):
        (pod,) = hand.active(hand.job)
        hand.run(pod)
        hand.finish(pod, well=False)
        ended = hand.now
        while not hand.active(hand.job):
            hand.wait(SECOND)
        waits.append((hand.now - ended) // SECOND)
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_indexed_pods_start_lowest_first() -> None:
    hand = Jobs(parallelism=2, completions=5, part_count=5)
    hand.settle()
    assert hand.numbers() == [0, 1]


def test_indexed_goes_on_where_indexes_are_missing() -> None:
    hand = Jobs(parallelism=10, completions=20, part_count=20)
    hand.settle()
    for number in (2, 4, 5, 7, 8, 9):
        hand.finish(hand.of_index(number))
    for number in (1, 6):
        hand.delete(hand.of_index(number))
    hand.write(hand.job, parallelism=8)
    hand.settle()
    assert hand.numbers() == [0, 1, 3, 6, 10, 11, 12, 13]
    assert ranges(np.flatnonzero(np.array(hand.states()) == 1)) == "2,4,5,7-9"
    assert hand.read(hand.job, "succeeded") == 6


def test_indexes_that_failed_come_again() -> None:
    hand = Jobs(parallelism=3, completions=3, part_count=3)
    hand.settle()
    for number in (0, 2):
        hand.finish(hand.of_index(number), well=False)
    hand.wait(25 * SECOND)
    assert hand.numbers() == [0, 1, 2]
    assert hand.status() == (3, 0, 2)


def test_doubled_and_outlying_indexes_go_and_cost_nothing() -> None:
    hand = Jobs(parallelism=4, completions=4, part_count=4)
    hand.settle()
    hand.run(hand.of_index(2))
    hand.cluster.life_number[hand.of_index(3)] = 2
    hand.cluster.life_number[hand.of_index(1)] = 7
    hand.write(hand.job)
    hand.settle()
    hand.sync()
    assert hand.numbers() == [0, 1, 2, 3]
    assert hand.cluster.life_phase[hand.of_index(2)] == 1
    assert hand.read(hand.job, "failed") == 0


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    hand = Jobs(parallelism=2, completions=2, part_count=2)
    hand.settle()
    hand.finish(hand.of_index(1))
    hand.sync()
    hand.write(hand.job, parallelism=5, completions=5, part_count=5)
    hand.settle()
    assert hand.numbers() == [0, 2, 3, 4]
    assert hand.states() == [0, 1, 0, 0, 0]


def test_an_index_may_fail_so_often() -> None:
    hand = Jobs(parallelism=2, completions=2, part_count=2, backoff_limit_per_index=1, backoff_limit=jobs.NO_LIMIT)
    hand.settle()
    hand.finish(hand.of_index(0), well=False)
    hand.sync()
    assert (hand.numbers(), hand.states()) == ([1], [0, 0])
    hand.wait(9 * SECOND)
    assert hand.numbers() == [0, 1]
    hand.finish(hand.of_index(0), well=False)
    hand.wait(30 * SECOND)
    assert (hand.numbers(), hand.states()) == ([1], [2, 0])
    hand.finish(hand.of_index(1))
    hand.sync()
    assert hand.says("finished", "reason", "succeeded", "failed") == (jobs.FAILED_JOB, jobs.FAILED_INDEXES, 1, 2)


def test_too_many_failed_indexes_end_the_job() -> None:
    hand = Jobs(
        parallelism=4, completions=4, part_count=4, backoff_limit_per_index=0, max_failed_indexes=1,
        backoff_limit=jobs.NO_LIMIT,
    )  # fmt: skip
    hand.settle()
    hand.finish(hand.of_index(0), well=False)
    hand.sync()
    assert hand.read(hand.job, "target") == jobs.NO_TARGET
    hand.finish(hand.of_index(1), well=False)
    hand.sync()
    assert hand.says("target", "terminating", "failed") == (jobs.FAILURE_TARGET, 2, 4)
    hand.sync()
    assert hand.says("finished", "reason") == (jobs.FAILED_JOB, jobs.MAX_FAILED_INDEXES_EXCEEDED)


def test_an_ignored_failure_delays_its_index() -> None:
    rules = (FailureRule(IGNORE, (9,), by_codes=True),)
    hand = Jobs(
        parallelism=1, completions=1, part_count=1, backoff_limit_per_index=3, failure_policy=rules, only_failed=1
    )
    hand.settle()
    hand.finish(hand.of_index(0), well=False, exit_code=9)
    hand.wait(10 * SECOND)
    hand.finish(hand.of_index(0), well=False)
    hand.wait(19 * SECOND)
    assert hand.numbers() == []
    hand.sync()
    assert (hand.numbers(), hand.read(hand.job, "failed")) == ([0], 1)


def test_the_deadline_is_exact() -> None:
    hand = make(2, deadline_us=100 * SECOND)
    hand.wait(100 * SECOND - 1)
    assert hand.says("active", "target") == (2, jobs.NO_TARGET)
    hand.wait(1)
    assert hand.says("active", "failed", "reason", "terminating") == (0, 2, jobs.DEADLINE_EXCEEDED, 2)
    assert hand.read(hand.job, "finished") == 0
    hand.stopped()
    hand.sync()
    assert hand.says("finished", "completion_us", "failed") == (jobs.FAILED_JOB, -1, 2)


@pytest.mark.parametrize(
    ("action", "code", "failed", "finished"),
    [(FAIL_JOB, 42, 1, jobs.FAILED_JOB), (IGNORE, 42, 0, 0), (COUNT, 42, 1, 0), (FAIL_JOB, 41, 1, 0)],
)
def test_rules_for_exit_codes(action: int, code: int, failed: int, finished: int) -> None:
    rules = (FailureRule(action, (40, 42), by_codes=True), FailureRule(FAIL_JOB, (1, 40, 41, 42), False, True))
    hand = Jobs(parallelism=1, completions=2, failure_policy=rules, only_failed=1)
    hand.settle()
    hand.finish(hand.active(hand.job)[0], well=False, exit_code=code)
    hand.sync()
    assert hand.says("failed", "finished") == (failed, finished)
    assert hand.read(hand.job, "reason") == (jobs.POD_FAILURE_POLICY if finished else jobs.NO_REASON)


def test_fail_index_by_rule() -> None:
    rules = (FailureRule(FAIL_INDEX, (42,), by_codes=True),)
    hand = Jobs(
        parallelism=2, completions=2, part_count=2, backoff_limit_per_index=5, failure_policy=rules, only_failed=1
    )
    hand.settle()
    hand.finish(hand.of_index(1), well=False, exit_code=42)
    hand.wait(100 * SECOND)
    assert (hand.states(), hand.numbers()) == ([0, 2], [0])


@pytest.mark.parametrize(("ignored", "failed"), [(True, 0), (False, 1)])
def test_disruptions_may_be_ignored(ignored: bool, failed: int) -> None:
    rules = (FailureRule(IGNORE, disrupted=ignored),)
    hand = Jobs(parallelism=1, completions=1, failure_policy=rules, only_failed=1)
    hand.settle()
    (pod,) = hand.active(hand.job)
    hand.run(pod)
    hand.delete(pod)
    hand.sync()
    assert hand.status() == (0, 0, 0)
    hand.stopped()
    assert hand.cluster.life_phase[pod] == FAILED
    hand.wait(11 * SECOND)
    assert hand.status() == (1, 0, failed)


@pytest.mark.parametrize(("only_failed", "status"), [(0, (1, 0, 1)), (1, (0, 0, 0))])
def test_pods_that_others_delete_are_replaced_by_policy(only_failed: int, status: tuple[int, int, int]) -> None:
    hand = Jobs(parallelism=1, completions=1, only_failed=only_failed)
    hand.settle()
    (pod,) = hand.active(hand.job)
    hand.run(pod)
    hand.delete(pod)
    hand.wait(11 * SECOND)
    assert hand.status() == status
    hand.stopped()
    hand.wait(11 * SECOND)
    assert hand.status() == (1, 0, 1)
    assert len(hand.pods(hand.job)) == 1


@pytest.mark.parametrize(
    ("rules", "wins", "met"),
    [
        ((SuccessRule(((0, 1),)),), (0,), False), ((SuccessRule(((0, 1),)),), (0, 1), True),
        ((SuccessRule(((0, 1), (3, 3)), 2),), (0, 3), True), ((SuccessRule(((0, 1),), 1),), (3,), False),
        ((SuccessRule(count=2),), (2, 3), True), ((SuccessRule(((4, 4),)), SuccessRule(((2, 2),))), (2,), True),
    ],
)  # fmt: skip
def test_success_by_policy(rules: tuple[SuccessRule, ...], wins: tuple[int, ...], met: bool) -> None:
    hand = Jobs(parallelism=5, completions=5, part_count=5, success_policy=rules)
    hand.settle()
    hand.run(*hand.pods(hand.job))
    for number in wins:
        hand.finish(hand.of_index(number))
    hand.sync()
    left = 5 - len(wins)
    if not met:
        assert hand.says("active", "target") == (left, jobs.NO_TARGET)
        return
    assert hand.says("target", "reason", "terminating") == (jobs.SUCCESS_CRITERIA_MET, jobs.SUCCESS_POLICY, left)
    assert hand.says("finished", "failed") == (0, 0)
    hand.stopped()
    hand.sync()
    assert hand.says("finished", "succeeded", "failed") == (jobs.COMPLETE, len(wins), 0)


def test_at_most_500_are_counted_at_a_time() -> None:
    hand = Jobs(parallelism=600, completions=600)
    hand.settle()
    hand.sync()
    for pod in hand.pods(hand.job):
        hand.finish(pod)
    counts = []
    for _ in range(2):
        hand.sync()
        counts.append(hand.says("succeeded", "finished"))
    assert counts == [(500, 0), (600, jobs.COMPLETE)]


def test_what_pods_do_is_gathered_for_a_second() -> None:
    hand = Jobs(parallelism=2, completions=5)
    hand.settle()
    hand.wait(3 * SECOND)
    calls = hand.manager.reconcilers["job"].calls
    hand.finish(hand.active(hand.job)[0])
    hand.wait(400_000)
    hand.finish(hand.active(hand.job)[0])
    hand.wait(599_999)
    assert hand.says("succeeded") == (0,)
    hand.wait(1)
    assert hand.says("succeeded", "active") == (2, 2)
    # Two pods are created, two let go, and the status is written once.
    assert hand.manager.reconcilers["job"].calls - calls == 5


def test_the_status_comes_before_pods_are_let_go() -> None:
    hand = Jobs(limited=True, parallelism=30, completions=30)
    hand.wait(10 * SECOND)
    for pod in hand.pods(hand.job):
        hand.finish(pod)
    hand.wait(SECOND)
    hand.wait(0)
    while hand.read(hand.job, "succeeded") == 0:
        hand.wait(10_000)
    marks = Counter(int(hand.cluster.life_tracked[pod]) for pod in hand.pods(hand.job))
    assert hand.read(hand.job, "succeeded") == 30
    assert marks[TRACKED] == 0
    assert marks[COUNTED] > 0
    hand.restart("job")
    hand.wait(10 * SECOND)
    assert hand.says("succeeded", "finished") == (30, jobs.COMPLETE)


def test_a_pod_costs_two_calls() -> None:
    hand = Jobs(parallelism=100, completions=100)
    hand.settle()
    hand.sync()
    for pod in hand.pods(hand.job):
        hand.finish(pod)
    hand.sync()
    # Created and let go; the status at the start, with the ended ones, and with Complete.
    assert hand.manager.reconcilers["job"].calls == 200 + 3
