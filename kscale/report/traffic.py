"""What became of traffic over Services: how evenly it came to endpoints, and which connections went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.report import reading, rollouts, text

#: Ways in which a connection goes wrong: columns of the tables.
WRONG = ("refused", "terminating", "not_ready", "gone", "cut")
#: Those of them that are sent to a pod that should get none.
ASTRAY = WRONG[1:4]
#: Services in the table and those that are drawn; most points over time, and most pods that rules had too long.
SERVICES, DRAWN, POINTS, STALE = 15, 4, 240, 2000
_KEYS = ("namespace", "service")
_EVEN = ("most_over_mean", "variation", "jain")


@dataclass(frozen=True)
class Traffic:
    """Traffic over Services.

    Attributes:
        connections: all new ones, refused ones included.
        wrong: how many of them by way, WRONG.
        over_time: of all Services: ``time_us``, ``connections`` and WRONG, thinned; the last row is the end.
        services: ``namespace``, ``service``, ``connections``, WRONG, _EVEN (means over connections; null where no
            endpoint served all through a step), ``longest_us`` (that rules had a pod too long); most connections
            first, at most SERVICES.
        service_count: with traffic.
        even: the first of them over time, at most DRAWN: name, and ``time_us``, ``most_over_mean``, ``jain``.
        stale: pods that rules had too long: ``since_us``, ``lasted_us``, ``why``; the longest, at most STALE.
        stale_count: how many there were, those without an end included.
        typical_us, longest_us: how long they were in some rules, half of them and the longest; None where none was.
    """

    connections: int
    wrong: dict[str, int]
    over_time: pl.DataFrame
    services: pl.DataFrame
    service_count: int
    even: tuple[tuple[str, pl.DataFrame], ...]
    stale: pl.DataFrame
    stale_count: int
    typical_us: int | None
    longest_us: int | None

    @property
    def astray(self) -> int:
        """Connections that were sent to pods that should get none."""
        return sum(self.wrong[name] for name in ASTRAY)


def measure(folder: Path, horizon_us: int) -> Traffic | None:
    """Return what became of traffic in a run that ended at ``horizon_us``; None for a run without it."""
    rows = reading.living(folder, "traffic").sort("time_us", *_KEYS).collect()
    total = int(rows["connections"].sum())
    if not total:
        return None
    stale = (
        reading.living(folder, "traffic_stale")
        .with_columns(lasted_us=pl.col("until_us").fill_null(horizon_us) - pl.col("since_us"))
        .sort(["lasted_us", "since_us", "pod"], descending=[True, False, False])
        .collect()
    )
    services = _services(rows, stale)
    lasted = stale["lasted_us"]
    return Traffic(
        total,
        {name: int(rows[name].sum()) for name in WRONG},
        _over_time(rows, horizon_us),
        services.head(SERVICES),
        services.height,
        tuple(_even(rows, *key) for key in services.head(DRAWN).select(_KEYS).iter_rows()),
        stale.select("since_us", "lasted_us", pl.col("why").cast(pl.String)).head(STALE),
        stale.height,
        int(lasted.quantile(0.5, "lower") or 0) if stale.height else None,
        int(lasted[0]) if stale.height else None,
    )


def _services(rows: pl.DataFrame, stale: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each Service with connections."""
    weight = pl.col("connections")
    weighed = [
        ((pl.col(name) * weight).sum() / weight.filter(pl.col(name).is_not_null()).sum()).alias(name) for name in _EVEN
    ]
    longest = stale.group_by(_KEYS).agg(longest_us=pl.col("lasted_us").max())
    return (
        rows.group_by(_KEYS)
        .agg(*weighed, pl.col("connections", *WRONG).sum())
        .filter(pl.col("connections") > 0)
        .join(longest, on=_KEYS, how="left")
        # Where nothing was shared out, nothing is known of how even it was.
        .with_columns(pl.col(_EVEN).fill_nan(None))
        .sort(["connections", *_KEYS], descending=[True, False, False])
    )


def _over_time(rows: pl.DataFrame, horizon_us: int) -> pl.DataFrame:
    names = ("connections", *WRONG)
    summed = rows.group_by("time_us", maintain_order=True).agg(pl.col(names).sum())
    end = pl.DataFrame({"time_us": [max(horizon_us, summed["time_us"][-1] + 1)], **dict.fromkeys(names, 0)})
    whole = pl.concat([summed, end.cast(summed.schema)])
    return rollouts.thin(whole, POINTS, {name: pl.col(name).sum() for name in names})


def _even(rows: pl.DataFrame, namespace: str, service: str) -> tuple[str, pl.DataFrame]:
    """Return a Service's name, and how even it was over time."""
    mine = rows.filter(pl.col("namespace") == namespace, pl.col("service") == service, pl.col("jain").is_not_null())
    how = {"most_over_mean": pl.col("most_over_mean").max(), "jain": pl.col("jain").min()}
    return f"{namespace}/{service}", rollouts.thin(mine.select("time_us", *how), POINTS, how)


def headline(found: Traffic) -> dict[str, float | int | None]:
    """Return its headline numbers."""
    return {
        "connections": found.connections,
        "connections_refused": found.wrong["refused"],
        "connections_astray": found.astray,
        "connections_cut": found.wrong["cut"],
        "black_hole_longest_seconds": None if found.longest_us is None else found.longest_us / 1e6,
    }


def line(found: Traffic) -> tuple[str, str]:
    """Return the most important of it: a name and words."""
    wrong = {"astray": found.astray, "refused": found.wrong["refused"], "cut": found.wrong["cut"]}
    return "traffic", f"{text.number(found.connections)} new; " + ", ".join(
        f"{text.number(count)} {name}" for name, count in wrong.items()
    )
