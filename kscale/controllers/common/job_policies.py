"""The rules of a Job for pods that failed (podFailurePolicy) and for an early end (successPolicy), kept as texts."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np

from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: What becomes of a pod that failed; most first.
COUNT, IGNORE, FAIL_INDEX, FAIL_JOB = range(4)
ACTIONS = {"Count": COUNT, "Ignore": IGNORE, "FailIndex": FAIL_INDEX, "FailJob": FAIL_JOB}


class FailureRule(msgspec.Struct, frozen=True):
    """A rule for pods that failed.

    Attributes:
        action: see above.
        codes: exit codes, without 0.
        among: whether the rule is for these codes; otherwise for all others.
        by_codes: whether it looks at exit codes; otherwise at whether the pod was disrupted.
        disrupted: the statuses of the condition DisruptionTarget for which it is.
    """

    action: int
    codes: tuple[int, ...] = ()
    among: bool = True
    by_codes: bool = False
    disrupted: bool = False


class SuccessRule(msgspec.Struct, frozen=True):
    """A rule for an early end: ``indexes`` (first and last of ranges) that count, all where none; ``count`` of them."""

    indexes: tuple[tuple[int, int], ...] = ()
    count: int = -1


@cache
def failure_rules(text: str) -> tuple[FailureRule, ...]:
    """Return the rules of a text."""
    return msgspec.json.decode(text, type=tuple[FailureRule, ...])


@cache
def success_rules(text: str) -> tuple[SuccessRule, ...]:
    """Return the rules of a text."""
    return msgspec.json.decode(text, type=tuple[SuccessRule, ...])


def text_of(rules: tuple[FailureRule, ...] | tuple[SuccessRule, ...]) -> str:
    """Return the text of rules."""
    return msgspec.json.encode(rules).decode()


def actions_for(world: World, pods: Rows, policies: Rows) -> Rows:
    """Return what becomes of each of ``pods``, which have failed, by the rules of its Job: the first that matches.

    A pod that others than its Job delete was disrupted: it has the condition DisruptionTarget.
    """
    cluster = world.cluster
    codes, disrupted = cluster.life_exit_code[pods], cluster.life_deleted_us[pods] >= 0
    actions = np.full(len(pods), COUNT)
    for policy in np.unique(policies[policies >= 0]).tolist():
        open_ = policies == policy
        for rule in failure_rules(world.texts[policy]):
            matches = (codes != 0) & (np.isin(codes, rule.codes) == rule.among) if rule.by_codes else (
                disrupted & rule.disrupted
            )  # fmt: skip
            actions[open_ & matches] = rule.action
            open_ &= ~matches
    return actions


def successes(world: World, policies: Rows, jobs: Rows, numbers: Rows, completed: Rows) -> Rows:
    """Return which jobs have done enough by their rules (mask).

    ``jobs`` and ``numbers`` are places of jobs and indexes, for each index of each job; ``completed`` says which are.
    """
    met = np.zeros(len(policies), bool)
    for policy in np.unique(policies[policies >= 0]).tolist():
        of = policies[jobs] == policy
        for rule in success_rules(world.texts[policy]):
            counts = of & _among(numbers, rule.indexes)
            done = np.bincount(jobs[counts & completed], minlength=len(policies))
            asked = np.bincount(jobs[counts], minlength=len(policies)) if rule.count < 0 else rule.count
            met |= (policies == policy) & (done >= asked)
    return met


def _among(numbers: Rows, ranges: tuple[tuple[int, int], ...]) -> Rows:
    if not ranges:
        return np.ones(len(numbers), bool)
    firsts, lasts = np.array(ranges).T
    at = np.searchsorted(firsts, numbers, side="right") - 1
    return (at >= 0) & (numbers <= lasts[np.maximum(at, 0)])
