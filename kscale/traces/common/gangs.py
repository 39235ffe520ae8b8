"""Jobs of many processors become pods that fit a machine: full ones, then one with the rest."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import specs
from kscale.traces.common.shapes import parse_unit


def processors_of(unit: str) -> int:
    """Return the whole processors of a machine (``--machine-unit``). Raises InputError below one."""
    cores = (parse_unit(unit, "cpu_milli").cpu_milli or 0) // 1000
    if cores < 1:
        raise InputError("is less than one processor", field="--machine-unit", expected="such as 16cpu")
    return cores


def split(jobs: pl.DataFrame, per_pod: int | None, path: Path, field: str, options: Options) -> pl.DataFrame:
    """Return the pods of jobs with ``index`` within the job, from 0, and ``cores``; ``per_pod`` None gives one a job.

    ``jobs`` has ``procs`` (Int64, at least 1). Raises InputError, with the ``field`` that says how many, when there
    would be more pods than ``Options.max_input`` allows.
    """
    if per_pod is None:
        return jobs.with_columns(index=pl.lit(0, pl.Int64), cores=pl.col("procs"))
    jobs = jobs.with_columns(size=pl.lit(per_pod, pl.Int64), count=(pl.col("procs") + per_pod - 1) // per_pod)
    try:
        pods, index = specs.repeated(jobs, jobs["count"], options.max_input // specs.POD_BYTES)
    except InputError as error:
        raise InputError(error.problem, file=path, field=field, expected=error.expected) from None
    return pods.with_columns(index).with_columns(
        cores=pl.min_horizontal("size", pl.col("procs") - pl.col("size") * pl.col("index"))
    )
