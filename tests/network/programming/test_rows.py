"""The benchmark's small row: what happens stays as it is, compiled or not, on any number of threads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.network import MODES, Run
from benchmarks.row import Network
from benchmarks.workloads import WORKLOADS
from kscale.network import proxies

SMALL = Network("iptables", 7, 200, 5, 20, 30)
ROW = next(row for row in WORKLOADS if row.name == "network-small")


def happened(network: Network, **how: int) -> tuple[dict[str, int], str]:
    ready = Run(network, **how)
    ready.run()
    return ready.happened()


@pytest.mark.parametrize("mode", MODES)
def test_plain_code_tells_of_every_change(mode: str) -> None:
    ready = Run(replace(SMALL, mode=mode), compiled=False)
    ready.run()
    assert ready.counts()["work_per_change"] == SMALL.nodes
    assert mode in proxies.found()
    # Of 20 changes a second most go in together, and none waits for more than a rest and two syncs.
    assert 30 / 4 < ready.counts()["syncs_per_node"] <= 600
    assert ready.outcome.quantiles_us([1.0])[0] < 3_000_000


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 3])
def test_what_happens_stays(threads: int) -> None:
    assert ROW.network is not None
    assert happened(ROW.network, threads=threads) == (dict(ROW.expected.counts), ROW.expected.fingerprint)


@pytest.mark.compiled
def test_compiled_and_plain_are_the_same() -> None:
    assert happened(SMALL) == happened(SMALL, compiled=False, threads=2)
