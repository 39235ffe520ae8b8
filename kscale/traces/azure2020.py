"""Azure's trace for packing 2020 (Hadary et al., OSDI'20): requests of VMs in one zone, an SQLite file.

A VM's type takes fractions of a machine, other ones on other kinds of machines. Absolute amounts, and the kinds of
machines relative to each other, follow from these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.state.quantities import LARGEST
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import specs, sqlite
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule
from kscale.traces.common.fractions import most_used, sizes
from kscale.traces.common.shapes import parse_unit

#: What 1.0 of the kind of machine with most types is; it is not published.
MACHINE_UNIT = "64cpu,512Gi"
#: The label that tells a node's kind of machine.
LABEL = "machine-id"
#: What 1.0 of a disk and of the network is.
WHOLE = 100_000
#: What lies within this part of a whole amount is noise of the written fraction: six times 0.166666667 is one.
_NOISE = 1e-6
_MIB = 1 << 20
#: Most types, most kinds of machines: far more than there are.
MAX_TYPES, MAX_MACHINES = 100_000, 1000
_EXTENDED = {"hdd": "azure.com/hdd", "ssd": "azure.com/ssd", "nic": "azure.com/nic"}
_DIMENSIONS = ("core", "memory", *_EXTENDED)
_US_PER_DAY = 86_400 * 10**6
_DAYS = LARGEST_SECONDS / 86_400

_TYPES = (
    Field("vmTypeId", pl.String, high=LONGEST_NAME),
    Field("machineId", pl.String, high=63),
    *(Field(name, pl.Float64, nullable=name in _EXTENDED, high=1000) for name in _DIMENSIONS),
)
_VMS = (
    Field("vmId", pl.String, high=LONGEST_NAME),
    Field("tenantId", pl.String, nullable=True, high=LONGEST_NAME),
    Field("vmTypeId", pl.String, high=LONGEST_NAME),
    Field("priority", high=1),
    Field("starttime", pl.Float64, low=-_DAYS, high=_DAYS),
    Field("endtime", pl.Float64, nullable=True, low=-_DAYS, high=_DAYS),
)


@dataclass(frozen=True)
class _Types:
    """What each type asks for (``frame``: vmTypeId, amounts, node_affinity), machines as shapes, the largest spread."""

    frame: pl.DataFrame
    shapes: list[str]
    spread: float


def _detects(path: Path, head: bytes) -> bool:
    return head.startswith(sqlite.MAGIC) and b"vmTypeId" in head and b"machineId" in head


def _portions(path: Path, options: Options) -> Portions:
    unit_text = options.machine_unit or MACHINE_UNIT
    unit = parse_unit(unit_text, "cpu_milli", "memory_bytes")
    check = Checker(path, options)
    vms = early = late = before = 0
    with sqlite.opened(path, options) as base:
        types = _types(pl.concat(sqlite.batches(base, "vmType", _TYPES, check)), check, (
            unit.cpu_milli or 0, (unit.memory_bytes or 0) // _MIB, WHOLE, WHOLE, WHOLE,
        ))  # fmt: skip
        known = types.frame["vmTypeId"].implode()
        for batch in sqlite.batches(base, "vm", _VMS, check):
            frame = check.fresh(check.drop(batch, _rules(known)), "vmId")
            there = frame.filter((pl.col("endtime") >= 0).fill_null(True))
            vms, before = vms + frame.height, before + frame.height - there.height
            early, late = early + int((there["starttime"] < 0).sum()), late + there["endtime"].null_count()
            yield _pods(there.join(types.frame, on="vmTypeId", how="left", maintain_order="left"))
    shown = "; ".join(types.shapes[:40])
    notes = (
        f"azure2020: {vms:,} VMs, of which {before:,} ended before the start and are left out; {early:,} were there at "
        f"the start: they arrive at 0; {late:,} have no end: they never end.",
        f"azure2020: 1.0 of the kind of machine with most types is {unit_text} (--machine-unit), and {WHOLE:,} of "
        f"{', '.join(_EXTENDED.values())}; other kinds are as large as the types that both take say.",
        f"azure2020: where the kinds disagree about a type (by up to {types.spread:.1%}), the larger amount counts; "
        "hdd, ssd and nic that are not said are 0.",
        "azure2020: priority 0 (high) becomes 1, 1 (low) becomes 0; low ones may have been evicted: their ends are "
        "outcomes. A VM's owner is its tenant.",
        f"azure2020: a type runs only on kinds of machines that list it: an affinity to the label {LABEL}.",
        f"azure2020: the trace does not say how many machines there are; its {len(types.shapes):,} kinds are, for "
        f"--nodes, each with a number behind a colon: {shown}{' …' if len(types.shapes) > 40 else ''}",
    )
    return Rest(notes, dropped=check.dropped)


def _rules(known: pl.Series) -> list[Rule]:
    late = "a time that is not before the start"
    return [
        Rule(pl.col("endtime") < pl.col("starttime"), "endtime", "'{value}' is before starttime", late),
        Rule(~pl.col("vmTypeId").is_in(known), "vmTypeId", "'{value}' is no type of the table vmType", "one of these"),
    ]


def _pods(frame: pl.DataFrame) -> pl.DataFrame:
    start = (pl.col("starttime").clip(0) * _US_PER_DAY).round().cast(pl.Int64)
    end = (pl.col("endtime") * _US_PER_DAY).round().cast(pl.Int64)
    return frame.select(
        "cpu_milli",
        "memory_bytes",
        *(f"{specs.RESOURCE}{name}" for name in _EXTENDED.values()),
        "node_affinity",
        name=pl.lit("vm-") + pl.col("vmId"),
        namespace=pl.lit("default"),
        owner=pl.lit("tenant-") + pl.col("tenantId"),
        arrival_us=start,
        duration_us=end - start,
        end_us=end,
        priority=1 - pl.col("priority"),
    )


def _types(rows: pl.DataFrame, check: Checker, one: tuple[int, ...]) -> _Types:
    """Return the types; ``one`` is what 1.0 of a machine is in each dimension, memory in MiB."""
    odd = ~pl.col("machineId").str.contains(r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")
    rows = check.drop(rows, [Rule(odd, "machineId", "'{value}' is no value of a label", "letters and digits")])
    again = ~pl.struct("vmTypeId", "machineId").is_first_distinct()
    rows = check.drop(rows, [Rule(again, "machineId", "'{value}' occurs twice for a type", "each machine once")])
    types, machines = (rows[name].unique().sort() for name in ("vmTypeId", "machineId"))
    if len(types) > MAX_TYPES or len(machines) > MAX_MACHINES:
        problem = f"has {len(types):,} types and {len(machines):,} kinds of machines"
        expected = f"at most {MAX_TYPES:,} and {MAX_MACHINES:,}"
        raise InputError(problem, file=check.path, field="vmTypeId", expected=expected)
    thing, machine = _places(rows["vmTypeId"], types), _places(rows["machineId"], machines)
    found = [
        sizes(thing, machine, rows[name].fill_null(math.nan).to_numpy(), len(types), len(machines))
        for name in _DIMENSIONS
    ]
    for name, each, of in zip(_DIMENSIONS, found, one, strict=True):
        largest = max(each.things.max(initial=0.0), each.machines.max(initial=0.0)) * of
        if not largest < LARGEST // _MIB:
            problem = f"comes to {largest:.3g} of what a machine of {of:,} has"
            raise InputError(problem, file=check.path, field=name, expected="fractions that agree")
    columns = ("cpu_milli", "memory_bytes", *(f"{specs.RESOURCE}{name}" for name in _EXTENDED.values()))
    amounts = pl.DataFrame({n: each.things * of for n, each, of in zip(columns, found, one, strict=True)})
    frame = pl.DataFrame([types]).with_columns(amounts.select(_settled(pl.all())))
    frame = frame.with_columns(pl.col("memory_bytes") * _MIB)
    shapes = [
        _shape(machines[place], [round(float(each.machines[place]) * of) for each, of in zip(found, one, strict=True)])
        for place in most_used(machine, len(machines)).tolist()
    ]
    affinity = _affinities(rows, len(machines))
    spread = max(each.spread for each in found)
    return _Types(frame.join(affinity, on="vmTypeId", how="left", maintain_order="left"), shapes, spread)


def _settled(amount: pl.Expr) -> pl.Expr:
    """Return whole amounts: the nearest where it differs by noise alone, else rounded up."""
    near = amount.round()
    return pl.when((amount - near).abs() <= amount * _NOISE).then(near).otherwise(amount.ceil()).cast(pl.Int64)


def _places(column: pl.Series, distinct: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return where each value of a column stands among the distinct ones, which are sorted."""
    return distinct.search_sorted(column).to_numpy().astype(np.int64)


def _affinities(rows: pl.DataFrame, machines: int) -> pl.DataFrame:
    """Return the required affinity of each type to kinds of machines; null where it may run on all."""
    listed = rows.group_by("vmTypeId", maintain_order=True).agg(pl.len(), pl.col("machineId").str.join(","))
    term = pl.lit(f"{LABEL} in (") + pl.col("machineId") + pl.lit(")")
    return listed.select("vmTypeId", node_affinity=pl.when(pl.col("len") < machines).then(term))


def _shape(machine: str, amounts: list[int]) -> str:
    cpu, memory, *extended = amounts
    others = [f"{amount}x{name}" for amount, name in zip(extended, _EXTENDED.values(), strict=True)]
    return ",".join([f"{cpu}mcpu", f"{memory}Mi", *others, f"{LABEL}={machine}"])


READER = Reader(
    name="azure2020",
    doc="Azure packing 2020: SQLite of VM requests and of VM types as fractions of machines.",
    detects=_detects,
    read=specs.reading("azure2020", _portions),
    portions=_portions,
)
