"""Two runs side by side: what went in, the headline numbers, and the first decision that differs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Run
from kscale.report import metrics, summary
from kscale.report.summary import Summary

#: Options and inputs that change nothing about the result.
_PLACES = {"out", "trace", "nodes", "max_input", "budget"}
_ASPECTS = ("status", "node", "decision", "bound_us", "started_us", "ended_us")
_SHOWN = (*_ASPECTS, "attempts", "reason", "preempted_by")


@dataclass(frozen=True)
class Comparison:
    """Two runs compared.

    Attributes:
        equal: whether the fingerprints are the same.
        fingerprints: of both: ``equal``, ``first``, ``second``.
        inputs: what went in and differs: ``what``, ``first``, ``second``.
        numbers: headline numbers: ``metric``, ``first``, ``second``, ``difference``, ``better``, ``unit``.
        divergence: what each run did with the first pod that differs; empty when none does.
        summaries: everything that the reports say.
    """

    equal: bool
    fingerprints: pl.DataFrame
    inputs: pl.DataFrame
    numbers: pl.DataFrame
    divergence: pl.DataFrame
    summaries: tuple[Summary, Summary]


def compare(folders: tuple[Path, Path], runs: tuple[Run, Run]) -> Comparison:
    """Return what differs between two checked run folders; differences are second minus first."""
    first, second = (run.fingerprint for run in runs)
    told = pl.DataFrame({"equal": [first == second], "first": [first], "second": [second]})
    one, two = (summary.summarize(folder, run) for folder, run in zip(folders, runs, strict=True))
    return Comparison(first == second, told, _inputs(*runs), _numbers(one, two), _first(folders), (one, two))


def _inputs(first: Run, second: Run) -> pl.DataFrame:
    sides = []
    for run in (first, second):
        side = {"version": run.kscale_version, "seed": str(run.seed), "plug-ins": str(run.plugins)}
        side |= {
            f"input {one.role}": one.sha256[:16] for one in run.inputs if one.role not in _PLACES - {"trace", "nodes"}
        }
        side |= {f"option {name}": str(value) for name, value in run.configuration.items() if name not in _PLACES}
        sides.append(side)
    names = dict.fromkeys([*sides[0], *sides[1]])
    rows = [
        (name, sides[0].get(name), sides[1].get(name)) for name in names if sides[0].get(name) != sides[1].get(name)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("what", "first", "second"), pl.String), orient="row")


def _numbers(first: Summary, second: Summary) -> pl.DataFrame:
    one, two = first.headline, second.headline
    rows = []
    for name in dict.fromkeys([*one, *two]):
        metric, a, b = metrics.find(name), one.get(name), two.get(name)
        difference = None if a is None or b is None else float(b) - float(a)
        better = ""
        if metric and metric.better and difference:
            better = "second" if (difference < 0) == (metric.better == "lower") else "first"
        rows.append((name, a, b, difference, better, metric.unit if metric else ""))
    numbers = dict.fromkeys(("first", "second", "difference"), pl.Float64)
    schema = {"metric": pl.String, **numbers, "better": pl.String, "unit": pl.String}
    return pl.DataFrame(
        [(r[0], *(None if v is None else float(v) for v in r[1:4]), *r[4:]) for r in rows], schema, orient="row"
    )


def _first(folders: tuple[Path, Path]) -> pl.DataFrame:
    """Return both runs' rows of the first pod that differs, by the earliest decision time of either run."""
    keys = ["namespace", "name", "copy"]
    tables = []
    for folder in folders:
        pods = runfolder.table(folder, "pods").select("namespace", "name", "arrived_us", *_SHOWN)
        # Names may repeat; the n-th of a name is held against the n-th.
        nth = pl.int_range(pl.len()).over("namespace", "name").alias("copy")
        tables.append(pods.with_columns(nth, pl.col("status").cast(pl.String), there=pl.lit(True)).collect())
    both = tables[0].join(tables[1], on=keys, how="full", coalesce=True, nulls_equal=True, suffix="|second")
    differs = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}|second")) for c in (*_ASPECTS, "there"))
    when = pl.min_horizontal("bound_us", "bound_us|second").fill_null(
        pl.min_horizontal("arrived_us", "arrived_us|second")
    )
    order = pl.min_horizontal("decision", "decision|second")
    found = both.filter(differs).sort(when, order, *keys, nulls_last=True).head(1)
    schema = dict.fromkeys(("what", "first", "second"), pl.String)
    if found.is_empty():
        return pl.DataFrame(schema=schema)
    row = found.row(0, named=True)
    pod = "/".join(part for part in (row["namespace"], row["name"]) if part)
    lines = [("pod", *(pod if row[c] else None for c in ("there", "there|second")))]
    for name in ("arrived_us", *_SHOWN):
        lines.append((name, *(None if row[c] is None else str(row[c]) for c in (name, f"{name}|second"))))
    return pl.DataFrame(lines, schema=schema, orient="row")
