"""How fast a workload is scaled, by the figures of Kubernetes' own tests, and held to the plain twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common import pacing
from kscale.controllers.common.pacing import NO_TIME, History, Rules
from tests.twin import autoscaling as twin

SECOND = 1_000_000
MINUTE = 60 * SECOND
#: Enough that no limit of the spec matters.
MANY = 2000
DEFAULT_UP = [("Pods", 4, 15), ("Percent", 100, 15)]
DEFAULT_DOWN = [("Percent", 100, 15)]
Policies = Sequence[tuple[str, int, int]]


def rules_of(given_: Sequence[twin.Rules]) -> Rules:
    width = max([len(one.policies) for one in given_], default=0) + 1
    kinds = {"Pods": pacing.PODS, "Percent": pacing.PERCENT}
    columns = np.zeros((3, len(given_), width), np.int64)
    for row, one in enumerate(given_):
        for place, (kind, value, period) in enumerate(one.policies):
            columns[:, row, place] = kinds[kind], value, period
    select = np.array([["Max", "Min", "Disabled"].index(one.select) for one in given_])
    return Rules(np.array([one.window_us for one in given_]), select, *columns)


def history_of(given_: Sequence[twin.History]) -> History:
    width = max([len(one) for one in given_], default=0) + 1
    values, times = np.zeros((len(given_), width), np.int64), np.full((len(given_), width), NO_TIME)
    for row, entries in enumerate(given_):
        for place, (value, time) in enumerate(entries):
            values[row, place], times[row, place] = value, time
    return History(values, times)


def rules(policies: Policies, window_s: int = 0, select: str = "Max") -> twin.Rules:
    return twin.Rules(window_s * SECOND, select, tuple((kind, value, s * SECOND) for kind, value, s in policies))


@pytest.mark.parametrize(
    ("current", "wanted", "least", "most", "result", "reason"),
    [(5, 7, 3, 8, 7, "DesiredWithinRange"), (3, 1, 2, 8, 2, "TooFewReplicas"), (1, 0, 0, 10, 0, "DesiredWithinRange"),
     (20, 1000, 1, 10, 10, "TooManyReplicas"), (3, 1000, 1, 2000, 6, "ScaleUpLimit")],
)  # fmt: skip
def test_clamp(current: int, wanted: int, least: int, most: int, result: int, reason: str) -> None:
    found, few, fast = pacing.clamped(*(np.array([one]) for one in (current, wanted, least, most)))
    assert found.tolist() == [result]
    assert (few[0], fast[0]) == (reason == "TooFewReplicas", reason == "ScaleUpLimit")
    assert twin.clamped(current, wanted, least, most) == (result, reason)


#: Replicas, wanted, policies upwards, policies downwards, the fewest, changes within the period, and the result.
RULES: list[tuple[int, int, Policies, Policies, int, Sequence[int], int]] = [
    (10, 50, DEFAULT_UP, DEFAULT_DOWN, 1, (), 20),
    (10, 500, [("Pods", 100, 60), ("Percent", 100, 60)], DEFAULT_DOWN, 1, (), 110),
    (10, 500, [("Pods", 2, 60), ("Percent", 100, 60)], DEFAULT_DOWN, 1, (), 20),
    (10, 50, [("Pods", 100, 60)], DEFAULT_DOWN, 1, (), 50),
    (10, 50, [("Pods", 30, 60)], DEFAULT_DOWN, 1, (), 40),
    (10, 50, [("Percent", 200, 60)], DEFAULT_DOWN, 1, (), 30),
    (3, 1000, [("Percent", 1, 60)], DEFAULT_DOWN, 1, (), 4),
    (100, 2, DEFAULT_UP, [("Pods", 20, 60), ("Percent", 1, 60)], 1, (), 80),
    (100, 2, DEFAULT_UP, [("Pods", 2, 60), ("Percent", 1, 60)], 1, (), 98),
    (10, 0, DEFAULT_UP, [("Pods", 100, 60)], 1, (), 1),
    (10, 2, DEFAULT_UP, [("Percent", 100, 60)], 5, (), 5),
    (10, 2, DEFAULT_UP, [("Pods", 5, 60)], 1, (), 5),
    (10, 5, DEFAULT_UP, [("Percent", 50, 60)], 1, (), 5),
    (100, 500, [("Pods", 5, 120)], DEFAULT_DOWN, 1, (1, 5, 9), 100),
    (100, 500, [("Pods", 150, 120)], DEFAULT_DOWN, 1, (1, 5, 9), 235),
    (100, 500, [("Percent", 200, 120)], DEFAULT_DOWN, 1, (1, 5, 9), 255),
    (6, 500, [("Percent", 300, 300)], DEFAULT_DOWN, 1, (4, -2), 16),
    (100, 2, DEFAULT_UP, [("Pods", 5, 120)], 1, (-1, -5, -9), 100),
    (100, 2, DEFAULT_UP, [("Percent", 50, 120)], 1, (-2, -4, -6), 56),
    (10, 1, DEFAULT_UP, [("Percent", 50, 180)], 1, (2, -4), 6),
    (100, 2, DEFAULT_UP, [("Percent", 10, 120)], 1, (-10, -10, -10), 100),
    (10, 5, DEFAULT_UP, [("Percent", 1000, 120)], 1, (-10, -10, -10), 5),
]


def paced(cases: Sequence[tuple[int, int, int, int, twin.History, twin.Rules, twin.Rules]]) -> list[tuple[int, str]]:
    """Desired replicas and reasons, all at once."""
    current, desired, least, most = (np.array([case[i] for case in cases], np.int64) for i in range(4))
    events, up, down = (
        history_of([c[4] for c in cases]),
        rules_of([c[5] for c in cases]),
        rules_of([c[6] for c in cases]),
    )
    found, risen, fallen = pacing.clamped_by_rules(current, desired, least, most, events, 0, up, down)
    result = []
    for place in range(len(cases)):
        reason = "DesiredWithinRange"
        if found[place] != desired[place]:
            few = "TooFewReplicas" if desired[place] < found[place] else "TooManyReplicas"
            reason = "ScaleUpLimit" if risen[place] else "ScaleDownLimit" if fallen[place] else few
        result.append((int(found[place]), reason))
    return result


@pytest.mark.parametrize(("current", "wanted", "up", "down", "least", "changes", "result"), RULES)
def test_rules(
    current: int, wanted: int, up: Policies, down: Policies, least: int, changes: Sequence[int], result: int
) -> None:
    events = [(change, -1 * SECOND) for change in changes]
    assert paced([(current, wanted, least, MANY, events, rules(up), rules(down))])[0][0] == result
    assert twin.clamped_by_rules(current, wanted, least, MANY, events, 0, rules(up), rules(down))[0] == result


def test_the_spec_holds_beside_the_rules() -> None:
    events = [(change, -SECOND) for change in (1, 5, 9)]
    case = (100, 500, 1, 200, events, rules([("Percent", 200, 120)]), rules(DEFAULT_DOWN))
    assert paced([case]) == [(200, "TooManyReplicas")]


#: Windows upwards and downwards in seconds, recommendations with their minutes, replicas, wanted, result.
WINDOWS = [
    (0, 0, [], 100, 5, 5), (0, 180, [(4, -2), (5, -1)], 100, 3, 5), (300, 300, [(4, -2), (5, -1)], 1, 7, 4),
    (0, 0, [(1, -1), (2, -1)], 100, 3, 3), (300, 300, [(9, -3), (5, -2), (6, -1)], 1, 100, 5),
    (300, 300, [(3, -3)], 2, 1, 2), (300, 300, [(1, -3)], 2, 3, 2),
]  # fmt: skip


@pytest.mark.parametrize(("up", "down", "found", "current", "wanted", "result"), WINDOWS)
def test_stabilisation(
    up: int, down: int, found: list[tuple[int, int]], current: int, wanted: int, result: int
) -> None:
    before = [(value, minutes * MINUTE) for value, minutes in found]
    ways = rules(DEFAULT_UP, up), rules(DEFAULT_DOWN, down)
    told = pacing.stabilised_by_rules(
        np.array([current]), np.array([wanted]), history_of([before]), 0, rules_of(ways[:1]), rules_of(ways[1:])
    )
    assert told.tolist() == [result]
    assert twin.stabilised_by_rules(current, wanted, before, 0, *ways) == result


def test_the_window_without_rules_includes_its_beginning() -> None:
    for entry, result in (((8, -5 * MINUTE), 8), ((8, -5 * MINUTE - 1), 2)):
        found = pacing.stabilised(np.array([2]), history_of([[entry]]), 0, 5 * MINUTE)
        assert found.tolist() == [result] == [twin.stabilised(2, [entry], 0, 5 * MINUTE)]


seconds = st.sampled_from([-300, -120, -61, -60, -59, -15, -1]).map(lambda s: s * SECOND)
periods = st.sampled_from([15, 60, 120]).map(lambda s: s * SECOND)
policies = st.lists(
    st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 300), periods), min_size=1, max_size=3
)
some_rules = st.builds(
    twin.Rules, st.sampled_from([0, 15, 60, 300]).map(lambda s: s * SECOND),
    st.sampled_from(["Max", "Min", "Disabled"]), policies.map(tuple),
)  # fmt: skip
changes = st.lists(st.tuples(st.integers(-20, 20), seconds), max_size=4)
replicas = st.integers(1, 100)
some_cases = st.tuples(replicas, replicas, st.integers(1, 5), st.integers(50, 100), changes, some_rules, some_rules)


@settings(max_examples=70, deadline=None)
@given(st.lists(some_cases, min_size=1, max_size=5))
def test_rules_of_many_are_as_of_each_alone(cases: list[tuple]) -> None:  # type: ignore[type-arg]
    cases = [(min(max(case[0], case[2]), case[3]), *case[1:]) for case in cases]
    assert paced(cases) == [twin.clamped_by_rules(*case[:5], 0, *case[5:]) for case in cases]


entries = st.lists(st.tuples(st.integers(1, 50), seconds), max_size=5)


@settings(max_examples=70, deadline=None)
@given(st.lists(st.tuples(replicas, replicas, entries, some_rules, some_rules), min_size=1, max_size=5))
def test_stabilisation_of_many_is_as_of_each_alone(cases: list[tuple]) -> None:  # type: ignore[type-arg]
    current, desired = (np.array([case[i] for case in cases]) for i in (0, 1))
    history, up, down = (
        history_of([c[2] for c in cases]),
        rules_of([c[3] for c in cases]),
        rules_of([c[4] for c in cases]),
    )
    found = pacing.stabilised_by_rules(current, desired, history, 0, up, down)
    assert found.tolist() == [twin.stabilised_by_rules(c[0], c[1], c[2], 0, c[3], c[4]) for c in cases]
    found = pacing.stabilised(desired, history, 0, MINUTE)
    assert found.tolist() == [twin.stabilised(c[1], c[2], 0, MINUTE) for c in cases]


def test_histories_keep_what_counts_and_grow_as_they_must() -> None:
    history = history_of([[], []])
    for time in range(4):
        history = history.pushed(np.array([True, time == 0]), np.array([time + 5, 9]), time, np.array([time - 1, 0]))
    assert history.value[0].tolist() == [8, 7]
    assert history.time_us[0].tolist() == [3, 2]
    assert (history.value[1, 0], history.time_us[1].tolist()) == (9, [0, NO_TIME])
