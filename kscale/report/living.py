"""What controllers and kubelets did in a run: rollouts, autoscaling, start-up, restarts, refused evictions, calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.report import programming, reading, rollouts, startup, text, traffic
from kscale.report.programming import Programming
from kscale.report.rollouts import AUTOSCALER, KEYS, Rollouts
from kscale.report.startup import Startup
from kscale.report.traffic import Traffic

#: Bars of a figure, autoscalers that are drawn, rows of a table.
BARS, AUTOSCALERS, ROWS = 15, 3, 40


@dataclass(frozen=True)
class Autoscaler:
    """An autoscaler and its target over time.

    Attributes:
        kind, namespace, name: of the autoscaler.
        rows: ``time_us``, ``wanted`` (pods that it asks for), ``pods`` (that there are), ``most``, ``least``,
            ``load``.
        at_most_us: time in which it asked for as many pods as it may.
    """

    kind: str
    namespace: str
    name: str
    rows: pl.DataFrame
    at_most_us: int


@dataclass(frozen=True)
class Living:
    """What controllers and kubelets did.

    Attributes:
        rollouts: of the workloads.
        autoscalers: those whose wishes moved most, at most AUTOSCALERS.
        autoscaler_count: how many there are.
        startup: of the pods; None where none started.
        restarts: ``namespace``, ``owner`` (kind/name: what controls the pods' owner, where something does),
            ``restarts``; most first, at most BARS.
        restart_owners, restart_count: how many owners have restarts, and how many there were.
        budgets: disruption budgets that refused evictions: ``namespace``, ``name``, ``refused``; at most BARS.
        refused: evictions refused by all budgets; None where there is no budget.
        actions: of the scenario: ``time_us``, ``action``, ``words``.
        controllers: ``name``, ``calls``, ``errors``, most calls first.
        programming: of the nodes' kube-proxies; None where nothing was programmed.
        traffic: over Services; None where there was none.
    """

    rollouts: Rollouts
    autoscalers: tuple[Autoscaler, ...]
    autoscaler_count: int
    startup: Startup | None
    restarts: pl.DataFrame
    restart_owners: int
    restart_count: int
    budgets: pl.DataFrame
    refused: int | None
    actions: pl.DataFrame
    controllers: pl.DataFrame
    programming: Programming | None = None
    traffic: Traffic | None = None


def measure(folder: Path, horizon_us: int) -> Living | None:
    """Return what controllers and kubelets did; None for a run without them."""
    if not reading.lives(folder):
        return None
    scalers, scaler_count = _autoscalers(folder, horizon_us)
    restarts = (
        reading.living(folder, "objects")
        .filter(pl.col("restarts") > 0)
        # Pods of a Deployment belong to its ReplicaSets, which come and go: their owner is told.
        .with_columns(owner=pl.coalesce("owner", pl.concat_str("kind", pl.lit("/"), "name")))
        .group_by("namespace", "owner")
        .agg(pl.col("restarts").sum())
        .sort(["restarts", "namespace", "owner"], descending=[True, False, False])
        .collect()
    )
    refused = reading.living(folder, "objects").filter(pl.col("refused").is_not_null())
    budgets = refused.select("namespace", "name", "refused").sort(
        ["refused", "namespace", "name"], descending=[True, False, False]
    ).collect()  # fmt: skip
    return Living(
        rollouts.measure(folder, horizon_us),
        scalers,
        scaler_count,
        startup.measure(folder),
        restarts.head(BARS),
        restarts.height,
        int(restarts["restarts"].sum()),
        budgets.filter(pl.col("refused") > 0).head(BARS),
        int(budgets["refused"].sum()) if budgets.height else None,
        reading.living(folder, "actions").sort("time_us", "action", maintain_order=True).collect(),
        reading.living(folder, "controllers").sort(["calls", "name"], descending=[True, False]).collect(),
        programming.measure(folder, horizon_us),
        traffic.measure(folder, horizon_us),
    )


def _autoscalers(folder: Path, horizon_us: int) -> tuple[tuple[Autoscaler, ...], int]:
    """Return the autoscalers whose wishes moved most, and how many there are."""
    lazy = reading.living(folder, "rollouts").filter(pl.col("kind") == AUTOSCALER)
    found = (
        lazy.group_by(KEYS)
        .agg(moved=pl.col("wanted").max() - pl.col("wanted").min(), load=pl.col("load").max().fill_null(0))
        .sort(["moved", "load", *KEYS], descending=[True, True, False, False, False])
        .collect()
    )
    out = []
    for row in found.head(AUTOSCALERS).iter_rows(named=True):
        rows = (
            lazy.filter(*(pl.col(key) == row[key] for key in KEYS))
            .select("time_us", pl.col("wanted", "pods", "most", "least", "load").fill_null(0))
            .sort("time_us", maintain_order=True)
            .unique("time_us", keep="last", maintain_order=True)
            .collect()
        )
        length = pl.col("time_us").shift(-1).fill_null(max(horizon_us, rows["time_us"][-1])) - pl.col("time_us")
        full = rows.select(length.filter(pl.col("wanted") >= pl.col("most")).sum()).item()
        how = {name: pl.col(name).last() for name in rows.columns[1:]} | {"load": pl.col("load").max()}
        thinned = rollouts.thin(rows, rollouts.POINTS, how)
        out.append(Autoscaler(row["kind"], row["namespace"], row["name"], thinned, int(full)))
    return tuple(out), found.height


def headline(living: Living) -> dict[str, float | int | None]:
    """Return the headline numbers of a run with controllers."""
    rolled, started = living.rollouts, living.startup
    return {
        "rollouts_finished": rolled.finished,
        "rollouts_unfinished": rolled.unfinished,
        "rollouts_bounds_broken": rolled.broken,
        "rollout_longest_seconds": None if rolled.longest_us is None else rolled.longest_us / 1e6,
        "startup_mean_seconds": started.mean_us / 1e6 if started else None,
        "startup_p99_seconds": started.p99_us / 1e6 if started else None,
        "startup_largest_step_seconds": started.steps["share_us"][started.largest] / 1e6 if started else None,
        "restarts": living.restart_count,
        "evictions_refused": living.refused,
        "controller_calls": int(living.controllers["calls"].sum()),
        "controller_errors": int(living.controllers["errors"].sum()),
        **(programming.headline(living.programming) if living.programming is not None else {}),
        **(traffic.headline(living.traffic) if living.traffic is not None else {}),
    }


def sentence(living: Living) -> str:
    """Return what the verdict has to say of rollouts that went wrong; nothing where none did."""
    rolled = living.rollouts
    words = [f"{text.plural(rolled.unfinished, 'rollout')} did not finish."] if rolled.unfinished else []
    if rolled.broken:
        whose = "its" if rolled.broken == 1 else "their"
        words.append(f"{text.plural(rolled.broken, 'rollout')} broke the bounds on {whose} pods.")
    return " ".join(words)


def lines(living: Living) -> list[tuple[str, str]]:
    """Return the most important of it in at most five lines: a name and words."""
    rolled, started = living.rollouts, living.startup
    out = []
    if rolled.finished or rolled.unfinished:
        words = [f"{text.number(rolled.finished)} finished, {text.number(rolled.unfinished)} not"]
        words += [f"longest {text.duration(rolled.longest_us)}"] if rolled.longest_us is not None else []
        words += [f"bounds broken {text.number(rolled.broken)}"] if rolled.broken else []
        out.append(("rollouts", "; ".join(words)))
    if started is not None:
        step = text.clean(started.steps["step"][started.largest], 24)
        times = f"mean {text.duration(started.mean_us)}, p99 about {text.duration(started.p99_us)}"
        out.append(("start-up", f"{times}; most in {step}"))
    found = [text.plural(living.restart_count, "restart")] if living.restart_count else []
    found += [f"{text.plural(living.refused, 'eviction')} refused"] if living.refused else []
    out += [("disruptions", ", ".join(found))] if found else []
    out += [programming.line(living.programming)] if living.programming is not None else []
    return out + ([traffic.line(living.traffic)] if living.traffic is not None else [])
