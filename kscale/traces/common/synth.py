"""Makes seeded workloads with published shapes: daily cycle, heavy tails, few distinct specs, owners of many pods.

Times are whole milliseconds, so that the last bit of a logarithm does not show; the same seed gives the same trace.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from kscale.errors import InputError, nearest
from kscale.traces import PODS, Trace
from kscale.traces.common.presets import PRESETS, Preset
from kscale.traces.common.shapes import MAX_NODES, parse_shapes
from kscale.traces.common.specs import MAX_PODS, SpecTable, conform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_SPECS = 100_000
MAX_DAYS = 36_500.0
ZONES = 3
DEFAULT_NODES, DEFAULT_PODS, DEFAULT_DAYS = 100, 10_000, 1.0
_DAY = 86_400.0
#: The hour of the peak (chosen).
_PEAK_HOUR = 15.0
_OWNERS_AT_ONCE = 1 << 16
#: Pods that become rows of the trace at once.
_BATCH = 1 << 19


def synth(
    preset: str,
    rng: np.random.Generator,
    *,
    nodes: int = DEFAULT_NODES,
    pods: int = DEFAULT_PODS,
    days: float = DEFAULT_DAYS,
    specs: int | None = None,
    load: float | None = None,
) -> Trace:
    """Return a seeded workload, pods in the order of arrival, and the nodes that fit its shape.

    Args:
        preset: a name of ``PRESETS``.
        rng: the source of all draws.
        nodes: how many nodes.
        pods: how many pods.
        days: over which they arrive.
        specs: how many distinct specs at most; None takes the preset's.
        load: mean demand over those days for the scarcest resource, as a share of what the nodes offer. All
            durations are multiplied by one factor to meet it; None leaves them as published.

    Raises InputError when a value is out of range, or when the load cannot be reached.
    """
    if preset not in PRESETS:
        raise InputError(f"'{preset[:40]}' is not a preset{nearest(preset, PRESETS)}", expected=", ".join(PRESETS))
    shape = PRESETS[preset]
    _within("--nodes", nodes, 1, MAX_NODES)
    _within("--pods", pods, 0, MAX_PODS)
    _within("--days", days, 1 / _DAY, MAX_DAYS)
    _within("--specs", shape.specs if specs is None else specs, 1, MAX_SPECS)
    horizon = days * _DAY
    for_specs, for_owners, for_arrivals, for_durations = rng.spawn(4)
    table, weights, kinds = _spec_table(shape, specs or shape.specs, for_specs)
    spec, sizes = _owners(shape, weights, kinds, pods, for_owners)
    arrival = _arrivals(shape.peak, horizon, len(spec), for_arrivals)
    seconds = _durations(shape, kinds[spec], sizes, for_durations)
    node_list = synth_nodes(shape, nodes)
    notes = [f"synth: {shape.doc} {pods:,} pods over {days:g} days, {nodes:,} nodes."]
    if load is not None:
        asked = _asked(table, node_list)
        owner = np.repeat(np.arange(len(spec)), sizes)
        shares = [share[spec[owner]] for share in asked]
        factor = _factor_for(load, shares, arrival[owner], seconds, horizon)
        seconds *= factor
        del owner, shares
        notes.append(f"synth: all durations are {factor:g} times the published ones, for a mean load of {load:g}.")
    return _trace(shape, table, spec, sizes, arrival, seconds, node_list, notes)


def _within(option: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(f"{value} is out of range", field=option, expected=f"{low:g} to {high:,.0f}")


def _spec_table(preset: Preset, count: int, rng: np.random.Generator) -> tuple[pl.DataFrame, Floats, Ints]:
    """Return about ``count`` specs, their weights, and the kind of each.

    Every kind has its part of the specs by its weight, one at least; within a kind they follow Zipf's law.
    """
    total = sum(kind.weight for kind in preset.kinds)
    frames, weights, kinds = [], [], []
    for number, kind in enumerate(preset.kinds):
        cpu = np.repeat(np.array(kind.cpu_milli), len(kind.mib_per_cpu))
        memory = cpu * np.tile(np.array(kind.mib_per_cpu), len(kind.cpu_milli)) * (1 << 20) // 1000
        many = min(len(cpu), max(1, round(count * kind.weight / total)))
        chosen = rng.permutation(len(cpu))[:many]
        affinity = [kind.node_affinity if row % 8 == 7 else None for row in range(many)]
        frames.append(
            pl.DataFrame({"cpu_milli": cpu[chosen], "memory_bytes": memory[chosen]}).with_columns(
                gpu_count=pl.lit(kind.gpu_count, pl.Int64),
                gpu_milli=pl.lit(kind.gpu_milli, pl.Int64),
                priority=pl.lit(kind.priority, pl.Int64),
                node_affinity=pl.Series(affinity, dtype=pl.String),
            )
        )
        share = np.arange(1, many + 1) ** -preset.zipf
        weights.append(kind.weight * share / share.sum())
        kinds.append(np.full(many, number))
    together = np.concatenate(weights)
    return pl.concat(frames), together / together.sum(), np.concatenate(kinds)


def _owners(preset: Preset, weights: Floats, kinds: Ints, pods: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the spec and the number of pods of each owner, ``pods`` in all.

    No owner has more than a twentieth of all pods, so that a small workload is not one job.
    """
    largest = max(1, pods // 20)
    specs, sizes, left = [], [], pods
    while left > 0:
        spec = rng.choice(len(weights), _OWNERS_AT_ONCE, p=weights)
        size = np.ones(_OWNERS_AT_ONCE, np.int64)
        for number, kind in enumerate(preset.kinds):
            mine = kinds[spec] == number
            if kind.sizes is not None:
                size[mine] = np.minimum(kind.sizes.draw(rng, int(mine.sum())), largest).astype(np.int64)
        together = np.cumsum(size)
        stop = int(np.searchsorted(together, left)) + 1
        if together[-1] >= left:
            size[stop - 1] -= together[stop - 1] - left
        specs.append(spec[:stop])
        sizes.append(size[:stop])
        left -= int(size[:stop].sum())
    if not specs:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(specs), np.concatenate(sizes)


def _arrivals(peak: float, horizon: float, count: int, rng: np.random.Generator) -> Floats:
    """Return ``count`` times in seconds of a Poisson process whose rate follows the day, ``peak`` to 1."""
    swing = (peak - 1) / (peak + 1)
    grid = np.linspace(0, horizon, max(2, math.ceil(horizon / 300) + 1))
    angle = 2 * np.pi * (grid / _DAY - _PEAK_HOUR / 24)
    # The integral of 1 + swing * cos(angle) over time.
    mass = grid + swing * _DAY / (2 * np.pi) * (np.sin(angle) - math.sin(-2 * math.pi * _PEAK_HOUR / 24))
    return np.interp(rng.random(count) * mass[-1], mass, grid)


def _durations(preset: Preset, kind_of: Ints, sizes: Ints, rng: np.random.Generator) -> Floats:
    """Return the duration of each pod in seconds: its owner's, with some spread among the owner's pods."""
    owner_seconds = np.empty(len(kind_of))
    for number, kind in enumerate(preset.kinds):
        mine = kind_of == number
        owner_seconds[mine] = kind.seconds.draw(rng, int(mine.sum()))
    seconds = np.repeat(owner_seconds, sizes)
    if preset.spread:
        seconds *= np.exp(preset.spread * rng.standard_normal(len(seconds)))
    return seconds


def _asked(specs: pl.DataFrame, nodes: pl.DataFrame) -> list[Floats]:
    """Return what a pod of each spec asks for as a share of all nodes: of cpu, of memory, of GPUs."""
    asked = [specs[name].to_numpy() / nodes[name].sum() for name in ("cpu_milli", "memory_bytes")]
    devices = int(nodes["gpu_count"].sum()) * 1000
    gpus = (specs["gpu_count"] * specs["gpu_milli"]).to_numpy()
    if devices:
        asked.append(gpus / devices)
    elif gpus.any():
        raise InputError("no node has a GPU, and pods ask for some", field="--nodes", expected="more nodes")
    return asked


def _factor_for(load: float, asked: list[Floats], arrival: Floats, seconds: Floats, horizon: float) -> float:
    """Return the factor on durations, four digits, that brings the mean load within the horizon to ``load``.

    ``asked`` holds for each resource what each pod asks for as a share of all nodes.
    """
    _within("--load", load, 1e-6, 1e3)
    left = horizon - arrival

    def reached(factor: float) -> float:
        running = np.minimum(seconds * factor, left)
        return max(float((running * share).sum()) / horizon for share in asked)

    low, high = 1e-9, 1e12
    if reached(high) < load:
        raise InputError(
            f"{load:g} cannot be reached with {len(seconds):,} pods",
            field="--load",
            expected="more pods or fewer nodes",
        )
    for _ in range(40):  # halves 21 decades to far below the four digits kept
        middle = math.sqrt(low * high)
        low, high = (middle, high) if reached(middle) < load else (low, middle)
    return float(f"{high:.4g}")


def synth_nodes(preset: Preset, count: int) -> pl.DataFrame:
    """Return ``count`` nodes in the proportions of the preset (largest remainders), spread over three zones."""
    counts = np.array([many for _, many in preset.nodes])
    exact = counts * count / counts.sum()
    whole = np.floor(exact).astype(np.int64)
    behind = np.argsort(-(exact - whole), kind="stable")[: count - int(whole.sum())]
    whole[behind] += 1
    text = ";".join(f"{shape}:{many}" for (shape, _), many in zip(preset.nodes, whole, strict=True) if many)
    row = pl.int_range(pl.len())
    zone = pl.lit("topology.kubernetes.io/zone=zone-") + (row % ZONES).cast(pl.String)
    return parse_shapes(text).with_columns(
        name=pl.lit("node-") + row.cast(pl.String).str.zfill(6),
        labels=pl.concat_str("labels", zone, separator=",", ignore_nulls=True),
    )


def _microseconds(seconds: Floats) -> Ints:
    """Return whole milliseconds as microseconds."""
    return np.rint(np.minimum(seconds, 1e11) * 1000).astype(np.int64) * 1000


def _trace(
    preset: Preset,
    table: pl.DataFrame,
    spec: Ints,
    sizes: Ints,
    arrival: Floats,
    seconds: Floats,
    nodes: pl.DataFrame,
    notes: list[str],
) -> Trace:
    """Return the trace; specs are numbered by first appearance, which is the order of arrival.

    The pods are made batch by batch: ten million with everything that leads to them would take twice the memory.
    """
    arrival_us = _microseconds(arrival)
    owners = np.argsort(arrival_us, kind="stable")
    numbers, at = np.unique(spec[owners], return_index=True)
    specs = SpecTable()
    of_number = np.zeros(table.height, np.uint32)
    appeared = numbers[np.argsort(at)]
    of_number[appeared] = specs.add(table[appeared]).to_numpy()
    ends, drawn = np.cumsum(sizes[owners]), np.cumsum(sizes) - sizes
    digits = max(4, len(str(len(owners))))
    alone = all(kind.sizes is None for kind in preset.kinds)
    batches = []
    for start in range(0, max(len(seconds), 1), _BATCH):
        place = np.arange(start, min(start + _BATCH, len(seconds)))
        mine = np.searchsorted(ends, place, side="right")
        one = owners[mine]
        within = place - (ends[mine] - sizes[one])
        frame = pl.DataFrame(
            {
                "number": pl.Series(mine, dtype=pl.Int64).cast(pl.String).str.zfill(digits),
                "within": within,
                "arrival_us": arrival_us[one],
                "duration_us": np.maximum(_microseconds(seconds[drawn[one] + within]), 1000),
                "spec": of_number[spec[one]],
            }
        )
        batches.append(conform(_named(frame, alone=alone), PODS))
    return Trace("synth", pl.concat(batches, rechunk=False), specs.frame(), nodes, tuple(notes))


def _named(frame: pl.DataFrame, *, alone: bool) -> pl.DataFrame:
    """Return pods with their names: of an owner's number and a place within, or, ``alone``, of a number."""
    number = pl.col("number")
    return frame.with_columns(
        name=pl.lit("pod-") + number if alone else pl.concat_str(pl.lit("job-"), number, pl.lit("-"), "within"),
        namespace=pl.lit("default"),
        owner=pl.lit(None, pl.String) if alone else pl.lit("job-") + number,
    ).drop("number", "within")
