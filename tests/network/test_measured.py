"""The model against what was measured: whole series where their files are, and some figures of them always."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import proxy_measured
from benchmarks.proxy_series import Series, case, mean_us
from kscale.network import proxies
from kscale.network.proxies import Change

#: TCP connect, iptables-legacy, one endpoint, microseconds: the first Service of the list, the middle one, the last.
CONNECTS = {
    "warm": {5_000: (23.0, 35.7, 51.1), 10_000: (23.4, 51.0, 81.6), 30_000: (23.7, 110.8, 199.6)},
    "cold": {1_000: (112.5, 122.2, 131.0), 10_000: (115.7, 215.5, 318.2), 30_000: (113.6, 417.6, 703.2)},
}
#: CPU seconds of a full sync, Services by endpoints.
FULL = {
    "legacy": {(1_000, 1): 0.036, (10_000, 1): 0.45, (30_000, 1): 2.35, (10_000, 10): 8.31, (30_000, 10): 71.8},
    "nft": {(1_000, 1): 0.185, (5_000, 1): 3.29, (10_000, 1): 15.3, (1_000, 10): 5.48},
}
FULL_NFTABLES = {(1_000, 1): 0.22, (5_000, 1): 3.6, (10_000, 1): 21.8, (5_000, 10): 23.0, (1_000, 100): 15.9}


@pytest.mark.data
def test_every_series_is_as_near_as_it_is_said_to_be() -> None:
    found = proxy_measured.series(Path(os.environ["KSCALE_DATA"]) / "data" / "kube-proxy")
    assert len(found) >= 25 and sum(len(series.known) for series in found) > 450
    missed = {
        s.name: (s.errors.max(), s.most, float(sorted(s.errors)[len(s.errors) // 2])) for s in found if not s.held
    }
    assert not missed


@pytest.mark.parametrize("cache", CONNECTS)
def test_the_list_costs_what_it_did(cache: str) -> None:
    for services, (first, middle, last) in CONNECTS[cache].items():
        of = case("iptables", services, cache=cache)
        whole = mean_us(of, proxies.OTHER) - mean_us(case("iptables", 1, cache=cache), proxies.OTHER)
        assert last - first == pytest.approx(whole, rel=0.10)
        assert middle - first == pytest.approx(whole / 2, rel=0.24 if services == 5_000 else 0.20)


def test_a_first_datagram_takes_what_it_did() -> None:
    assert mean_us(case("iptables", 10, cache="warm")) == pytest.approx(7.22, abs=0.10)
    for services in (10, 1_000, 10_000):
        assert mean_us(case("nftables", services)) == pytest.approx(7.33, abs=0.05)
        assert mean_us(case("nftables", services), proxies.OTHER) == pytest.approx(7.00, abs=0.05)


def test_full_syncs_take_what_they_did() -> None:
    for backend, figures in FULL.items():
        series = [
            (known, (of := case("iptables", s, e, backend=backend)).mode.programming(of, Change()).full_s)
            for (s, e), known in figures.items()
        ]
        known, said = zip(*series, strict=True)
        assert Series(backend, "", "s", known, said, 0.45, 0.15).held
    for (s, e), known in FULL_NFTABLES.items():
        of = case("nftables", s, e)
        assert of.mode.programming(of, Change()).full_s == pytest.approx(known, rel=0.52)
