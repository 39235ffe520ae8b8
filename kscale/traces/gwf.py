"""Grid Workloads Format of the Grid Workloads Archive, as workflows: a job of a workflow becomes pods.

CSV whose fields may be padded with blanks: WorkflowID, JobID, SubmitTime, RunTime, NProcs, ReqNProcs, Dependencies.
Times are seconds, -1 is unknown, dependencies are job numbers separated by blanks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, gangs, specs
from kscale.traces.common.checks import LARGEST_SECONDS, Checker, Field, microseconds

_MOST_PROCS = 10**7
_SUBMITTED = Field("SubmitTime", pl.Float64, low=-1, high=LARGEST_SECONDS)
_FIELDS = (
    Field("WorkflowID", low=-1),
    Field("JobID"),
    _SUBMITTED,
    Field("RunTime", pl.Float64, low=-1, high=LARGEST_SECONDS),
    Field("NProcs", low=-1, high=_MOST_PROCS),
    Field("ReqNProcs", low=-1, high=_MOST_PROCS),
    Field("Dependencies", pl.String, required=False, nullable=True),
)


def _detects(path: Path, head: bytes) -> bool:
    return {"WorkflowID", "JobID", "SubmitTime", "RunTime"} <= files.csv_columns(head)


def _portions(path: Path, options: Options) -> Portions:
    check = Checker(path, options)
    per_pod = gangs.processors_of(options.machine_unit) if options.machine_unit else None
    origin = _origin(path, options)
    jobs = unsized = unrun = unsubmitted = waiting = pods = 0
    for batch in check.csv(_FIELDS):
        frame = check.fresh(batch, "JobID")
        jobs += frame.height
        if "Dependencies" in frame.columns:
            waiting += int(frame["Dependencies"].str.contains(r"\d").sum())
        procs = pl.when(pl.col("ReqNProcs") > 0).then("ReqNProcs").otherwise("NProcs")
        frame = frame.with_columns(procs=procs)
        sized = frame.filter(pl.col("procs") > 0)
        ran = sized.filter(pl.col("RunTime") >= 0)
        known = ran.filter(pl.col("SubmitTime") >= 0)
        unsized, unrun = unsized + frame.height - sized.height, unrun + sized.height - ran.height
        unsubmitted += ran.height - known.height
        portion = _pods(gangs.split(known, per_pod, path, "ReqNProcs", options), origin)
        pods += portion.height
        yield portion
    size = f"at most {per_pod} (--machine-unit)" if per_pod else "all of a job's; --machine-unit 16cpu splits jobs"
    notes = (
        f"gwf: {jobs - unsized - unrun - unsubmitted:,} of {jobs:,} jobs are {pods:,} pods; a processor is 1 cpu, and "
        f"a pod holds {size}.",
        f"gwf: left out are {unsized:,} jobs without processors, {unrun:,} without a run time and {unsubmitted:,} "
        "without a submission.",
        f"gwf: times are counted from the first submission, at {origin:g} s.",
        f"gwf: dependencies ({waiting:,} jobs have some) are not modelled: a job arrives when it was submitted; the "
        "format states no memory.",
    )
    return Rest(notes, dropped=check.dropped)


def _origin(path: Path, options: Options) -> float:
    """Return the first known submission in seconds; 0 where there is none. Bad rows are told when jobs are read."""
    least = []
    for batch in Checker(path, replace(options, lenient=True, told=None)).csv((_SUBMITTED,)):
        least.append(batch["SubmitTime"].filter(batch["SubmitTime"] >= 0).min())
    return min((time for time in least if isinstance(time, float)), default=0.0)


def _pods(jobs: pl.DataFrame, origin: float) -> pl.DataFrame:
    job = pl.lit("job-") + pl.col("JobID").cast(pl.String)
    workflow = pl.lit("workflow-") + pl.col("WorkflowID").cast(pl.String)
    return jobs.select(
        name=pl.concat_str(job, pl.lit("-"), "index"),
        namespace=pl.lit("default"),
        owner=pl.when(pl.col("WorkflowID") >= 0).then(workflow),
        arrival_us=microseconds(pl.col("SubmitTime") - origin),
        duration_us=microseconds(pl.col("RunTime")),
        end_us=pl.lit(None, pl.Int64),
        cpu_milli=pl.col("cores") * 1000,
    )


READER = Reader(
    name="gwf",
    doc="Grid Workloads Format: CSV of jobs in workflows, from grids.",
    detects=_detects,
    read=specs.reading("gwf", _portions),
    portions=_portions,
)
