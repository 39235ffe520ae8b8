"""DaemonSets in a world of hand-played kubelets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kscale.engine.objects import PHASES, RUNNING_PHASE
from kscale.engine.pods import FINISHED, RUNNING
from kscale.engine.requests import Requests
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.labels import Labels, parse_taints
from tests.controllers.world import Hand

SECOND = 1_000_000
MINUTE = 60 * SECOND


def described(taints: Sequence[str], labels: Sequence[dict[str, str]] | None = None) -> NodeDescriptions:
    """Nodes with these taints (and labels), one per entry."""
    parsed = [parse_taints(text) for text in taints]
    distinct = list(dict.fromkeys(parsed))
    return NodeDescriptions(
        tuple(f"n{i}" for i in range(len(parsed))), Labels(list(labels or [{}] * len(parsed))), tuple(distinct),
        np.array([distinct.index(one) for one in parsed], np.int32), np.zeros(len(parsed), bool),
    )  # fmt: skip


PLAIN = PodTemplate()


def a_hand(*taints: str, template: PodTemplate = PLAIN, **sizes: Any) -> Hand:
    hand = Hand("daemonset", **sizes)
    hand.describe(described(taints), template, template)
    return hand


def make(hand: Hand, name: str = "agent", **columns: Any) -> int:
    return hand.make("DaemonSet", name, **{"template": 0, "revision": 0, **columns})


def nodes(hand: Hand, one: int) -> list[int]:
    """The nodes of its pods, each as often as it has one."""
    return sorted(hand.cluster.life_pin[pod].item() for pod in hand.pods(one))


def on(hand: Hand, one: int, node: int) -> list[int]:
    return [pod for pod in hand.pods(one) if hand.cluster.life_pin[pod] == node]


def run_all(hand: Hand, one: int) -> None:
    for pod in hand.active(one):
        if not hand.cluster.life_ready[pod]:
            hand.run(pod, node=hand.cluster.life_pin[pod].item())
    hand.settle()


def going(hand: Hand, one: int) -> list[int]:
    cluster = hand.cluster
    return sorted(cluster.life_pin[pod].item() for pod in hand.pods(one) if cluster.life_deleted_us[pod] >= 0)


def status(hand: Hand, one: int) -> tuple[int, ...]:
    names = "desired_scheduled current_scheduled misscheduled ready_nodes available_nodes unavailable_nodes"
    return tuple(hand.read(one, name) for name in [*names.split(), "updated_scheduled"])


def put(hand: Hand, one: int, node: int, **state: Any) -> int:
    """Make a pod of a set on a node, in some state; return it."""
    requests, at = Requests(), np.array([0])
    requests.create_pods(
        at, np.array([one]), at, at + state.get("number", -1), pin=at + node, revision=at + state.get("revision", 0)
    )
    hand.world.apply(requests.asked[0], hand.now)
    pod = hand.pods(one)[-1]
    phase, ready = state.get("phase", RUNNING_PHASE), state.get("ready", True)
    hand.change(
        pod, node=node if state.get("bound", True) else -1, phase=phase, ready=int(ready and phase == RUNNING_PHASE),
        available=int(ready and phase == RUNNING_PHASE and state.get("available", True)),
        deleted_us=0 if state.get("deleted") else -1,
    )  # fmt: skip
    if state.get("bound", True):
        hand.cluster.pod_state[pod] = FINISHED if PHASES[phase] in ("Succeeded", "Failed") else RUNNING
    return pod


def asked(found: Requests, place: int, verb: int, *names: str) -> list[Any]:
    rows = []
    for request in found.asked:
        if request.verb == verb:
            for at in np.flatnonzero(request.key == place).tolist():
                row = {name: values[at].item() for name, values in request.columns.items()}
                rows.append(tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] if names else row)
    return rows
