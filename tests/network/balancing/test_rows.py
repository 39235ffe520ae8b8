"""The benchmark's rows: every algorithm has one, and what happens in a small one stays as it is."""

from __future__ import annotations

import pytest

from benchmarks.balancing import ROWS, Row, fingerprint, made, once
from kscale.network.balancing import found


def test_every_algorithm_has_its_row() -> None:
    assert sorted(row.name for row in ROWS) == sorted(found())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_happens_stays(row: Row) -> None:
    balanced = once(row.name, made(3_000, 20), compiled=False)
    assert (int(balanced.connections.max()), fingerprint(balanced)) == (row.most, row.fingerprint)
