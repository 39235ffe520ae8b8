"""``kscale trace``: look at, convert and make workload traces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from cyclopts import Parameter

from kscale.cli.options import Flag, Output, Quiet, Whole
from kscale.cli.progress import Reporter
from kscale.cli.replay import parsed
from kscale.cli.tables import show
from kscale.cli.terminal import tell, tell_dropped
from kscale.errors import InputError, nearest
from kscale.state.quantities import LARGEST, parse_duration
from kscale.traces import Options, Rest, Trace
from kscale.traces.common import info as facts
from kscale.traces.common import opening, sampling, writing
from kscale.traces.common.digest import gather
from kscale.traces.common.generators import GENERATORS, generate
from kscale.traces.common.presets import PRESETS
from kscale.traces.common.synth import DEFAULT_DAYS, DEFAULT_PODS
from kscale.traces.common.synth import synth as make


def tell_notes(trace: Trace | Rest) -> None:
    """Say on standard error what a reader maps, drops and assumes."""
    for note in trace.notes:
        tell(f"note: {note}", stderr=True)
    tell_dropped(trace.dropped)


def options(lenient: bool, max_input: str, machine_unit: str | None, workload: str | None = None) -> Options:
    """Return reading options from their written forms. Raises InputError."""
    from kscale.state.quantities import parse_quantity

    try:
        limit = parse_quantity(max_input)
    except InputError as error:
        raise InputError(error.problem, field="--max-input", expected=error.expected) from None
    return Options(lenient=lenient, max_input=limit, machine_unit=machine_unit, workload=workload)


def info(
    trace: Path,
    /,
    *,
    nodes: str | None = None,
    format: str | None = None,
    machine_unit: str | None = None,
    workload: str | None = None,
    lenient: Flag = False,
    max_input: str = "2Gi",
    output: Output = "table",
    out: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Show what a planner wants to know of a trace before a replay.

    Span, arrivals over time, requests and durations, distinct specs, GPU requests, the largest pods and owners, and
    with nodes the load on them. It is read once, in portions; what is not exact for a long trace is said.

    Parameters
    ----------
    trace
        Trace file, or the folder of its tables.
    nodes
        Node file, or shapes such as ``96cpu,512Gi,8xA100:40``: adds the load against them. The trace's own nodes where
        it has some and none are given.
    format
        Name of the format; found by looking where it is not given.
    machine_unit
        What 1.0 of a machine is, as a shape, where the trace gives fractions.
    workload
        Which workload of a file that holds several, such as ``SchedulingBasic/500Nodes``.
    lenient
        Leave bad rows out and count them instead of stopping at the first.
    max_input
        Most bytes that a whole-document reader may produce.
    output
        Form of the output.
    out
        Folder for figures (SVG): arrivals, requests, durations, and with nodes the load.
    quiet
        No progress on standard error.
    """
    how = options(lenient, max_input, machine_unit, workload)
    given = None if nodes is None else opening.read_nodes(nodes, how)
    with Reporter(quiet=quiet) as reporter:
        meter = reporter.reading(trace)
        read = gather(opening.portions(trace, format, replace(how, told=meter.read)), meter.saw)
    given = read.rest.nodes if given is None else given
    tables = facts.info(read, given)
    tell_notes(read.rest)
    for note in read.notes:
        tell(f"note: {note}", stderr=True)
    if out is not None:
        from kscale.cli.trace_figures import write_figures

        for path in write_figures(out, read, given):
            tell(f"figure: {path}", stderr=True)
    show(tables, output)


def convert(
    trace: Path,
    out: Path,
    /,
    *,
    nodes: str | None = None,
    nodes_out: Path | None = None,
    events_out: Path | None = None,
    format: str | None = None,
    machine_unit: str | None = None,
    workload: str | None = None,
    lenient: Flag = False,
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Write a trace in kscale's own format: Parquet or CSV, by the ending of OUT.

    Formats that are read in portions are written in portions, so that memory does not grow with the trace.

    Parameters
    ----------
    trace
        Trace file, or the folder of its tables.
    out
        File to write: ``.parquet``, ``.csv`` or ``.csv.gz``.
    nodes
        Node file or shapes to write as well; the trace's own nodes where it is not given.
    nodes_out
        File for the nodes.
    events_out
        File for the trace's node events: what ``kscale replay --node-events`` takes.
    format
        Name of the format; found by looking where it is not given.
    machine_unit
        What 1.0 of a machine is, as a shape, where the trace gives fractions.
    workload
        Which workload of a file that holds several, such as ``SchedulingBasic/500Nodes``.
    lenient
        Leave bad rows out and count them instead of stopping at the first.
    max_input
        Most bytes that a whole-document reader may produce.
    quiet
        No progress on standard error.
    """
    how = options(lenient, max_input, machine_unit, workload)
    outs = _Outs(out, nodes_out, events_out)
    outs.check(nodes)
    given = None if nodes is None else opening.read_nodes(nodes, how)
    with Reporter(quiet=quiet) as reporter:
        meter = reporter.reading(trace)
        portions = opening.portions(trace, format, replace(how, told=meter.read))
        rest = writing.write_portions(portions, out, meter.saw, partial(outs.write_besides, given))
    outs.tell(meter.pods, rest, given)


def sample(
    trace: Path,
    out: Path,
    /,
    *,
    by: Literal["owner", "machine", "time"] = "owner",
    share: float | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    until: str | None = None,
    seed: Whole = 0,
    nodes: str | None = None,
    nodes_out: Path | None = None,
    events_out: Path | None = None,
    format: str | None = None,
    machine_unit: str | None = None,
    workload: str | None = None,
    lenient: Flag = False,
    max_input: str = "2Gi",
    quiet: Quiet = False,
) -> None:
    """Write a seeded share of a trace, in kscale's own format, without holding it in memory.

    The same seed keeps the same names.

    Parameters
    ----------
    trace
        Trace file, or the folder of its tables.
    out
        File to write: ``.parquet``, ``.csv`` or ``.csv.gz``.
    by
        ``owner`` keeps whole owners, and as large a share of the nodes. ``machine`` keeps nodes, and the pods that the
        trace put on them. ``time`` keeps the pods that arrive in a window, whose times begin at 0 then, and all nodes.
    share
        Share to keep, above 0 and at most 1. With ``--by time``, of the span of arrivals; the seed places the window.
    from_
        With ``--by time``: where the window begins, such as ``2d``, instead of ``--share``.
    until
        With ``--by time``: where it ends.
    seed
        Seed of what is kept.
    nodes
        Node file or shapes; the trace's own nodes where it is not given.
    nodes_out
        File for the nodes that are kept.
    events_out
        File for the node events that are kept.
    format
        Name of the format; found by looking where it is not given.
    machine_unit
        What 1.0 of a machine is, as a shape, where the trace gives fractions.
    workload
        Which workload of a file that holds several, such as ``SchedulingBasic/500Nodes``.
    lenient
        Leave bad rows out and count them instead of stopping at the first.
    max_input
        Most bytes that a whole-document reader may produce.
    quiet
        No progress on standard error.
    """
    how = options(lenient, max_input, machine_unit, workload)
    outs = _Outs(out, nodes_out, events_out)
    outs.check(nodes)
    given = None if nodes is None else opening.read_nodes(nodes, how)
    if not 0 <= seed < 1 << 63:
        raise InputError("is out of range", field="--seed", expected="0 to 2^63 - 1")
    bounds = _bounds(by, share, from_, until)
    with Reporter(quiet=quiet) as reporter:
        opened = partial(opening.portions, trace, format)
        if by == "time":
            window = bounds or sampling.drawn_window(
                opened(replace(how, told=reporter.reading(trace).read)), share or 0.0, seed
            )
        meter = reporter.reading(trace)
        portions = opened(replace(how, told=meter.read))
        if by == "time":
            kept = sampling.by_time(portions, window)
        else:
            choice = sampling.Share(share or 0.0, seed)
            kept = (sampling.by_owner if by == "owner" else sampling.by_machine)(portions, choice)
            given = None if given is None else given.filter(choice.kept(given["name"]))
        rest = writing.write_portions(kept, out, meter.saw, partial(outs.write_besides, given))
    outs.tell(meter.pods, rest, given)


def _bounds(by: str, share: float | None, from_: str | None, until: str | None) -> sampling.Window | None:
    """Return the window that is asked for, if it is; refuse options that do not go together. Raises InputError."""
    bounded = from_ is not None or until is not None
    if by != "time" and bounded:
        raise InputError("--from and --until are for --by time", expected="--share")
    if bounded and share is not None:
        raise InputError("--share says nothing with --from or --until", expected="one of the two")
    if not bounded:
        if share is None:
            raise InputError("is missing", field="--share", expected="above 0 and at most 1")
        return None
    start = parsed("--from", parse_duration, from_) or 0
    end = parsed("--until", parse_duration, until)
    return sampling.Window(start, LARGEST if end is None else end)


@dataclass(frozen=True)
class _Outs:
    """The files that a command writes a trace to."""

    pods: Path
    nodes: Path | None
    events: Path | None

    def check(self, nodes: str | None) -> None:
        """Refuse names that cannot be written to before anything is read or made. Raises InputError."""
        if nodes is not None and self.nodes is None:
            raise InputError("--nodes and --nodes-out go together", expected="both, or --nodes-out alone")
        taken: dict[Path, str] = {}
        for field, path, what in (
            ("OUT", self.pods, "pods"), ("--nodes-out", self.nodes, "nodes"), ("--events-out", self.events, "events"),
        ):  # fmt: skip
            if path is None:
                continue
            writing.format_of(path)
            other = taken.setdefault(path.resolve(), what)
            if other != what:
                raise InputError(f"is the file for the {other} too", file=path, field=field, expected="another name")

    def write_besides(self, given: pl.DataFrame | None, rest: Rest) -> None:
        """Write the nodes (``given``, or the trace's own) and node events of a trace whose pods are written.

        Raises InputError where there are none.
        """
        nodes = rest.nodes if given is None else given
        if self.nodes is not None and nodes is None:
            raise InputError("the trace has no nodes of its own", field="--nodes-out", expected="--nodes too")
        if self.events is not None and rest.node_events is None:
            raise InputError("the trace has no node events", field="--events-out", expected="a trace that has some")
        if self.nodes is not None and nodes is not None:
            writing.write_nodes(nodes, self.nodes)
        if self.events is not None and rest.node_events is not None:
            writing.write_node_events(rest.node_events, self.events)

    def tell(self, pods: int, rest: Rest | Trace, given: pl.DataFrame | None) -> None:
        """Say what was written."""
        tell_notes(rest)
        tell(f"{self.pods}: {pods:,} pods")
        nodes = rest.nodes if given is None else given
        if self.nodes is not None and nodes is not None:
            tell(f"{self.nodes}: {nodes.height:,} nodes")
        if self.events is not None and rest.node_events is not None:
            tell(f"{self.events}: {rest.node_events.height:,} node events")


def synth(
    preset: str,
    /,
    *,
    out: Path,
    nodes_out: Path | None = None,
    nodes: Whole = 100,
    pods: Whole | None = None,
    days: float | None = None,
    specs: Whole | None = None,
    load: float | None = None,
    seed: Whole = 0,
) -> None:
    """Make a seeded workload with a published shape, in kscale's own format.

    Presets: borg, alibaba, openb, uniform, days. Arrivals follow the day, durations have heavy tails, specs come from
    a finite table with Zipf weights, owners have Zipf sizes. Load generators: clusterloader2-load,
    clusterloader2-density, clusterloader2-scheduler-throughput, kube-burner-cluster-density-ms,
    kube-burner-cluster-density-v2, kube-burner-node-density. The same arguments give the same bits.

    Parameters
    ----------
    preset
        Shape of the workload.
    out
        File for the pods: ``.parquet``, ``.csv`` or ``.csv.gz``.
    nodes_out
        File for the nodes; without it they are not written.
    nodes
        Nodes to make.
    pods
        Pods to make; 10,000 where it is not given, and of a load generator what it makes for so many nodes.
    days
        Span of the arrivals; 1 where it is not given. Load generators have their own.
    specs
        Distinct specs; about so many. Load generators have their own.
    load
        Mean load on the bounding resource, 1 is full; sets the durations. Not of load generators.
    seed
        Seed of every draw.
    """
    if preset not in PRESETS and preset not in GENERATORS:
        known = (*PRESETS, *GENERATORS)
        raise InputError(
            f"there is no preset '{preset}'{nearest(preset, known)}", expected=f"one of {', '.join(known)}"
        )
    if seed < 0:
        raise InputError("is negative", field="--seed", expected="0 or more")
    _Outs(out, nodes_out, None).check(None)
    rng = np.random.default_rng(seed)
    if preset in GENERATORS:
        for option, value in (("--days", days), ("--specs", specs), ("--load", load)):
            if value is not None:
                raise InputError("is not an option of a load generator", field=option, expected="--nodes and --pods")
        made = generate(preset, rng, nodes=nodes, pods=pods)
    else:
        pods, days = DEFAULT_PODS if pods is None else pods, DEFAULT_DAYS if days is None else days
        made = make(preset, rng, nodes=nodes, pods=pods, days=days, specs=specs, load=load)
    writing.write_trace(made, out)
    tell_notes(made)
    tell(f"{out}: {made.pods.height:,} pods, {made.specs.height:,} distinct specs")
    if nodes_out is not None and made.nodes is not None:
        writing.write_nodes(made.nodes, nodes_out)
        tell(f"{nodes_out}: {made.nodes.height:,} nodes")


def template(out: Path, /, *, kind: Literal["pods", "nodes", "node-events"] = "pods") -> None:
    """Write an example file in kscale's own format, with a value in every column.

    Parameters
    ----------
    out
        File to write: ``.parquet``, ``.csv`` or ``.csv.gz``.
    kind
        Pods, nodes or node events.
    """
    writing.write_template(out, kind)
    tell(f"{out}: an example of {kind.replace('-', ' ')}; docs/traces.md describes every column")
