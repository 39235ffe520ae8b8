"""Probes (pkg/kubelet/prober) in closed form: when they turn, and not each of their runs.

A worker runs its probe each period, counted from when the worker began; it goes on when its container is started anew.
The application answers from ``healthy_us`` until ``hang_us``. Before that it refuses at once; after that each run takes
its timeout. All times are instants; what never happens is at NEVER.
"""

from __future__ import annotations

from kscale.engine.clock import NEVER
from kscale.kernels import kernel


@kernel
def tick(worker_us: int, period_us: int, at_us: int) -> int:
    """Return the worker's first run at ``at_us`` or later."""
    if at_us <= worker_us:
        return worker_us
    if at_us >= NEVER:
        return NEVER
    return worker_us + (at_us - worker_us + period_us - 1) // period_us * period_us


@kernel
def first_success(worker_us: int, period_us: int, from_us: int, healthy_us: int, hang_us: int) -> int:
    """Return the first run that succeeds, of those at ``from_us`` or later."""
    at = tick(worker_us, period_us, max(from_us, healthy_us))
    return at if at < hang_us else NEVER


@kernel
def failed_often(
    worker_us: int, period_us: int, timeout_us: int, failure: int, from_us: int, healthy_us: int, hang_us: int
) -> int:
    """Return when runs have failed ``failure`` times in a row, the first of them at ``from_us`` or later."""
    if from_us >= NEVER:
        return NEVER
    first = tick(worker_us, period_us, from_us)
    well = first_success(worker_us, period_us, from_us, healthy_us, hang_us)
    last = first + (failure - 1) * period_us
    if well <= last:
        if hang_us >= NEVER:
            return NEVER
        last = tick(worker_us, period_us, max(from_us, hang_us)) + (failure - 1) * period_us
    return last + (timeout_us if last >= hang_us else 0)
