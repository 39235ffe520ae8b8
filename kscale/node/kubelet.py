"""The kubelet: what becomes of a pod on its node, step by step, compiled.

The loop (kscale.engine.living) calls ``kubelet_admit`` when a pod is bound, ``kubelet_resume`` for one that ran before
the run, ``kubelet_stop`` when its deletion is asked for, and ``kubelet_look`` at the time in ``life_due_us``. A look
compares the time with what is due and sets the next time; one that comes too early changes nothing.
"""

from __future__ import annotations

from typing import Any

from kscale.composer import Composer
from kscale.engine.clock import NEVER
from kscale.engine.living import CHANGED, HAS_FINISHED, HAS_STOPPED
from kscale.engine.objects import RUNNING_PHASE, SUCCEEDED
from kscale.kernels import kernel, plain

#: Values of ``life_stage``.
UNSEEN, STARTING, STARTED, READY = range(4)

COLUMNS: dict[str, Any] = {}


@kernel
def kubelet_admit(
    pod: int, node: int, now_us: int, pod_template: Any, life_stage: Any, life_due_us: Any, template_start_us: Any
) -> None:
    """Take a pod that was bound to the node just now."""
    life_stage[pod] = STARTING
    life_due_us[pod] = now_us + template_start_us[pod_template[pod]]


@kernel
def kubelet_resume(
    pod: int, node: int, now_us: int, pod_duration_us: Any, life_stage: Any, life_phase: Any, life_ready: Any,
    life_ready_us: Any, life_due_us: Any,
) -> None:  # fmt: skip
    """Take a pod that ran before the run began: it is ready, and has been for long."""
    life_stage[pod], life_phase[pod], life_ready[pod] = READY, RUNNING_PHASE, 1
    life_ready_us[pod] = -NEVER
    if pod_duration_us[pod] >= 0:
        life_due_us[pod] = now_us + pod_duration_us[pod]


@kernel
def kubelet_stop(
    pod: int, now_us: int, pod_template: Any, life_stage: Any, life_due_us: Any, life_deleted_us: Any,
    life_grace_us: Any, template_stop_us: Any,
) -> None:  # fmt: skip
    """Begin to end a pod whose deletion was asked for: its containers stop by themselves, or are killed."""
    end = life_deleted_us[pod] + life_grace_us[pod]
    if life_stage[pod] >= STARTED:
        end = min(end, life_deleted_us[pod] + template_stop_us[pod_template[pod]])
    else:
        end = life_deleted_us[pod]
    life_due_us[pod] = max(end, now_us)


@kernel
def kubelet_look(
    pod: int, now_us: int, pod_template: Any, pod_started_us: Any, pod_duration_us: Any, life_stage: Any,
    life_phase: Any, life_ready: Any, life_ready_us: Any, life_due_us: Any, life_deleted_us: Any, life_grace_us: Any,
    pod_bound_us: Any, template_start_us: Any, template_ready_us: Any, template_stop_us: Any,
) -> int:  # fmt: skip
    """Do what is due for the pod, set when to look next, and return what happened."""
    template = pod_template[pod]
    if life_deleted_us[pod] >= 0:
        end = life_deleted_us[pod]
        if life_stage[pod] >= STARTED:
            end += min(life_grace_us[pod], template_stop_us[template])
        if end <= now_us:
            return HAS_STOPPED
        life_due_us[pod] = end
        return 0
    what = 0
    if life_stage[pod] == STARTING:
        at = pod_bound_us[pod] + template_start_us[template]
        if at > now_us:
            life_due_us[pod] = at
            return 0
        life_stage[pod], life_phase[pod], pod_started_us[pod] = STARTED, RUNNING_PHASE, at
        what = CHANGED
    if life_stage[pod] == STARTED:
        at = pod_started_us[pod] + template_ready_us[template]
        if at > now_us:
            life_due_us[pod] = at
        else:
            life_stage[pod], life_ready[pod], life_ready_us[pod] = READY, 1, at
            what = CHANGED
    if pod_duration_us[pod] >= 0:
        at = pod_started_us[pod] + pod_duration_us[pod]
        if at <= now_us:
            life_phase[pod], life_ready[pod] = SUCCEEDED, 0
            return HAS_FINISHED
        life_due_us[pod] = min(life_due_us[pod], at)
    return what


def define(composer: Composer) -> None:
    """Add the kubelet's kernels."""
    for function in (kubelet_admit, kubelet_resume, kubelet_stop, kubelet_look):
        composer.use(plain(function).__name__, function)
