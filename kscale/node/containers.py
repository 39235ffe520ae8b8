"""Containers of a pod: each begins, is pulled, runs, exits and is started anew, in events that are few.

What becomes of a container is settled when it starts: when it will exit and with what, when its probes turn. The
kubelet looks again when the next of these comes. A container's exit is seen at the node's next look at the runtime.
"""

from __future__ import annotations

from typing import Any

from kscale.engine.clock import NEVER
from kscale.kernels import kernel
from kscale.node.chance import CRASH_AT_ONCE, CRASH_LATER, PULL_REQUEUE, REQUEUE, bits_of, exponential
from kscale.node.columns import CONTAINERS, INIT_STEP, PULL
from kscale.node.images import fail_pull, image_there, pull_image, puller_free
from kscale.node.limits import accepts
from kscale.node.probes import failed_often, first_success, tick
from kscale.state.lives import ALWAYS_RESTART, INIT, NEVER_RESTART, REGULAR, SIDECAR

#: Values of ``life_slot_state``: not begun; to begin at its due time; its image is pulled, or that fails; it waits
#: before it is pulled again; its image is there; it runs, as far as its kubelet knows; it waits before it is started
#: anew; it has exited for good.
IDLE, BEGIN, PULLING, FAILING, HELD_PULL, FETCHED, RUN, BACKOFF, DONE = range(9)
#: Values of ``container_pulls``.
IF_NOT_PRESENT, ALWAYS, NEVER_PULLS = range(3)
#: Exit codes of what is killed, and of what ends at SIGTERM.
KILLED, TERMINATED = 137, 143
#: Draws of one container are so far apart.
_SLOTS = 256


@kernel
def relisted(node: int, at_us: int, node_relist_us: Any, kubelet_relist_us: Any, kubelet_evented: Any) -> int:
    """Return when the node's kubelet sees what happens at ``at_us``: at its next look at the runtime."""
    if kubelet_evented[0] != 0 or at_us >= NEVER:
        return at_us
    period, first = kubelet_relist_us[0], node_relist_us[node]
    return first - (first - at_us) // period * period


@kernel
def spend(pod: int, step: int, until_us: int, life_mark_us: Any, life_spent_us: Any) -> None:
    """Account for the time since the last mark: it was spent in ``step``."""
    if until_us > life_mark_us[pod]:
        life_spent_us[pod, step] += until_us - life_mark_us[pod]
        life_mark_us[pod] = until_us


@kernel
def requeued(
    pod: int, slot: int, now_us: int, until_us: int, use: int, count: int, pod_trace_row: Any, kubelet_requeue_us: Any,
    cluster_seed: Any,
) -> int:  # fmt: skip
    """Return when a sync that fails now is tried again with success: it is each 10 s times U[1, 1.5]."""
    requeue = kubelet_requeue_us[0]
    if requeue <= 0:
        return until_us
    draw = 0
    while now_us < until_us:
        bits = bits_of(pod_trace_row[pod], (count * _SLOTS + slot) * 64 + draw, use, cluster_seed)
        now_us += requeue + bits % (requeue // 2 + 1)
        draw += 1
    return now_us


@kernel
def next_backoff(backoff_us: int, set_us: int, now_us: int, first_us: int, most_us: int) -> int:
    """Return the back-off after the next start, now: twice the last one, or the first where that is forgotten."""
    if backoff_us == 0 or now_us - set_us > 2 * most_us:
        return first_us
    return min(2 * backoff_us, most_us)


@kernel
def follow_container(
    pod: int, slot: int, at_us: int, life_cursor: Any, life_slot_state: Any, life_slot_due_us: Any, pod_template: Any,
    template_container_first: Any, template_container_last: Any,
) -> None:  # fmt: skip
    """Let the sync go on at ``at_us`` to the container after ``slot``, if that is where it is."""
    template = pod_template[pod]
    if life_cursor[pod] == slot:
        life_cursor[pod] = slot + 1
        if slot + 1 < template_container_last[template] - template_container_first[template]:
            life_slot_state[pod, slot + 1], life_slot_due_us[pod, slot + 1] = BEGIN, at_us


@kernel
def want_image(
    pod: int, slot: int, now_us: int, pod_node: Any, pod_template: Any, template_container_first: Any,
    container_image: Any, container_kind: Any, container_pulls: Any, container_pull_failures: Any, life_mark_us: Any,
    life_spent_us: Any, life_slot_state: Any, life_slot_due_us: Any, life_slot_pulls: Any, node_layers: Any,
    node_pulling: Any, node_puller_us: Any, node_pull_us: Any, image_layers: Any, layer_bytes: Any,
    kubelet_pull_us: Any, kubelet_pull_bytes_per_s: Any, kubelet_unpack_bytes_per_s: Any, kubelet_pull_gap_us: Any,
    kubelet_pull_burst: Any, kubelet_registry_failing: Any,
) -> None:  # fmt: skip
    """Let a container that is to begin have its image: at once where it is there, or by a pull when its time comes."""
    node, container = pod_node[pod], template_container_first[pod_template[pod]] + slot
    image, pulls, at = container_image[container], container_pulls[container], life_slot_due_us[pod, slot]
    there = image_there(node, image, node_layers, image_layers)
    step = CONTAINERS if container_kind[container] == REGULAR else INIT_STEP
    if there != 0 and pulls != ALWAYS:
        spend(pod, step, at, life_mark_us, life_spent_us)
        life_slot_state[pod, slot] = FETCHED
    elif at <= now_us:
        spend(pod, step, at, life_mark_us, life_spent_us)
        failures = container_pull_failures[container]
        begins = puller_free(node, at, node_puller_us)
        if pulls == NEVER_PULLS:
            life_slot_state[pod, slot], life_slot_due_us[pod, slot] = FAILING, at
        elif accepts(node, begins, node_pull_us, kubelet_pull_gap_us, kubelet_pull_burst) == 0:
            life_slot_state[pod, slot], life_slot_due_us[pod, slot] = FAILING, begins
        elif kubelet_registry_failing[0] != 0 or failures < 0 or life_slot_pulls[pod, slot] < failures:
            life_slot_due_us[pod, slot] = fail_pull(node, at, node_puller_us, kubelet_pull_us)
            life_slot_state[pod, slot] = FAILING
        else:
            life_slot_due_us[pod, slot] = pull_image(
                node, image, at, node_layers, node_pulling, node_puller_us, image_layers, layer_bytes, kubelet_pull_us,
                kubelet_pull_bytes_per_s, kubelet_unpack_bytes_per_s,
            )  # fmt: skip
            life_slot_state[pod, slot] = PULLING


@kernel
def pull_failed(
    pod: int, slot: int, now_us: int, pod_trace_row: Any, pod_template: Any, template_container_first: Any,
    container_kind: Any, life_slot_state: Any, life_slot_due_us: Any, life_slot_pulls: Any,
    kubelet_pull_backoff_us: Any, kubelet_pull_backoff_most_us: Any, kubelet_requeue_us: Any, cluster_seed: Any,
) -> int:  # fmt: skip
    """Hold a container whose pull has failed; return 1 where the sync goes on to the next one."""
    pulls = life_slot_pulls[pod, slot]
    life_slot_pulls[pod, slot] = pulls + 1
    wait = min(kubelet_pull_backoff_us[0] << min(pulls, 20), kubelet_pull_backoff_most_us[0])
    life_slot_state[pod, slot] = HELD_PULL
    life_slot_due_us[pod, slot] = requeued(
        pod, slot, now_us, now_us + wait, PULL_REQUEUE, pulls, pod_trace_row, kubelet_requeue_us, cluster_seed
    )
    container = template_container_first[pod_template[pod]] + slot
    return 1 if container_kind[container] == REGULAR else 0


@kernel
def run_container(
    pod: int, slot: int, pod_trace_row: Any, pod_node: Any, pod_template: Any, pod_duration_us: Any,
    template_container_first: Any, container_kind: Any, container_run_us: Any, container_code: Any,
    container_crash_millionths: Any, container_crash_mean_us: Any, container_crash_code: Any, container_oom_us: Any,
    life_mark_us: Any, life_spent_us: Any, life_slot_state: Any, life_slot_due_us: Any, life_slot_start_us: Any,
    life_slot_end_us: Any, life_slot_code: Any, life_slot_restarts: Any, life_slot_own_us: Any, life_slot_kill_us: Any,
    kubelet_create_us: Any, kubelet_start_us: Any, cluster_seed: Any,
) -> None:  # fmt: skip
    """Start a container whose image is there, and settle when it exits if nobody stops it."""
    container, row = template_container_first[pod_template[pod]] + slot, pod_trace_row[pod]
    start = life_slot_due_us[pod, slot] + kubelet_create_us[0] + kubelet_start_us[0]
    regular = container_kind[container] == REGULAR
    spend(pod, CONTAINERS if regular else INIT_STEP, start, life_mark_us, life_spent_us)
    end, code, count = NEVER, 0, life_slot_restarts[pod, slot] * _SLOTS + slot
    run = pod_duration_us[pod] if regular and pod_duration_us[pod] >= 0 else container_run_us[container]
    if run >= 0:
        end, code = start + run, container_code[container]
    if container_crash_mean_us[container] > 0:
        bits = bits_of(row, count, CRASH_LATER, cluster_seed)
        at = start + exponential(bits, container_crash_mean_us[container])
        if at < end:
            end, code = at, container_crash_code[container]
    if container_oom_us[container] >= 0 and start + container_oom_us[container] < end:
        end, code = start + container_oom_us[container], KILLED
    if container_crash_millionths[container] > 0:
        if bits_of(row, count, CRASH_AT_ONCE, cluster_seed) % 1_000_000 < container_crash_millionths[container]:
            end, code = start, container_crash_code[container]
    life_slot_state[pod, slot], life_slot_start_us[pod, slot] = RUN, start
    life_slot_end_us[pod, slot], life_slot_code[pod, slot] = end, code
    life_slot_own_us[pod, slot], life_slot_kill_us[pod, slot] = end, NEVER


@kernel
def probe_startup(
    pod: int, slot: int, pod_node: Any, pod_template: Any, template_container_first: Any,
    container_startup_period_us: Any, container_startup_delay_us: Any, container_startup_timeout_us: Any,
    container_startup_failure: Any, container_ready_us: Any, container_hang_us: Any, life_worker_us: Any,
    life_slot_start_us: Any, life_slot_seen_us: Any, life_slot_started_us: Any, life_slot_end_us: Any,
    node_relist_us: Any, kubelet_relist_us: Any, kubelet_evented: Any,
) -> int:  # fmt: skip
    """Settle when the container counts as started; return when its startup probe has it killed.

    One that exits before the kubelet's next look at the runtime is never seen to run.
    """
    container, start = template_container_first[pod_template[pod]] + slot, life_slot_start_us[pod, slot]
    seen = relisted(pod_node[pod], start, node_relist_us, kubelet_relist_us, kubelet_evented)
    if life_slot_end_us[pod, slot] <= seen:
        seen = NEVER
    started, kill, period = seen, NEVER, container_startup_period_us[container]
    if period > 0 and seen < NEVER:
        healthy, hang = start + container_ready_us[container], NEVER
        if container_hang_us[container] >= 0:
            hang = start + container_hang_us[container]
        begin = max(seen, start + container_startup_delay_us[container])
        started = first_success(life_worker_us[pod], period, begin, healthy, hang)
        failed = failed_often(
            life_worker_us[pod], period, container_startup_timeout_us[container],
            container_startup_failure[container], begin, healthy, hang,
        )  # fmt: skip
        if failed < started:
            started, kill = NEVER, failed
        if started >= life_slot_end_us[pod, slot]:
            # No probe runs in a container that has exited, though its kubelet has yet to see that.
            started = NEVER
    life_slot_seen_us[pod, slot], life_slot_started_us[pod, slot] = seen, started
    return kill


@kernel
def probe_ready(
    pod: int, slot: int, pod_template: Any, template_container_first: Any, container_readiness_period_us: Any,
    container_readiness_delay_us: Any, container_readiness_timeout_us: Any, container_readiness_failure: Any,
    container_readiness_success: Any, container_ready_us: Any, container_hang_us: Any, life_worker_us: Any,
    life_slot_start_us: Any, life_slot_started_us: Any, life_slot_ready_us: Any, life_slot_unready_us: Any,
    life_slot_end_us: Any,
) -> None:  # fmt: skip
    """Settle when the container is ready, and when it is so no more."""
    container, start = template_container_first[pod_template[pod]] + slot, life_slot_start_us[pod, slot]
    started, period = life_slot_started_us[pod, slot], container_readiness_period_us[container]
    ready, unready, hang = started, NEVER, NEVER
    if container_hang_us[container] >= 0:
        hang = start + container_hang_us[container]
    if period > 0 and started < NEVER:
        begin = max(started, start + container_readiness_delay_us[container])
        ready = first_success(life_worker_us[pod], period, begin, start + container_ready_us[container], hang)
        if ready < NEVER:
            ready += (container_readiness_success[container] - 1) * period
        end = life_slot_end_us[pod, slot]
        if ready >= min(hang, end):
            ready = NEVER
        if ready < NEVER and hang < NEVER:
            failed = tick(life_worker_us[pod], period, hang) + (container_readiness_failure[container] - 1) * period
            if failed < end:
                unready = failed + container_readiness_timeout_us[container]
    life_slot_ready_us[pod, slot], life_slot_unready_us[pod, slot] = ready, unready


@kernel
def probe_alive(
    pod: int, slot: int, kill_us: int, pod_template: Any, template_container_first: Any,
    container_liveness_period_us: Any, container_liveness_delay_us: Any, container_liveness_timeout_us: Any,
    container_liveness_failure: Any, container_ready_us: Any, container_hang_us: Any, container_prestop_us: Any,
    container_stop_us: Any, template_grace_us: Any, life_worker_us: Any, life_slot_start_us: Any,
    life_slot_started_us: Any, life_slot_end_us: Any, life_slot_code: Any, life_slot_kill_us: Any,
    kubelet_least_grace_us: Any,
) -> None:  # fmt: skip
    """Settle whether a probe has the container killed before it exits by itself."""
    template = pod_template[pod]
    container, start = template_container_first[template] + slot, life_slot_start_us[pod, slot]
    started, period, hang = life_slot_started_us[pod, slot], container_liveness_period_us[container], NEVER
    if container_hang_us[container] >= 0:
        hang = start + container_hang_us[container]
    if period > 0 and started < NEVER:
        failed = failed_often(
            life_worker_us[pod], period, container_liveness_timeout_us[container],
            container_liveness_failure[container], max(started, start + container_liveness_delay_us[container]),
            start + container_ready_us[container], hang,
        )  # fmt: skip
        kill_us = min(kill_us, failed)
    if kill_us < life_slot_end_us[pod, slot]:
        grace = template_grace_us[template]
        hook = min(container_prestop_us[container], grace)
        left = max(kubelet_least_grace_us[0], grace - hook)
        end = kill_us + hook + min(container_stop_us[container], left)
        if end < life_slot_end_us[pod, slot]:
            life_slot_end_us[pod, slot], life_slot_kill_us[pod, slot] = end, kill_us
            life_slot_code[pod, slot] = KILLED if container_stop_us[container] > left else TERMINATED


@kernel
def after_start(
    pod: int, slot: int, pod_template: Any, template_container_first: Any, container_kind: Any,
    container_poststart_us: Any, life_mark_us: Any, life_spent_us: Any, life_slot_start_us: Any,
    life_slot_started_us: Any, life_slot_end_us: Any,
) -> int:  # fmt: skip
    """Return when the sync goes on after this start; NEVER where it waits for the container to exit."""
    container = template_container_first[pod_template[pod]] + slot
    at = NEVER
    if container_kind[container] == REGULAR:
        at = life_slot_start_us[pod, slot] + container_poststart_us[container]
        spend(pod, CONTAINERS, at, life_mark_us, life_spent_us)
    elif container_kind[container] == SIDECAR and life_slot_started_us[pod, slot] < life_slot_end_us[pod, slot]:
        at = max(
            life_slot_started_us[pod, slot], life_slot_start_us[pod, slot] + container_poststart_us[container]
        )  # fmt: skip
        spend(pod, INIT_STEP, at, life_mark_us, life_spent_us)
    return at


@kernel
def slot_due(
    pod: int, slot: int, now_us: int, pod_node: Any, life_slot_due_us: Any, life_slot_seen_us: Any,
    life_slot_ready_us: Any, life_slot_unready_us: Any, life_slot_end_us: Any, node_relist_us: Any,
    kubelet_relist_us: Any, kubelet_evented: Any,
) -> None:  # fmt: skip
    """Set when the kubelet looks at a container that runs: when the next of what was settled comes."""
    gone = relisted(pod_node[pod], life_slot_end_us[pod, slot], node_relist_us, kubelet_relist_us, kubelet_evented)
    due = gone
    if now_us < life_slot_seen_us[pod, slot]:
        due = min(due, life_slot_seen_us[pod, slot])
    elif now_us < life_slot_ready_us[pod, slot]:
        due = min(due, life_slot_ready_us[pod, slot])
    elif now_us < life_slot_unready_us[pod, slot]:
        due = min(due, life_slot_unready_us[pod, slot])
    life_slot_due_us[pod, slot] = due


@kernel
def exited(
    pod: int, slot: int, now_us: int, pod_trace_row: Any, pod_node: Any, pod_template: Any,
    template_container_first: Any, container_restart: Any, container_kind: Any, life_exit_code: Any, life_mark_us: Any,
    life_spent_us: Any, life_slot_state: Any, life_slot_due_us: Any, life_slot_end_us: Any, life_slot_code: Any,
    life_slot_backoff_us: Any, life_slot_backoff_at_us: Any, life_slot_restarts: Any, node_relist_us: Any,
    kubelet_relist_us: Any, kubelet_evented: Any, kubelet_backoff_most_us: Any, kubelet_requeue_us: Any,
    cluster_seed: Any,
) -> int:  # fmt: skip
    """See that a container has exited, where it has; return 1 where the sync goes on to the next one."""
    end, code = life_slot_end_us[pod, slot], life_slot_code[pod, slot]
    if relisted(pod_node[pod], end, node_relist_us, kubelet_relist_us, kubelet_evented) > now_us:
        return 0
    container = template_container_first[pod_template[pod]] + slot
    restart = container_restart[container]
    life_exit_code[pod] = code
    if restart == NEVER_RESTART or (restart != ALWAYS_RESTART and code == 0):
        life_slot_state[pod, slot], life_slot_due_us[pod, slot] = DONE, NEVER
        if container_kind[container] == INIT and code == 0:
            spend(pod, INIT_STEP, now_us, life_mark_us, life_spent_us)
            return 1
        return 0
    backoff, since = life_slot_backoff_us[pod, slot], life_slot_backoff_at_us[pod, slot]
    until = end + backoff if backoff > 0 and end - since <= 2 * kubelet_backoff_most_us[0] else now_us
    life_slot_state[pod, slot] = BACKOFF
    life_slot_due_us[pod, slot] = now_us
    if until > now_us:
        life_slot_due_us[pod, slot] = requeued(
            pod, slot, now_us, until, REQUEUE, life_slot_restarts[pod, slot], pod_trace_row, kubelet_requeue_us,
            cluster_seed,
        )  # fmt: skip
    return 0


@kernel
def start_anew(
    pod: int, slot: int, now_us: int, life_owner: Any, life_restarts: Any, life_slot_state: Any, life_slot_due_us: Any,
    life_slot_backoff_us: Any, life_slot_backoff_at_us: Any, life_slot_restarts: Any, object_restarts: Any,
    kubelet_backoff_us: Any, kubelet_backoff_most_us: Any,
) -> None:  # fmt: skip
    """Begin a container again, and set the back-off that holds after its next exit."""
    life_slot_backoff_us[pod, slot] = next_backoff(
        life_slot_backoff_us[pod, slot], life_slot_backoff_at_us[pod, slot], now_us, kubelet_backoff_us[0],
        kubelet_backoff_most_us[0],
    )  # fmt: skip
    life_slot_backoff_at_us[pod, slot] = now_us
    life_slot_restarts[pod, slot] += 1
    life_restarts[pod] += 1
    if life_owner[pod] >= 0:
        object_restarts[life_owner[pod]] += 1
    life_slot_state[pod, slot], life_slot_due_us[pod, slot] = BEGIN, now_us


@kernel
def take_image(
    pod: int, slot: int, now_us: int, life_mark_us: Any, life_spent_us: Any, life_slot_state: Any,
    life_slot_due_us: Any,
) -> None:  # fmt: skip
    """Note that a pull is over (well or not) or a held one begins anew: the time went to pulling."""
    spend(pod, PULL, now_us, life_mark_us, life_spent_us)
    life_slot_due_us[pod, slot] = now_us
    life_slot_state[pod, slot] = FETCHED if life_slot_state[pod, slot] == PULLING else BEGIN
