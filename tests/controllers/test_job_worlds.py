"""Jobs in random worlds: as the plain twin has them, never more pods than asked for, and the same end after crashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.controllers.common import jobs as conditions
from kscale.engine import requests
from kscale.engine.requests import Requests
from tests.controllers.job_worlds import STATUS, plain, some_job, something
from tests.controllers.world import Hand
from tests.twin import job as twin

SECOND = 1_000_000
SMALL = {"pod": 256, "life": 256, "due": 512}


def asked(hand: Hand, found: Requests, key: int, before: twin.Job) -> twin.Plan:
    """Return what the controller asks for of one key, as the twin says it."""
    plan = twin.Plan()
    plan.status, plan.indexes = dict(before.status), [list(index) for index in before.indexes]
    let_go: set[int] = set()
    found_twice: list[int] = []
    for request in found.asked:
        mine = request.some(request.key == key)
        columns = {name: values.tolist() for name, values in mine.columns.items()}
        if not len(mine):
            continue
        if request.verb == requests.CREATE_PODS:
            plan.created = [None if number < 0 else number for number in columns["number"]]
        elif request.verb == requests.DELETE_PODS:
            # Surplus ones are let go before; at the end of a job all are let go after that.
            (plan.surplus if set(columns["serial"]) <= let_go else plan.doomed).update(columns["serial"])
        elif request.verb == requests.TRACK_PODS and columns["tracked"][0] == 0:
            let_go |= set(columns["serial"])
            found_twice += columns["serial"]
        elif request.verb == requests.TRACK_PODS:
            plan.counted = set(columns["serial"])
        elif "part" in columns:
            for place, part in enumerate(columns["part"]):
                names = ("state", "failures", "ignored", "failed_us")
                plan.indexes[part] = [int(columns[name][place]) for name in names]
        elif "finished" in columns:
            plan.finished = 1 if columns["finished"] == [conditions.COMPLETE] else 2
        elif "active" in columns:
            plan.status = {name: columns[name][0] for name in STATUS}
            plan.status["reason"] = conditions.REASONS[columns["reason"][0]]
    plan.let_go = let_go - plan.surplus
    assert len(found_twice) == len(set(found_twice))
    plan.again = {int(t) for places, times in found.later for p, t in zip(places, times, strict=True) if p == key}
    return plan


def compare(hand: Hand, every: list[int]) -> None:
    open_ = [job for job in every if not hand.read(job, "finished")]
    found = controllers.found()["job"].step(hand.world, np.array(open_, np.int64), hand.now)
    for key, job in enumerate(open_):
        before, pods = plain(hand, job)
        got = asked(hand, found, key, before)
        expected = twin.sync(before, pods, hand.now)
        # The twin has conditions by their numbers: 1 fails, 2 is met.
        expected.finished = {0: 0, 1: 2, 2: 1}[expected.finished]
        assert got == expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_as_its_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hand = Hand("job", **SMALL)
    every = [some_job(rng, hand, f"job-{number}") for number in range(8)]
    for _ in range(30):
        compare(hand, every)
        if rng.random() < 0.4:
            hand.settle()
        something(rng, hand, every)
        if rng.random() < 0.02:
            hand.cluster.object_deleted_us[every[0]] = hand.now
        if rng.random() < 0.05 and hand.active(every[1]):
            hand.cluster.life_number[hand.active(every[1])[0]] = int(rng.integers(0, 8))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limited=st.booleans())
def test_never_more_pods_than_its_parallelism(seed: int, limited: bool) -> None:
    rng = np.random.default_rng(seed)
    hand = Hand("job", limited=limited, **SMALL)
    every = [some_job(rng, hand, f"job-{number}") for number in range(4)]
    most = [hand.read(job, "parallelism") for job in every]
    for _ in range(30):
        before = [hand.read(job, "parallelism") for job in every]
        something(rng, hand, every)
        hand.wait(int(rng.choice([0, 50_000, 2_000_000])))
        if rng.random() < 0.1:
            hand.restart("job")
        for place, job in enumerate(every):
            asked_for = hand.read(job, "parallelism")
            # While it is scaled down, the pods that it had may still be there; those of a work queue run on for good
            # when one has succeeded.
            stay = hand.read(job, "completions") < 0 and hand.read(job, "succeeded") > 0
            scaled_down = asked_for < before[place] or stay
            most[place] = max(most[place], before[place]) if scaled_down else asked_for
            assert len(hand.active(job)) <= most[place]


def _play(seed: int, crashes: bool) -> list[tuple[object, ...]]:
    """Let pods end as their job and its successes so far decide, until nothing more happens."""
    world, chance = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    hand = Hand("job", limited=True, **SMALL)
    every = [some_job(world, hand, f"job-{number}", disruptions=False) for number in range(4)]
    for job in every:
        hand.write(job, suspend=0, deadline_us=-1, parallelism=max(hand.read(job, "parallelism"), 1))
    for _ in range(40):
        hand.wait(int(chance.integers(1, 2_000_000)))
        if crashes and chance.random() < 0.5:
            hand.restart("job")
        for job in every:
            for pod in hand.active(job):
                number = int(hand.cluster.life_number[pod])
                hand.run(pod)
                hand.finish(pod, well=(seed + number) % 3 > 0, exit_code=(seed + number) % 5 + 5)
        hand.stopped()
        hand.wait(int(chance.integers(0, 300_000_000)))
    found = []
    for job in every:
        first, count = hand.read(job, "part_first"), hand.read(job, "part_count")
        states = hand.cluster.jobindex_state[first : first + count].tolist()
        names = ("finished", "reason", "active", "terminating", "suspended")
        found.append((*(hand.read(job, name) for name in names), states, hand.read(job, "succeeded")))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_crashes_change_nothing_in_the_end(seed: int) -> None:
    assert _play(seed, crashes=True) == _play(seed, crashes=False)
