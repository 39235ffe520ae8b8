"""What a kubelet tells of a pod: its phase and whether it is ready, as soon as its client may make the call."""

from __future__ import annotations

from typing import Any

from kscale.engine.clock import NEVER
from kscale.engine.living import CHANGED
from kscale.engine.objects import RUNNING_PHASE
from kscale.kernels import kernel
from kscale.node.columns import BUCKETS, PLEG, READINESS
from kscale.node.containers import BACKOFF, DONE, HELD_PULL, RUN, spend
from kscale.node.limits import granted
from kscale.node.phases import INIT_DONE, INIT_FAILED, INIT_PENDING, phase_of
from kscale.node.starting import FINISHING, READY, STARTED
from kscale.node.stopping import stopped_at
from kscale.state.lives import INIT, NEVER_RESTART, REGULAR

#: What ``state_of`` returns: the phase, and these bits above it.
IS_READY, IS_OVER, HAS_ADDRESS = 8, 16, 32


@kernel
def state_of(
    pod: int, now_us: int, pod_template: Any, template_container_first: Any, template_container_last: Any,
    template_restart: Any, template_static: Any, container_kind: Any, life_cursor: Any, life_slot_state: Any,
    life_slot_seen_us: Any, life_slot_ready_us: Any, life_slot_unready_us: Any, life_slot_code: Any,
    life_slot_restarts: Any,
) -> int:  # fmt: skip
    """Return the pod's phase from what its kubelet knows now, whether it is ready, over, and has an address to tell.

    The sandbox's address is told by the sync after the one that made it: that one goes on to the first init container,
    or through all containers, and the next begins when the kubelet has seen what came of it.
    """
    template = pod_template[pod]
    first, restart = template_container_first[template], template_restart[template]
    waiting, running, stopped, failed, left, ready, init = 0, 0, 0, 0, 0, 1, INIT_DONE
    count, address = template_container_last[template] - first, 0
    for slot in range(count):
        kind, state = container_kind[first + slot], life_slot_state[pod, slot]
        runs = state == RUN and life_slot_seen_us[pod, slot] <= now_us
        if kind != REGULAR or life_cursor[pod] >= count:
            if runs or state in (BACKOFF, DONE, HELD_PULL) or life_slot_restarts[pod, slot] > 0:
                address = HAS_ADDRESS
        if kind != REGULAR and slot >= life_cursor[pod]:
            init = INIT_FAILED if state == DONE else INIT_PENDING
            break
        if kind == INIT:
            continue
        if not (runs and life_slot_ready_us[pod, slot] <= now_us < life_slot_unready_us[pod, slot]):
            ready = 0
        if runs:
            running += 1
            left += kind == REGULAR
        elif kind == REGULAR:
            if state == DONE or life_slot_restarts[pod, slot] > 0:
                stopped += 1
                failed += state != DONE or life_slot_code[pod, slot] != 0
            else:
                waiting += 1
            left += state != DONE
    over = init == INIT_FAILED and restart == NEVER_RESTART
    if init == INIT_DONE and left == 0:
        # Only sidecars are left, and they do not count.
        over, running = True, 0
    terminal = 1 if over and template_static[template] == 0 else 0
    phase = phase_of(restart, init, waiting, running, stopped, 0, failed, terminal)
    if phase == RUNNING_PHASE:
        address = HAS_ADDRESS
    is_ready = IS_READY if ready != 0 and init == INIT_DONE and not over else 0
    return phase + is_ready + (IS_OVER if over else 0) + address


@kernel
def count_start(pod: int, life_spent_us: Any, startup_count: Any, startup_sum_us: Any, startup_bucket: Any) -> None:
    """Add the steps of the pod's start to those of all pods."""
    for step in range(life_spent_us.shape[1]):
        spent, bucket = life_spent_us[pod, step], 0
        startup_count[step] += 1
        startup_sum_us[step] += spent
        while spent >= 1000 << bucket and bucket < BUCKETS - 1:
            bucket += 1
        startup_bucket[step, bucket] += 1


@kernel
def tell(
    pod: int, state: int, now_us: int, pod_node: Any, pod_started_us: Any, life_phase: Any, life_ready: Any,
    life_ready_us: Any, life_addressed: Any, life_stage: Any, life_call_us: Any, life_mark_us: Any, life_spent_us: Any,
    node_call_us: Any, startup_count: Any, startup_sum_us: Any, startup_bucket: Any, kubelet_call_gap_us: Any,
    kubelet_call_burst: Any,
) -> int:  # fmt: skip
    """Tell the pod's status where it changed, or wait for the call; return what changed."""
    phase, ready = state & 7, 1 if state & IS_READY != 0 else 0
    addressed = 1 if state & HAS_ADDRESS != 0 else life_addressed[pod]
    if phase == life_phase[pod] and ready == life_ready[pod] and addressed == life_addressed[pod]:
        life_call_us[pod] = -1
        return 0
    if life_call_us[pod] < 0:
        life_call_us[pod] = granted(pod_node[pod], now_us, node_call_us, kubelet_call_gap_us, kubelet_call_burst)
    if life_call_us[pod] > now_us:
        return 0
    life_call_us[pod] = -1
    life_phase[pod], life_addressed[pod] = phase, addressed
    if ready != life_ready[pod]:
        life_ready[pod], life_ready_us[pod] = ready, now_us
    if phase == RUNNING_PHASE and life_stage[pod] < STARTED:
        life_stage[pod], pod_started_us[pod] = STARTED, now_us
        spend(pod, PLEG, now_us, life_mark_us, life_spent_us)
    if ready != 0 and life_stage[pod] == STARTED:
        life_stage[pod] = READY
        spend(pod, READINESS, now_us, life_mark_us, life_spent_us)
        count_start(pod, life_spent_us, startup_count, startup_sum_us, startup_bucket)
    return CHANGED


@kernel
def begin_end(
    pod: int, state: int, now_us: int, pod_template: Any, template_container_first: Any, template_container_last: Any,
    template_grace_us: Any, container_kind: Any, container_prestop_us: Any, container_stop_us: Any, life_stage: Any,
    life_stop_us: Any, life_call_us: Any, life_due_us: Any, life_end_phase: Any, life_slot_state: Any,
    life_slot_start_us: Any, life_slot_end_us: Any, life_slot_own_us: Any, life_slot_kill_us: Any,
    kubelet_least_grace_us: Any,
) -> None:  # fmt: skip
    """Let a pod that is over come to its end: its sidecars are stopped first."""
    life_stage[pod], life_end_phase[pod], life_call_us[pod] = FINISHING, state & 7, -1
    life_stop_us[pod] = stopped_at(
        pod, now_us, template_grace_us[pod_template[pod]], 1, pod_template, template_container_first,
        template_container_last, container_kind, container_prestop_us, container_stop_us, life_slot_state,
        life_slot_start_us, life_slot_end_us, life_slot_own_us, life_slot_kill_us, kubelet_least_grace_us,
    )  # fmt: skip
    life_due_us[pod] = life_stop_us[pod]


@kernel
def set_due(
    pod: int, pod_template: Any, template_container_first: Any, template_container_last: Any, life_call_us: Any,
    life_due_us: Any, life_slot_due_us: Any,
) -> None:  # fmt: skip
    """Set when the kubelet looks next."""
    template, due = pod_template[pod], NEVER
    for slot in range(template_container_last[template] - template_container_first[template]):
        due = min(due, life_slot_due_us[pod, slot])
    if life_call_us[pod] >= 0:
        due = min(due, life_call_us[pod])
    life_due_us[pod] = due
