"""A run's tables are the same however many portions they are made of."""

from __future__ import annotations

import tempfile
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
from kscale.writing import Told, write_tables
from tests.worlds import World, worlds


def written(world: World, how: Settings, *, stretch: int, window: int) -> tuple[dict[str, pl.DataFrame], str]:
    """The tables and the fingerprint of a run that keeps so many pods, and sorts so many events, at once."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(scratch, "STRETCH", stretch)
        patch.setattr(scratch, "HELD", stretch)
        patch.setattr(events, "WINDOW", window)
        patch.setattr(events, "STEP", 1)
        folder = Path(name)
        simulation = Simulation(world.trace(), world.node_frame(), how, scratch=scratch.Scratch(folder))
        simulation.compile()
        with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
            simulation.run()
        print_, _, _ = write_tables(folder, simulation, Told("", [], {}))
        assert {path.name for path in folder.iterdir()} == {f"{name}.parquet" for name in OUTPUTS}
        return {name: pl.read_parquet(folder / f"{name}.parquet") for name in OUTPUTS}, print_


@settings(deadline=None, max_examples=25)
@given(worlds(), st.booleans(), st.integers(1, 4), st.integers(1, 6))
def test_portions_change_nothing(world: World, inflate: bool, stretch: int, window: int) -> None:
    assume(world.pods or not inflate)
    how = Settings(inflate=inflate, compiled=False, until_us=None if inflate else 40_000_000)
    whole, first = written(world, how, stretch=1 << 18, window=1 << 21)
    parts, second = written(world, how, stretch=stretch, window=window)
    assert first == second == fingerprint(whole["pods"])
    for name, frame in whole.items():
        assert frame.schema == parts[name].schema, name
        assert frame.equals(parts[name]), name


@settings(deadline=None, max_examples=10)
@given(worlds(), st.integers(1, 6))
def test_events_stand_in_the_order_of_time_kind_and_trace(world: World, window: int) -> None:
    tables, _ = written(world, Settings(compiled=False, until_us=40_000_000), stretch=3, window=window)
    found = tables["events"].with_row_index("row")
    assert found["time_us"].is_sorted()
    order = pl.Enum(
        ["Succeeded", "Deleted", "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Evicted"]
    )
    trace = tables["pods"].select(pl.concat_str("namespace", pl.lit("/"), "name").alias("object")).with_row_index("pod")
    ranked = found.join(trace, on="object").with_columns(pl.col("kind").cast(pl.String).cast(order))
    assert ranked.sort("time_us", "kind", "pod")["row"].is_sorted()
    stamps = {"Arrived": "arrived_us", "Scheduled": "bound_us", "Started": "started_us"}
    for kind, column in stamps.items():
        assert found.filter(pl.col("kind") == kind).height == tables["pods"][column].count()
