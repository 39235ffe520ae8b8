"""The phase of a pod (getPhase of pkg/kubelet), from what its kubelet knows of its containers."""

from __future__ import annotations

from kscale.engine.objects import FAILED, PENDING, RUNNING_PHASE, SUCCEEDED
from kscale.kernels import kernel
from kscale.state.lives import ALWAYS_RESTART, NEVER_RESTART

#: What holds for the init containers: all are done, one is pending, one has failed.
INIT_DONE, INIT_PENDING, INIT_FAILED = range(3)


@kernel
def phase_of(
    restart: int, init: int, waiting: int, running: int, stopped: int, unknown: int, failed: int, terminal: int
) -> int:
    """Return the phase.

    ``waiting`` counts containers that wait and have not run yet; ``stopped`` those that have run and do not; of them
    ``failed`` did not end well; ``unknown`` those without a status. ``terminal``: the pod has ended, and is not static.
    """
    if init == INIT_FAILED and restart == NEVER_RESTART:
        return FAILED
    if init != INIT_DONE:
        return PENDING
    if waiting > 0:
        return RUNNING_PHASE if stopped > 0 else PENDING
    if running > 0 and unknown == 0:
        return RUNNING_PHASE
    if running == 0 and stopped > 0 and unknown == 0:
        if terminal != 0:
            return FAILED if failed > 0 else SUCCEEDED
        if restart == ALWAYS_RESTART:
            return RUNNING_PHASE
        if failed == 0:
            return SUCCEEDED
        return FAILED if restart == NEVER_RESTART else RUNNING_PHASE
    return PENDING
