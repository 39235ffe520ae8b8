"""Alibaba GPU cluster trace 2023, "openb" (Weng et al., ATC'23): pods that share GPUs, and the nodes they ran on.

Rules and figures: facts of the format, checked against the published files; the nodes take 1001 pods, as in the
published experiments.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, share_rules
from kscale.traces.common.shapes import MAX_DEVICES, MODEL_LABEL

#: Most pods on a node in the published experiments.
PODS_PER_NODE = 1001
_LARGEST_MIB = (1 << 59) >> 20

_PODS = (
    Field("name", pl.String, high=LONGEST_NAME),
    Field("cpu_milli"),
    Field("memory_mib", high=_LARGEST_MIB),
    Field("num_gpu", high=1024),
    Field("gpu_milli", high=1000),
    Field("gpu_spec", pl.String, required=False, nullable=True),
)
_TIMES = (
    Field("creation_time", high=LARGEST_SECONDS),
    Field("deletion_time", high=LARGEST_SECONDS),
    Field("scheduled_time", nullable=True, high=LARGEST_SECONDS),
)
_NODES = (
    Field("sn", pl.String, high=LONGEST_NAME),
    Field("cpu_milli"),
    Field("memory_mib", high=_LARGEST_MIB),
    Field("gpu", high=MAX_DEVICES),
    Field("model", pl.String, nullable=True),
)
_NOTES = (
    "openb: num_gpu and gpu_milli are whole GPUs or a share of one; gpu_spec is the list of allowed models.",
    "openb: qos and pod_phase are not used; every pod has priority 0 and namespace default, and none has an owner.",
)
_TIMED = "openb: a pod runs for deletion_time - scheduled_time, or - creation_time where it was never scheduled."
_UNTIMED = "openb: this file has no times; pods arrive in the order of their rows and none ends."


def _detects(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return "num_gpu" in columns or {"name", "memory_mib", "gpu_milli"} <= columns


def _detects_nodes(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return "sn" in columns or {"memory_mib", "gpu", "model"} <= columns


def _read(path: Path, options: Options) -> Trace:
    check = Checker(path, options)
    raw = files.csv_table(path, options, check.dropped)
    timed = any(f.name in raw.columns for f in _TIMES)
    fields = _PODS + _TIMES if timed else _PODS
    check.columns(raw.columns, fields)
    frame = check.typed(raw, fields)
    rules = share_rules("num_gpu", "gpu_milli")
    if timed:
        start = pl.coalesce("scheduled_time", "creation_time")
        late = "a time that is not before the pod's creation or start"
        rules += [
            Rule(pl.col("deletion_time") < pl.max_horizontal("creation_time", start), "deletion_time",
                 "'{value}' is before the start", late),
            Rule(pl.col("scheduled_time") < pl.col("creation_time"), "scheduled_time",
                 "'{value}' is before creation_time", "a time that is not before the pod's creation"),
        ]  # fmt: skip
    frame = check.unique(check.drop(frame, rules), ["name"])
    return specs.build(
        "openb",
        _mapped(frame, timed),
        notes=(*_NOTES, _TIMED if timed else _UNTIMED),
        dropped=check.dropped,
        timed=timed,
    )


def _mapped(frame: pl.DataFrame, timed: bool) -> pl.DataFrame:
    model = pl.col("gpu_spec") if "gpu_spec" in frame.columns else pl.lit(None, pl.String)
    if timed:
        start = pl.coalesce("scheduled_time", "creation_time")
        times = {
            "arrival_us": pl.col("creation_time") * 10**6,
            "duration_us": (pl.col("deletion_time") - start) * 10**6,
            "end_us": pl.col("deletion_time") * 10**6,
        }
    else:
        times = {"arrival_us": pl.int_range(pl.len(), dtype=pl.Int64)}
    return frame.select(
        "name",
        "cpu_milli",
        "gpu_milli",
        namespace=pl.lit("default"),
        memory_bytes=pl.col("memory_mib") * (1 << 20),
        gpu_count=pl.col("num_gpu"),
        # Kept as the file spells it: the published typical pods tell "A|B" from "A|B|B".
        gpu_models=model,
        **times,
    )


def _read_nodes(path: Path, options: Options) -> pl.DataFrame:
    check = Checker(path, options)
    raw = files.csv_table(path, options, check.dropped)
    check.columns(raw.columns, _NODES)
    frame = check.typed(raw, _NODES)
    no_model = (pl.col("gpu") > 0) & pl.col("model").is_null()
    frame = check.unique(check.drop(frame, [Rule(no_model, "model", "is missing", "the model of the GPUs")]), ["sn"])
    if not frame.height:
        raise InputError("has no nodes", file=path, expected="a row a node")
    return specs.conform_nodes(
        frame.select(
            "cpu_milli",
            name="sn",
            memory_bytes=pl.col("memory_mib") * (1 << 20),
            pods=pl.lit(PODS_PER_NODE, pl.Int64),
            gpu_count="gpu",
            gpu_model="model",
            labels=pl.lit(f"{MODEL_LABEL}=") + pl.col("model"),
            unschedulable=pl.lit(False),
        )
    )


READER = Reader(
    name="openb",
    doc="Alibaba GPU 2023 (openb): CSV of pods with shares of GPUs, and of nodes.",
    detects=_detects,
    read=_read,
    read_nodes=_read_nodes,
    detects_nodes=_detects_nodes,
)
