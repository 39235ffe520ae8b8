"""The rules of the iptables mode, counted (kube-proxy 1.34, pkg/proxy/iptables)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kscale.network.ports import Ports, Rows

#: nat: KUBE-SERVICES to KUBE-NODEPORTS, KUBE-MARK-MASQ's mark, KUBE-POSTROUTING's return, mark and masquerade.
FIXED_NAT_RULES = 5
#: nat: KUBE-SERVICES, KUBE-NODEPORTS, KUBE-POSTROUTING, KUBE-MARK-MASQ.
FIXED_NAT_CHAINS = 4
#: filter: KUBE-FORWARD drops the invalid, accepts what is marked and what is established.
FIXED_FILTER_RULES = 3
#: filter: KUBE-SERVICES, KUBE-EXTERNAL-SERVICES, KUBE-FORWARD, KUBE-NODEPORTS, KUBE-PROXY-FIREWALL.
FIXED_FILTER_CHAINS = 5


@dataclass(frozen=True)
class Counts:
    """Rules and chains, one row a service port (int64), the fixed ones left out.

    Attributes:
        services: rules in nat KUBE-SERVICES.
        node_ports: rules in nat KUBE-NODEPORTS.
        own: rules in the chains of the port itself.
        chains: chains of the port.
        rejects: rules in filter KUBE-SERVICES.
        external_rejects: rules in filter KUBE-EXTERNAL-SERVICES.
        firewall: rules in filter KUBE-PROXY-FIREWALL.
        health: rules in filter KUBE-NODEPORTS.
    """

    services: Rows
    node_ports: Rows
    own: Rows
    chains: Rows
    rejects: Rows
    external_rejects: Rows
    firewall: Rows
    health: Rows

    @property
    def nat(self) -> Rows:
        """Int64, one a row: rules of the table nat."""
        return self.services + self.node_ports + self.own


@lru_cache(maxsize=4)
def count(ports: Ports) -> Counts:
    """Return what is written for each service port."""
    any_, cluster_ip = ports.endpoints > 0, ports.has_cluster_ip
    internal, external = ports.internal_endpoints > 0, ports.external_endpoints > 0
    addresses, node_port = ports.external_addresses, ports.open_node_port.astype(np.int64)
    balancers = np.where(cluster_ip, ports.load_balancer_ips, 0)
    outside = ports.externally_accessible & any_
    firewalled = any_ & (balancers > 0) & (ports.source_ranges > 0)
    cluster, local = ports.uses_cluster & any_, ports.uses_local & (ports.local_endpoints > 0)
    once = 1 + ports.affinity.astype(np.int64)
    own = (
        # The mark of traffic from off the cluster; a rule for each endpoint, and one more with affinity.
        internal + once * np.where(cluster, ports.endpoints, 0) + once * np.where(local, ports.local_endpoints, 0)
        # KUBE-SEP: the hairpin's mark, the new destination.
        + 2 * ports.reachable
        # KUBE-EXT. Cluster: mark, jump. Local: pods to all endpoints, the mark of what the node sends, this to all
        # endpoints as well, and a jump where an endpoint is here.
        + np.where(outside, np.where(ports.external_local, 3 + external, 2), 0)
        # KUBE-FW: the ranges, the node itself, a last one that only comments.
        + np.where(firewalled, ports.source_ranges + balancers * ports.node_allowed + 1, 0)
    )  # fmt: skip
    return Counts(
        services=internal + np.where(any_, addresses, 0),
        node_ports=node_port * any_,
        own=own,
        chains=cluster.astype(np.int64) + local + outside + firewalled + ports.reachable,
        rejects=(cluster_ip & ~internal).astype(np.int64),
        external_rejects=np.where(external, 0, addresses + node_port),
        firewall=np.where(firewalled, balancers, 0),
        health=(cluster_ip & ports.health_check).astype(np.int64),
    )
