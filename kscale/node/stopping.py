"""The end of a pod: containers stop within the grace, sidecars last and in reverse; then all that it had is given back.

preStop hooks run from the beginning and count within the grace; SIGTERM comes when it is a container's turn, SIGKILL
when the grace is over, but two seconds after SIGTERM at the earliest.
"""

from __future__ import annotations

from typing import Any

from kscale.engine.clock import NEVER
from kscale.engine.living import HAS_FINISHED, HAS_STOPPED
from kscale.kernels import kernel
from kscale.node.containers import IDLE, PULLING, RUN
from kscale.node.images import leave_pull, use_image
from kscale.node.limits import granted
from kscale.node.starting import ENDED, ENDING, FINISHING, MOUNTING, STARTING, UNSEEN
from kscale.state.lives import SIDECAR


@kernel
def exit_after(hook_us: int, turn_us: int, stop_us: int, grace_us: int, least_us: int) -> int:
    """Return how long after the beginning a container exits whose turn is ``turn_us`` after it."""
    turn = max(min(hook_us, grace_us), min(turn_us, grace_us))
    return turn + min(stop_us, max(least_us, grace_us - turn))


@kernel
def stopped_at(
    pod: int, now_us: int, grace_us: int, sidecars_only: int, pod_template: Any, template_container_first: Any,
    template_container_last: Any, container_kind: Any, container_prestop_us: Any, container_stop_us: Any,
    life_slot_state: Any, life_slot_start_us: Any, life_slot_end_us: Any, life_slot_own_us: Any, life_slot_kill_us: Any,
    kubelet_least_grace_us: Any,
) -> int:  # fmt: skip
    """Return when all containers have exited that are asked to stop now."""
    template, last = pod_template[pod], 0
    first = template_container_first[template]
    count = template_container_last[template] - first
    for turn in range(2):
        for place in range(count):
            slot = count - 1 - place
            sidecar = container_kind[first + slot] == SIDECAR
            if sidecar != (turn == 1) or (sidecars_only != 0 and not sidecar):
                continue
            if life_slot_state[pod, slot] != RUN or life_slot_start_us[pod, slot] > now_us:
                continue
            waits = last if sidecar else 0
            took = exit_after(
                container_prestop_us[first + slot], waits, container_stop_us[first + slot], grace_us,
                kubelet_least_grace_us[0],
            )  # fmt: skip
            # Liveness and startup probes run no more: only a kill that had begun counts.
            end = life_slot_own_us[pod, slot]
            if life_slot_kill_us[pod, slot] <= now_us:
                end = life_slot_end_us[pod, slot]
            last = max(last, min(took, max(end - now_us, 0)))
    return now_us + last


@kernel
def ask_to_stop(
    pod: int, now_us: int, pod_node: Any, pod_template: Any, template_static: Any, template_volumes: Any,
    template_claimed_first: Any, template_claimed_last: Any, template_own_claims: Any, template_container_first: Any,
    template_container_last: Any, container_kind: Any, container_prestop_us: Any, container_stop_us: Any,
    life_stage: Any, life_due_us: Any, life_deleted_us: Any, life_grace_us: Any, life_stop_us: Any, life_call_us: Any,
    life_slot_state: Any, life_slot_start_us: Any, life_slot_end_us: Any, life_slot_own_us: Any, life_slot_kill_us: Any,
    node_silent: Any, kubelet_watch_us: Any, kubelet_reconcile_us: Any, kubelet_unmount_us: Any, kubelet_stop_us: Any,
    kubelet_stop_sandbox_us: Any, kubelet_least_grace_us: Any,
) -> None:  # fmt: skip
    """Begin to end a pod whose deletion was asked for, or end it sooner where its grace was shortened.

    A static pod runs on: what was deleted is its mirror, which the kubelet makes again.
    """
    template = pod_template[pod]
    if template_static[template] != 0:
        life_deleted_us[pod], life_grace_us[pod] = -1, 0
        return
    stage = life_stage[pod]
    begun = life_deleted_us[pod] + kubelet_watch_us[0]
    if life_grace_us[pod] <= 0 or stage == UNSEEN:
        # Deleted with no grace, the object is gone at once; what the kubelet never began needs no end.
        stop = life_deleted_us[pod]
    else:
        stop = stopped_at(
            pod, begun, life_grace_us[pod], 0, pod_template, template_container_first, template_container_last,
            container_kind, container_prestop_us, container_stop_us, life_slot_state, life_slot_start_us,
            life_slot_end_us, life_slot_own_us, life_slot_kill_us, kubelet_least_grace_us,
        )  # fmt: skip
        stop += kubelet_stop_us[0]
        if stage >= STARTING:
            stop += kubelet_stop_sandbox_us[0]
        if stage != MOUNTING and template_volumes[template] > 0:
            stop += kubelet_reconcile_us[0]
        claims = template_claimed_last[template] - template_claimed_first[template] + template_own_claims[template]
        if stage != MOUNTING and claims > 0:
            stop += kubelet_unmount_us[0]
    if stage != UNSEEN:
        life_stage[pod] = ENDING
    life_call_us[pod] = -1
    life_stop_us[pod] = stop
    # A pod of a node whose kubelet is silent stays as it is.
    life_due_us[pod] = max(stop, now_us) if node_silent[pod_node[pod]] == 0 or life_grace_us[pod] <= 0 else NEVER


@kernel
def give_node_back(
    pod: int, pod_node: Any, pod_template: Any, template_container_first: Any, template_container_last: Any,
    template_claimed_first: Any, template_claimed_last: Any, container_image: Any, claimed_attached: Any,
    attached_node: Any, attached_users: Any, attached_free_us: Any, life_stage: Any, life_worker_us: Any,
    node_silent: Any, node_image_users: Any, node_image_used_us: Any, cluster_now_us: Any, kubelet_unmount_us: Any,
    kubelet_detach_us: Any, kubelet_force_detach_us: Any,
) -> None:  # fmt: skip
    """Give back what a pod has on its node when it goes, in whichever way; once."""
    stage, node, template, now = life_stage[pod], pod_node[pod], pod_template[pod], cluster_now_us[0]
    if stage in (UNSEEN, ENDED):
        return
    life_stage[pod] = ENDED
    for container in range(template_container_first[template], template_container_last[template]):
        use_image(node, container_image[container], -1, now, node_image_users, node_image_used_us)
    if life_worker_us[pod] < 0:
        # Its volumes were never attached.
        return
    for place in range(template_claimed_first[template], template_claimed_last[template]):
        attached = claimed_attached[place]
        attached_users[attached] -= 1
        if node_silent[node] != 0:
            attached_free_us[attached] = now + kubelet_force_detach_us[0]
        else:
            attached_free_us[attached] = now + kubelet_unmount_us[0] + kubelet_detach_us[0]


@kernel
def abandon_pulls(
    pod: int, pod_node: Any, pod_template: Any, template_container_first: Any, template_container_last: Any,
    container_image: Any, life_stage: Any, life_slot_state: Any, life_slot_due_us: Any, node_layers: Any,
    node_leaving: Any, node_leaving_us: Any, image_layers: Any,
) -> None:  # fmt: skip
    """Let the pulls of a pod that ends go on without it."""
    if life_stage[pod] < FINISHING:
        return
    template = pod_template[pod]
    first = template_container_first[template]
    for slot in range(template_container_last[template] - first):
        if life_slot_state[pod, slot] == PULLING:
            leave_pull(
                pod_node[pod], container_image[first + slot], life_slot_due_us[pod, slot], node_layers, node_leaving,
                node_leaving_us, image_layers,
            )  # fmt: skip
            life_slot_state[pod, slot], life_slot_due_us[pod, slot] = IDLE, NEVER


@kernel
def end_life(
    pod: int, now_us: int, pod_node: Any, pod_started_us: Any, life_phase: Any, life_ready: Any, life_stage: Any,
    life_due_us: Any, life_stop_us: Any, life_call_us: Any, life_end_phase: Any, life_deleted_us: Any,
    life_grace_us: Any, node_call_us: Any, kubelet_call_gap_us: Any, kubelet_call_burst: Any,
) -> int:  # fmt: skip
    """Go on with a pod that ends: when its containers have stopped, its kubelet tells so, as soon as it may."""
    if life_stop_us[pod] > now_us:
        life_due_us[pod] = life_stop_us[pod]
        return 0
    node, deleted = pod_node[pod], life_deleted_us[pod] >= 0
    if deleted and (life_grace_us[pod] <= 0 or life_stage[pod] == UNSEEN):
        return HAS_STOPPED
    if life_call_us[pod] < 0:
        if deleted:
            # Its last status, and then the deletion itself.
            granted(node, now_us, node_call_us, kubelet_call_gap_us, kubelet_call_burst)
        life_call_us[pod] = granted(node, now_us, node_call_us, kubelet_call_gap_us, kubelet_call_burst)
    if life_call_us[pod] > now_us:
        life_due_us[pod] = life_call_us[pod]
        return 0
    if deleted:
        return HAS_STOPPED
    life_phase[pod], life_ready[pod] = life_end_phase[pod], 0
    if pod_started_us[pod] < 0:
        # It was over before it was seen to run.
        pod_started_us[pod] = now_us
    return HAS_FINISHED
