"""Pods that stay in their file are those that are read whole, and what is wrong with them is told in the same words."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine import scratch
from kscale.engine.arrivals import Arrivals
from kscale.engine.scratch import Scratch
from kscale.errors import InputError
from kscale.traces import Options, Trace
from kscale.traces.common import files
from kscale.traces.common.opening import open_trace

SCHEMA = {
    "name": pl.String, "namespace": pl.String, "arrival_us": pl.Int64, "duration_us": pl.Int64, "end_us": pl.Int64,
    "cpu": pl.String, "priority": pl.Int64,
}  # fmt: skip
#: Now and then something is wrong: names that repeat, times before others or below 0, amounts that are none.
ROWS = st.fixed_dictionaries(
    {
        "name": st.one_of(st.text("abcde", min_size=1, max_size=3), st.sampled_from(["", None])),
        "namespace": st.sampled_from(["x", "y", "", None]),
        "arrival_us": st.one_of(st.integers(0, 20), st.sampled_from([None, -1])),
        "duration_us": st.one_of(st.none(), st.integers(0, 9)),
        "end_us": st.one_of(st.none(), st.integers(20, 30), st.integers(20, 30), st.just(3)),
        "cpu": st.sampled_from(["1", "2", "500m", "", None, "many"]),
        "priority": st.sampled_from([None, 0, 5]),
    }
)
#: Nothing is wrong with these.
GOOD = st.lists(ROWS, max_size=12, unique_by=lambda row: row["name"]).map(
    lambda rows: [
        row | {
            "name": row["name"] or "f", "arrival_us": abs(row["arrival_us"] or 0), "cpu": "1",
            "end_us": max(row["end_us"] or 20, 20),
        }
        for row in rows if row["name"]
    ]
)  # fmt: skip


def read(rows: list[dict[str, Any]], batch: int, *, stream: bool, **columns: pl.Series) -> tuple[Trace | str, Scratch]:
    """The trace, or what is wrong with it."""
    kept = Scratch()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_ROWS", batch)
        path = Path(name) / "t.parquet"
        pl.DataFrame(rows, schema=SCHEMA).with_columns(**columns).write_parquet(path)
        try:
            trace = open_trace(path, "own", Options(), kept if stream else None)
        except InputError as error:
            return str(error).replace(name, ""), kept
        return (trace, kept) if not stream or trace.stream is None else (_loaded(trace), kept)


def _loaded(trace: Trace) -> Trace:
    """The names, read again while the file is there."""
    pods = pl.concat([trace.rows.known(first, last) for first, last in scratch.stretches(trace.rows.height)])
    called = trace.rows.called(np.arange(0, trace.rows.height, 2))
    object.__setattr__(
        trace, "pods", pods.with_columns(called=called.gather(pl.int_range(pods.height, eager=True) // 2))
    )
    return trace


@settings(deadline=None, max_examples=150)
@given(st.one_of(GOOD, st.lists(ROWS, max_size=8)), st.integers(1, 5), st.integers(1, 5))
def test_a_stream_is_what_is_read_whole(rows: list[dict[str, Any]], batch: int, stretch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "STRETCH", stretch)
        whole, _ = read(rows, batch, stream=False)
        streamed, _kept = read(rows, batch, stream=True)
        if isinstance(whole, str) or isinstance(streamed, str):
            assert whole == streamed
            return
        assert streamed.stream is not None
        assert streamed.specs.equals(whole.specs) and streamed.notes == whole.notes
        height, known = whole.rows.height, whole.rows.known(0, whole.rows.height)
        assert streamed.rows.height == height
        assert streamed.pods.drop("called").equals(known)
        called = whole.rows.called(np.arange(0, height, 2))
        assert streamed.pods["called"].gather_every(2).to_list() == called.to_list()
        for inflate, recorded in ((False, False), (False, True), (True, False)):
            first, second = (Arrivals(t.rows, inflate=inflate, recorded=recorded) for t in (whole, streamed))
            assert (first.last_us(), first.living()) == (second.last_us(), second.living())
            for at in range(0, height, batch):
                ours, theirs = (a.portion(at, min(at + batch, height)) for a in (first, second))
                assert {n: v.tolist() for n, v in ours.items()} == {n: v.tolist() for n, v in theirs.items()}


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Categorical])
def test_names_of_other_types_are_texts_again(dtype: pl.DataType) -> None:
    rows = [{"name": str(number), "arrival_us": 10 - number, "cpu": "1"} for number in range(5)]
    names = pl.Series([row["name"] for row in rows]).cast(dtype)
    trace, _kept = read(rows, 2, stream=True, name=names)
    assert isinstance(trace, Trace) and trace.stream is not None
    assert trace.pods["name"].to_list() == list("01234")


def test_a_file_that_changes_while_it_is_replayed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [{"name": name, "arrival_us": 1, "cpu": "1"} for name in "abc"]
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path)
    kept = Scratch(tmp_path)
    trace = open_trace(path, "own", None, kept)
    pl.DataFrame(rows[:2], schema=SCHEMA).write_parquet(path)
    with pytest.raises(InputError, match="was changed while it was replayed; expected the file as it was"):
        trace.rows.known(0, 3)


def test_what_may_be_left_out_or_has_no_times_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"name": ["a", "b"], "arrival_us": [1, 2], "cpu": ["1", "1"]}).write_parquet(path)
    assert open_trace(path, "own", Options(lenient=True), Scratch(tmp_path)).stream is None
    pl.DataFrame({"name": ["a", "b"], "cpu": ["1", "1"]}).write_parquet(path)
    assert open_trace(path, "own", Options(), Scratch(tmp_path)).stream is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9))), max_size=12), st.integers(1, 4))
def test_arrivals_come_by_time_and_then_as_they_stand(pods: list[tuple[int, int | None]], size: int) -> None:
    rows = [{"name": f"p{row}", "arrival_us": at, "duration_us": lasts} for row, (at, lasts) in enumerate(pods)]
    trace, _ = read(rows, 5, stream=False)
    assert isinstance(trace, Trace)
    arrivals = Arrivals(trace.rows, inflate=False, recorded=False)
    found = [arrivals.portion(at, min(at + size, len(pods))) for at in range(0, len(pods), size)]
    told = [tuple(row) for p in found for row in zip(*(p[n].tolist() for n in ("time_us", "trace_row")), strict=True)]
    assert told == sorted((at, row) for row, (at, _) in enumerate(pods))
    assert arrivals.last_us() == max([1, *(at + (lasts or 0) for at, lasts in pods)])
