"""Logs of clusters with GPUs, a row a job: what the job asked for in all, on how many nodes, and when it ran.

A job on several nodes is a gang: a pod for each node, and what the job asked for is shared out among them evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.traces import Options
from kscale.traces.common import clock, specs
from kscale.traces.common.checks import LONGEST_NAME, Checker, Field, Rule

#: Most GPUs that a pod may ask for.
MAX_GPUS = 1024
#: Pods of a portion; a job with more is one portion.
PORTION = 500_000
TIMES = ("submit_time", "start_time", "end_time")
FIELDS = (
    Field("job_id", pl.String, high=LONGEST_NAME),
    Field("node_num", high=100_000),
    Field("gpu_num", high=10**7),
    Field("cpu_num", high=10**7),
    Field("submit_time", pl.String, high=64),
    Field("start_time", pl.String, nullable=True, high=64),
    Field("end_time", pl.String, nullable=True, high=64),
)


@dataclass
class Tally:
    """What a log holds: jobs in all, those that never started or have no end, gangs, and pods; and when it starts."""

    start: int = 0
    jobs: int = 0
    never: int = 0
    unended: int = 0
    gangs: int = 0
    pods: int = 0

    def notes(self, name: str) -> tuple[str, ...]:
        """Return the sentences about jobs that all such logs share."""
        return (
            f"{name}: times are counted from the first submission, {clock.written(self.start)}.",
            f"{name}: {self.jobs:,} jobs, of which {self.never:,} never started and are left out; the others are "
            f"{self.pods:,} pods, and {self.unended:,} of the jobs have no end: they never end.",
            f"{name}: {self.gangs:,} jobs run on several nodes: a pod a node, GPUs and cpu shared out evenly; gangs "
            "are not modelled: their pods start one by one.",
            f"{name}: a job runs from start_time to end_time, whatever its state; queue and user are not used.",
        )


def portions(
    path: Path, options: Options, check: Checker, fields: Sequence[Field], tally: Tally
) -> Iterator[pl.DataFrame]:
    """Yield the pods of a log: its columns ``fields`` (``FIELDS`` and others) by pod, and those of a trace.

    These are ``name``, ``owner``, the times, ``cpu_milli``, ``gpu_count`` and ``gpu_milli``. ``tally`` is filled on the
    way. Raises InputError.
    """
    tally.start = clock.earliest(path, options, "submit_time")
    for batch in check.csv(fields):
        jobs = check.fresh(check.drop(clock.timed(batch, TIMES, check), _rules()), "job_id")
        ran = jobs.filter(pl.col("start_time").is_not_null())
        ran = ran.with_columns(node_num=pl.max_horizontal("node_num", 1))
        tally.jobs, tally.never = tally.jobs + jobs.height, tally.never + jobs.height - ran.height
        tally.unended += ran["end_time"].null_count()
        tally.gangs += ran.filter(pl.col("node_num") > 1).height
        tally.pods += int(ran["node_num"].sum())
        for piece in _pieces(ran):
            yield _pods(piece, tally.start)


def _rules() -> list[Rule]:
    begin = pl.max_horizontal("submit_time", "start_time")
    many = pl.col("gpu_num") > MAX_GPUS * pl.max_horizontal("node_num", 1)
    return [
        Rule(pl.col("submit_time").is_null(), "submit_time", "is missing", "a time such as 2020-04-01 13:30:00"),
        Rule(pl.col("end_time") < begin, "end_time", "is before the job's submission or start", "a later time"),
        Rule(many, "gpu_num", "'{value}' is more than 1,024 GPUs a node", "fewer GPUs, or more nodes"),
    ]


def _pieces(jobs: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the jobs in pieces of about ``PORTION`` pods."""
    ends = np.cumsum(jobs["node_num"].to_numpy())
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, before + PORTION, side="right")), first + 1)
        yield jobs[first:last]
        first = last


def _pods(jobs: pl.DataFrame, start: int) -> pl.DataFrame:
    frame, index = specs.repeated(jobs, jobs["node_num"], specs.MAX_PODS)
    count = pl.col("node_num")

    def share(name: str) -> pl.Expr:
        return pl.col(name) // count + (index < pl.col(name) % count)

    return frame.with_columns(
        name=pl.concat_str("job_id", pl.lit("-"), index),
        owner="job_id",
        arrival_us=pl.col("submit_time") - start,
        duration_us=pl.col("end_time") - pl.col("start_time"),
        end_us=pl.col("end_time") - start,
        cpu_milli=share("cpu_num") * 1000,
        gpu_count=share("gpu_num"),
    ).with_columns(gpu_milli=pl.when(pl.col("gpu_count") > 0).then(1000).otherwise(0))
