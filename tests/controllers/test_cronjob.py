"""The CronJob controller, by the figures of its upstream tests, and as its plain twin."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.controllers.common.cron_times import FEW_MISSED, MANY_MISSED, NONE_MISSED, most_recent_of
from kscale.controllers.cronjob import DELTA_US
from kscale.engine import requests
from tests.controllers.world import Hand
from tests.twin import cronjob as twin

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
#: 2016-05-19 10:00, a Thursday.
T0 = round(datetime.datetime(2016, 5, 19, 10, tzinfo=datetime.UTC).timestamp()) * SECOND
WORKDAYS = "30 10,11,12 * * 1-5"


class Crons(Hand):
    """A world at T0 with CronJobs and their Jobs."""

    def __init__(self, **sizes: int) -> None:
        super().__init__("cronjob", "job", "ttl-after-finished", **sizes)
        self.world.epoch_us = T0

    def cron(self, text: str, *, last: int = -1, name: str = "tick", **columns: Any) -> int:
        """Make a CronJob; ``last`` is its last start, from T0."""
        self.world.texts.append(text)
        made = {"job_completions": 1, "schedule": len(self.world.texts) - 1, **columns}
        return self.make("CronJob", name, last_schedule_us=T0 + last if last >= 0 else -1, **made)

    def requeue(self, cronjob: int) -> int:
        """Return how long from now a CronJob comes again by itself."""
        found = controllers.found()["cronjob"].step(self.world, np.array([cronjob]), self.now)
        ((_, times),) = found.later
        return int(times[0]) - self.now

    def jobs(self) -> list[str]:
        return [self.world.name(job) for job in self.objects("Job")]

    def end(self, *, well: bool = True) -> None:
        """Let all pods that are there end."""
        for pod in self.active():
            self.run(pod)
            self.finish(pod, well=well)
        self.wait(2 * SECOND)


@pytest.mark.parametrize(
    ("text", "earliest", "now", "recent", "missed"),
    [
        ("0 * * * ?", 0, 30 * SECOND, None, NONE_MISSED),
        ("0 * * * ?", 0, 61 * MINUTE, HOUR, NONE_MISSED),
        ("0 * * * ?", 10 * SECOND, 301 * MINUTE, 5 * HOUR, FEW_MISSED),
        ("30 6-16/4 * * 1-5", 30 * MINUTE, DAY + 31 * MINUTE, DAY + 30 * MINUTE, FEW_MISSED),
        (WORKDAYS, 30 * MINUTE, 30 * HOUR + 30 * MINUTE, None, FEW_MISSED),
        (WORKDAYS, 30 * MINUTE, 96 * HOUR + 31 * MINUTE, 96 * HOUR + 30 * MINUTE, FEW_MISSED),
        ("@every 1h", MINUTE, 7 * DAY, 6 * DAY + 23 * HOUR + MINUTE, MANY_MISSED),
        ("59 23 31 2 *", 0, 7 * DAY, None, NONE_MISSED),
        ("*/5 * * * *", 30 * MINUTE, 31 * MINUTE, None, NONE_MISSED),
    ],
)
def test_the_most_recent_start(text: str, earliest: int, now: int, recent: int | None, missed: int) -> None:
    found = most_recent_of(text, "UTC", T0 + earliest, T0 + now)
    assert found == (-1 if recent is None else T0 + recent, missed)


@pytest.mark.parametrize(
    ("text", "last", "now", "left"),
    [
        ("30 6-16/4 * * 1-5", 30 * MINUTE, 31 * MINUTE, 3 * HOUR + 59 * MINUTE),
        (WORKDAYS, 30 * MINUTE, 30 * HOUR + 30 * MINUTE, 66 * HOUR),
        ("0 12 * * 4", 2 * HOUR, 19 * DAY + HOUR + 30 * MINUTE, 48 * HOUR + 30 * MINUTE),
        ("0 12 * * 5", -1, 6 * HOUR, 20 * HOUR),
    ],
)
def test_when_it_comes_again(text: str, last: int, now: int, left: int) -> None:
    hand = Crons()
    cronjob = hand.cron(text, last=last)
    hand.now = now
    assert hand.requeue(cronjob) == left + DELTA_US


def test_never_ran() -> None:
    hand = Crons()
    hand.now = -HOUR
    cronjob = hand.cron("0 * * * ?")
    hand.now = -MINUTE
    assert hand.requeue(cronjob) == MINUTE + DELTA_US
    hand.settle()
    assert hand.jobs() == []
    hand.now = MINUTE
    assert hand.requeue(cronjob) == 59 * MINUTE + DELTA_US
    hand.settle()
    assert hand.jobs() == [f"tick-{T0 // MINUTE}"]
    assert hand.read(cronjob, "last_schedule_us") == T0
    hand.wait(HOUR)
    assert len(hand.jobs()) == 2


def test_too_late_to_start() -> None:
    hand = Crons()
    hand.now = -HOUR
    cronjob = hand.cron("0 * * * ?", deadline_us=10 * SECOND)
    hand.now = MINUTE
    assert hand.requeue(cronjob) == 59 * MINUTE + DELTA_US
    hand.settle()
    assert hand.jobs() == []


@pytest.mark.parametrize(
    ("policy", "active", "jobs"), [(0, 2, [0, 60]), (1, 1, [0]), (2, 1, [60])], ids=["Allow", "Forbid", "Replace"]
)
def test_while_a_job_runs(policy: int, active: int, jobs: list[int]) -> None:
    hand = Crons()
    cronjob = hand.cron("0 * * * ?", last=-1, concurrency=policy)
    hand.cluster.object_created_us[cronjob] = -MINUTE
    hand.wait(HOUR + MINUTE)
    assert hand.jobs() == [f"tick-{T0 // MINUTE + minutes}" for minutes in jobs]
    assert hand.read(cronjob, "active") == active
    if policy == 1:
        # It is looked at again when the Job ends, and what was skipped may still be started: it has no deadline.
        hand.end()
        assert hand.jobs() == [f"tick-{T0 // MINUTE + minutes}" for minutes in (0, 60)]


@pytest.mark.parametrize(("deadline", "many"), [(-1, 1), (10 * SECOND, 0), (2 * HOUR, 0)])
def test_a_week_later(deadline: int, many: int) -> None:
    hand = Crons()
    hand.now = -HOUR
    cronjob = hand.cron("0 * * * ?", deadline_us=deadline)
    hand.now = 7 * DAY
    assert hand.requeue(cronjob) == HOUR + DELTA_US
    hand.settle()
    assert len(hand.jobs()) == 1
    assert (hand.read(cronjob, "many_missed"), hand.read(cronjob, "last_schedule_us")) == (many, T0 + 7 * DAY)


def test_suspended_starts_nothing() -> None:
    hand = Crons()
    cronjob = hand.cron("* * * * *", suspend=1)
    hand.wait(10 * MINUTE)
    assert hand.jobs() == []
    hand.write(cronjob, suspend=0)
    hand.settle()
    assert hand.jobs() == [f"tick-{T0 // MINUTE + 10}"]


@pytest.mark.parametrize(("well", "kept"), [(True, 3), (False, 1)])
def test_history(well: bool, kept: int) -> None:
    hand = Crons()
    cronjob = hand.cron("* * * * *", job_backoff_limit=0)
    for _ in range(6):
        hand.wait(MINUTE - 2 * SECOND)
        hand.end(well=well)
    hand.end(well=well)
    finished = [job for job in hand.objects("Job") if hand.read(job, "finished")]
    assert len(finished) == kept
    assert hand.jobs()[-kept:] == [f"tick-{T0 // MINUTE + minute}" for minute in range(7 - kept, 7)][-kept:]
    assert (hand.read(cronjob, "last_successful_us") > 0) == well


def test_a_pass_that_was_broken_off_is_gone_on_with() -> None:
    hand = Crons()
    cronjob = hand.cron("* * * * *", concurrency=1)
    hand.wait(MINUTE + SECOND)
    assert len(hand.jobs()) == 1
    hand.cluster.cronjob_last_schedule_us[hand.cluster.object_row[cronjob]] = -1
    hand.restart("cronjob")
    hand.settle()
    assert len(hand.jobs()) == 1
    assert hand.read(cronjob, "last_schedule_us") == T0 + MINUTE


def test_a_run_costs_a_creation_and_a_status() -> None:
    hand = Crons()
    hand.cron("0 * * * *")
    hand.wait(HOUR + SECOND)
    assert hand.manager.reconcilers["cronjob"].calls == 2
    hand.end()
    assert hand.manager.reconcilers["cronjob"].calls == 3


def _plain(hand: Crons, cronjob: int) -> tuple[dict[str, Any], list[twin.Run]]:
    cluster, epoch = hand.cluster, hand.world.epoch_us
    names = ("active", "last_schedule_us", "last_successful_us", "many_missed")
    spec = {
        n: hand.read(cronjob, n) for n in ("concurrency", "suspend", "deadline_us", "most_successful", "most_failed")
    }
    texts, zone = hand.world.texts, hand.read(cronjob, "zone")
    spec |= {
        "schedule": texts[hand.read(cronjob, "schedule")], "zone": texts[zone] if zone >= 0 else "UTC",
        "created": int(cluster.object_created_us[cronjob]) + epoch, "status": {n: hand.read(cronjob, n) for n in names},
    }  # fmt: skip
    runs = [
        twin.Run(int(cluster.object_uid[job]), hand.read(job, "scheduled_minute"), hand.read(job, "finished"),
                 hand.read(job, "start_us"), hand.read(job, "completion_us"))
        for job in hand.objects("Job", cronjob) if cluster.object_deleted_us[job] < 0
    ]  # fmt: skip
    return spec, runs


def _compare(hand: Crons, every: list[int]) -> None:
    found = controllers.found()["cronjob"].step(hand.world, np.array(every), hand.now)
    for key, cronjob in enumerate(every):
        spec, runs = _plain(hand, cronjob)
        expected = twin.sync(spec, runs, hand.now + hand.world.epoch_us)
        got = twin.Plan(status=dict(spec["status"]))
        for request in found.asked:
            mine = {name: values[request.key == key].tolist() for name, values in request.columns.items()}
            if request.verb == requests.DELETE_OBJECTS:
                got.deleted |= set(mine["uid"])
            elif request.verb == requests.CREATE_OBJECTS and mine["scheduled_minute"]:
                (got.created,) = mine["scheduled_minute"]
            elif request.verb == requests.UPDATE and mine["object"]:
                got.status = {name: mine[name][0] for name in got.status}
        for places, times in found.later:
            for time in times[places == key].tolist():
                got.again = time + hand.world.epoch_us
        assert got == expected


TEXTS = ("*/5 * * * *", "0 */2 * * *", "30 10,11,12 * * 1-5", "@every 420s", "15 3 */3 * 2", "* * * * *")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_its_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hand = Crons(pod=256, life=256, due=512)
    every = []
    hand.world.texts.append("Europe/Berlin")
    for number in range(5):
        every.append(
            hand.cron(
                str(rng.choice(TEXTS)), name=f"tick-{number}", concurrency=int(rng.integers(0, 3)),
                deadline_us=int(rng.choice([-SECOND, 10 * SECOND, HOUR])), zone=int(rng.choice([-1, 0])),
                suspend=int(rng.random() < 0.1), most_successful=int(rng.integers(0, 3)), job_backoff_limit=0,
                most_failed=int(rng.integers(0, 2)), job_ttl_us=int(rng.choice([-1, 90 * SECOND])),
            )
        )  # fmt: skip
        hand.now += int(rng.integers(0, 100)) * SECOND
    for _ in range(14):
        _compare(hand, every)
        if rng.random() < 0.7:
            hand.settle()
            _compare(hand, every)
        hand.now += int(rng.choice([SECOND, 61 * SECOND, 11 * MINUTE, 26 * HOUR]))
        for pod in hand.active():
            if rng.random() < 0.6:
                hand.run(pod)
                hand.finish(pod, well=bool(rng.random() < 0.6))


def test_more_than_a_hundred_are_missed() -> None:
    assert most_recent_of("0 * * * *", "UTC", T0, T0 + 100 * HOUR)[1] == FEW_MISSED
    assert most_recent_of("0 * * * *", "UTC", T0, T0 + 101 * HOUR)[1] == MANY_MISSED
