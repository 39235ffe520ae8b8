"""The kubelet: what becomes of a pod on its node, step by step, compiled.

The loop (kscale.engine.living) calls ``kubelet_admit`` when a pod is bound, ``kubelet_resume`` for one that ran before
the run, ``kubelet_stop`` when its deletion is asked for, and ``kubelet_look`` at the time in ``life_due_us``; and
``kubelet_leave`` when the pod is no more. A look does what is due and sets the next time; one that comes too early
changes nothing. Few looks are needed: one when the pod is seen, one for each pull, exit and restart, one when it is
seen to run, one when it is ready, one when it has stopped.
"""

from __future__ import annotations

from typing import Any

from kscale.composer import Composer
from kscale.engine.clock import NEVER
from kscale.engine.living import CHANGED
from kscale.engine.objects import RUNNING_PHASE
from kscale.kernels import kernel, plain
from kscale.node import containers, starting, stopping, telling
from kscale.node.columns import COLUMNS
from kscale.node.containers import BACKOFF, BEGIN, DONE, FAILING, FETCHED, HELD_PULL, PULLING, RUN
from kscale.node.images import collect_when_due, keep_image, keep_left
from kscale.node.starting import ENDED, FINISHING, MOUNTING, READY, UNSEEN
from kscale.node.telling import IS_OVER
from kscale.state.lives import INIT

__all__ = ["COLUMNS", "define"]


@kernel
def await_pod(pod: int, now_us: int, life_stage: Any, life_due_us: Any, kubelet_watch_us: Any) -> None:
    """Wait until the kubelet sees the pod."""
    life_stage[pod], life_due_us[pod] = UNSEEN, now_us + kubelet_watch_us[0]


@kernel
def resume_slot(
    pod: int, slot: int, now_us: int, pod_template: Any, template_container_first: Any, container_kind: Any,
    life_slot_state: Any, life_slot_due_us: Any, kubelet_create_us: Any, kubelet_start_us: Any,
) -> None:  # fmt: skip
    """Take a container that ran before the run to have been started just now, or to be done."""
    done = container_kind[template_container_first[pod_template[pod]] + slot] == INIT
    life_slot_state[pod, slot] = DONE if done else FETCHED
    life_slot_due_us[pod, slot] = NEVER if done else now_us - kubelet_create_us[0] - kubelet_start_us[0]


@kernel
def resume_ready(
    pod: int, slot: int, now_us: int, life_slot_seen_us: Any, life_slot_started_us: Any, life_slot_ready_us: Any,
    life_slot_unready_us: Any,
) -> None:  # fmt: skip
    """Take a container that ran before the run to be ready: how long it has answered is not known, nor until when."""
    life_slot_seen_us[pod, slot], life_slot_started_us[pod, slot], life_slot_ready_us[pod, slot] = (
        now_us,
        now_us,
        now_us,
    )
    life_slot_unready_us[pod, slot] = NEVER


@kernel
def resume_pod(
    pod: int, now_us: int, pod_template: Any, template_container_first: Any, template_container_last: Any,
    life_stage: Any, life_phase: Any, life_ready: Any, life_ready_us: Any, life_addressed: Any, life_cursor: Any,
    life_worker_us: Any,
) -> None:  # fmt: skip
    """Take a pod that ran before the run began: it is ready, and has been for long."""
    template = pod_template[pod]
    life_stage[pod], life_phase[pod], life_ready[pod], life_ready_us[pod] = READY, RUNNING_PHASE, 1, -NEVER
    life_cursor[pod] = template_container_last[template] - template_container_first[template]
    life_worker_us[pod], life_addressed[pod] = now_us, 1


_ADMIT = """
clear_life(pod, now_us)
await_pod(pod, now_us)
"""

_START = """
run_container(pod, slot)
kill_us = probe_startup(pod, slot)
probe_alive(pod, slot, kill_us)
probe_ready(pod, slot)
"""

_RESUME = f"""
clear_life(pod, now_us)
see_pod(pod, now_us)
mount(pod, now_us, now_us)
resume_pod(pod, now_us)
for slot in range(template_container_last[pod_template[pod]] - template_container_first[pod_template[pod]]):
    resume_slot(pod, slot, now_us)
    if life_slot_state[pod, slot] == {FETCHED}:
        run_container(pod, slot)
        resume_ready(pod, slot, now_us)
        slot_due(pod, slot, now_us)
set_due(pod)
"""

# One pass over a pod's containers in their order: what one of them does may let the next begin.
_PASS = f"""
for slot in range(template_container_last[pod_template[pod]] - template_container_first[pod_template[pod]]):
    state = life_slot_state[pod, slot]
    if life_slot_due_us[pod, slot] <= now_us:
        onward = 0
        if state == {RUN}:
            onward = exited(pod, slot, now_us)
            if life_slot_state[pod, slot] == {RUN}:
                slot_due(pod, slot, now_us)
        elif state == {PULLING}:
            collect_when_due(pod_node[pod], now_us)
            keep_image(pod_node[pod], container_image[template_container_first[pod_template[pod]] + slot])
            take_image(pod, slot, now_us)
        elif state == {HELD_PULL} or state == {FAILING}:
            take_image(pod, slot, now_us)
            if state == {FAILING}:
                onward = pull_failed(pod, slot, now_us)
        if onward != 0:
            follow_container(pod, slot, now_us)
        if life_slot_state[pod, slot] == {BACKOFF} and life_slot_due_us[pod, slot] <= now_us:
            start_anew(pod, slot, now_us)
    if life_slot_state[pod, slot] == {BEGIN}:
        keep_left(pod_node[pod], now_us)
        want_image(pod, slot, now_us)
    if life_slot_state[pod, slot] == {FETCHED}:
        start_container(pod, slot)
        next_us = after_start(pod, slot)
        slot_due(pod, slot, now_us)
        if next_us < {NEVER}:
            follow_container(pod, slot, next_us)
"""

_LOOK = f"""
what = 0
if life_deleted_us[pod] >= 0 or life_stage[pod] >= {FINISHING}:
    what = end_life(pod, now_us)
else:
    if life_stage[pod] == {UNSEEN}:
        if pod_bound_us[pod] + kubelet_watch_us[0] <= now_us:
            collect_when_due(pod_node[pod], now_us)
            see_pod(pod, now_us)
            if life_addressed[pod] != 0:
                what = {CHANGED}
        else:
            life_due_us[pod] = pod_bound_us[pod] + kubelet_watch_us[0]
    if life_stage[pod] == {MOUNTING}:
        if life_stop_us[pod] <= now_us:
            free_us = free_at(pod, now_us)
            if free_us < {NEVER}:
                mounted_us = mount(pod, now_us, free_us)
                make_sandbox(pod, mounted_us)
            else:
                life_stop_us[pod] = now_us + kubelet_mount_poll_us[0]
        life_due_us[pod] = life_stop_us[pod]
    if life_stage[pod] > {MOUNTING}:
        pass_containers(pod, now_us)
        state = state_of(pod, now_us)
        if state & {IS_OVER} != 0:
            begin_end(pod, state, now_us)
            if life_stop_us[pod] <= now_us:
                what = end_life(pod, now_us)
        else:
            what = what | tell(pod, state, now_us)
            set_due(pod)
return what
"""


_STOP = """
ask_to_stop(pod, now_us)
abandon_pulls(pod)
"""

_LEAVE = f"""
if life_stage[pod] != {UNSEEN} and life_stage[pod] != {ENDED}:
    collect_when_due(pod_node[pod], cluster_now_us[0])
    give_node_back(pod)
    abandon_pulls(pod)
"""


def define(composer: Composer) -> None:
    """Add the kubelet's kernels and drivers."""
    kernels = (
        await_pod, resume_slot, resume_ready, resume_pod, collect_when_due, keep_image, keep_left,
        starting.clear_life, starting.see_pod, starting.free_at, starting.mount, starting.make_sandbox,
        containers.follow_container, containers.want_image, containers.pull_failed, containers.run_container,
        containers.probe_startup, containers.probe_alive, containers.probe_ready, containers.after_start,
        containers.slot_due, containers.exited, containers.start_anew, containers.take_image,
        stopping.ask_to_stop, stopping.give_node_back, stopping.abandon_pulls, stopping.end_life,
        telling.state_of, telling.tell, telling.begin_end, telling.set_due,
    )  # fmt: skip
    for function in kernels:
        composer.use(plain(function).__name__, function)
    composer.define("start_container", "pod, slot", _START)
    composer.define("pass_containers", "pod, now_us", _PASS)
    composer.define("kubelet_admit", "pod, node, now_us", _ADMIT)
    composer.define("kubelet_resume", "pod, node, now_us", _RESUME)
    composer.define("kubelet_stop", "pod, now_us", _STOP, apart=True)
    composer.define("kubelet_leave", "pod", _LEAVE, apart=True)
    composer.define("kubelet_look", "pod, now_us", _LOOK)
