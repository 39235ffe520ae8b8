"""Alibaba GPU cluster trace 2025 (Yang et al., NSDI'25): instances of disaggregated recommendation models (DLRM).

A time that is empty lies outside the trace: an instance without creation was there before the start, one without
deletion outlives the end.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, microseconds, rounded_up

#: The extended resource that carries rdma_request: percent of a network interface.
RDMA = "alibabacloud.com/rdma-percent"
_LARGEST_GIB = float((1 << 59) >> 30)

_FIELDS = (
    Field("instance_sn", pl.String, high=LONGEST_NAME),
    Field("role", pl.String, required=False, nullable=True),
    Field("app_name", pl.String, high=LONGEST_NAME),
    Field("cpu_request", pl.Float64, high=1e6),
    Field("gpu_request", high=1024),
    Field("rdma_request", high=10**6),
    Field("memory_request", pl.Float64, high=_LARGEST_GIB),
    Field("disk_request", pl.Float64, high=_LARGEST_GIB),
    Field("max_instance_per_node", required=False, nullable=True, low=-1),
    Field("creation_time", pl.Float64, nullable=True, high=LARGEST_SECONDS),
    Field("scheduled_time", pl.Float64, nullable=True, high=LARGEST_SECONDS),
    Field("deletion_time", pl.Float64, nullable=True, high=LARGEST_SECONDS),
)


def _detects(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return "instance_sn" in columns or {"app_name", "gpu_request", "rdma_request"} <= columns


def _read(path: Path, options: Options) -> Trace:
    check = Checker(path, options)
    raw = files.csv_table(path, options, check.dropped)
    check.columns(raw.columns, _FIELDS)
    frame = check.typed(raw, _FIELDS)
    created = pl.col("creation_time").fill_null(0.0)
    started = pl.coalesce("scheduled_time", created)
    rules = [
        Rule(pl.col("scheduled_time") < created, "scheduled_time", "'{value}' is before creation_time",
             "a time that is not before the creation"),
        Rule(pl.col("deletion_time") < pl.max_horizontal(created, started), "deletion_time",
             "'{value}' is before the start", "a time that is not before creation or start"),
    ]  # fmt: skip
    frame = check.unique(check.drop(frame, rules), ["instance_sn"])
    early, late = frame["creation_time"].null_count(), frame["deletion_time"].null_count()
    capped = frame.filter(pl.col("max_instance_per_node") > 0).height if "max_instance_per_node" in frame.columns else 0
    end = microseconds(pl.col("deletion_time"))
    pods = frame.select(
        name="instance_sn",
        namespace=pl.lit("default"),
        owner="app_name",
        arrival_us=microseconds(created),
        duration_us=end - microseconds(started),
        end_us=end,
        cpu_milli=rounded_up(pl.col("cpu_request") * 1000),
        memory_bytes=rounded_up(pl.col("memory_request") * (1 << 30)),
        ephemeral_storage_bytes=rounded_up(pl.col("disk_request") * (1 << 30)),
        gpu_count="gpu_request",
        gpu_milli=pl.when(pl.col("gpu_request") > 0).then(1000).otherwise(0),
    ).with_columns(frame["rdma_request"].alias(specs.RESOURCE + RDMA))
    notes = (
        f"gpu2025: {early:,} instances were there before the start: they arrive at 0.",
        f"gpu2025: {late:,} instances outlive the trace: they never end.",
        f"gpu2025: rdma_request is the resource {RDMA}, disk_request is ephemeral storage.",
        f"gpu2025: max_instance_per_node ({capped:,} instances) is not modelled; limits and role are not used.",
        f"gpu2025: the trace has no nodes; give some that offer all of it, such as "
        f"192cpu,1Ti,20Tidisk,100x{RDMA}:100;128cpu,1Ti,20Tidisk,8xGPU,400x{RDMA}:100",
    )
    return specs.build("gpu2025", pods, notes=notes, dropped=check.dropped)


READER = Reader(
    name="gpu2025",
    doc="Alibaba GPU 2025 (DLRM): CSV of instances with GPUs, RDMA and disk; no nodes.",
    detects=_detects,
    read=_read,
)
