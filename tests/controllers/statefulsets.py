"""StatefulSets in a world of hand-played kubelets."""

from __future__ import annotations

from typing import Any

from tests.controllers.world import Hand


def make(hand: Hand, name: str = "web", **columns: Any) -> int:
    """Make a set; with ``claims``, so many claim templates: data, logs and more."""
    claims = columns.get("claims", 0)
    if claims:
        names = "\n".join(("data", "logs", "more")[:claims])
        if names not in hand.world.texts:
            hand.world.texts.append(names)
        columns["claim_names"] = hand.world.texts.index(names)
    return hand.make("StatefulSet", name, **{"replicas": 3, "template": 0, "revision": 0, **columns})


def ordinals(hand: Hand, one: int) -> list[int]:
    return sorted(hand.cluster.life_number[pod].item() for pod in hand.pods(one))


def pod(hand: Hand, one: int, ordinal: int) -> int:
    return next(p for p in hand.pods(one) if hand.cluster.life_number[p] == ordinal)


def going(hand: Hand, one: int) -> list[int]:
    cluster = hand.cluster
    return sorted(cluster.life_number[p].item() for p in hand.pods(one) if cluster.life_deleted_us[p] >= 0)


def revisions(hand: Hand, one: int) -> list[int]:
    return [hand.cluster.life_revision[pod(hand, one, ordinal)].item() for ordinal in ordinals(hand, one)]


def run_all(hand: Hand, one: int, rounds: int = 40) -> None:
    """Let kubelets do all that they can until nothing more happens."""
    for _ in range(rounds):
        hand.settle()
        hand.stopped()
        waiting = [p for p in hand.active(one) if not hand.cluster.life_ready[p]]
        if not waiting and not hand.cluster.cluster_pods_changed[0]:
            return
        hand.run(*waiting)
    raise AssertionError("never done")
