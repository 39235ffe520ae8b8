"""Quality of service classes of pods, and what the kernel's out-of-memory killer makes of them (pkg/apis/core/v1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kscale.state.lives import BEST_EFFORT, BURSTABLE, GUARANTEED

#: Amounts by resource.
Amounts = Mapping[str, int]
_COUNTED = ("cpu", "memory")


def qos_class(containers: Iterable[tuple[Amounts, Amounts]], pod: tuple[Amounts, Amounts] | None = None) -> int:
    """Return the class of a pod from the requests and limits of its containers, those of init included.

    Only cpu and memory count, and only what is above 0; what is stated for the pod as a whole goes before containers.
    """
    pairs = [pod] if pod is not None and (any(pod[0].values()) or any(pod[1].values())) else list(containers)
    stated, guaranteed = False, True
    for requests, limits in pairs:
        asked = {name: requests.get(name, 0) for name in _COUNTED}
        most = {name: limits.get(name, 0) for name in _COUNTED}
        stated |= any(asked.values()) or any(most.values())
        guaranteed &= all(most.values()) and asked == most
    if not stated:
        return BEST_EFFORT
    return GUARANTEED if guaranteed else BURSTABLE


def oom_score_adj(qos: int, memory_request: int, memory_capacity: int) -> int:
    """Return oom_score_adj of a container: the higher, the sooner it is killed when its node has no memory left."""
    if qos == GUARANTEED:
        return -997
    if qos == BEST_EFFORT or memory_capacity <= 0:
        return 1000
    return min(max(1000 - 1000 * memory_request // memory_capacity, 3), 999)
