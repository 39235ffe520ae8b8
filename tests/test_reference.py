"""The reference kernel: what it computes, and that it costs a run little."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kscale import reference


@pytest.mark.parametrize("times", [0, 1, 9, 20])
def test_the_passes_compute_what_single_steps_do(times: int) -> None:
    columns = reference._columns()
    nodes, total = range(max(times, 1)), 0.0
    sums = dict.fromkeys(nodes, 0.0)
    for number in range(times):
        asked = float(number & 7)
        for node in nodes:
            for first in range(0, reference.COLUMNS, 3):
                capacity, used, other = columns[first : first + 3, node].tolist()
                sums[node] += (capacity - used - asked) * 100.0 / capacity if other > asked else 1.0
        total += sums[number]
    assert reference.scan(times) == pytest.approx(total, rel=1e-12, abs=0.0)


def test_the_time_is_the_least_of_several_and_of_so_many_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    now, scanned = [0.0], []
    costs = iter([9.0, 0.5, 0.25, 4.0, 0.75, 0.5])

    def scan(times: int) -> float:
        scanned.append(times)
        now[0] += next(costs)
        return 0.0

    monkeypatch.setattr(reference, "scan", scan)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert reference.seconds() == 0.25
    assert scanned == [1, *[reference.SCANS] * reference.ROUNDS]


def test_it_takes_longer_to_scan_more() -> None:
    def least(scans: int) -> float:
        costs = []
        for _ in range(9):
            began = time.process_time()
            reference.scan(scans)
            costs.append(time.process_time() - began)
        return float(np.min(costs))

    assert least(200) > 4 * least(20)
