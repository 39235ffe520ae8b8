"""The verdict in one sentence, and the checks that stand under it."""

from __future__ import annotations

from dataclasses import dataclass

from kscale.engine.runfolder import Run
from kscale.report import text
from kscale.report.pools import Pools
from kscale.report.reading import Resource
from kscale.report.rollouts import Rollouts
from kscale.report.supply import Supply
from kscale.report.unplaced import Unplaced
from kscale.report.waits import Waits

#: From here (% requested) the cluster as a whole is what is short, not one of its pools.
NEARLY_FULL = 90.0
FITS, WAITS, FAILS, NOTHING = "fits", "waits", "fails", "nothing"


@dataclass(frozen=True)
class Check:
    """A limit and what the run showed; ``good`` is whether it was held.

    ``margin`` is what is left to the limit, with its sign.
    """

    what: str
    limit: str
    value: str
    margin: str
    good: bool


@dataclass(frozen=True)
class Verdict:
    """What the run says, in words (which hold names from the input: escape them).

    Attributes:
        kind: ``fits``, ``waits`` (all placed, some later than they came), ``fails`` or ``nothing`` (no pods).
        headline: the answer in a few words.
        sentence: the answer, what bounds it, the margin, and the smallest change that would fix it where known.
        binding: the resource with the smallest headroom; None without nodes.
    """

    kind: str
    headline: str
    sentence: str
    binding: Resource | None


def judge(
    arrived: int, found: tuple[Resource, ...], supply: Supply, waits: Waits | None, unplaced: Unplaced, pools: Pools
) -> Verdict:
    """Return the verdict on a run in which ``arrived`` pods arrived."""
    binding = max(found, key=lambda r: supply.peaks[r.key].percent, default=None) if supply.peaks else None
    if not arrived:
        return Verdict(NOTHING, "Nothing to place", "No pod arrived, so nothing was tried.", binding)
    if unplaced.pods:
        share = text.percent(100 * unplaced.pods / arrived)
        head = f"Does not fit: {text.number(unplaced.pods)} of {text.plural(arrived, 'pod')} ({share}) never placed"
        parts = [_bound_by(unplaced, binding, supply, pools), _repair(unplaced, pools)]
        return Verdict(FAILS, head, " ".join(p for p in parts if p), binding)
    late = waits.overall if waits else None
    if late is not None and late.placed > late.at_once:
        count = late.placed - late.at_once
        head = f"Fits, with waiting: {text.plural(count, 'pod')} of {text.number(arrived)} waited"
        assert waits is not None
        why = f"; what bounds it: {waits.main}" if waits.main else ""
        longest = f"The longest waited {text.duration(late.quantiles[1.0])}{why}."
        return Verdict(WAITS, head, f"{longest} {_margin(binding, supply, pools, grow=False)}", binding)
    return Verdict(
        FITS, f"Fits: all {text.plural(arrived, 'pod')} placed at once", _margin(binding, supply, pools), binding
    )


def stands(arrived: int, placed: int, found: tuple[Resource, ...], supply: Supply, pools: Pools) -> Verdict:
    """Return what is to be said of a cluster as it stands, in which nothing was scheduled."""
    binding = max(found, key=lambda r: supply.peaks[r.key].percent, default=None) if supply.peaks else None
    full = _margin(binding, supply, pools, grow=False).replace(" at the peak", "").replace(" at its peak", "")
    if placed == arrived:
        return Verdict(FITS, f"As it stands: all {text.plural(arrived, 'pod')} are on nodes", full, binding)
    head = f"As it stands: {text.number(placed)} of {text.plural(arrived, 'pod')} on nodes, "
    head += f"{text.number(arrived - placed)} pending"
    return Verdict(
        NOTHING, head, f"{full} Nothing was scheduled: kscale schedule places pending pods.".strip(), binding
    )


def _bound_by(unplaced: Unplaced, binding: Resource | None, supply: Supply, pools: Pools) -> str:
    reason, pods = unplaced.reasons[0]
    words = f"What bounds it: {reason} ({text.plural(pods, 'pod')})"
    if binding is None:
        return words + "."
    peak = text.percent(supply.peaks[binding.key].percent)
    at = f"; {_fuller_pool(binding, supply, pools) or f'{binding.label} was {peak} requested at its peak'}"
    if supply.refused_at is not None and supply.axis.kind == "gpu":
        at += f", and the first pod was refused when {text.percent(supply.refused_at)} of the GPUs had been asked for"
    return words + at + "."


def _fuller_pool(binding: Resource, supply: Supply, pools: Pools) -> str:
    """Name the pool that was much fuller than the cluster, or nothing."""
    rows, peak = pools.headroom, supply.peaks[binding.key].percent
    if rows["pool"].n_unique() < 2 or rows["peak"][0] <= peak + 5 or peak >= NEARLY_FULL:
        return ""
    row = rows.row(0, named=True)
    return (
        f"{text.label(row['resource'])} of pool {row['pool']} ({text.plural(row['nodes'], 'node')}) was "
        f"{text.percent(row['peak'])} requested at its peak"
    )


def _repair(unplaced: Unplaced, pools: Pools) -> str:
    if not pools.nodes:
        return "Smallest change: add nodes, there are none."
    parts = []
    if unplaced.oversized:
        row = unplaced.rows.filter(unplaced.rows["oversized"])
        what = f" (for example {row['spec'][0]})" if row.height else ""
        parts.append(
            f"{text.plural(unplaced.oversized, 'pod')} ask{'s' if unplaced.oversized == 1 else ''} for more than any "
            f"node has{what}: only a larger node helps."
        )
    if unplaced.shape is not None:
        others = "the others" if unplaced.oversized else "them"
        parts.append(
            f"Smallest change found: {text.plural(unplaced.more_nodes, 'more node')} like {unplaced.shape.pool} "
            f"would hold {others} (an upper estimate: each kind of pod on nodes of its own)."
        )
    return " ".join(parts)


def _margin(binding: Resource | None, supply: Supply, pools: Pools, *, grow: bool = True) -> str:
    if binding is None:
        return ""
    peak = supply.peaks[binding.key].percent
    if peak <= 0:
        return "No sample saw anything requested."
    words = f"{text.capital(binding.label)} is the fullest resource: {text.percent(peak)} requested at the peak"
    if peak >= 99.95:
        return f"{words}, nothing to spare."
    pool = _fuller_pool(binding, supply, pools)
    if pool:
        return f"{words} over all nodes, but {pool}."
    if not grow:
        return f"{words}."
    return f"{words}; the load could grow by about {text.percent(100 * (100 / peak - 1))} before it is full."


def checks(
    run: Run,
    arrived: int,
    supply: Supply,
    waits: Waits | None,
    unplaced: Unplaced,
    pools: Pools,
    rollouts: Rollouts | None = None,
) -> list[Check]:
    """Return the checks, those that failed first; ``rollouts`` is None for a run without controllers."""
    out = [_none("Pods never placed", unplaced.pods, arrived)] if arrived else []
    if waits is not None and arrived:
        out.append(_none("Pods still waiting at the end", run.counts.get("waiting", 0), arrived))
        # With kubelets, pods that failed are those whose containers did: no end is recorded for any.
        if rollouts is None:
            out.append(_none("Pods whose end came while they waited", run.counts.get("failed", 0), arrived))
    out += _node_loss(supply, pools) if arrived else []
    rolled = rollouts.finished + rollouts.unfinished if rollouts else 0
    if rollouts is not None and rolled:
        out.append(_none("Rollouts that did not finish", rollouts.unfinished, rolled))
        out.append(_none("Rollouts that broke the bounds on their pods", rollouts.broken, rolled))
    if run.invariants:
        out.append(_none("Invariants violated", run.invariants.get("violations", 0)))
    if run.dropped:
        out.append(_none("Rows of the input left out (--lenient)", sum(run.dropped.values())))
    return sorted(out, key=lambda check: check.good)


def _none(what: str, count: int, of: int = 0) -> Check:
    share = f" ({text.percent(100 * count / of)})" if of and count else ""
    return Check(what, "0", f"{text.number(count)}{share}", f"−{text.number(count)}" if count else "0", count == 0)


def _node_loss(supply: Supply, pools: Pools) -> list[Check]:
    """Return whether the cluster could lose its largest node at its peak, in the tightest resource."""
    limits = {
        key: (100 * (1 - pools.largest[key] / peak.allocatable), peak.percent)
        for key, peak in supply.peaks.items()
        if peak.allocatable
    }
    if pools.nodes < 2 or not limits:
        return []
    key = min(limits, key=lambda k: limits[k][0] - limits[k][1])
    limit, value = limits[key]
    margin = f"{'−' if limit < value else '+'}{text.number(float(f'{abs(limit - value):.3g}'))} points"
    what = f"Room to lose the largest node at the peak ({text.label(key)})"
    return [Check(what, f"≤ {text.percent(limit)} requested", text.percent(value), margin, limit >= value)]
