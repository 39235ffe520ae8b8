"""A share of a trace: the same by any cut into portions, and what is kept is whole."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, NODES, Rest
from kscale.traces.common import sampling, specs
from kscale.traces.common.sampling import Share, Window

SCHEMA = {
    "name": pl.String, "namespace": pl.String, "owner": pl.String, "arrival_us": pl.Int64, "end_us": pl.Int64,
    "node_name": pl.String,
}  # fmt: skip
ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([None, "x", "y", "z", "p1"]), st.integers(0, 50),
              st.sampled_from([None, 60, 70]), st.sampled_from([None, "n0", "n1", "n2"])),
    max_size=30,
)  # fmt: skip


def _rest():
    nodes = pl.DataFrame({"name": [f"n{i}" for i in range(3)], "cpu_milli": [1] * 3, "memory_bytes": [1] * 3})
    events = pl.DataFrame({"time_us": [0, 10, 30], "node": ["n0", "n1", "n2"], "event": ["join", "leave", "cordon"]})
    return Rest(("said",), specs.conform(nodes, NODES), node_events=specs.conform(events, NODE_EVENTS))


def _table(rows):
    return pl.DataFrame([(f"p{i}", *row) for i, row in enumerate(rows)], schema=SCHEMA, orient="row")


def _portions(table, size):
    for start in range(0, max(table.height, 1), size):
        yield table[start : start + size]
    return _rest()


def _taken(portions):
    frames = []
    while True:
        try:
            frames.append(next(portions))
        except StopIteration as end:
            return pl.concat(frames), end.value


def _kept(names, share, seed):
    """Which of these names a share keeps, one by one."""
    return [name for name in names if Share(share, seed).keeps([name])[0]]


@settings(deadline=None)
@given(ROWS, st.integers(1, 9), st.sampled_from([0.2, 0.5, 1.0]), st.integers(0, 5))
def test_owners_are_kept_whole(rows, size, share, seed):
    table = _table(rows)
    found, rest = _taken(sampling.by_owner(_portions(table, size), Share(share, seed)))
    names = []
    for pod in table.iter_rows(named=True):
        key = pod["owner"] if pod["owner"] is not None else "\n" + pod["name"]
        names += [pod["name"]] if _kept([f"{pod['namespace']}/{key}"], share, seed) else []
    assert_frame_equal(found, table.filter(pl.col("name").is_in(names)))
    assert rest.nodes["name"].to_list() == _kept(["n0", "n1", "n2"], share, seed)
    assert set(rest.node_events["node"]) == set(rest.nodes["name"])


@settings(deadline=None)
@given(ROWS, st.integers(1, 9), st.sampled_from([0.2, 0.5, 1.0]), st.integers(0, 5))
def test_machines_keep_what_ran_on_them(rows, size, share, seed):
    table = _table(rows)
    sampled = sampling.by_machine(_portions(table, size), Share(share, seed))
    if table["node_name"].null_count() == table.height:
        with pytest.raises(InputError, match="does not say on which node a pod ran"):
            _taken(sampled)
        return
    found, rest = _taken(sampled)
    nodes = _kept(["n0", "n1", "n2"], share, seed)
    assert_frame_equal(found, table.filter(pl.col("node_name").is_in(nodes)))
    assert rest.nodes["name"].to_list() == nodes


@settings(deadline=None)
@given(ROWS, st.integers(1, 9), st.integers(0, 40), st.integers(1, 40))
def test_a_window_keeps_what_arrives_in_it(rows, size, start, length):
    table = _table(rows)
    found, rest = _taken(sampling.by_time(_portions(table, size), Window(start, start + length)))
    inside = table.filter(pl.col("arrival_us").is_between(start, start + length, closed="left"))
    assert_frame_equal(found, inside.with_columns(pl.col("arrival_us", "end_us") - start))
    events = [(max(at - start, 0), node) for at, node in ((0, "n0"), (10, "n1"), (30, "n2")) if at < start + length]
    assert rest.node_events.select("time_us", "node").rows() == events
    assert rest.nodes.height == 3


@settings(deadline=None)
@given(ROWS.filter(len), st.integers(1, 9), st.sampled_from([0.1, 0.5, 1.0]), st.integers(0, 99))
def test_a_drawn_window_lies_within_the_arrivals(rows, size, share, seed):
    table = _table(rows)
    window = sampling.drawn_window(_portions(table, size), share, seed)
    assert window == sampling.drawn_window(_portions(table, 30), share, seed)
    first, last = table["arrival_us"].min(), table["arrival_us"].max()
    assert first <= window.from_us < window.until_us <= last + 1
    assert window.until_us - window.from_us == max(round(share * (last + 1 - first)), 1)


def test_a_share_is_about_that_share_and_differs_by_seed():
    names = [f"job-{i}" for i in range(20_000)]
    found = [set(_kept(names, 0.1, seed)) for seed in (0, 1, 0)]
    assert all(1800 < len(kept) < 2200 for kept in found)
    assert found[0] == found[2] != found[1]
    assert len(found[0] & found[1]) < 300  # a hundredth, as by chance
    assert found[0] < set(_kept(names, 0.2, 0))  # a larger share holds the smaller one
    # The same names on every machine, in every version.
    assert _kept(names[:40], 0.1, 7) == ["job-36"]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_a_share_out_of_range(share):
    with pytest.raises(InputError, match="--share"):
        Share(share, 0)


def test_a_trace_without_times_has_no_window():
    table = _table([("a", None, 0, None, None)]).drop("arrival_us", "end_us")
    with pytest.raises(InputError, match="has no times"):
        _taken(sampling.by_time(_portions(table, 5), Window(0, 5)))
    with pytest.raises(InputError, match="has no times"):
        sampling.drawn_window(_portions(table, 5), 0.5, 0)
    with pytest.raises(InputError, match="has no pods"):
        sampling.drawn_window(_portions(_table([]), 5), 0.5, 0)
