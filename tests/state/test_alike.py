"""Rows that are alike."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from kscale.state.alike import alike

ROWS = st.tuples(st.sampled_from([None, 0, 1]), st.sampled_from([None, "", "a"]), st.just(7))


@given(st.lists(ROWS))
def test_kinds_come_in_the_order_of_their_first_rows(rows: list[tuple[int | None, str | None, int]]) -> None:
    frame = pl.DataFrame(rows, schema={"x": pl.Int64, "y": pl.String, "z": pl.Int64}, orient="row")
    kinds = list(dict.fromkeys(rows))
    firsts, places = alike(frame)
    assert firsts.tolist() == [rows.index(kind) for kind in kinds]
    assert places.tolist() == [kinds.index(row) for row in rows]
