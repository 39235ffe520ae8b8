"""``kscale trace``: look at, convert and make workload traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from kscale.cli.options import Flag, Output, Whole
from kscale.cli.tables import show
from kscale.cli.terminal import tell, tell_dropped
from kscale.errors import InputError, nearest
from kscale.traces import Options, Trace
from kscale.traces.common import info as facts
from kscale.traces.common import opening, writing
from kscale.traces.common.generators import GENERATORS, generate
from kscale.traces.common.presets import PRESETS
from kscale.traces.common.synth import DEFAULT_DAYS, DEFAULT_PODS
from kscale.traces.common.synth import synth as make


def tell_notes(trace: Trace) -> None:
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
) -> None:
    """Show what a planner wants to know of a trace before a replay.

    Span, arrivals over time, requests and durations, distinct specs, GPU requests, and with nodes the load on them.

    Parameters
    ----------
    trace
        Trace file.
    nodes
        Node file, or shapes such as ``96cpu,512Gi,8xA100:40``: adds the load against them.
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
    """
    how = options(lenient, max_input, machine_unit, workload)
    read = opening.open_trace(trace, format, how)
    found = facts.info(read, None if nodes is None else opening.read_nodes(nodes, how))
    tell_notes(read)
    show(found, output)


def convert(
    trace: Path,
    out: Path,
    /,
    *,
    nodes: str | None = None,
    nodes_out: Path | None = None,
    format: str | None = None,
    machine_unit: str | None = None,
    workload: str | None = None,
    lenient: Flag = False,
    max_input: str = "2Gi",
) -> None:
    """Write a trace in kscale's own format: Parquet or CSV, by the ending of OUT.

    Parameters
    ----------
    trace
        Trace file.
    out
        File to write: ``.parquet``, ``.csv`` or ``.csv.gz``.
    nodes
        Node file or shapes to write as well.
    nodes_out
        File for the nodes.
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
    """
    how = options(lenient, max_input, machine_unit, workload)
    if (nodes is None) != (nodes_out is None):
        raise InputError("--nodes and --nodes-out go together", expected="both, or neither")
    _check_outs(out, nodes_out)
    read = opening.open_trace(trace, format, how)
    frame = None if nodes is None else opening.read_nodes(nodes, how)
    _write(read, out, frame, nodes_out)


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
    _check_outs(out, nodes_out)
    rng = np.random.default_rng(seed)
    if preset in GENERATORS:
        for option, value in (("--days", days), ("--specs", specs), ("--load", load)):
            if value is not None:
                raise InputError("is not an option of a load generator", field=option, expected="--nodes and --pods")
        made = generate(preset, rng, nodes=nodes, pods=pods)
    else:
        pods, days = DEFAULT_PODS if pods is None else pods, DEFAULT_DAYS if days is None else days
        made = make(preset, rng, nodes=nodes, pods=pods, days=days, specs=specs, load=load)
    _write(made, out, made.nodes, nodes_out)


def _check_outs(out: Path, nodes_out: Path | None) -> None:
    """Refuse names that cannot be written to before anything is read or made. Raises InputError."""
    for path in filter(None, (out, nodes_out)):
        writing.format_of(path)
    if nodes_out is not None and out.resolve() == nodes_out.resolve():
        raise InputError("is the file for the pods too", file=nodes_out, field="--nodes-out", expected="another name")


def _write(trace: Trace, out: Path, nodes: pl.DataFrame | None, nodes_out: Path | None) -> None:
    writing.write_trace(trace, out)
    if nodes_out is not None and nodes is not None:
        writing.write_nodes(nodes, nodes_out)
    tell_notes(trace)
    tell(f"{out}: {trace.pods.height:,} pods, {trace.specs.height:,} distinct specs")
    if nodes_out is not None and nodes is not None:
        tell(f"{nodes_out}: {nodes.height:,} nodes")


def template(out: Path, /, *, kind: Literal["pods", "nodes"] = "pods") -> None:
    """Write an example file in kscale's own format, with a value in every column.

    Parameters
    ----------
    out
        File to write: ``.parquet``, ``.csv`` or ``.csv.gz``.
    kind
        Pods or nodes.
    """
    writing.write_template(out, kind)
    tell(f"{out}: an example of {kind}; docs/traces.md describes every column")
