"""Standard Workload Format 2.2 of the Parallel Workloads Archive: a job of an HPC log becomes pods.

18 fields a line separated by blanks, -1 is unknown, ``;`` starts a comment or a header (``; MaxNodes: 430``).
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files, gangs, specs
from kscale.traces.common.checks import LARGEST_SECONDS, Checker, Field, Rule, microseconds

_COUNT = 18
_LARGEST_KB = (1 << 59) >> 10
#: The fields that are read, by position.
_FIELDS = {
    0: Field("job", low=0),
    1: Field("submit", pl.Float64, high=LARGEST_SECONDS),
    2: Field("wait", pl.Float64, low=-1, high=LARGEST_SECONDS),
    3: Field("run", pl.Float64, low=-1, high=LARGEST_SECONDS),
    4: Field("allocated_procs", low=-1, high=10**7),
    7: Field("requested_procs", low=-1, high=10**7),
    9: Field("requested_memory_kb", low=-1, high=_LARGEST_KB),
}
_HEADER = re.compile(r"^;\s*(MaxNodes|MaxProcs)\s*:\s*(\d{1,9})\b", re.ASCII | re.MULTILINE)


def _detects(path: Path, head: bytes) -> bool:
    if b"\x00" in head:
        return False
    for line in head.decode(errors="replace").splitlines()[:2000]:
        words = line.split()
        if words and not words[0].startswith(";"):
            return len(words) == _COUNT and all(re.fullmatch(r"[-+.\deE]+", word) for word in words)
    return path.name.removesuffix(".gz").endswith(".swf")


def _read(path: Path, options: Options) -> Trace:
    check = Checker(path, options)
    data = files.whole(path, options)
    with files.readable(path, "text"):
        text = data.decode()
    jobs = check.typed(_fields(text, check), _FIELDS.values())
    jobs = check.unique(jobs, ["job"])
    procs = pl.when(pl.col("requested_procs") > 0).then("requested_procs").otherwise("allocated_procs")
    jobs = jobs.with_columns(procs=procs)
    memory = pl.col("requested_memory_kb").cast(pl.Float64) * pl.col("procs")
    too_large = Rule(memory > _LARGEST_KB, "requested_memory_kb", "'{value}' is too large", "at most 2^59 bytes a job")
    jobs = check.drop(jobs, [too_large])
    total = jobs.height
    sized = jobs.filter(pl.col("procs") > 0)
    ran = sized.filter(pl.col("run") >= 0)
    per_pod, reason = _cores_per_pod(text, options)
    table, pods = _pods(ran, per_pod, path, options)
    notes = (
        f"swf: {reason}",
        f"swf: {ran.height:,} jobs are {pods.height:,} pods; memory is what was requested, not stated where unknown.",
        f"swf: {total - sized.height:,} jobs without processors and {sized.height - ran.height:,} without a run time "
        "never ran and are left out.",
        "swf: gangs are not modelled: the pods of a job start one by one; users, queues and dependencies are not used.",
    )
    return Trace("swf", pods, table.frame(), None, notes, check.dropped)


def _fields(text: str, check: Checker) -> pl.DataFrame:
    """Return the fields that are read as texts, a row a job, with ``ROW``."""
    lines = pl.Series("line", text.splitlines(), dtype=pl.String).str.strip_chars()
    lines = lines.filter(~lines.str.starts_with(";") & (lines != ""))
    frame = pl.DataFrame([lines]).with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(files.ROW),
        words=pl.col("line").str.replace_all(r"\s+", " ").str.split(" "),
    )
    wrong = pl.col("words").list.len() != _COUNT
    frame = check.drop(frame, [Rule(wrong, "line", "does not have 18 fields", "18 fields separated by blanks")])
    return frame.select(files.ROW, *(pl.col("words").list.get(i).alias(f.name) for i, f in _FIELDS.items()))


def _cores_per_pod(text: str, options: Options) -> tuple[int | None, str]:
    """Return how many processors a pod holds at most, and the sentence that says why."""
    if options.machine_unit:
        cores = gangs.processors_of(options.machine_unit)
        return cores, f"a pod holds at most {cores} processors of 1 cpu, as --machine-unit says"
    header = {name: int(value) for name, value in _HEADER.findall(text)}
    nodes, procs = header.get("MaxNodes", 0), header.get("MaxProcs", 0)
    if nodes > 0 and procs >= nodes:
        cores = procs // nodes
        return cores, f"a pod holds at most {cores} processors of 1 cpu (MaxProcs {procs} / MaxNodes {nodes})."
    return None, "the header does not say how large a node is: a job is one pod; --machine-unit 16cpu splits it."


def _pods(
    jobs: pl.DataFrame, per_pod: int | None, path: Path, options: Options
) -> tuple[specs.SpecTable, pl.DataFrame]:
    """Return the pods of the jobs: full ones of ``per_pod`` processors, then one with the rest."""
    pods = gangs.split(jobs, per_pod, path, "requested_procs", options)
    known = pl.when(pl.col("requested_memory_kb") >= 0).then(pl.col("requested_memory_kb"))
    arrival = microseconds(pl.col("submit"))
    end = arrival + microseconds(pl.col("wait")) + microseconds(pl.col("run"))
    job = pl.lit("job-") + pl.col("job").cast(pl.String)
    pods = pods.select(
        name=pl.concat_str(job, pl.lit("-"), "index"),
        namespace=pl.lit("default"),
        owner=job,
        arrival_us=arrival,
        duration_us=microseconds(pl.col("run")),
        end_us=pl.when(pl.col("wait") >= 0).then(end),
        cpu_milli=pl.col("cores") * 1000,
        memory_bytes=known * 1024 * pl.col("cores"),
    )
    table = specs.SpecTable()
    return table, specs.conform(pods.with_columns(table.add(pods)), specs.PODS)


READER = Reader(
    name="swf",
    doc="Standard Workload Format 2.2: jobs of HPC logs as pods.",
    detects=_detects,
    read=_read,
)
