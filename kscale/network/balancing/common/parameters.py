"""Numbers of the model that come from elsewhere: a row each, with its unit, kind and source."""

from __future__ import annotations

from kscale.network.parameters import STRUCTURAL, Parameter

_IPVS = "Linux net/netfilter/ipvs/"

CLIENT_AFFINITY = Parameter(
    "client_affinity", 10_800_000_000, "us", STRUCTURAL,
    "Service API: sessionAffinityConfig.clientIP.timeoutSeconds defaults to 10800",
)  # fmt: skip
INACTIVE = Parameter(
    "inactive", 120_000_000, "us", STRUCTURAL, _IPVS + "ip_vs_proto_tcp.c: TIME_WAIT is kept for 2 minutes"
)
ACTIVE_OVERHEAD = Parameter(
    "active_overhead", 256, "inactive connections", STRUCTURAL,
    _IPVS + "ip_vs_lc.c, ip_vs_wlc.c: overhead = active x 256 + inactive",
)  # fmt: skip
HASH_BITS = Parameter("hash_bits", 8, "bits", STRUCTURAL, _IPVS + "ip_vs_sh.c, ip_vs_dh.c: TAB_BITS")
MAGLEV_SLOTS = Parameter(
    "maglev_slots", 4093, "slots", STRUCTURAL, _IPVS + "ip_vs_mh.c: the prime of CONFIG_IP_VS_MH_TAB_INDEX 12"
)
MAGLEV_BITS = Parameter(
    "maglev_bits",
    6,
    "bits",
    STRUCTURAL,
    _IPVS + "ip_vs_mh.c: weights over their divisor are cut to index 12 / 2 bits",
)
MAGLEV_OFFSET_SEED = Parameter("maglev_offset_seed", 2_654_435_761, "key", STRUCTURAL, _IPVS + "ip_vs_mh.c: hash1")
MAGLEV_SKIP_SEED = Parameter("maglev_skip_seed", 2_654_446_892, "key", STRUCTURAL, _IPVS + "ip_vs_mh.c: hash2")
CACHE_CHECK = Parameter(
    "cache_check", 60_000_000, "us", STRUCTURAL, _IPVS + "ip_vs_lblc.c, ip_vs_lblcr.c: CHECK_EXPIRE_INTERVAL"
)
CACHE_FULL_CHECK = Parameter(
    "cache_full_check", 30, "checks", STRUCTURAL, _IPVS + "ip_vs_lblc.c: COUNT_FOR_FULL_EXPIRATION"
)
CACHE_EXPIRATION = Parameter(
    "cache_expiration", 86_400_000_000, "us", STRUCTURAL,
    _IPVS + "ip_vs_lblc.c, ip_vs_lblcr.c: DEFAULT_EXPIRATION, sysctl lblc_expiration and lblcr_expiration",
)  # fmt: skip
CACHE_IDLE = Parameter("cache_idle", 360_000_000, "us", STRUCTURAL, _IPVS + "ip_vs_lblc.c: ENTRY_TIMEOUT")
CACHE_MOST = Parameter("cache_most", 16_384, "entries", STRUCTURAL, _IPVS + "ip_vs_lblc.c: table of 1024, times 16")
#: What the userspace proxy waits for an endpoint to answer, try by try.
DIAL_TIMEOUTS = tuple(
    Parameter(
        f"dial_timeout_{turn}", value, "us", STRUCTURAL,
        "Kubernetes pkg/proxy/userspace (until 1.25): endpointDialTimeouts 250 ms, 500 ms, 1 s, 2 s",
    )
    for turn, value in enumerate((250_000, 500_000, 1_000_000, 2_000_000), 1)
)  # fmt: skip
