"""Philly 2017 (Jeon et al., ATC'19): training jobs on Microsoft's GPU clusters, one JSON document, and a machine list.

A job is tried until it ends well or is given up; each attempt names its machines and the GPUs on each. An attempt is
pods, one a machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import clock, files, jsonarray, specs
from kscale.traces.common.checks import LONGEST_NAME, Checker, Field, Rule
from kscale.traces.common.shapes import MAX_DEVICES, MODEL_LABEL, parse_unit

#: What a machine has besides GPUs: the trace's memory readings show 504 GiB; its processors are not told. Pods ask for
#: neither.
MACHINE_UNIT = "64cpu,504Gi"
_LOG, _MACHINES = "cluster_job_log", "cluster_machine_list"
_JOBS = (
    Field("jobid", pl.String, high=LONGEST_NAME),
    Field("vc", pl.String, nullable=True, high=LONGEST_NAME),
    Field("submitted_time", pl.String, nullable=True, high=64),
)
_NODES = (
    Field("machineId", pl.String, high=LONGEST_NAME),
    Field("number of GPUs", high=MAX_DEVICES),
    Field("single GPU mem", pl.String, nullable=True, required=False, high=32),
)


class _Machine(msgspec.Struct, gc=False):
    gpus: list[str]


class _Attempt(msgspec.Struct, gc=False):
    detail: list[_Machine] = []
    start_time: str | None = None
    end_time: str | None = None


class _Job(msgspec.Struct, gc=False):
    jobid: str
    attempts: list[_Attempt]
    vc: str | None = None
    submitted_time: str | None = None


class _When(msgspec.Struct, gc=False):
    submitted_time: str | None = None


@dataclass
class _Tally:
    jobs: int = 0
    without: int = 0
    attempts: int = 0
    unstarted: int = 0
    nowhere: int = 0
    guessed: int = 0
    unended: int = 0
    pods: int = 0


def _detects(path: Path, head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[" and b'"jobid"' in head and b'"attempts"' in head


def _detects_folder(path: Path) -> bool:
    return len(files.parts(path, _LOG)) == len(files.parts(path, _MACHINES)) == 1


def _portions(path: Path, options: Options) -> Portions:
    nodes = None
    if path.is_dir():
        nodes = _read_nodes(files.part(path, _MACHINES), options)
        path = files.part(path, _LOG)
    check, tally, start = Checker(path, options), _Tally(), _earliest(path, options)
    for rows, jobs in jsonarray.elements(check, _Job):
        yield _pods(rows, jobs, start, check, tally)
    left = tally.unstarted + tally.nowhere
    notes = (
        f"philly: times are counted from the first submission, {clock.written(start)}, without regard to daylight "
        "saving; what is before it counts as 0.",
        f"philly: {tally.jobs:,} jobs, of which {tally.without:,} have no attempt that could be read and are left out.",
        f"philly: {tally.attempts:,} attempts, of which {left:,} are left out: {tally.unstarted:,} without a start, "
        f"{tally.nowhere:,} without machines; the others are {tally.pods:,} pods, one a machine.",
        "philly: the first attempt arrives as the job is submitted, each other one as the one before it ends; it runs "
        "from its start to its end, whatever the job's status.",
        f"philly: {tally.guessed:,} attempts have no end though others follow: they run to the next one's start; "
        f"{tally.unended:,} last ones have none: they never end.",
        "philly: the namespace is the virtual cluster; a job says nothing of cpu and memory; gangs are not modelled, "
        "and users and the GPUs' numbers are not used.",
    )
    if nodes is None:
        advice = f"philly: the log has no nodes: read the folder with {_MACHINES}, or give that as the nodes."
        return Rest((*notes, advice), dropped=check.dropped)
    return Rest((*notes, _of_machines(options)), nodes, check.dropped)


def _of_machines(options: Options) -> str:
    unit = options.machine_unit or MACHINE_UNIT
    return f"philly: cpu and memory of a machine are assumed to be {unit} (--machine-unit); its GPUs are listed."


def _earliest(path: Path, options: Options) -> int:
    """Return the first submission of all, 0 where there is none; what cannot be read is passed over."""
    check, found = Checker(path, replace(options, lenient=True)), []
    for _, jobs in jsonarray.elements(check, _When):
        found.append(clock.instants(pl.Series([job.submitted_time for job in jobs], dtype=pl.String)).min())
    return min((least for least in found if isinstance(least, int)), default=0)


def _pods(rows: list[int], jobs: list[_Job], start: int, check: Checker, tally: _Tally) -> pl.DataFrame:
    """Return the pods of some jobs, and count what is left out."""
    columns = [rows, [job.jobid for job in jobs], [job.vc for job in jobs], [job.submitted_time for job in jobs]]
    schema = {files.ROW: pl.Int64} | {f.name: f.dtype for f in _JOBS}
    frame = check.typed(pl.DataFrame(columns, schema, orient="col"), _JOBS)
    frame = check.fresh(clock.timed(frame, ["submitted_time"], check), "jobid")
    attempts, gpus = _attempts(rows, jobs, check)
    attempts = attempts.join(frame, on=files.ROW, how="inner", maintain_order="left")
    tried = attempts.filter(pl.col("start_time").is_not_null() & (pl.col("machines") > 0))
    # The attempts of a job stand together, and jobs differ by their rows.
    row, start_time, end = pl.col(files.ROW), pl.col("start_time"), pl.col("end")
    ends = pl.coalesce("end_time", pl.when(row == row.shift(-1)).then(start_time.shift(-1)))
    before = pl.coalesce(pl.when(row == row.shift()).then(end.shift()), "submitted_time")
    tried = tried.with_columns(end=ends).with_columns(arrival=pl.min_horizontal(before, "start_time"))
    tally.jobs += frame.height
    tally.without += frame.height - tried[files.ROW].n_unique()
    tally.attempts += attempts.height
    tally.unstarted += attempts["start_time"].null_count()
    tally.nowhere += attempts.filter(pl.col("start_time").is_not_null() & (pl.col("machines") == 0)).height
    tally.guessed += tried["end_time"].null_count() - tried["end"].null_count()
    tally.unended += tried["end"].null_count()
    tally.pods += int(tried["machines"].sum())
    return _by_machine(tried, gpus, start)


def _attempts(rows: list[int], jobs: list[_Job], check: Checker) -> tuple[pl.DataFrame, pl.Series]:
    """Return the attempts of jobs, and how many GPUs each of their machines gives.

    An attempt has its job's row, a number within it, times, how many machines, and where the first of these stands.
    """
    tried = [job.attempts for job in jobs]
    attempts = list(chain.from_iterable(tried))
    counts = np.array([len(one) for one in tried], np.int64)
    machines = np.array([len(attempt.detail) for attempt in attempts], np.int64)
    gpus = np.array([len(machine.gpus) for attempt in attempts for machine in attempt.detail], np.int64)
    crowded = np.zeros(len(attempts), np.bool_)
    crowded[np.repeat(np.arange(len(attempts)), machines)[gpus > MAX_DEVICES]] = True
    frame = pl.DataFrame(
        {
            files.ROW: np.repeat(np.array(rows, np.int64), counts),
            "attempt": np.arange(len(attempts)) - np.repeat(np.cumsum(counts) - counts, counts) + 1,
            "start_time": pl.Series([attempt.start_time for attempt in attempts], dtype=pl.String),
            "end_time": pl.Series([attempt.end_time for attempt in attempts], dtype=pl.String),
            "machines": machines,
            "first": np.cumsum(machines) - machines,
            "crowded": crowded,
        }
    )
    times = clock.timed(frame, ["start_time", "end_time"], check)
    late = Rule(pl.col("end_time") < pl.col("start_time"), "end_time", "is before the start", "a later time")
    many = Rule(pl.col("crowded"), "gpus", "are too many on a machine", f"at most {MAX_DEVICES}")
    return check.drop(times, [late, many]), pl.Series(gpus)


def _by_machine(tried: pl.DataFrame, gpus: pl.Series, start: int) -> pl.DataFrame:
    pods, index = specs.repeated(tried, tried["machines"], specs.MAX_PODS)
    count = gpus.gather(pods["first"] + index)
    number = pl.col("attempt").cast(pl.String)
    return pods.select(
        name=pl.concat_str("jobid", pl.lit("-"), number, pl.lit("-"), index),
        namespace=pl.col("vc").fill_null("default"),
        owner="jobid",
        arrival_us=(pl.col("arrival") - start).clip(0),
        duration_us=pl.col("end") - pl.col("start_time"),
        end_us=(pl.col("end") - start).clip(0),
        gpu_count=count,
        gpu_milli=pl.when(count > 0).then(1000).otherwise(0),
    )


def _detects_nodes(path: Path, head: bytes) -> bool:
    return {"machineId", "number of GPUs"} <= files.csv_columns(head)


def _read_nodes(path: Path, options: Options) -> pl.DataFrame:
    unit = parse_unit(options.machine_unit or MACHINE_UNIT, "cpu_milli", "memory_bytes")
    check = Checker(path, options)
    frame = check.unique(pl.concat(check.csv(_NODES)), ["machineId"])
    if not frame.height:
        raise InputError("has no nodes", file=path, expected="a row a machine")
    memory = pl.col("single GPU mem") if "single GPU mem" in frame.columns else pl.lit(None, pl.String)
    frame = frame.with_columns(memory=memory.str.strip_chars().str.replace_all(" ", ""))
    wrong = ~pl.col("memory").str.contains(r"^[0-9.]+[A-Za-z]*$")
    rule = Rule(wrong, "single GPU mem", "'{value}' is no amount of memory", "an amount such as 24GB")
    frame = check.drop(frame, [rule])
    model = pl.when(pl.col("number of GPUs") > 0).then(
        pl.concat_str(pl.lit("gpu-"), pl.col("memory").fill_null("unknown"))
    )
    return specs.conform_nodes(
        frame.select(
            name="machineId",
            cpu_milli=pl.lit(unit.cpu_milli, pl.Int64),
            memory_bytes=pl.lit(unit.memory_bytes, pl.Int64),
            pods=pl.lit(unit.pods, pl.Int64),
            gpu_count="number of GPUs",
            gpu_model=model,
            labels=pl.lit(f"{MODEL_LABEL}=") + model,
        )
    )


READER = Reader(
    name="philly",
    doc="Philly 2017: JSON of training jobs with their attempts, and a list of machines with GPUs.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("philly", _portions),
    portions=_portions,
    read_nodes=_read_nodes,
    detects_nodes=_detects_nodes,
)
