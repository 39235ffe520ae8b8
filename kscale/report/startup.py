"""Where a pod's start-up time goes, from the histogram of each step.

A histogram counts pods below 1 ms, then from each power of two of milliseconds to the next, so that a quantile of it is
an estimate: pods of one bar are taken as spread evenly over the logarithm of their time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.report import reading

SHARES = (0.5, 0.9, 0.99)
#: Steps that are told apart; the others are added up.
STEPS = 8
OTHERS = "other steps"
_MS = 1000.0
_CELLS = 2048
_SPREAD = (np.arange(32) + 0.5) / 32


@dataclass(frozen=True)
class Startup:
    """How long pods took to start.

    Attributes:
        steps: ``step``, ``pods`` (that went through it), ``total_us``, ``mean_us`` (of those pods), ``share_us`` (its
            part of the mean start-up of all pods), ``p50_us``, ``p90_us``, ``p99_us``; in the order of a start.
        pods: that started.
        mean_us: of a whole start-up.
        p99_us: of a whole start-up, were the steps of a pod independent of each other; an estimate.
        largest: row of ``steps`` that costs most.
    """

    steps: pl.DataFrame
    pods: int
    mean_us: float
    p99_us: float
    largest: int


def measure(folder: Path) -> Startup | None:
    """Return the start-up by step; None where no pod started."""
    found = reading.living(folder, "startup").filter(pl.col("pods") > 0).collect()
    if found.is_empty():
        return None
    pods = max(found["pods"].to_list())
    whole = whole_quantile([_bars(row) for row in found.iter_rows(named=True)], pods, 0.99)
    rows = _folded(found.rows(named=True))
    bars = [_bars(row) for row in rows]
    quantiles = {
        f"p{round(100 * share)}_us": [quantile(counts, share) for counts in bars] for share in SHARES
    }  # fmt: skip
    steps = pl.DataFrame(
        {name: [row[name] for row in rows] for name in ("step", "pods", "total_us")} | quantiles,
    ).with_columns(mean_us=pl.col("total_us") / pl.col("pods"), share_us=pl.col("total_us") / pods)
    mean = float(steps["share_us"].sum())
    shares = steps.select(pl.when(pl.col("step") != OTHERS).then("share_us").otherwise(-1.0)).to_series()
    return Startup(steps, pods, mean, whole, int(shares.arg_max() or 0))


def _bars(row: dict[str, Any]) -> np.ndarray:
    return np.array(row["histogram"] or [0], np.int64)


def _folded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the cheapest of too many steps as one."""
    if len(rows) <= STEPS:
        return rows
    ranked = sorted(range(len(rows)), key=lambda k: (-rows[k]["total_us"], k))
    kept = sorted(ranked[: STEPS - 1])
    rest = [rows[k] for k in ranked[STEPS - 1 :]]
    bars = [row["histogram"] or [] for row in rest]
    longest = max(len(counts) for counts in bars)
    summed = [sum(counts[k] for counts in bars if k < len(counts)) for k in range(longest)]
    others = {"step": OTHERS, "histogram": summed, "pods": max(row["pods"] for row in rest)}
    return [*(rows[k] for k in kept), others | {"total_us": sum(row["total_us"] for row in rest)}]


def quantile(counts: np.ndarray, share: float) -> float:
    """Return the time in microseconds that a share of the pods of a histogram needed at most, by nearest rank."""
    total = int(counts.sum())
    if not total:
        return 0.0
    rank = max(math.ceil(share * total - 1e-9), 1)
    upto = np.cumsum(counts)
    bar = int(np.searchsorted(upto, rank))
    inside = (rank - 0.5 - (upto[bar] - counts[bar])) / counts[bar]
    return float(_within(bar, inside))


def _within(bar: int, inside: float | np.ndarray) -> float | np.ndarray:
    """Return the time at a place (0 to 1) of a bar of the histogram."""
    return _MS * inside if bar == 0 else _MS * 2.0 ** (bar - 1 + inside)


def whole_quantile(bars: list[np.ndarray], pods: int, share: float) -> float:
    """Return the quantile of the sum of all steps, taken as independent; pods that skip a step spend no time in it."""
    top = sum(float(_within(len(counts), 0.0)) for counts in bars)
    while True:
        found = _sum_quantile(bars, pods, share, top)
        # A long tail must not make the cells coarse.
        if found > top / 16 or top < _MS / 16:
            return found
        top = max(found * 4, top / 256)


def _sum_quantile(bars: list[np.ndarray], pods: int, share: float, top: float) -> float:
    width = top / _CELLS
    whole = np.zeros(_CELLS)
    whole[0] = 1.0
    for counts in bars:
        step = np.zeros(_CELLS)
        step[0] = max(pods - int(counts.sum()), 0)
        for bar in np.flatnonzero(counts):
            cells = np.minimum(_within(int(bar), _SPREAD) / width, _CELLS - 1).astype(np.int64)
            np.add.at(step, cells, counts[bar] / len(_SPREAD))
        whole = np.convolve(whole, step / step.sum())[:_CELLS]
    upto = np.cumsum(whole)
    # Cells hold what is above their lower end: on average half a cell in every step.
    return float(width * (np.searchsorted(upto, share - 1e-12) + len(bars) / 2))
