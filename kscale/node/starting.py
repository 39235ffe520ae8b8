"""The first sync of a pod: its kubelet sees it, attaches and mounts its volumes, and makes its sandbox."""

from __future__ import annotations

from typing import Any

from kscale.engine.clock import NEVER
from kscale.kernels import kernel
from kscale.node.columns import SANDBOX, SEEN, VOLUMES
from kscale.node.containers import BEGIN, IDLE, spend
from kscale.node.images import use_image
from kscale.node.limits import granted

#: Values of ``life_stage``: bound, not seen yet; its volumes are waited for; its containers are started; it runs; it
#: was ready once; it has ended by itself, and its sidecars stop; it is being deleted; it has left its node.
UNSEEN, MOUNTING, STARTING, STARTED, READY, FINISHING, ENDING, ENDED = range(8)


@kernel
def clear_life(
    pod: int, now_us: int, life_cursor: Any, life_mark_us: Any, life_call_us: Any, life_stop_us: Any,
    life_worker_us: Any, life_spent_us: Any, life_slot_state: Any, life_slot_due_us: Any, life_slot_restarts: Any,
    life_slot_backoff_us: Any, life_slot_pulls: Any,
) -> None:  # fmt: skip
    """Clear what the row's last pod has left."""
    life_cursor[pod], life_mark_us[pod], life_call_us[pod], life_stop_us[pod] = 0, now_us, -1, NEVER
    life_worker_us[pod] = -1
    for step in range(life_spent_us.shape[1]):
        life_spent_us[pod, step] = 0
    for slot in range(life_slot_state.shape[1]):
        life_slot_state[pod, slot], life_slot_due_us[pod, slot] = IDLE, NEVER
        life_slot_restarts[pod, slot], life_slot_backoff_us[pod, slot], life_slot_pulls[pod, slot] = 0, 0, 0


@kernel
def see_pod(
    pod: int, now_us: int, pod_node: Any, pod_template: Any, template_container_first: Any,
    template_container_last: Any, container_image: Any, life_mark_us: Any, life_spent_us: Any, life_stage: Any,
    life_stop_us: Any, life_addressed: Any, template_host_network: Any, node_call_us: Any, node_image_users: Any,
    node_image_used_us: Any, kubelet_call_gap_us: Any, kubelet_call_burst: Any,
) -> None:  # fmt: skip
    """See a new pod: its first status is told, and its images are in use from now on.

    One on its host's network has its node's address, which stands in that status (generateAPIPodStatus of pkg/kubelet).
    """
    node, template = pod_node[pod], pod_template[pod]
    spend(pod, SEEN, now_us, life_mark_us, life_spent_us)
    granted(node, now_us, node_call_us, kubelet_call_gap_us, kubelet_call_burst)
    for container in range(template_container_first[template], template_container_last[template]):
        use_image(node, container_image[container], 1, now_us, node_image_users, node_image_used_us)
    life_stage[pod], life_addressed[pod] = MOUNTING, template_host_network[template]
    # While it mounts, this is when it looks for its volumes again.
    life_stop_us[pod] = now_us


@kernel
def free_at(
    pod: int, now_us: int, pod_node: Any, pod_template: Any, template_claimed_first: Any, template_claimed_last: Any,
    claimed_attached: Any, attached_node: Any, attached_users: Any, attached_free_us: Any,
) -> int:  # fmt: skip
    """Return from when the pod's claims may be attached to its node; NEVER while pods of another node have one."""
    at, node, template = now_us, pod_node[pod], pod_template[pod]
    for place in range(template_claimed_first[template], template_claimed_last[template]):
        attached = claimed_attached[place]
        if attached_node[attached] >= 0 and attached_node[attached] != node:
            if attached_users[attached] > 0:
                return NEVER
            at = max(at, attached_free_us[attached])
    return at


@kernel
def mount(
    pod: int, now_us: int, free_us: int, pod_node: Any, pod_template: Any, template_claimed_first: Any,
    template_claimed_last: Any, template_own_claims: Any, template_volumes: Any, claimed_attached: Any,
    attached_node: Any, attached_users: Any, node_call_us: Any, kubelet_call_gap_us: Any, kubelet_call_burst: Any,
    kubelet_reconcile_us: Any,
    kubelet_mount_poll_us: Any, kubelet_attach_us: Any, kubelet_mount_us: Any,
) -> int:  # fmt: skip
    """Attach and mount the pod's volumes, and return when its sync sees that: at one of the times that it looks."""
    node, template = pod_node[pod], pod_template[pod]
    first, last = template_claimed_first[template], template_claimed_last[template]
    claims = last - first + template_own_claims[template]
    if template_volumes[template] == 0 and claims == 0:
        return now_us
    ready = now_us
    if template_volumes[template] > 0:
        # The token of its service account is asked for.
        ready = granted(node, now_us, node_call_us, kubelet_call_gap_us, kubelet_call_burst)
    if template_own_claims[template] > 0:
        ready = max(ready, free_us + kubelet_attach_us[0])
    for place in range(first, last):
        attached = claimed_attached[place]
        if attached_node[attached] != node or attached_users[attached] == 0:
            ready = max(ready, free_us + kubelet_attach_us[0])
        attached_node[attached] = node
        attached_users[attached] += 1
    if claims > 0:
        ready += kubelet_mount_us[0]
    ready += kubelet_reconcile_us[0]
    poll = kubelet_mount_poll_us[0]
    return now_us + (ready - now_us + poll - 1) // poll * poll


@kernel
def make_sandbox(
    pod: int, at_us: int, pod_template: Any, template_host_network: Any, template_container_first: Any,
    template_container_last: Any, life_mark_us: Any, life_spent_us: Any, life_stage: Any, life_stop_us: Any,
    life_worker_us: Any, life_slot_state: Any, life_slot_due_us: Any, kubelet_sandbox_us: Any, kubelet_cni_add_us: Any,
) -> None:  # fmt: skip
    """Make the pod's sandbox once its volumes are there; then its first container begins."""
    template = pod_template[pod]
    spend(pod, VOLUMES, at_us, life_mark_us, life_spent_us)
    life_stage[pod], life_stop_us[pod], life_worker_us[pod] = STARTING, NEVER, at_us
    ready = at_us + kubelet_sandbox_us[0]
    if template_host_network[template] == 0:
        ready += kubelet_cni_add_us[0]
    spend(pod, SANDBOX, ready, life_mark_us, life_spent_us)
    if template_container_first[template] < template_container_last[template]:
        life_slot_state[pod, 0], life_slot_due_us[pod, 0] = BEGIN, ready
