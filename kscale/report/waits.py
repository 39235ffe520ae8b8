"""Who waited, how long and why: from the pods' own times, in a few lazy passes.

A pod waits from its arrival until it is bound, ends unbound, or the run ends. Before the scheduler first found that
it does not fit it waits for its turn; after that for the reason it was last given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Run

QUANTILES = (0.5, 0.9, 0.99, 0.999)
#: Reasons that are shown by name; the others are added up.
REASONS = 6
INSTANTS = 400
#: Moments that are looked at within each interval that is shown, so that short waits are seen.
FINE = 80
#: Up to so many pods that waited are looked for once; of more, every figure reads the file again.
FEW = 1 << 20
TURN = "Waiting for its turn in the scheduler"
OTHER = "Other reasons"


@dataclass(frozen=True)
class Placing:
    """Waits of the placed pods of one class; times in microseconds.

    Attributes:
        name: of the class.
        placed: pods of it that were placed.
        at_once: those of them that did not wait at all.
        quantiles: wait at each of QUANTILES and 1.0 (the longest); by nearest rank.
        curve: (wait, share of the placed pods that waited no longer), for waits above 0.
    """

    name: str
    placed: int
    at_once: int
    quantiles: dict[float, float]
    curve: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Waits:
    """What the pods of a timed run waited.

    Attributes:
        overall: over all placed pods; None when none was placed.
        classes: the same by class, where there is more than one.
        samples: instants of the run's samples, in microseconds.
        asks: what the waiting pods ask for at each of these, by resource key.
        times: beginnings of intervals of the run, in microseconds.
        reasons: waiting pods by reason, at the moment of each interval at which most waited; largest first.
        pod_hours: pod-hours waited in all.
        main: the reason with most waiting time; None when nobody waited for room.
        peak: most pods waiting at a moment.
        peak_at: when, in microseconds.
    """

    overall: Placing | None
    classes: list[Placing]
    samples: np.ndarray
    asks: dict[str, np.ndarray]
    times: np.ndarray
    reasons: dict[str, np.ndarray] = field(default_factory=dict)
    pod_hours: float = 0.0
    main: str | None = None
    peak: int = 0
    peak_at: int = 0


def plain_reason(reason: pl.Expr) -> pl.Expr:
    """Return kube-scheduler's summary without its counts, in alphabetical order: ``Insufficient cpu, Too many pods``.

    kube-scheduler sorts the parts with their counts, so that the same reasons come in many orders.
    """
    return (
        reason.str.replace(r"^\d+/\d+ nodes are available: ", "")
        .str.replace(r"\.? ?preemption: .*$", "")
        .str.replace_all(r"(^|, )\d+ ", "$1")
        .str.strip_chars(". ")
        .str.split(", ")
        .list.sort()
        .list.join(", ")
    )


def waiting(folder: Path, run: Run) -> pl.LazyFrame:
    """Return the pods that waited, with ``end_us`` (when they stopped waiting) and ``open``.

    ``open`` says that it still waits at the end of the run.
    """
    end = pl.coalesce("bound_us", "ended_us", pl.lit(run.horizon_us))
    return (
        runfolder.table(folder, "pods")
        .filter(pl.col("arrived_us").is_not_null(), pl.col("status") != "refused")
        .select(
            "name",
            "namespace",
            "arrived_us",
            "first_failed_us",
            "bound_us",
            "reason",
            "template",
            end.alias("end_us"),
            (pl.col("bound_us").is_null() & pl.col("ended_us").is_null()).alias("open"),
        )
        .filter(pl.col("end_us") > pl.col("arrived_us"))
    )


def measure(folder: Path, run: Run, templates: pl.DataFrame) -> Waits:
    """Return the waits of a timed run; ``templates`` carries ``ask:*`` columns."""
    times = instants(run)
    lazy = waiting(folder, run).drop("name", "namespace")
    few = lazy.head(FEW + 1).collect(engine="streaming")
    lazy = few.lazy() if few.height <= FEW else lazy
    overall, classes = _placing(lazy, templates)
    labels = _labels(lazy)
    if labels is None:
        return Waits(overall, classes, times, {}, times)
    names, codes, pod_us, main = labels
    moments, counts = _counts(lazy, codes, len(names), run)
    worst = _worst(counts.sum(1))
    counts = counts[worst]
    total = counts.sum(1)
    top = int(total.argmax())
    return Waits(
        overall,
        classes,
        times,
        _asks(lazy, templates, times),
        moments[worst // FINE * FINE],
        {name: counts[:, k] for k, name in enumerate(names) if counts[:, k].any()},
        pod_us / 3.6e9,
        main,
        int(total[top]),
        int(moments[worst[top]]),
    )


def instants(run: Run) -> np.ndarray:
    """Return at most INSTANTS + 1 instants of the run, evenly spaced, on its samples where it has some."""
    horizon = max(run.horizon_us, 1)
    sample = run.sample_us or 1
    step = sample * max(1, math.ceil(horizon / sample / INSTANTS))
    return np.arange(0, horizon + 1, step, dtype=np.int64)


def _placing(lazy: pl.LazyFrame, templates: pl.DataFrame) -> tuple[Placing | None, list[Placing]]:
    late = (
        lazy.filter(pl.col("bound_us").is_not_null())
        .select((pl.col("bound_us") - pl.col("arrived_us")).alias("wait"), "template")
        .collect(engine="streaming")
    )
    wait, template = late["wait"].to_numpy(), late["template"].to_numpy()
    placed = templates["placed"].to_numpy()
    has_gpu = templates["gpu_count"].to_numpy() > 0
    numbers = templates["template"].to_numpy()
    gpu_of = np.zeros(int(numbers.max()) + 1 if len(numbers) else 1, np.bool_)
    gpu_of[numbers] = has_gpu
    on_gpu = gpu_of[template]
    groups = [
        ("GPU pods", int(placed[has_gpu].sum()), wait[on_gpu]),
        ("CPU-only pods", int(placed[~has_gpu].sum()), wait[~on_gpu]),
    ]
    classes = [_curve(name, count, waits) for name, count, waits in groups if count]
    total = int(placed.sum())
    return (_curve("All pods", total, wait) if total else None), classes if len(classes) > 1 else []


def _curve(name: str, placed: int, late: np.ndarray) -> Placing:
    late = np.sort(late)
    at_once = max(0, placed - len(late))

    def rank(share: float) -> float:
        k = math.ceil(share * placed - 1e-9) - at_once
        return float(late[min(k, len(late)) - 1]) if k > 0 and len(late) else 0.0

    if len(late):
        edges = np.unique(np.geomspace(late[0], late[-1], 240).clip(late[0], late[-1]))
        shares = (at_once + np.searchsorted(late, edges, side="right")) / placed
        curve = (edges, shares)
    else:
        curve = (np.empty(0), np.empty(0))
    return Placing(name, placed, at_once, {q: rank(q) for q in (*QUANTILES, 1.0)}, curve)


def _labels(lazy: pl.LazyFrame) -> tuple[list[str], pl.DataFrame, float, str | None] | None:
    """Return the names of the reasons shown, the code of each raw reason, the time waited, the main reason."""
    since = pl.coalesce("first_failed_us", "end_us")
    raw = (
        lazy.group_by("reason")
        .agg(
            (pl.col("end_us") - since).cast(pl.Float64).sum().alias("failing"),
            (since - pl.col("arrived_us")).cast(pl.Float64).sum().alias("turn"),
        )
        .collect(engine="streaming")
    )
    if raw.is_empty():
        return None
    raw = raw.with_columns(plain_reason(pl.col("reason")).fill_null("No reason recorded").alias("plain"))
    ranked = (
        raw.group_by("plain").agg(pl.col("failing").sum()).sort(["failing", "plain"], descending=[True, False])["plain"]
    )
    top = ranked.head(REASONS).to_list()
    names = [*top, OTHER, TURN]
    codes = raw.select(
        "reason",
        pl.col("plain")
        .replace_strict(top, list(range(len(top))), default=len(top), return_dtype=pl.Int8)
        .alias("code"),
    )
    failing = float(raw["failing"].sum())
    return names, codes, failing + float(raw["turn"].sum()), top[0] if failing else None


def _first_at(column: str, step: int, count: int) -> pl.Expr:
    """Return the first of ``count`` instants, ``step`` apart, at or after a time; ``count`` when it is after all."""
    return ((pl.col(column) + (step - 1)) // step).clip(0, count).alias("instant")


def _end_at(step: int, count: int) -> pl.Expr:
    """Return the same for the end of a wait; a pod that still waits is counted at every instant."""
    return pl.when("open").then(count).otherwise(_first_at("end_us", step, count)).alias("instant")


def _counts(lazy: pl.LazyFrame, codes: pl.DataFrame, names: int, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return instants of the run, FINE times as many as are shown, and the pods waiting at each by reason."""
    step = -(-max(run.horizon_us, 1) // (INSTANTS * FINE))
    times = np.arange(0, run.horizon_us + 1, step, dtype=np.int64)
    count, turn = len(times), names - 1
    coded = lazy.join(codes.lazy(), on="reason", nulls_equal=True)
    failed = pl.col("first_failed_us").is_not_null()
    last = pl.when(failed).then(pl.col("code")).otherwise(pl.lit(turn, pl.Int8)).alias("code")
    starts, fails, ends = pl.collect_all(
        [
            coded.group_by(_first_at("arrived_us", step, count)).agg(pl.len()),
            coded.filter(failed).group_by(_first_at("first_failed_us", step, count), "code").agg(pl.len()),
            coded.group_by(_end_at(step, count), last).agg(pl.len()),
        ],
        engine="streaming",
    )
    change = np.zeros((count + 1, names), np.int64)
    began, failing, ended = (frame["len"].to_numpy().astype(np.int64) for frame in (starts, fails, ends))
    np.add.at(change[:, turn], starts["instant"].to_numpy(), began)
    np.add.at(change[:, turn], fails["instant"].to_numpy(), -failing)
    np.add.at(change, (fails["instant"].to_numpy(), fails["code"].to_numpy()), failing)
    np.add.at(change, (ends["instant"].to_numpy(), ends["code"].to_numpy()), -ended)
    return times, np.cumsum(change, axis=0)[:-1]


def _worst(total: np.ndarray) -> np.ndarray:
    """Return, of every FINE instants, the index of the one with most waiting pods."""
    blocks = -(-len(total) // FINE)
    padded = np.full(blocks * FINE, -1, np.int64)
    padded[: len(total)] = total
    return padded.reshape(blocks, FINE).argmax(1) + np.arange(blocks) * FINE


def _asks(lazy: pl.LazyFrame, templates: pl.DataFrame, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sums of what the waiting pods ask for at each of ``times``, by resource key."""
    step, count = int(times[1]) if len(times) > 1 else 1, len(times)
    asks = [c for c in templates.columns if c.startswith("ask:")]
    asking = lazy.join(templates.lazy().select("template", *asks), on="template", how="left")
    sums = [pl.col(c).sum() for c in asks]
    starts, ends = pl.collect_all(
        [
            asking.group_by(_first_at("arrived_us", step, count)).agg(sums),
            asking.group_by(_end_at(step, count)).agg(sums),
        ],
        engine="streaming",
    )
    asked = {}
    for column in asks:
        delta = np.zeros(count + 1)
        np.add.at(delta, starts["instant"].to_numpy(), starts[column].to_numpy())
        np.add.at(delta, ends["instant"].to_numpy(), -ends[column].to_numpy())
        # Sums of doubles in another order may leave a crumb where nothing waits.
        asked[column.removeprefix("ask:")] = np.cumsum(delta)[:-1].round(3).clip(0)
    return asked
