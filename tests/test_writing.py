"""A run's tables are the same however many portions they are made of."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kscale.engine import events, scratch
from kscale.engine.ledger import fingerprint
from kscale.engine.outputs import OUTPUTS
from kscale.simulation import Settings, Simulation
from kscale.traces import Trace
from kscale.traces.common import files
from kscale.traces.common.opening import open_trace
from kscale.traces.common.writing import write_trace
from kscale.writing import Told, write_tables
from tests.worlds import World, worlds

Written = tuple[dict[str, pl.DataFrame], str]


@contextlib.contextmanager
def portions(stretch: int, window: int, batch: int = 1 << 20) -> Iterator[Path]:
    """A folder for a run that keeps so many pods, sorts so many events, and reads so many rows at once."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(scratch, "STRETCH", stretch)
        patch.setattr(scratch, "HELD", stretch)
        patch.setattr(events, "WINDOW", window)
        patch.setattr(events, "STEP", 1)
        patch.setattr(files, "BATCH_ROWS", batch)
        yield Path(name)


def written(trace: Trace, nodes: pl.DataFrame, how: Settings, kept: scratch.Scratch, folder: Path) -> Written:
    """The tables and the fingerprint of a run."""
    simulation = Simulation(trace, nodes, how, scratch=kept)
    simulation.compile()
    with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
        simulation.run()
    print_, _, _ = write_tables(folder, simulation, Told("", [], {}))
    assert {path.name for path in folder.iterdir()} == {f"{name}.parquet" for name in OUTPUTS}
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in OUTPUTS}, print_


def ran(world: World, how: Settings, *, stretch: int, window: int) -> Written:
    with portions(stretch, window) as folder:
        return written(world.trace(), world.node_frame(), how, scratch.Scratch(folder), folder)


def assert_equal(first: Written, second: Written) -> None:
    assert first[1] == second[1] == fingerprint(first[0]["pods"])
    for name, frame in first[0].items():
        assert frame.schema == second[0][name].schema, name
        assert frame.equals(second[0][name]), name


@settings(deadline=None, max_examples=25)
@given(worlds(), st.booleans(), st.integers(1, 4), st.integers(1, 6))
def test_portions_change_nothing(world: World, inflate: bool, stretch: int, window: int) -> None:
    assume(world.pods or not inflate)
    how = Settings(inflate=inflate, compiled=False, until_us=None if inflate else 40_000_000)
    whole = ran(world, how, stretch=1 << 18, window=1 << 21)
    assert_equal(whole, ran(world, how, stretch=stretch, window=window))


@settings(deadline=None, max_examples=25)
@given(worlds(), st.booleans(), st.integers(1, 4), st.integers(1, 4))
def test_a_trace_that_streams_in_changes_nothing(world: World, recorded: bool, stretch: int, batch: int) -> None:
    how = Settings(ends="recorded" if recorded else "service", compiled=False, until_us=40_000_000)
    found = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pods.parquet"
        write_trace(world.trace(), path)
        for streams in (False, True):
            with portions(stretch, 5, batch) as folder:
                kept = scratch.Scratch(folder)
                trace = open_trace(path, "own", None, kept if streams else None)
                assert (trace.stream is not None) == streams
                found.append(written(trace, world.node_frame(), how, kept, folder))
    assert_equal(*found)


@settings(deadline=None, max_examples=10)
@given(worlds(), st.integers(1, 6))
def test_events_stand_in_the_order_of_time_kind_and_trace(world: World, window: int) -> None:
    tables, _ = ran(world, Settings(compiled=False, until_us=40_000_000), stretch=3, window=window)
    found = tables["events"].with_row_index("row")
    assert found["time_us"].is_sorted()
    order = pl.Enum(
        ["Succeeded", "Failed", "Deleted", "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Evicted"]
    )
    trace = tables["pods"].select(pl.concat_str("namespace", pl.lit("/"), "name").alias("object")).with_row_index("pod")
    ranked = found.join(trace, on="object").with_columns(pl.col("kind").cast(pl.String).cast(order))
    assert ranked.sort("time_us", "kind", "pod")["row"].is_sorted()
    stamps = {"Arrived": "arrived_us", "Scheduled": "bound_us", "Started": "started_us"}
    for kind, column in stamps.items():
        assert found.filter(pl.col("kind") == kind).height == tables["pods"][column].count()
