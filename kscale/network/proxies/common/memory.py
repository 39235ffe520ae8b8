"""Memory that every mode takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kscale.network.proxies import Case, Memory


def of(case: Case, kernel_bytes: float, client_peak_bytes: float) -> Memory:
    """Return the memory of a mode: conntrack's entries come on top of ``kernel_bytes``, kube-proxy's own beside."""
    from kscale.network.proxies import Memory

    numbers = case.parameters
    own = numbers["kube_proxy_base_bytes"] + numbers["kube_proxy_each_bytes"] * (case.served + case.endpoints)
    return Memory(kernel_bytes + numbers["conntrack_entry_bytes"] * case.connections, client_peak_bytes, own)
