"""What is in a trace, as tables: for ``kscale trace info``. Data only; units stand in the names of the columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.traces.common.digest import Digest
from kscale.traces.common.specs import resources
from kscale.traces.common.tallies import Values

#: Most parts into which the span of arrivals is cut.
BINS = 24
#: Rows of the tables of the largest; of each resource, pods.
TOP, LARGEST_PODS = 10, 3
_QUANTILES = (0.1, 0.5, 0.9, 0.99, 1.0)

Row = dict[str, float | str | int | None]


def info(digest: Digest, nodes: pl.DataFrame | None = None) -> dict[str, pl.DataFrame]:
    """Return tables that describe a trace, by title: rows, times, arrivals, requests, GPUs, specs, pods, owners.

    With ``nodes`` (columns of ``NODES``) also the load that the trace would put on them if no pod waited.
    """
    tables = {"Overview": _overview(digest), "Requests": _requests(digest)}
    if digest.timed:
        tables["Times"] = _times(digest)
        tables["Arrivals"] = _arrivals(digest)
    gpus = _gpus(digest)
    if gpus.height:
        tables["GPU requests"] = gpus
    tables["Most frequent specs"] = _specs(digest)
    largest = largest_pods(digest, nodes)
    if largest.height:
        tables["Largest pods"] = largest
    if digest.owners:
        tables["Largest owners"] = digest.largest_owners(TOP)
    if nodes is not None:
        tables["Load on the nodes"] = load(digest, nodes)
        unfit = unfitting(digest, nodes)
        if unfit.height:
            tables["Specs that fit no node"] = unfit
    dropped = digest.rest.dropped
    if dropped:
        tables["Dropped rows"] = pl.DataFrame(
            {"reason": list(dropped), "rows": list(dropped.values())}, schema_overrides={"rows": pl.Int64}
        )
    return tables


def _overview(digest: Digest) -> pl.DataFrame:
    rest = digest.rest
    rows: list[tuple[str, int | None]] = [
        ("pods", digest.pods),
        ("distinct specs", len(digest.pods_of)),
        ("namespaces", digest.namespaces),
        ("owners", digest.owners),
        ("nodes in the trace", None if rest.nodes is None else rest.nodes.height),
        ("node events in the trace", None if rest.node_events is None else rest.node_events.height),
        ("rows dropped", sum(rest.dropped.values())),
    ]
    if digest.timed:
        rows += [
            ("first arrival (us)", digest.first_us),
            ("last arrival (us)", digest.last_us),
            ("span of arrivals (us)", digest.last_us - digest.first_us),
            ("pods that never end", digest.never_end),
            ("pods with a recorded end", digest.recorded),
        ]
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.Int64}, orient="row")


def _heading(share: float) -> str:
    return "max" if share == 1 else f"p{share * 100:.0f}"


def _table(rows: Iterable[Row]) -> pl.DataFrame:
    schema = {"what": pl.String, "pods": pl.Int64} | {_heading(share): pl.Float64 for share in _QUANTILES}
    return pl.DataFrame(list(rows), schema=schema)


def asked(digest: Digest, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the amounts of a resource that pods ask for, ascending and above 0, and how many pods ask for no more."""
    amounts = digest.specs[name].fill_null(0).to_numpy()
    order = np.argsort(amounts, kind="stable")
    order = order[amounts[order] > 0]
    return amounts[order], np.cumsum(digest.pods_of[order])


def _requests(digest: Digest) -> pl.DataFrame:
    """Percentiles of what pods ask for, over the pods that state it and ask for some."""
    rows: list[Row] = []
    for name in digest.names:
        amounts, pods = asked(digest, name) if name in digest.specs.columns else (np.zeros(0), np.zeros(0))
        if len(amounts):
            places = [int(share * (pods[-1] - 1)) for share in _QUANTILES]
            values = amounts[np.searchsorted(pods, places, side="right")].tolist()
            found: Row = {_heading(share): value for share, value in zip(_QUANTILES, values, strict=True)}
            rows.append({"what": name, "pods": int(pods[-1]), **found})
    return _table(rows)


def _times(digest: Digest) -> pl.DataFrame:
    found: dict[str, Values] = {"duration_us": digest.durations}
    if digest.ordered:
        found["between_arrivals_us"] = digest.gaps
    rows: list[Row] = []
    for name, values in found.items():
        if values.count:
            told = zip(_QUANTILES, values.quantiles(_QUANTILES), strict=True)
            rows.append({"what": name, "pods": values.count, **{_heading(share): value for share, value in told}})
    return _table(rows)


def _arrivals(digest: Digest) -> pl.DataFrame:
    """Pods, cpu and devices that arrive in each of at most ``BINS`` equal parts of time."""
    times, sums = digest.arrivals, digest.arrivals.sums
    each = -(-sums.shape[1] // BINS)
    starts = np.arange(0, sums.shape[1], each)
    columns = {"from_us": (times.first + starts) * times.width}
    for row, name in ((0, "pods"), *((1 + digest.names.index(n), n) for n in ("cpu_milli", "gpu_milli"))):
        if row == 0 or sums[row].any():
            columns[name] = np.add.reduceat(sums[row], starts).round().astype(np.int64)
    return pl.DataFrame(columns)


def _gpus(digest: Digest) -> pl.DataFrame:
    counts = digest.specs.with_columns(gpu_milli=digest.each_gpu_milli, pods=pl.Series(digest.pods_of, dtype=pl.Int64))
    return (
        counts.filter(pl.col("gpu_count") > 0)
        .group_by("gpu_count", "gpu_milli", "gpu_models")
        .agg(pl.col("pods").sum())
        .sort("pods", "gpu_count", "gpu_milli", "gpu_models", descending=[True, False, False, False])
        .head(2 * TOP)
    )


def _specs(digest: Digest) -> pl.DataFrame:
    specs = digest.specs.with_columns(gpu_milli=digest.each_gpu_milli)
    kept = [name for name in specs.columns if specs[name].null_count() < specs.height]
    numbered = specs.select(kept).with_row_index("spec").with_columns(pods=pl.Series(digest.pods_of, dtype=pl.Int64))
    top = numbered.sort("pods", "spec", descending=[True, False]).head(TOP)
    return top.select("spec", "pods", (pl.col("pods") / max(digest.pods, 1)).alias("share"), *kept)


def largest_pods(digest: Digest, nodes: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the specs that ask for most of each resource, how many pods have them, and one of these.

    Columns: resource, amount, pods, example; with nodes also largest_node_share.
    """
    offered = None if nodes is None else nodes.with_columns(gpu_milli=pl.col("gpu_count") * 1000)

    def largest_of(nodes: pl.DataFrame | None, name: str) -> int:
        return 0 if nodes is None or name not in nodes.columns else int(nodes[name].fill_null(0).to_numpy().max())

    rows = []
    for name in digest.names:
        if name not in digest.specs.columns:
            continue
        amounts = digest.specs[name].fill_null(0).to_numpy()
        for spec in np.lexsort((np.arange(len(amounts)), -amounts))[:LARGEST_PODS].tolist():
            if amounts[spec] > 0:
                most = largest_of(offered, name)
                share = int(amounts[spec]) / most if most else None
                rows.append((name, float(amounts[spec]), int(digest.pods_of[spec]), digest.examples[spec], share))
    schema = {"resource": pl.String, "amount": pl.Float64, "pods": pl.Int64, "example": pl.String}
    frame = pl.DataFrame(rows, schema=schema | {"largest_node_share": pl.Float64}, orient="row")
    return frame if nodes is not None else frame.drop("largest_node_share")


def load(digest: Digest, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return per resource what the nodes offer and what the pods would hold if each started on arrival.

    Columns: resource, offered, peak, peak_us, mean (over the span of arrivals), peak_share, mean_share; without
    times, only the sum of all requests (peak, peak_share).
    """
    rows = []
    for name, (peak, at, mean) in zip(digest.names, digest.load() if digest.pods else [], strict=bool(digest.pods)):
        if name not in digest.specs.columns or not (digest.specs[name].fill_null(0) > 0).any():
            continue
        capacity = offered_of(nodes, name)
        rows.append((name, capacity, peak, at, mean, *(_share(value, capacity) for value in (peak, mean))))
    kinds: dict[str, type[pl.DataType]] = {"resource": pl.String, "offered": pl.Float64, "peak": pl.Float64}
    kinds |= {"peak_us": pl.Int64, "mean": pl.Float64, "peak_share": pl.Float64, "mean_share": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def offered_of(nodes: pl.DataFrame, name: str) -> float:
    """Return what all nodes offer of a resource."""
    offered = nodes.with_columns(gpu_milli=pl.col("gpu_count") * 1000)
    return float(offered[name].sum() or 0) if name in offered.columns else 0.0


def _share(value: float | None, capacity: float) -> float | None:
    return value / capacity if value is not None and capacity else None


def unfitting(digest: Digest, nodes: pl.DataFrame) -> pl.DataFrame:
    """Return the specs, with their number of pods, that no node could hold even when empty.

    Looks at amounts and device models, not at labels and taints.
    """
    specs = digest.specs
    fits = np.zeros(specs.height, bool)
    names = [name for name in ("cpu_milli", "memory_bytes", *resources(specs.columns)) if name in specs.columns]
    kinds = nodes.with_columns(
        pl.lit(0, pl.Int64).alias(name) for name in resources(specs.columns) if name not in nodes.columns
    ).unique([*names, "gpu_count", "gpu_model"], maintain_order=True)
    for node in kinds.iter_rows(named=True):
        good = np.ones(specs.height, bool)
        for name in names:
            good &= specs[name].fill_null(0).to_numpy() <= (node[name] or 0)
        good &= specs["gpu_count"].to_numpy() <= (node["gpu_count"] or 0)
        allowed = ("|" + specs["gpu_models"] + "|").str.contains(f"|{node['gpu_model']}|", literal=True)
        fits |= good & (allowed.fill_null(True).to_numpy() | (specs["gpu_count"].to_numpy() == 0))
    counted = specs.with_row_index("spec").with_columns(
        pods=pl.Series(digest.pods_of, dtype=pl.Int64), gpu_milli=digest.each_gpu_milli
    )
    return counted.filter(~pl.Series(fits)).select(
        "spec", "pods", *names, "gpu_count", "gpu_milli", "gpu_models"
    )  # fmt: skip
