"""Everything the report says, computed once from a run folder's tables; the media only write it down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from kscale.engine.runfolder import Run
from kscale.report import budget, living, pools, reading, supply, unplaced, verdict, waits
from kscale.report.budget import Held
from kscale.report.living import Living
from kscale.report.pools import Pools
from kscale.report.reading import GPU, Resource
from kscale.report.supply import Supply
from kscale.report.unplaced import Unplaced
from kscale.report.verdict import Check, Verdict
from kscale.report.waits import Waits


@dataclass(frozen=True)
class Summary:
    """What a run says.

    Attributes:
        run: its run.json.
        inflate: whether it only let pods arrive (no times, no waits, no ends).
        resources: that its nodes have.
        arrived, placed: pods.
        supply: demand against supply.
        pools: nodes by pool.
        waits: of the pods; None for an inflation run.
        unplaced: pods never placed.
        verdict: in one sentence.
        checks: limits, values and margins; failed ones first.
        headline: the numbers by stable names.
        budget: limits of a budget that it was held against; broken ones first.
        living: what controllers and kubelets did; None for a run without them.
    """

    run: Run
    inflate: bool
    resources: tuple[Resource, ...]
    arrived: int
    placed: int
    supply: Supply
    pools: Pools
    waits: Waits | None
    unplaced: Unplaced
    verdict: Verdict
    checks: list[Check]
    headline: dict[str, float | int | None]
    budget: tuple[Held, ...] = ()
    living: Living | None = None

    def resource(self, key: str) -> Resource:
        """Return the resource with this key."""
        return next(r for r in self.resources if r.key == key)


def summarize(folder: Path, run: Run) -> Summary:
    """Return what the run folder ``folder`` says; its tables are read lazily.

    Raises polars errors when a table is missing or damaged; ``runfolder.load`` finds that first.
    """
    found = reading.resources(folder, run)
    inflate = reading.inflates(run)
    templates = reading.templates(folder, run, found)
    arrived, placed = int(templates["pods"].sum()), int(templates["placed"].sum())
    waited = None if inflate else waits.measure(folder, run, templates)
    supplied = supply.measure(folder, run, found, templates, waited)
    pooled = pools.measure(folder, run, found, templates, supplied)
    left = unplaced.measure(folder, run, found, templates)
    if reading.stands(run):
        judged = verdict.stands(arrived, placed, found, supplied, pooled)
    else:
        judged = verdict.judge(arrived, found, supplied, waited, left, pooled)
    lived = living.measure(folder, run.horizon_us)
    if lived is not None:
        judged = replace(judged, sentence=f"{judged.sentence} {living.sentence(lived)}".strip())
    numbers = _headline(run, found, arrived, placed, supplied, pooled, waited, left)
    return Summary(
        run,
        inflate,
        found,
        arrived,
        placed,
        supplied,
        pooled,
        waited,
        left,
        judged,
        verdict.checks(run, arrived, supplied, waited, left, pooled, lived.rollouts if lived else None),
        numbers | (living.headline(lived) if lived else {}),
        living=lived,
    )


def hold(summary: Summary, limits: dict[str, dict[str, float]]) -> Summary:
    """Return the summary with limits of a budget among its checks, and in its verdict whether they were held."""
    held = budget.hold(limits, summary.headline)
    checks = sorted([*budget.checks(held), *summary.checks], key=lambda check: check.good)
    # First, since a terminal cuts a long sentence.
    judged = replace(summary.verdict, sentence=f"{budget.sentence(held)} {summary.verdict.sentence}")
    return replace(summary, verdict=judged, checks=checks, budget=tuple(held))


def _headline(
    run: Run,
    found: tuple[Resource, ...],
    arrived: int,
    placed: int,
    supplied: Supply,
    pooled: Pools,
    waited: Waits | None,
    left: Unplaced,
) -> dict[str, float | int | None]:
    counts = run.counts
    out: dict[str, float | int | None] = {
        "pods_arrived": arrived,
        "pods_placed": placed,
        "unplaced_pods": left.pods,
        "unplaced_percent": 100 * left.pods / arrived if arrived else None,
        "oversized_pods": left.oversized,
        **{f"{name}_pods": counts.get(name, 0) for name in ("running", "succeeded", "failed", "waiting", "refused")},
        "attempts": counts.get("attempts"),
        **_wait_numbers(waited, left),
    }
    for r in found:
        peak = supplied.peaks.get(r.key)
        out[f"peak_{r.slug}_percent"] = peak.percent if peak else None
        out[f"mean_{r.slug}_percent"] = peak.mean if peak else None
        out[f"end_{r.slug}_percent"] = peak.end if peak else None
        stranded = pooled.stranded
        out[f"stranded_{r.slug}_percent"] = stranded.percent[r.key] if stranded else None
    if supplied.gpu is not None:
        out |= _gpu_numbers(supplied.gpu, supplied.peaks[GPU].allocatable)
    hours = pooled.hours.select(pl.col("requested", "free", "idle").sum()).row(0)
    if waited is not None:
        out["node_hours"], out["free_node_hours"], out["idle_node_hours"] = sum(hours), hours[1], hours[2]
    return out | {
        "nodes": pooled.nodes,
        "nodes_used": pooled.nodes_used,
        "idle_node_percent": pooled.idle_percent,
        "more_nodes": left.more_nodes if left.shape else None,
        "horizon_seconds": run.horizon_us / 1e6,
        "scheduler_us_per_pod": run.scheduler_us_per_pod,
        "run_pods_per_second": run.timing.get("pods_per_second"),
        "run_time_ratio": budget.time_ratio(run),
    }


def _wait_numbers(waited: Waits | None, left: Unplaced) -> dict[str, float | int | None]:
    if waited is None:
        return {}
    q = waited.overall.quantiles if waited.overall else {}
    names = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p999", 1.0: "max"}
    return {
        **{f"wait_{name}_seconds": q[share] / 1e6 if share in q else None for share, name in names.items()},
        "wait_open_max_seconds": left.longest_us / 1e6 if left.longest_us is not None else None,
        "waited_pods": waited.overall.placed - waited.overall.at_once if waited.overall else 0,
        "waiting_peak_pods": waited.peak,
        "waiting_pod_hours": waited.pod_hours,
    }


def _gpu_numbers(gpu: pl.DataFrame, allocatable: float) -> dict[str, float | int | None]:
    """Return fragmentation at the end: of all device share, and of the idle device share; and its worst share."""
    last = gpu.row(-1, named=True)
    if last["fragmented"] is None or not allocatable:
        return {}
    return {
        "fragmented_gpu_percent": 100 * last["fragmented"] / allocatable,
        "fragmented_idle_gpu_percent": 100 * last["fragmented"] / last["idle"] if last["idle"] else 0.0,
        "fragmented_gpu_peak_percent": 100 * float(gpu["fragmented"].max() or 0) / allocatable,  # type: ignore[arg-type]
    }
