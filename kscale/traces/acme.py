"""Acme 2023 (Hu et al., NSDI'24): jobs of two clusters of Shanghai AI Lab on which language models are made."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, joblogs, specs
from kscale.traces.common.checks import Checker, Field, rounded_up

_GIB = 1 << 30
_MEMORY = "mem_per_pod_GB"
_FIELDS = (*joblogs.FIELDS, Field(_MEMORY, pl.Float64, required=False, nullable=True, high=float(1 << 29)))


def _detects(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return {"node_num", "gpu_num", "cpu_num", "submit_time", "gpu_time"} <= columns and "vc" not in columns


def _portions(path: Path, options: Options) -> Portions:
    check, tally = Checker(path, options), joblogs.Tally()
    stated = False
    for pods in joblogs.portions(path, options, check, _FIELDS, tally):
        stated = _MEMORY in pods.columns
        memory = pl.col(_MEMORY) if stated else pl.lit(None, pl.Float64)
        yield pods.select(
            "name", "owner", "arrival_us", "duration_us", "end_us", "cpu_milli", "gpu_count", "gpu_milli",
            namespace=pl.lit("default"), memory_bytes=rounded_up(memory * _GIB),
        )  # fmt: skip
    return Rest(
        (
            *tally.notes("acme"),
            f"acme: memory is {f'{_MEMORY}, in GiB' if stated else 'not stated'}; shared memory, type, gpu_time, "
            "fail_time and stop_time are not used, nor is duration, which in one of the logs counts the wait too.",
            "acme: the trace has no nodes; give some, such as 128cpu,1Ti,8xA100:286 for Seren, "
            "128cpu,2Ti,8xA100:302 for Kalos.",
        ),
        dropped=check.dropped,
    )


READER = Reader(
    name="acme",
    doc="Acme 2023 (Seren, Kalos): CSV of jobs with GPUs on clusters for language models; no nodes.",
    detects=_detects,
    read=specs.reading("acme", _portions),
    portions=_portions,
)
