"""How long changes of Services and endpoints took to reach the nodes' rules, and what kube-proxies took for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.report import reading, text

#: What ClusterLoader2 asks of 99 of 100 (NetworkProgrammingLatency); Kubernetes defines the latency and has no target.
LIMIT_US = 30_000_000
#: Rows of the table of Services.
SERVICES = 15
_KEYS = ("namespace", "service")


@dataclass(frozen=True)
class Programming:
    """The programming of nodes.

    Attributes:
        mode: of the kube-proxies.
        nodes: how many.
        changes: writes of slices and Services.
        measured: those of them that kube-proxy's metric counts.
        over_time: by interval: ``time_us``, ``changes``, ``p50_us``, ``p90_us``, ``p99_us``, ``most_us``, ``cores``
            (of an average node).
        quantiles: ``share``, ``latency_us`` of all changes on all nodes.
        buckets: ``le_us``, ``all``, ``metric``: shares up to each bound of the metric's buckets.
        services: ``namespace``, ``service``, ``changes``, ``endpoints``, ``p50_us`` and ``p99_us`` (means of its
            changes), ``most_us``; the slowest first, at most SERVICES.
        service_count: how many changed.
        within: share of all changes on all nodes within LIMIT_US.
        cores, most_cores: CPU of kube-proxy's syncs, of an average node and of the one with most.
        syncs, full_syncs: of an average node.
    """

    mode: str
    nodes: int
    changes: int
    measured: int
    over_time: pl.DataFrame
    quantiles: pl.DataFrame
    buckets: pl.DataFrame
    services: pl.DataFrame
    service_count: int
    within: float
    cores: float
    most_cores: float
    syncs: float
    full_syncs: float

    def quantile_us(self, share: float) -> int:
        """Return one of the quantiles that there are."""
        return int(self.quantiles.filter((pl.col("share") - share).abs() < 1e-9)["latency_us"][0])


def measure(folder: Path, horizon_us: int) -> Programming | None:
    """Return what there is to say of it; None where nothing was programmed."""
    rows = reading.living(folder, "network").sort("time_us").collect()
    changes = reading.living(folder, "network_changes")
    nodes = reading.living(folder, "network_nodes").collect()
    count = int(rows["changes"].sum())
    if not count or nodes.is_empty():
        return None
    buckets = reading.living(folder, "network_latencies").collect()
    sums = buckets.select(pl.col("all", "metric").sum()).row(0)
    shares = buckets.select(
        "le_us", *(pl.col(name).cum_sum() / max(whole, 1) for name, whole in zip(("all", "metric"), sums, strict=True))
    )  # fmt: skip
    services = (
        changes.group_by(_KEYS)
        .agg(
            pl.len().alias("changes"),
            pl.col("endpoints").sum(),
            pl.col("p50_us", "p99_us").mean(),
            pl.col("most_us").max(),
        )
        .sort(["most_us", *_KEYS], descending=[True, False, False])
        .collect()
    )
    within = shares.filter(pl.col("le_us") <= LIMIT_US)["all"].max()
    measured = changes.select(pl.col("measured").sum()).collect().item()
    quantiles = reading.living(folder, "network_quantiles").sort("share").collect()
    whole = max(horizon_us, 1)
    taken = nodes.select(pl.col("cpu_us", "syncs", "full_syncs").mean(), most=pl.col("cpu_us").max()).row(0, named=True)
    return Programming(
        str(rows["mode"][0]), nodes.height, count, int(measured), _over_time(rows, nodes.height, whole), quantiles,
        shares, services.head(SERVICES), services.height, float(within or 0.0),  # type: ignore[arg-type]
        taken["cpu_us"] / whole, taken["most"] / whole, taken["syncs"], taken["full_syncs"],
    )  # fmt: skip


def _over_time(rows: pl.DataFrame, nodes: int, horizon_us: int) -> pl.DataFrame:
    """Return the intervals, equally long but for the last, with the CPU of an average node in cores."""
    times = rows["time_us"]
    long = times[1] - times[0] if rows.height > 1 else horizon_us
    return rows.select(
        "time_us", "changes", "p50_us", "p90_us", "p99_us", "most_us", cores=pl.col("cpu_us") / nodes / long
    )


def headline(found: Programming) -> dict[str, float | int | None]:
    """Return its headline numbers."""
    return {
        "programming_p50_seconds": found.quantile_us(0.5) / 1e6,
        "programming_p99_seconds": found.quantile_us(0.99) / 1e6,
        "programming_longest_seconds": found.quantile_us(1.0) / 1e6,
        "proxy_cores_per_node": found.cores,
    }


def line(found: Programming) -> tuple[str, str]:
    """Return the most important of it: a name and words."""
    times = "/".join(text.duration(found.quantile_us(share)) for share in (0.5, 0.99, 1.0))
    return "programming", f"p50/p99/longest {times}; {found.mode}, {text.plural(found.changes, 'change')}"
