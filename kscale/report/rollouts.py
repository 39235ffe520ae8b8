"""Rollouts: the times in which a workload was not yet as wanted, what came of them, and their course.

A workload is as wanted when as many pods as wanted are there, all of the latest template and all available. The time
from the first instant at which it is not until the first at which it is again is one change of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.report import reading

#: Why a change began, in the order of the codes: the first two are rollouts.
NEW_TEMPLATE, CREATED, SCALED, LOST = "new template", "created", "scaled", "pods lost"
CAUSES = (NEW_TEMPLATE, CREATED, SCALED, LOST)
AUTOSCALER = "HorizontalPodAutoscaler"
#: Changes that the table holds, those that are drawn, and the most points of a drawn one.
ROWS, COURSES, POINTS = 40, 4, 240
KEYS = ("kind", "namespace", "name")
_AMOUNTS = ("wanted", "pods", "updated", "ready", "available", "most", "least")


@dataclass(frozen=True)
class Rollouts:
    """What became of the workloads' changes.

    Attributes:
        rows: the changes that matter, at most ROWS: ``kind``, ``namespace``, ``name``, ``cause``, ``start_us``,
            ``end_us`` (null: not finished), ``duration_us`` (until the end of the run, where not finished),
            ``below_us`` (time with fewer available pods than wanted), ``wanted``, ``most``, ``least``, ``lowest``
            (available), ``highest`` (pods), ``broken`` (whether a bound was).
        courses: how the first of ``rows`` went, at most COURSES: ``time_us``, the amounts, and ``short`` and ``over``
            (pods beyond a bound that held).
        changes: all changes.
        finished, unfinished, broken: rollouts: changes to a new template, and creations.
        longest_us: duration of the longest rollout that finished; None when none did.
    """

    rows: pl.DataFrame
    courses: tuple[pl.DataFrame, ...]
    changes: int
    finished: int
    unfinished: int
    broken: int
    longest_us: int | None


def measure(folder: Path, horizon_us: int) -> Rollouts:
    """Return the rollouts of a run that ended at ``horizon_us``."""
    frame, names = _shown(folder, horizon_us)
    changes = _changes(frame)
    serious = ~pl.col("finished") | pl.col("broken")
    # A workload that comes up or is scaled is always below what is wanted; what went down is told first.
    grows = pl.col("cause").is_in([CREATED, SCALED])
    ranked = changes.sort(
        serious, grows, "below_us", "duration_us", "start_us", "object",
        descending=[True, False, True, True, False, False],
    )  # fmt: skip
    shown = ranked.head(ROWS).join(names, on="object", how="left", maintain_order="left")
    courses = tuple(_course(frame, row) for row in shown.head(COURSES).iter_rows(named=True))
    rollouts = changes.filter(pl.col("cause").is_in([NEW_TEMPLATE, CREATED]))
    finished = rollouts.filter("finished")
    return Rollouts(
        shown.select(*KEYS, "cause", "start_us", "end_us", *_MEASURED),
        courses,
        changes.height,
        finished.height,
        rollouts.height - finished.height,
        int(rollouts["broken"].sum()),
        max(finished["duration_us"].to_list(), default=None),
    )


_MEASURED = ("duration_us", "below_us", "wanted", "most", "least", "lowest", "highest", "broken")


def _shown(folder: Path, horizon_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what controllers were shown, object by object with ``object`` and ``row``, and the objects' names."""
    # What another object controls changes on its behalf: a ReplicaSet of a Deployment has no rollouts of its own.
    owned = reading.living(folder, "objects").filter(pl.col("owner").is_not_null()).select(KEYS)
    lazy = reading.living(folder, "rollouts").filter(pl.col("kind") != AUTOSCALER).join(owned, on=KEYS, how="anti")
    names = lazy.select(KEYS).unique().sort(KEYS).with_row_index("object").collect()
    frame = (
        lazy.join(names.lazy(), on=KEYS, how="left", maintain_order="left")
        .select("object", "time_us", *_AMOUNTS)
        .sort("object", "time_us", maintain_order=True)
        # Of several rows of one instant the last one holds.
        .filter(~((pl.col("object") == pl.col("object").shift(-1)) & (pl.col("time_us") == pl.col("time_us").shift(-1)))
                .fill_null(False))
        .with_row_index("row")
        .with_columns(
            first=(pl.col("object") != pl.col("object").shift()).fill_null(True),
            last=(pl.col("object") != pl.col("object").shift(-1)).fill_null(True),
        )
        .with_columns(
            until_us=pl.when("last").then(pl.max_horizontal("time_us", pl.lit(horizon_us)))
            .otherwise(pl.col("time_us").shift(-1)),
            settled=(pl.col("updated") >= pl.col("wanted"))
            & (pl.col("pods") == pl.col("wanted"))
            & (pl.col("available") >= pl.col("wanted")),
            short=_beyond("least", pl.col("least") - pl.col("available"), 1),
            over=_beyond("most", pl.col("pods") - pl.col("most"), -1),
        )
        .collect()
    )  # fmt: skip
    return frame, names


def _beyond(bound: str, excess: pl.Expr, tighter: int) -> pl.Expr:
    """Return by how much a bound was broken.

    A bound that was made tighter holds from the first instant at which it is met: before, nobody could have kept it.
    """
    changed = tighter * (pl.col(bound) - pl.col(bound).shift()) > 0
    since = pl.when(pl.col("first") | changed.fill_null(False)).then("row").forward_fill()
    met = pl.when(excess <= 0).then("row").forward_fill()
    return pl.when((met >= since).fill_null(False) & (excess > 0)).then(excess).otherwise(0).fill_null(0)


def _changes(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each change."""
    starts = pl.col("first") | pl.col("settled").shift()
    open_ = frame.lazy().with_columns(
        length_us=pl.col("until_us") - pl.col("time_us"),
        scaled=(pl.col("wanted") != pl.col("wanted").shift()).fill_null(False),
        change=(~pl.col("settled") & starts).cum_sum(),
    )
    below = pl.col("available") < pl.col("wanted")
    by_change = (
        open_.filter(~pl.col("settled"))
        .group_by("change")
        .agg(
            pl.col("object").first(),
            pl.col("row").first().alias("from_row"),
            pl.col("row").last().alias("to_row"),
            pl.col("time_us").first().alias("start_us"),
            pl.col("until_us").last(),
            finished=~pl.col("last").last(),
            below_us=pl.col("length_us").filter(below).sum(),
            old=(pl.col("updated") < pl.col("pods")).any(),
            created=pl.col("first").first(),
            scaled=pl.col("scaled").first(),
            lowest=pl.col("available").min(),
            highest=pl.col("pods").max(),
            broken=(pl.max_horizontal("short", "over") > 0).any(),
            **{name: pl.col(name).last() for name in ("wanted", "most", "least")},
        )
    )
    return by_change.with_columns(
        cause=pl.when("old").then(pl.lit(NEW_TEMPLATE)).when("created").then(pl.lit(CREATED))
            .when("scaled").then(pl.lit(SCALED)).otherwise(pl.lit(LOST)),
        end_us=pl.when("finished").then("until_us"),
        duration_us=pl.col("until_us") - pl.col("start_us"),
    ).sort("change").collect()  # fmt: skip


def _course(frame: pl.DataFrame, change: dict[str, int]) -> pl.DataFrame:
    """Return how a change went, from the row before it to the one that ends it, with few points."""
    start = max(change["from_row"] - 1, 0)
    rows = frame.slice(start, change["to_row"] + 2 - start)
    rows = rows.filter(pl.col("object") == change["object"]).select("time_us", *_AMOUNTS, "short", "over")
    worst = {name: pl.col(name).min() for name in ("ready", "available")}
    worst |= {name: pl.col(name).max() for name in ("pods", "short", "over")}
    return thin(rows, POINTS, {name: worst.get(name, pl.col(name).last()) for name in rows.columns[1:]})


def thin(rows: pl.DataFrame, points: int, how: dict[str, pl.Expr]) -> pl.DataFrame:
    """Merge rows of ``time_us`` that lie close together, so that at most ``points`` are left; the last one stays."""
    if rows.height <= points:
        return rows
    low, high = rows["time_us"][0], rows["time_us"][-1]
    bins = (pl.col("time_us") - low) * (points - 2) // max(high - low, 1)
    merged = rows[:-1].group_by(bins.alias("bin"), maintain_order=True).agg(pl.col("time_us").first(), **how)
    return pl.concat([merged.drop("bin"), rows[-1:]])
