"""Published figures of kube-proxy's modes, and what the model says: nothing here is fitted to them but ``typical``."""

from __future__ import annotations

from benchmarks.proxy_series import Series, case, mean_us
from kscale.network import curve, proxies
from kscale.network.proxies import Change

#: Kubernetes blog, 2025-02-28, iptables: microseconds of the first packet, read off its chart (2 us either way).
BLOG = {5_000: (16, 49, 114, 147), 10_000: (13, 63, 183, 252), 30_000: (42, 266, 495, 709)}
#: imroc, TKE, 2026: requests per second on 4 cores, a connection each, by Services of 4 endpoints.
TKE = {11: 31_365, 5_011: 22_237, 10_000: 17_261, 20_000: 12_916, 30_003: 9_057}
_TKE_CORES = 4


def latency() -> list[Series]:
    """Return the series of first packets."""
    quantiles = list(curve.QUANTILES.values())
    known, predicted = [], []
    for services, figures in BLOG.items():
        of = case("iptables", services)
        path = of.mode.first(of, proxies.HIT)
        assert path is not None
        known += figures
        predicted += path.quantiles_us(quantiles).tolist()
    base = 1e6 / TKE[11] - mean_us(case("iptables", 11, 4)) / _TKE_CORES
    rates = [1e6 / (base + mean_us(case("iptables", s, 4)) / _TKE_CORES) for s in TKE]
    best, worst = BLOG[30_000][0], mean_us(case("nftables", 30_000, cache="cold"))
    cold = mean_us(case("nftables", 10_000, cache="cold"))
    return [
        Series("first packet, iptables: p01, p50, p95, p99 at 5k, 10k, 30k Services", "Kubernetes blog 2025", "us",
               known, predicted, 0.71, 0.18, "misfit: the chart is no straight line, see p50 at 10k and p01 at 30k"),
        Series("first packet, nftables, median (cold)", "Kubernetes blog 2025", "us", [14.5], [cold], 0.15,
               note="about the p01 of iptables, 13 to 16"),
        Series("nftables at its worst, 30k: a little below iptables at its best", "Kubernetes blog 2025", "us",
               [best - 6], [worst], 0.65, note="misfit: no network card and no CNI is in the model"),
        Series("requests per second, iptables, 11 to 30k Services", "TKE 2026", "1/s", list(TKE.values()), rates,
               0.063, note="the first point sets the base"),
    ]  # fmt: skip


def keep_alive() -> Series:
    """Return the series of requests per second where connections are kept, to that with no Services."""
    changes = {5_011: -0.002, 10_000: -0.021, 20_000: -0.003, 30_003: -0.007}
    base = case("iptables", 11, 4)
    ratios = [base.mode.later(base).mean_us / (of := case("iptables", s, 4)).mode.later(of).mean_us for s in changes]
    return Series("requests per second with kept connections, to those with 11 Services", "TKE 2026", "1",
                  [1 + change for change in changes.values()], ratios, 0.022)  # fmt: skip


def processor() -> list[Series]:
    """Return the series of CPU and memory."""
    full = case("iptables", 20_000, 10)
    rule = full.parameters["iptables_legacy_typical_rule_us"]
    walk = curve.cores(case("ipvs", 10_000, 10), curve.Rates(0, 0, 0)).periodic
    resident = full.mode.memory(case("iptables", 30_000, 4)).kube_proxy_bytes / 2**20
    return [
        Series("CPU of 1,000 connections/s, 20,000 rules each, iptables", "Tigera 2019", "cores", [0.35],
               [1_000 * 20_000 * rule * 1e-6], 0.15),
        Series("CPU of 10k Services, 100k endpoints, IPVS", "Tigera 2019", "cores", [0.08], [walk], 0.10,
               note="what a walk costs is from here"),
        Series("kube-proxy, resident, 30k x 4", "TKE 2026", "MiB", [926], [resident], 0.01, note="sets the parameter"),
    ]  # fmt: skip


def syncs() -> list[Series]:
    """Return the series of programming."""

    def full(mode: str, services: int, endpoints: int, **options: str) -> float:
        of = case(mode, services, endpoints, **options)
        return of.mode.programming(of, Change()).full_s

    def change(mode: str, services: int, endpoints: int, **options: str) -> float:
        of = case(mode, services, endpoints, **options)
        return of.mode.programming(of, Change()).incremental_s

    listed = change("nftables", 44_125, 1, list="table") - change("nftables", 44_125, 1)
    return [
        Series("one by one, 40,000 and 160,000 rules", "Huawei 2017", "s", [660, 18_000],
               [full("userspace", 20_000, 1), full("userspace", 80_000, 1)], 4.0,
               note="misfit: 0.8 to 1.4 us for a rule in the table then, 4.1 measured here"),
        Series("one Service more, nftables, 10k x 2", "PR 126013", "s", [0.141], [change("nftables", 10_000, 2)], 0.15,
               note="a point of the fit"),
        Series("all, iptables, 10k x 2, kernel 6.8", "PR 130119", "s", [40.1],
               [full("iptables", 10_000, 2, backend="nft")], 0.20,
               note="taken as iptables-nft, which is not said; a restart is more than rules"),
        Series("all, nftables, 10k x 2, kernel 6.8, two hosts", "PR 130119", "s", [194, 333],
               [full("nftables", 10_000, 2, kernel="old")] * 2, 0.75, note="misfit: hosts differ by half"),
        Series("all, nftables, 44,125 x 1", "issue 139513", "s", [940], [full("nftables", 44_125, 1)], 0.02,
               note="a point of the fit"),
        Series("one change, nftables, 44,125 x 1", "issue 139513", "s", [1.3], [change("nftables", 44_125, 1)], 0.15,
               note="a point of the fit"),
        Series("list of the table, 44,125 x 1", "issue 139513", "s", [63], [listed], 0.40),
        Series("all, nftables, 5,006 x 50, kernel 6.1, two hosts", "issue 135639", "s", [795, 133],
               [full("nftables", 5_006, 50, kernel="old")] * 2, 1.70, note="misfit: hosts differ six times"),
        Series("2,500 Services, IPVS", "PR 93445", "s", [15], [full("ipvs", 2_500, 1)], 0.20, note="more than 15"),
        Series("start with 2,000 Services, IPVS", "issue 133773", "s", [30], [full("ipvs", 2_000, 1)], 0.70,
               note="misfit: addresses were bound again and again"),
    ]  # fmt: skip


def series() -> list[Series]:
    """Return all of them."""
    return [*latency(), keep_alive(), *processor(), *syncs()]
