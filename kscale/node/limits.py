"""Limits of a kubelet: its client's calls wait for their turn, its pulls are refused when there are too many."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def granted(node: int, now_us: int, node_call_us: Any, kubelet_call_gap_us: Any, kubelet_call_burst: Any) -> int:
    """Take a call of the node's client, and return when it may be made: a token bucket that callers wait for."""
    gap = kubelet_call_gap_us[0]
    full = max(node_call_us[node], now_us)
    node_call_us[node] = full + gap
    return max(now_us, full - (kubelet_call_burst[0] - 1) * gap)


@kernel
def accepts(node: int, at_us: int, node_pull_us: Any, kubelet_pull_gap_us: Any, kubelet_pull_burst: Any) -> int:
    """Return 1 and take a token where the node may pull now: a token bucket that refuses."""
    gap = kubelet_pull_gap_us[0]
    full = max(node_pull_us[node], at_us)
    if full - (kubelet_pull_burst[0] - 1) * gap > at_us:
        return 0
    node_pull_us[node] = full + gap
    return 1
