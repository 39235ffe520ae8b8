"""Advising: from Services, as a dump has them or a trace suggests them, to the mode of kube-proxy that suits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kscale.errors import InputError, nearest
from kscale.network import proxies
from kscale.network.advice import Asked, Range, Verdict, choose, known, ranges, verdict
from kscale.network.curve import MOST_SERVICES, Rates, points
from kscale.network.dump import Dump, read_dump
from kscale.network.parameters import Parameters
from kscale.network.ports import Ports
from kscale.network.proxies import Mode
from kscale.network.shapes import Shape, endpoints_at_the_busiest
from kscale.network.versions import Version, written
from kscale.state.manifests import ReadOptions
from kscale.state.manifests.reading import STDIN, SUFFIXES
from kscale.traces import Options, Trace
from kscale.traces.common.opening import open_trace

if TYPE_CHECKING:
    import polars as pl

#: Borders are looked for up to so many Services, or further where there are more.
FAR = 100_000
#: Sizes of a curve.
_POINTS = 25
_SECOND_US, _DAY_S = 1_000_000, 86_400


@dataclass(frozen=True)
class Read:
    """Services as they were read.

    Attributes:
        shape: their service ports.
        notes: what was assumed or left out, a sentence each.
        changes: changes of endpoints per second, where the input tells; None elsewhere.
        kernel, kubernetes: versions of the nodes; None where they are not stated.
    """

    shape: Shape
    notes: tuple[str, ...] = ()
    changes: float | None = None
    kernel: Version | None = None
    kubernetes: Version | None = None


@dataclass(frozen=True)
class Wish:
    """What is asked, beside the Services.

    Attributes:
        asked: the platform, and an algorithm that is needed.
        modes: that are looked at.
        options: choices for modes that have them.
        connections_rate, packets_rate: new connections to Services, and later packets, per second at a node.
        changes_rate: of Services and endpoints, per second in the cluster as it is: they grow with the Services.
            Without it there are so many a day for each endpoint as a parameter says.
        growth: the Services become so many times as many.
        numbers: of the model, limits among them.
        cpus: processors of the node.
        connections: entries of the connection table.
    """

    asked: Asked = field(default_factory=Asked)
    modes: tuple[Mode, ...] = field(default_factory=lambda: tuple(proxies.found().values()))
    options: Mapping[str, str] = field(default_factory=dict)
    connections_rate: float = 1_000
    packets_rate: float = 10_000
    changes_rate: float | None = None
    growth: float = 1.0
    numbers: Parameters = field(default_factory=known)
    cpus: int = 4
    connections: int = 0


@dataclass(frozen=True)
class Advice:
    """A recommendation.

    Attributes:
        services: Services now, and after growth.
        mode: what suits after growth.
        why: the reason.
        mode_now: what suits now.
        mode_on_newer: what suits after growth with the youngest kernel that anything turns on, or a younger one.
        now, grown: what the rules say of each mode at both sizes.
        ranges: what suits, from one Service on.
    """

    services: tuple[int, int]
    mode: str
    why: str
    mode_now: str
    mode_on_newer: str
    now: tuple[Verdict, ...]
    grown: tuple[Verdict, ...]
    ranges: tuple[Range, ...]


def read(paths: Sequence[str], max_input: int) -> Read:
    """Return the Services of a dump (JSON, YAML, folders of these, ``-``), or of one trace.

    Raises InputError and MachineError.
    """
    if len(paths) == 1 and not _objects(paths[0]):
        return of_trace(open_trace(Path(paths[0]), options=Options(max_input=max_input)), paths[0])
    return of_dump(read_dump(paths, ReadOptions(max_input)))


def _objects(path: str) -> bool:
    found = Path(path)
    if path == STDIN or found.name.removesuffix(".gz").endswith(SUFFIXES):
        return True
    return found.is_dir() and any(one.name.removesuffix(".gz").endswith(SUFFIXES) for one in found.rglob("*"))


def of_dump(dump: Dump) -> Read:
    """Return the Services of a dump, with notes on what was assumed."""
    words = {
        "pods": "without EndpointSlices: their endpoints are the pods that they select and that are ready",
        "workloads": "without EndpointSlices and pods: their endpoints are the replicas of workloads",
        "nowhere": "without endpoints",
    }
    notes = [f"Services {text}: {dump.origins[origin]:,}" for origin, text in words.items() if dump.origins.get(origin)]
    notes += [f"{what} Services, for which kube-proxy writes nothing: {n:,}" for what, n in dump.left_out.items()]
    if dump.node:
        notes.append(f"as seen from the node {dump.node}, which has the most endpoints")
    return Read(Shape(dump.ports), tuple(notes), None, dump.kernel, dump.kubernetes)


def of_trace(trace: Trace, file: str) -> Read:
    """Return a Service for each owner of a trace, as they are when most of them have pods. Raises InputError."""
    import polars as pl

    pods = trace.pods.filter(pl.col("owner").is_not_null())
    if not pods.height:
        raise InputError("has no owners of pods", file=file, field="owner", expected="pods with owners, or a dump")
    owner = pods.select(pl.struct("namespace", "owner").rank("dense") - 1).to_series().cast(pl.Int64).to_numpy()
    start = pods["arrival_us"].to_numpy()
    never = np.iinfo(np.int64).max
    end = (pods["arrival_us"] + pods["duration_us"]).fill_null(never).to_numpy()
    if not trace.timed:
        start, end = np.zeros_like(start), np.full_like(end, never)
    endpoints, moment = endpoints_at_the_busiest(owner, start, end)
    if not len(endpoints):
        raise InputError("has no pod that runs for a while", file=file, field="duration", expected="pods that run")
    times = np.concatenate([start, end[end < never]])
    span = float(times.max() - times.min()) / _SECOND_US
    changes = len(times) / span if span > 0 else None
    notes = [
        f"each owner of {int(owner.max()) + 1:,} is taken for a Service with one port, its pods for endpoints from "
        "their arrival to their end",
        f"they are taken as at {moment / _SECOND_US / 3600:,.3g} hours, when most of them have pods",
    ]
    return Read(Shape(Ports.uniform(0, 0) if not len(endpoints) else Ports.of(endpoints)), tuple(notes), changes)


def of_counts(services: int, endpoints: int) -> Read:
    """Return so many Services of one port, with as many endpoints each. Raises InputError."""
    return Read(Shape(Ports.uniform(services, endpoints)))


def advise(shape: Shape, wish: Wish) -> Advice:
    """Return which mode suits, why, and from how many Services on it is another one. Raises InputError."""
    check(wish)
    now, grown = shape.services, round(shape.services * wish.growth)
    if not 1 <= grown <= MOST_SERVICES:
        raise InputError(f"makes {grown:,} Services", field="--growth", expected=f"1 to {MOST_SERVICES:,} of them")
    of = partial(verdicts, shape, wish)
    saving = wish.numbers["advise_saving_cores"]
    today, later = of(now), of(grown)
    (best_now, _), (best, why) = choose(today, saving), choose(later, saving)
    if best is None or best_now is None:
        refused = "; ".join(f"{one.mode.name}: {one.refused}" for one in later)
        raise InputError(f"no mode of kube-proxy is left ({refused})", expected="another version, kernel or scheduler")

    def chosen(services: int) -> tuple[str, bool]:
        found, _ = choose(of(services), saving)
        assert found is not None, "what is ruled out does not turn on the number of Services"
        return found.mode.name, not found.broken

    kernel = max(wish.asked.platform.kernel, newest(wish.modes))
    on_newer = replace(wish, asked=replace(wish.asked, platform=replace(wish.asked.platform, kernel=kernel)))
    best_on_newer, _ = choose(verdicts(shape, on_newer, grown), saving)
    assert best_on_newer is not None, "a younger kernel rules nothing out"
    far = min(max(FAR, 2 * max(now, grown)), MOST_SERVICES)
    return Advice(
        (now, grown), best.mode.name, why, best_now.mode.name, best_on_newer.mode.name, today, later,
        tuple(ranges(chosen, now, far)),
    )  # fmt: skip


def verdicts(shape: Shape, wish: Wish, services: int) -> tuple[Verdict, ...]:
    """Return what the rules say of each mode with so many Services."""
    ports, rest = shape.at(services), {"cpus": wish.cpus, "connections": wish.connections}
    rates = rates_of(shape, wish, services)
    return tuple(verdict(mode, ports, wish.asked, wish.options, rates, wish.numbers, **rest) for mode in wish.modes)


def rates_of(shape: Shape, wish: Wish, services: int) -> Rates:
    """Return what goes on at a node where there are so many Services."""
    changes = wish.changes_rate
    if changes is None:
        changes = float(shape.ports.endpoints.sum()) * wish.numbers["endpoint_changes_per_day"] / _DAY_S
    return Rates(wish.connections_rate, wish.packets_rate, changes * services / shape.services)


def by_size(shape: Shape, wish: Wish) -> pl.DataFrame:
    """Return the table of ``kscale proxy curve`` for the modes that are not ruled out, for these Services in sizes."""
    import polars as pl

    rows = []
    for services in sorted({*points(10, max(FAR, shape.services), _POINTS), shape.services}):
        for one in verdicts(shape, wish, services):
            if not one.refused:
                each = float(shape.ports.endpoints.mean())
                rows.append({"services": services, "endpoints": each, **one.numbers})
    return pl.DataFrame(rows, infer_schema_length=None)


def newest(modes: Sequence[Mode]) -> Version:
    """Return the youngest kernel from which on something is otherwise; 0.0 where nothing turns on it."""
    return max((row.version for mode in modes for row in mode.since if row.what == "kernel"), default=(0, 0))


def calendar(wish: Wish) -> list[dict[str, str]]:
    """Return when each mode comes and goes, and what it is in the version that is asked about: one row a mode."""
    rows = []
    for mode in wish.modes:
        versions, version = mode.versions, wish.asked.platform.kubernetes
        new = versions.stable is not None and version < versions.stable
        row = {"mode": mode.name, f"in {written(version)}": "not stable" if new else versions.status(version)}
        for name in ("stable", "deprecated", "gate", "off", "removed"):
            found = getattr(versions, name)
            row[name] = written(found) if found is not None else "-"
        row["kernel"] = written(versions.kernel) if versions.kernel else "-"
        rows.append(row)
    return rows


def warnings(made: Advice, wish: Wish) -> list[str]:
    """Return what one should know of the mode that is recommended, and of options that were set, a sentence each."""
    mode = next(one for one in wish.modes if one.name == made.mode)
    versions, platform, notes = mode.versions, wish.asked.platform, []
    words = {"deprecated": "deprecated from", "gate": "behind a gate from", "off": "off by default from",
             "removed": "removed in"}  # fmt: skip
    told = [f"{text} {written(when)}" for name, text in words.items() if (when := getattr(versions, name)) is not None]
    if told:
        notes.append(f"{mode.name} is {', '.join(told)}: {versions.source}")
    if versions.status(platform.kubernetes) == "off":
        notes.append(f"in Kubernetes {written(platform.kubernetes)} the feature gate of {mode.name} must be turned on")
    if made.mode_on_newer != made.mode:
        notes.append(f"on a kernel of {written(newest(wish.modes))} or later {made.mode_on_newer} suits")
    for one in made.grown:
        rows = [] if one.refused else [row for row in one.mode.since if row.option not in wish.options]
        last = {row.option: row for row in rows if getattr(platform, row.what) >= row.version}
        usual = {option.name: option.default for option in one.mode.options}
        told = [f"{row.option}={row.choice} ({row.source})" for row in last.values() if row.choice != usual[row.option]]
        if told:
            notes.append(f"{one.mode.name} is taken with {', '.join(told)}, as these versions have it")
    return notes


def check(wish: Wish) -> None:
    """Raises InputError where an option or an algorithm is none's."""
    having = {name for mode in wish.modes for option in mode.options for name in (option.name,)}
    for name, choice in wish.options.items():
        choices = [c for mode in wish.modes for o in mode.options if o.name == name for c in o.choices]
        if name not in having:
            raise InputError(f"no mode has '{name}'{nearest(name, having)}", field="--option", expected="an option")
        if choice not in choices:
            of = ", ".join(dict.fromkeys(choices))
            raise InputError(f"there is no '{choice}'{nearest(choice, choices)}", field=name, expected=f"one of {of}")
    algorithms = dict.fromkeys(name for mode in proxies.found().values() for name in mode.balancing)
    if wish.asked.scheduler and wish.asked.scheduler not in algorithms:
        name = wish.asked.scheduler
        raise InputError(
            f"there is no '{name}'{nearest(name, algorithms)}", field="--need-scheduler",
            expected=f"one of {', '.join(algorithms)}",
        )  # fmt: skip
