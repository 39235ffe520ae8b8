"""Rows on disk come back as they were added, and nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine import scratch
from kscale.engine.scratch import Rows, Scratch, stretches

FIELDS = {"small": np.uint8, "large": np.int64}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 255), st.integers(-(1 << 62), 1 << 62)))),
    st.sampled_from([1, 3, 1 << 20]),
)
def test_rows_come_back_in_the_order_in_which_they_were_added(
    added: list[list[tuple[int, int, int]]], held: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "STRETCH", 5)
        patch.setattr(scratch, "HELD", held)
        rows = Rows(Scratch(), "x", FIELDS)
        for some in added:
            places, small, large = (np.array([row[k] for row in some], np.int64) for k in range(3))
            rows.add(places, {"small": small, "large": large})
        assert list(stretches(17)) == [(0, 5), (5, 10), (10, 15), (15, 17)]
        for first, last in stretches(17):
            expected = [row for some in added for row in some if first <= row[0] < last]
            assert rows.read(first, last).tolist() == expected


def test_an_empty_trace_has_one_stretch_without_rows() -> None:
    assert list(stretches(0)) == [(0, 0)]


def test_what_is_kept_stands_in_the_folder_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "HELD", 2)
    kept = Scratch(tmp_path)
    rows = Rows(kept, "x", {"small": np.uint8})
    rows.add(np.array([3]), {"small": np.array([1])})
    assert not list(tmp_path.iterdir())  # a small run has no use for it
    rows.add(np.array([4]), {"small": np.array([2])})
    (made,) = tmp_path.iterdir()
    assert [path.name for path in made.iterdir()] == ["x-000000"]
    kept.clear()
    assert not list(tmp_path.iterdir())
    other = Scratch(tmp_path)
    other.path("y").write_text("")
    del other
    assert not list(tmp_path.iterdir())
