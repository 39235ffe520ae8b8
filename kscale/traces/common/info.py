"""What is in a trace, as tables: for ``kscale trace info``. Data only; units stand in the names of the columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.traces import Trace
from kscale.traces.common.specs import resources

#: Parts into which the span of arrivals is cut.
BINS = 24
#: Rows of the tables of the largest.
TOP = 10
_QUANTILES = (0.1, 0.5, 0.9, 0.99, 1.0)
_AMOUNTS = ("cpu_milli", "memory_bytes", "ephemeral_storage_bytes", "gpu_milli")


def info(trace: Trace, nodes: pl.DataFrame | None = None) -> dict[str, pl.DataFrame]:
    """Return tables that describe a trace, by title: rows, times, arrivals, requests, GPUs, specs, owners.

    With ``nodes`` (columns of ``NODES``) also the load that the trace would put on them if no pod waited.
    """
    tables = {"Overview": _overview(trace), "Requests": _requests(trace)}
    if trace.timed and trace.pods.height:
        tables["Times"] = _times(trace)
        tables["Arrivals"] = _arrivals(trace)
    gpus = _gpus(trace)
    if gpus.height:
        tables["GPU requests"] = gpus
    tables["Most frequent specs"] = _specs(trace)
    if trace.pods["owner"].null_count() < trace.pods.height:
        tables["Largest owners"] = _owners(trace)
    if nodes is not None:
        tables["Load on the nodes"] = load(trace, nodes)
        unfit = unfitting(trace, nodes)
        if unfit.height:
            tables["Specs that fit no node"] = unfit
    if trace.dropped:
        tables["Dropped rows"] = pl.DataFrame(
            {"reason": list(trace.dropped), "rows": list(trace.dropped.values())}, schema_overrides={"rows": pl.Int64}
        )
    return tables


def _overview(trace: Trace) -> pl.DataFrame:
    pods = trace.pods
    first, last = pods.select(pl.col("arrival_us").min(), pl.col("arrival_us").max().alias("last")).row(0)
    rows: list[tuple[str, int | None]] = [
        ("pods", pods.height),
        ("distinct specs", pods["spec"].n_unique()),
        ("namespaces", pods["namespace"].n_unique()),
        ("owners", pods["owner"].drop_nulls().n_unique()),
        ("nodes in the trace", None if trace.nodes is None else trace.nodes.height),
        ("rows dropped", sum(trace.dropped.values())),
    ]
    if trace.timed:
        rows += [
            ("first arrival (us)", first),
            ("last arrival (us)", last),
            ("pods that never end", pods.filter(pl.col("duration_us").is_null() & pl.col("end_us").is_null()).height),
            ("pods with a recorded end", pods.height - pods["end_us"].null_count()),
        ]
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.Int64}, orient="row")


def _quantiles(name: str, values: pl.Series) -> dict[str, float | str | int | None]:
    row: dict[str, float | str | int | None] = {"what": name, "pods": values.len()}
    for share in _QUANTILES:
        row["max" if share == 1 else f"p{share * 100:.0f}"] = values.quantile(share, "lower")
    return row


def _table(rows: Iterable[dict[str, float | str | int | None]]) -> pl.DataFrame:
    schema = {"what": pl.String, "pods": pl.Int64} | {
        "max" if share == 1 else f"p{share * 100:.0f}": pl.Float64 for share in _QUANTILES
    }
    return pl.DataFrame(list(rows), schema=schema)


def _requests(trace: Trace) -> pl.DataFrame:
    """Percentiles of what pods ask for, over the pods that state it and ask for some."""
    counts = trace.pods["spec"].to_numpy()
    rows = []
    for name in (*_AMOUNTS, *resources(trace.specs.columns)):
        values = _amounts(trace.specs)[name][counts]
        asked = values.filter(values > 0)
        if asked.len():
            rows.append(_quantiles(name, asked))
    return _table(rows)


def _amounts(specs: pl.DataFrame) -> pl.DataFrame:
    """Return what a pod of each spec asks for; gpu_milli over all its devices."""
    return specs.with_columns(gpu_milli=pl.col("gpu_count") * pl.col("gpu_milli"))


def _times(trace: Trace) -> pl.DataFrame:
    gaps = trace.pods["arrival_us"].sort().diff().drop_nulls()
    found = {"duration_us": trace.pods["duration_us"].drop_nulls(), "between_arrivals_us": gaps}
    return _table(_quantiles(name, values) for name, values in found.items() if values.len())


def _arrivals(trace: Trace) -> pl.DataFrame:
    """Pods, cpu and devices that arrive in each of ``BINS`` equal parts of the span."""
    arrival = trace.pods["arrival_us"].to_numpy()
    first, last = int(arrival.min()), int(arrival.max())
    width = max(1, -(-(last - first + 1) // BINS))
    part = (arrival - first) // width
    count = int(part.max()) + 1
    specs = _amounts(trace.specs)
    spec = trace.pods["spec"].to_numpy()
    columns = {"from_us": first + width * np.arange(count), "pods": np.bincount(part, minlength=count)}
    for name in ("cpu_milli", "gpu_milli"):
        amount = specs[name].fill_null(0).to_numpy().astype(np.float64)
        if amount.any():
            columns[name] = np.bincount(part, amount[spec], count).astype(np.int64)
    return pl.DataFrame(columns)


def _gpus(trace: Trace) -> pl.DataFrame:
    counts = (
        trace.pods["spec"]
        .value_counts(name="pods")
        .join(trace.specs.with_row_index("spec").select("spec", "gpu_count", "gpu_milli", "gpu_models"), on="spec")
    )
    return (
        counts.filter(pl.col("gpu_count") > 0)
        .group_by("gpu_count", "gpu_milli", "gpu_models")
        .agg(pl.col("pods").sum().cast(pl.Int64))
        .sort("pods", "gpu_count", "gpu_milli", "gpu_models", descending=[True, False, False, False])
        .head(2 * TOP)
    )


def _specs(trace: Trace) -> pl.DataFrame:
    counts = trace.pods["spec"].value_counts(name="pods")
    top = counts.sort("pods", "spec", descending=[True, False]).head(TOP)
    specs = trace.specs.with_row_index("spec")
    kept = ["spec", *(name for name in trace.specs.columns if specs[name].null_count() < specs.height)]
    share = pl.col("pods") / max(trace.pods.height, 1)
    return top.select("spec", pl.col("pods").cast(pl.Int64), share=share).join(
        specs.select(kept), on="spec", how="left", maintain_order="left"
    )


def _owners(trace: Trace) -> pl.DataFrame:
    owners = trace.pods.group_by("namespace", "owner").agg(
        pods=pl.len().cast(pl.Int64), first_us=pl.col("arrival_us").min()
    )
    return owners.drop_nulls("owner").sort("pods", "namespace", "owner", descending=[True, False, False]).head(TOP)


def load(trace: Trace, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return per resource what the nodes offer and what the pods would hold if each started on arrival.

    Columns: resource, offered, peak, peak_us, mean (over the span of arrivals), peak_share, mean_share; without
    times, only the sum of all requests (peak, peak_share).
    """
    rows = []
    specs = _amounts(trace.specs)
    offered = nodes.with_columns(gpu_milli=pl.col("gpu_count") * 1000)
    spec = trace.pods["spec"].to_numpy()
    events = _Events(trace)
    for name in (*_AMOUNTS, *resources(specs.columns)):
        amount = specs[name].fill_null(0).to_numpy().astype(np.float64)
        if not amount[np.unique(spec)].any():
            continue
        capacity = float(offered[name].sum() or 0) if name in offered.columns else 0.0
        peak, at, mean = events.demand(amount[spec])
        rows.append((name, capacity, peak, at, mean, *(_share(value, capacity) for value in (peak, mean))))
    kinds: dict[str, type[pl.DataType]] = {"resource": pl.String, "offered": pl.Float64, "peak": pl.Float64}
    kinds |= {"peak_us": pl.Int64, "mean": pl.Float64, "peak_share": pl.Float64, "mean_share": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def _share(value: float | None, capacity: float) -> float | None:
    return value / capacity if value is not None and capacity else None


class _Events:
    """Starts and ends of all pods in order of time; ends come first where they meet."""

    def __init__(self, trace: Trace) -> None:
        self.timed = trace.timed
        arrival = trace.pods["arrival_us"]
        end = pl.select(pl.coalesce(arrival + trace.pods["duration_us"], trace.pods["end_us"])).to_series()
        self.ends = end.is_not_null().to_numpy()
        times = np.concatenate([end.drop_nulls().to_numpy(), arrival.to_numpy()])
        self.order: npt.NDArray[np.int64] = np.argsort(times, kind="stable")
        self.times = times[self.order]
        self.span = (int(arrival.min() or 0), int(arrival.max() or 0)) if arrival.len() else (0, 0)  # type: ignore[arg-type]

    def demand(self, amount: npt.NDArray[np.float64]) -> tuple[float, int | None, float | None]:
        """Return the peak of the sum of ``amount`` over running pods, when it is, and its mean over the arrivals."""
        if not self.timed:
            return float(amount.sum()), None, None
        held = np.cumsum(np.concatenate([-amount[self.ends], amount])[self.order])
        at = int(held.argmax())
        first, last = self.span
        clipped = np.clip(np.append(self.times, last), first, last)
        mean = float((held * np.diff(clipped)).sum()) / (last - first) if last > first else None
        return float(held[at]), int(self.times[at]), mean


def unfitting(trace: Trace, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return the specs, with their number of pods, that no node could hold even when empty.

    Looks at amounts and device models, not at labels and taints.
    """
    specs = trace.specs
    fits = np.zeros(specs.height, bool)
    names = [name for name in ("cpu_milli", "memory_bytes", *resources(specs.columns)) if name in specs.columns]
    kinds = nodes.with_columns(
        pl.lit(0, pl.Int64).alias(name) for name in resources(specs.columns) if name not in nodes.columns
    ).unique([*names, "gpu_count", "gpu_model"], maintain_order=True)
    for node in kinds.iter_rows(named=True):
        good = np.ones(specs.height, bool)
        for name in names:
            good &= specs[name].fill_null(0).to_numpy() <= (node[name] or 0)
        good &= specs["gpu_count"].to_numpy() <= node["gpu_count"]
        allowed = ("|" + specs["gpu_models"] + "|").str.contains(f"|{node['gpu_model']}|", literal=True)
        fits |= good & (allowed.fill_null(True).to_numpy() | (specs["gpu_count"].to_numpy() == 0))
    counts = trace.pods["spec"].value_counts(name="pods").with_columns(pl.col("pods").cast(pl.Int64))
    unfit = specs.with_row_index("spec").filter(~pl.Series(fits)).join(counts, on="spec", maintain_order="left")
    return unfit.select("spec", "pods", *names, "gpu_count", "gpu_milli", "gpu_models")
