"""Parameters that several modes share, and the sources that rows name."""

from __future__ import annotations

from kscale.network.parameters import ASSUMED, MEASURED, PUBLISHED, STRUCTURAL, Parameter

#: Sources.
BENCH = "kscale's measurements: kernel 6.18, AMD EPYC, 2 vCPU, iptables 1.8.9, nftables 1.0.6, ipset 7.17"
UPSTREAM = "Kubernetes 1.34, pkg/proxy"
KERNEL = "Linux, net/netfilter"
TKE = "imroc, TKE network benchmark, 2026: Kubernetes 1.34.1, kernel 6.6"
BLOG = "Kubernetes blog, 2025-02-28, NFTables mode for kube-proxy"
TIGERA = "Tigera, Comparing kube-proxy modes: iptables or IPVS?, 2019"

SHARED = (
    Parameter("path_us", 4.5, "us", MEASURED, BENCH, "one way through a node, first datagram, no netfilter"),
    Parameter("conntrack_new_us", 1.1, "us", MEASURED, BENCH, "a new entry in the connection table"),
    Parameter("nat_us", 0.75, "us", MEASURED, BENCH, "address translation set up, with one DNAT rule"),
    Parameter("masquerade_first_us", 0.7, "us", MEASURED, BENCH),
    Parameter("masquerade_later_us", 0.35, "us", MEASURED, BENCH),
    Parameter("established_path_us", 3.87, "us", MEASURED, BENCH, "one way, later datagram, no netfilter"),
    Parameter("conntrack_entry_bytes", 360, "bytes", STRUCTURAL, KERNEL, "256 and extensions: 320 to 400"),
    Parameter("kube_proxy_base_bytes", 40 * 2**20, "bytes", PUBLISHED, TKE, "with the next row, from one point"),
    Parameter(
        "kube_proxy_each_bytes",
        6200,
        "bytes",
        PUBLISHED,
        TKE,
        "a service port, and an endpoint of it; 926 MiB at 30k x 4",
    ),
    Parameter("build_rule_s", 1.5e-6, "s", ASSUMED, "kube-proxy's own time for one rule: 1 to 2 us"),
    Parameter("endpoint_batching_s", 0.5, "s", ASSUMED, "EndpointSlice controller and watch: 0.1 to 1 s"),
    Parameter("sync_period_s", 30, "s", STRUCTURAL, UPSTREAM, "default of syncPeriod"),
    Parameter(
        "full_sync_period_s",
        3600,
        "s",
        ASSUMED,
        UPSTREAM,
        "iptables and nftables are written anew so often; not checked again",
    ),
    Parameter(
        "burst_syncs",
        0,
        "1",
        STRUCTURAL,
        f"{UPSTREAM}/runner; before 1.34 pkg/util/async",
        "syncs in a row that minSyncPeriod lets through: 2 before 1.34; 0 keeps it after each",
    ),
    Parameter("proxy_watch_least_s", 0.005, "s", ASSUMED, "as of kubelets", "from a write to kube-proxy's own copy"),
    Parameter(
        "proxy_watch_most_s",
        0.110,
        "s",
        PUBLISHED,
        "KEP-2340: 99.9 % of a watch cache's copies",
        "the slowest node; others lie evenly between",
    ),
    Parameter("conntrack_per_core", 32768, "1", STRUCTURAL, UPSTREAM, "default of conntrack.maxPerCore"),
    Parameter("conntrack_least", 131072, "1", STRUCTURAL, UPSTREAM, "default of conntrack.min"),
)
