"""A digest tells of a long trace what it tells of a short one, about."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.traces import Rest
from kscale.traces.common import digest as digests
from kscale.traces.common import tallies
from kscale.traces.common.digest import gather
from kscale.traces.common.info import info, load
from kscale.traces.common.opening import read_nodes

NODES = read_nodes("8cpu,8Gi:2")
ROW = st.tuples(
    st.sampled_from(["n", "m"]), st.sampled_from([None, "x", "y", "z"]), st.integers(0, 10**9),
    st.sampled_from([None, 0, 5000, 10**8, 10**13]), st.sampled_from([None, 10**9, 10**10]),
    st.sampled_from([None, 0, 500, 4000]),
)  # fmt: skip
SCHEMA = {"namespace": pl.String, "owner": pl.String} | dict.fromkeys(
    ("arrival_us", "duration_us", "end_us", "cpu_milli"), pl.Int64
)


def _table(rows):
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(name=pl.format("p{}", pl.int_range(pl.len())))


def _portions(table, size):
    for start in range(0, max(table.height, 1), size):
        yield table[start : start + size]
    return Rest(("said",))


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 40))
def test_the_cut_into_portions_changes_nothing(rows, size):
    table = _table(rows)
    whole, cut = info(gather(_portions(table, 100)), NODES), info(gather(_portions(table, size)), NODES)
    assert list(whole) == list(cut)
    for title, frame in whole.items():
        assert_frame_equal(frame, cut[title])


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 40))
def test_a_long_trace_is_told_of_as_a_short_one(rows, size):
    """Of more pods than are held, only quantiles of times, the load and owners are not exact, and all that is said."""
    table = _table(sorted(rows, key=lambda row: row[2]))
    exact = gather(_portions(table, size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "EXACT", 0)
        patch.setattr(digests, "EXACT", 0)
        patch.setattr(digests, "MOST_OWNERS", 1)
        about = gather(_portions(table, size))
    assert not exact.notes
    assert about.notes
    for title in ("Overview", "Requests", "Arrivals", "Most frequent specs"):
        assert_frame_equal(info(exact)[title], info(about)[title])
    for true, found in zip(info(exact)["Times"].iter_rows(), info(about)["Times"].iter_rows(), strict=True):
        assert true[:2] == found[:2]
        assert all(value * 0.992 <= other <= value for value, other in zip(true[2:], found[2:], strict=True))
    for true, found in zip(load(exact, NODES).rows(named=True), load(about, NODES).rows(named=True), strict=True):
        assert found["peak"] <= true["peak"]
        if about.arrivals.sums.shape[1] > 1000:  # of few parts of time, the first and last weigh too much
            assert found["mean"] == pytest.approx(true["mean"], rel=0.02, abs=50)


def test_arrivals_without_order_are_sorted_or_not_told(monkeypatch):
    table = _table([("n", None, at, None, None, 1) for at in (5, 1, 9)])
    gaps = info(gather(_portions(table, 2)))["Times"].row(0, named=True)
    assert (gaps["what"], gaps["p10"], gaps["max"]) == ("between_arrivals_us", 4, 4)
    monkeypatch.setattr(digests, "EXACT", 0)
    found = gather(_portions(table, 2))
    assert info(found)["Times"].height == 0
    assert "Arrivals are not in order, and too many to sort: times between them are not told." in found.notes


def test_of_many_owners_the_largest_stay(monkeypatch):
    monkeypatch.setattr(digests, "MOST_OWNERS", 3)
    rows = [("n", f"o{owner}", 0, None, None, 1) for owner in range(20) for _ in range(1 + 5 * (owner in (0, 9)))]
    found = gather(_portions(_table(rows), 8))
    assert found.owners == 20
    assert found.largest_owners(2)["owner"].to_list() == ["o0", "o9"]
    assert "Of more than 6 owners, the pods of the largest are counted, at least." in found.notes
