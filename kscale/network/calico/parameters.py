"""Calico's numbers: one row each, with unit, kind and source.

``structural`` follows from what Calico or BIRD is; ``published`` stands in its documentation or its defaults;
``assumed`` is a guess that nobody measured here, to be replaced by one's own figures.
"""

from __future__ import annotations

from collections.abc import Mapping

from kscale.network.parameters import ASSUMED, PUBLISHED, STRUCTURAL, Parameter, Parameters

_BIRD = "BIRD 1.6, proto/bgp/config.Y: defaults of the protocol"
_TEMPLATE = "projectcalico/calico, confd/etc/calico/confd/templates/bird.cfg.template"
_FELIX = "projectcalico/calico, felix/calc/async_calc_graph.go and felix/dataplane/linux/int_dataplane.go"
_FELIX_CONFIG = "projectcalico/calico, felix/config/config_params.go"
_TYPHA = "projectcalico/calico, typha/pkg/config/config_params.go"
_IPAM = "projectcalico/calico, libcalico-go/lib/ipam"
_CONTROLLERS = "projectcalico/calico, kube-controllers/pkg/controllers/node/ipam.go"
_TIERS = "projectcalico/calico, api/pkg/apis/projectcalico/v3/tier.go"
_GUESS = "no published measurement was found"

_ROWS = (
    # BGP
    Parameter("bgp_hold_us", 240_000_000, "us", PUBLISHED, f"{_BIRD} (hold time 240); Calico states no other"),
    Parameter("bgp_keepalive_us", 80_000_000, "us", PUBLISHED, "BIRD 1.6 manual: a third of the hold time"),
    Parameter("bgp_connect_delay_us", 2_000_000, "us", PUBLISHED, f"{_TEMPLATE} (connect delay time 2)"),
    Parameter("bgp_connect_retry_us", 5_000_000, "us", PUBLISHED, f"{_TEMPLATE} (connect retry time 5)"),
    Parameter("bgp_restart_us", 120_000_000, "us", PUBLISHED,
              "RFC 4724 capability as BIRD 1.6 sends it (graceful restart time 120); Calico: maxRestartTime"),
    Parameter("bgp_advertisement_us", 0, "us", STRUCTURAL,
              f"{_BIRD}: it has no minimum route advertisement interval (RFC 4271 suggests 5 s within an AS)"),
    Parameter("bgp_peers_config_us", 1_000_000, "us", ASSUMED,
              f"from a change of a Node to BIRD's new configuration by confd; {_GUESS}"),
    Parameter("bgp_session_us", 50_000, "us", ASSUMED, f"TCP and OPEN handshakes of one session; {_GUESS}"),
    Parameter("bgp_hop_us", 2_000, "us", ASSUMED, f"an update from one speaker to the next, handling it; {_GUESS}"),
    Parameter("bgp_program_us", 1_000, "us", ASSUMED, f"a learnt route into the kernel's table; {_GUESS}"),
    Parameter("bgp_session_bytes", 100_000, "bytes", ASSUMED, f"BIRD's memory per session; {_GUESS}"),
    Parameter("bgp_path_bytes", 300, "bytes", ASSUMED, f"BIRD's memory per path it holds; {_GUESS}"),
    Parameter("bgp_update_cpu_us", 20, "us", ASSUMED, f"CPU time of one update sent or received; {_GUESS}"),
    Parameter("bgp_keepalive_cpu_us", 20, "us", ASSUMED, f"CPU time of one keepalive; {_GUESS}"),
    # IPAM
    Parameter("ipam_block_prefix_v4", 26, "bits", PUBLISHED, f"{_IPAM}: default blockSize, 64 addresses"),
    Parameter("ipam_block_prefix_v6", 122, "bits", PUBLISHED, f"{_IPAM}: default blockSize, 64 addresses"),
    Parameter("ipam_leak_grace_us", 900_000_000, "us", PUBLISHED, f"{_CONTROLLERS}: leakGracePeriod 15 min"),
    Parameter("ipam_resync_us", 300_000_000, "us", PUBLISHED, f"{_CONTROLLERS}: resync of 5 min"),
    # Typha
    Parameter("typha_connections_lower", 400, "connections", PUBLISHED, f"{_TYPHA}: MaxConnectionsLowerLimit"),
    Parameter("typha_connections_upper", 10_000, "connections", PUBLISHED, f"{_TYPHA}: MaxConnectionsUpperLimit"),
    Parameter("typha_headroom_percent", 20, "%", STRUCTURAL, "projectcalico/calico, typha/pkg/k8s/rebalance.go"),
    Parameter("typha_snapshot_batch", 100, "objects", PUBLISHED, f"{_TYPHA}: snapshot batches"),
    Parameter("typha_message_batch", 100, "objects", PUBLISHED, f"{_TYPHA}: ServerMaxMessageSize"),
    Parameter("typha_ping_us", 10_000_000, "us", PUBLISHED, f"{_TYPHA}: ServerPingIntervalSecs"),
    Parameter("typha_pong_us", 60_000_000, "us", PUBLISHED, f"{_TYPHA}: ServerPongTimeoutSecs"),
    Parameter("typha_fall_behind_us", 300_000_000, "us", PUBLISHED, f"{_TYPHA}: ServerMaxFallBehindSecs"),
    Parameter("typha_object_bytes", 500, "bytes", ASSUMED, f"an object on the wire; {_GUESS}"),
    Parameter("typha_bytes_per_s", 50_000_000, "bytes/s", ASSUMED, f"what a Typha sends in all; {_GUESS}"),
    Parameter("watches_per_client", 13, "watches", ASSUMED,
              "resources that a Felix syncer watches in a Kubernetes datastore; the number differs by release"),
    # Felix
    Parameter("felix_flush_us", 10_000, "us", PUBLISHED, f"{_FELIX}: flush tick of the calculation graph"),
    Parameter("felix_flush_tokens", 10, "flushes", PUBLISHED, f"{_FELIX}: leaky bucket of flushes"),
    Parameter("felix_apply_refill_us", 100_000, "us", PUBLISHED, f"{_FELIX}: throttle refilled every 100 ms"),
    Parameter("felix_apply_tokens", 10, "applies", PUBLISHED, f"{_FELIX}: throttle of applies"),
    Parameter("felix_batch", 100, "messages", PUBLISHED, f"{_FELIX}: messages taken before an apply"),
    Parameter("felix_apply_us", 10_000, "us", ASSUMED, f"one apply to the dataplane; {_GUESS}"),
    Parameter("felix_retry_us", 10_000_000, "us", PUBLISHED, f"{_FELIX}: what failed is tried again after 10 s"),
    Parameter("felix_resync_iptables_us", 180_000_000, "us", PUBLISHED,
              f"{_FELIX_CONFIG}: IptablesRefreshInterval"),
    Parameter("felix_resync_nftables_us", 180_000_000, "us", PUBLISHED,
              f"{_FELIX_CONFIG}: NftablesRefreshInterval"),
    Parameter("felix_resync_ipsets_us", 90_000_000, "us", PUBLISHED, f"{_FELIX_CONFIG}: IpsetsRefreshInterval"),
    Parameter("felix_resync_routes_us", 90_000_000, "us", PUBLISHED, f"{_FELIX_CONFIG}: RouteRefreshInterval"),
    Parameter("felix_resync_interfaces_us", 90_000_000, "us", PUBLISHED,
              f"{_FELIX_CONFIG}: InterfaceRefreshInterval"),
    # Policies
    Parameter("kubernetes_policy_order", 1000, "order", STRUCTURAL,
              "projectcalico/calico, libcalico-go/lib/backend/k8s/conversion: order of a Kubernetes NetworkPolicy"),
    Parameter("kube_admin_tier_order", 1000, "order", STRUCTURAL, _TIERS),
    Parameter("default_tier_order", 1_000_000, "order", STRUCTURAL, _TIERS),
    Parameter("kube_baseline_tier_order", 10_000_000, "order", STRUCTURAL, _TIERS),
)  # fmt: skip

#: All of them.
PARAMETERS = Parameters(_ROWS)


def values(overrides: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the value of every parameter by name, some of them overridden.

    Raises InputError where a name is not known, or a value is no whole number of at least 0.
    """
    return PARAMETERS.wholes(overrides or {})
