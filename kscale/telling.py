"""What became of traffic, as tables of the run folder; see ``kscale.engine.outputs.LIVING_OUTPUTS``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.growing import GrowingPods
from kscale.engine.ledger import dtypes
from kscale.engine.load import Key
from kscale.network.traffic.endpoints import REASONS
from kscale.network.traffic.outcome import Outcome, Share, Stale, Step

_LOST = ("terminating", "not_ready", "gone", "cut")


def traffic_tables(outcomes: Mapping[Key, Outcome], pods: GrowingPods) -> dict[str, pl.DataFrame]:
    """Return the tables of traffic: over time, by endpoint, and of endpoints that rules had too long."""
    return {
        "traffic": _over_time(_joined(outcomes, "steps", Step)),
        "traffic_endpoints": _named(_joined(outcomes, "shares", Share), pods, "traffic_endpoints"),
        "traffic_stale": _named(_why(_joined(outcomes, "stale", Stale)), pods, "traffic_stale"),
    }  # fmt: skip


def _joined(outcomes: Mapping[Key, Outcome], name: str, row: Any) -> pl.DataFrame:
    """Return the rows of all Services as a frame, with ``namespace`` and ``service``."""
    kinds = {field: pl.Float64 if field == "squares" else pl.Int64 for field in row._fields}
    schema = {"namespace": pl.String, "service": pl.String, **kinds}
    rows = [(key[1], key[2], *one) for key, outcome in outcomes.items() for one in getattr(outcome, name)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _over_time(steps: pl.DataFrame) -> pl.DataFrame:
    count, mean = pl.col("even"), pl.col("shared") / pl.col("even")
    shared = pl.when((count > 0) & (pl.col("shared") > 0))
    variance = (pl.col("squares") / count - mean**2).clip(0)
    found = steps.sort("time_us", "namespace", "service", maintain_order=True).with_columns(
        endpoints=count,
        most_over_mean=shared.then(pl.col("most") / mean),
        variation=shared.then(variance.sqrt() / mean),
        jain=shared.then(pl.col("shared").cast(pl.Float64) ** 2 / (count * pl.col("squares"))),
    )
    return found.select(list(dtypes("traffic"))).cast(dtypes("traffic"))  # type: ignore[arg-type]


def _why(stale: pl.DataFrame) -> pl.DataFrame:
    names = pl.Series("names", REASONS)
    why = [names[code - 1] for code in stale["why"].to_list()]
    return stale.with_columns(why=pl.Series(why, dtype=pl.String)).sort(
        "since_us", "namespace", "service", "serial", maintain_order=True
    )


def _named(found: pl.DataFrame, pods: GrowingPods, table: str) -> pl.DataFrame:
    """Return rows with the names of their pods."""
    serials = np.unique(found["serial"].to_numpy())
    names = pl.DataFrame({"serial": serials, "pod": pods.called(serials)}, schema_overrides={"serial": pl.Int64})
    named = found.join(names, on="serial", how="left", maintain_order="left")
    return named.select(list(dtypes(table))).cast(dtypes(table))  # type: ignore[arg-type]
