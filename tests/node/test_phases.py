"""Phases, by the table of getPhase's own tests: two containers A and B."""

from __future__ import annotations

from typing import Any

import pytest

from kscale.engine.objects import FAILED, PENDING, RUNNING_PHASE, SUCCEEDED
from kscale.kernels import plain_form
from kscale.node.phases import INIT_DONE, INIT_FAILED, INIT_PENDING, phase_of
from kscale.state.lives import ALWAYS_RESTART, NEVER_RESTART, ON_FAILURE

P, R, S, F = PENDING, RUNNING_PHASE, SUCCEEDED, FAILED
NONE: dict[str, int] = {"waiting": 0, "running": 0, "stopped": 0, "unknown": 0, "failed": 0}
TABLE = [
    # A and B, then Always, Never, OnFailure
    ({"unknown": 2}, P, P, P),
    ({"running": 2}, R, R, R),
    ({"stopped": 2}, R, S, S),
    ({"stopped": 2, "failed": 2}, R, F, R),
    ({"running": 1, "stopped": 1}, R, R, R),
    ({"running": 1, "unknown": 1}, P, P, P),
    ({"running": 1, "waiting": 1}, P, P, P),
    # waiting with a last termination: it has stopped
    ({"running": 1, "stopped": 1, "failed": 1}, R, None, R),
]


def phase(restart: int, counts: dict[str, int], init: int = INIT_DONE, terminal: int = 0) -> Any:
    return plain_form(phase_of)(restart, init, *{**NONE, **counts}.values(), terminal)


@pytest.mark.parametrize(("counts", "always", "never", "on_failure"), TABLE)
def test_two_containers(counts: dict[str, int], always: int, never: int | None, on_failure: int) -> None:
    assert phase(ALWAYS_RESTART, counts) == always
    assert never is None or phase(NEVER_RESTART, counts) == never
    assert phase(ON_FAILURE, counts) == on_failure


def test_a_pod_that_has_ended_has_succeeded_or_failed_even_with_always() -> None:
    assert phase(ALWAYS_RESTART, {"stopped": 2}, terminal=1) == SUCCEEDED
    assert phase(ALWAYS_RESTART, {"stopped": 2, "failed": 1}, terminal=1) == FAILED


def test_init_containers_come_first() -> None:
    assert phase(ALWAYS_RESTART, {"running": 2}, INIT_PENDING) == PENDING
    assert phase(NEVER_RESTART, {}, INIT_FAILED) == FAILED
    assert phase(ON_FAILURE, {}, INIT_FAILED) == PENDING


def test_one_that_waits_for_the_first_time_holds_the_pod_unless_another_has_stopped() -> None:
    assert phase(ALWAYS_RESTART, {"waiting": 1, "stopped": 1}) == RUNNING_PHASE
