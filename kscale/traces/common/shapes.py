"""Node shapes as text: ``96cpu,512Gi[,8xA100][,110pods][,label=value]:4000``, several separated by ``;``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from kscale.errors import InputError
from kscale.state.labels import parse_labels, parse_taints
from kscale.state.quantities import parse_quantity
from kscale.traces import DEFAULT_PODS_PER_NODE
from kscale.traces.common.specs import RESOURCE, conform_nodes

#: Most nodes that a text may ask for.
MAX_NODES = 10_000_000
#: Most devices on a node; the state keeps those a pod holds as bits of one word.
MAX_DEVICES = 64
GRAMMAR = "shapes such as 96cpu,512Gi,8xA100:4000"
#: The node label that carries the model of the devices (facts of openb: gpu-model).
MODEL_LABEL = "gpu-model"

_CPU = re.compile(r"(\S+?)cpu", re.ASCII)
_PODS = re.compile(r"(\d{1,9})pods", re.ASCII)
_DISK = re.compile(r"(\S+?)disk", re.ASCII)
_MANY = re.compile(r"(\d{1,12})x(\S+)", re.ASCII)
_MEMORY = re.compile(r"[0-9.]+(?:[eE]\d+|[KMGTPE]i|[kMGTPE])?", re.ASCII)


@dataclass
class Shape:
    """What a node, or the unit of a machine, offers; an amount that is not stated is None."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None
    ephemeral_storage_bytes: int | None = None
    pods: int = DEFAULT_PODS_PER_NODE
    gpu_count: int = 0
    gpu_model: str | None = None
    labels: list[str] = field(default_factory=list)
    taints: list[str] = field(default_factory=list)
    resources: dict[str, int] = field(default_factory=dict)

    def take(self, item: str) -> None:
        """Take one item of a shape. Raises InputError when it is none."""
        if cpu := _CPU.fullmatch(item):
            self.cpu_milli = parse_quantity(cpu[1], "cpu")
        elif pods := _PODS.fullmatch(item):
            self.pods = int(pods[1])
        elif disk := _DISK.fullmatch(item):
            self.ephemeral_storage_bytes = parse_quantity(disk[1])
        elif "=" in item and ":" not in item:
            parse_labels(item)
            self.labels.append(item)
        elif ":" in item:
            parse_taints(item)
            self.taints.append(item)
        elif many := _MANY.fullmatch(item):
            self._take_many(int(many[1]), many[2])
        elif _MEMORY.fullmatch(item):
            self.memory_bytes = parse_quantity(item)
        else:
            raise InputError(f"'{item[:60]}' is not part of a shape", expected=GRAMMAR)

    def _take_many(self, count: int, what: str) -> None:
        if "/" in what:
            self.resources[what] = count
            return
        if not 1 <= count <= MAX_DEVICES:
            raise InputError(f"{count} GPUs on a node", expected=f"1 to {MAX_DEVICES}")
        parse_labels(f"{MODEL_LABEL}={what}")
        self.gpu_count, self.gpu_model = count, what
        self.labels.insert(0, f"{MODEL_LABEL}={what}")


def parse_shape(text: str) -> Shape:
    """Return one shape without its count, as in ``96cpu,512Gi,8xA100,zone=a``. Raises InputError."""
    shape = Shape()
    for item in (part.strip() for part in text.split(",")):
        shape.take(item)
    return shape


def parse_unit(text: str, *needs: str) -> Shape:
    """Return what 1.0 of a machine is (``--machine-unit``); ``needs`` names the amounts that must be stated.

    Raises InputError.
    """
    try:
        unit = parse_shape(text)
    except InputError as error:
        raise InputError(error.problem, field="--machine-unit", expected=error.expected) from None
    for need in needs:
        if not getattr(unit, need):
            what = {"cpu_milli": "cpu", "memory_bytes": "memory"}[need]
            raise InputError(f"'{text[:60]}' states no {what}", field="--machine-unit", expected="such as 64cpu,256Gi")
    return unit


def _split_count(text: str) -> tuple[str, int]:
    """Return the shape and the count behind its last colon; 1 where there is none."""
    left, colon, right = text.rpartition(":")
    if colon and right.strip().isascii() and right.strip().isdigit() and len(right) < 12:
        return left, int(right)
    if colon and re.fullmatch(r"\s*[-+.\d]+\s*", right):
        raise InputError(f"'{right.strip()[:20]}' is not a number of nodes", expected=f"1 to {MAX_NODES:,}")
    return text, 1


def parse_shapes(text: str) -> pl.DataFrame:
    """Return the nodes that ``text`` describes, with the columns of ``NODES``.

    Nodes of a single shape are named node-000000, node-000001 …; of several shapes pool1-node-000000 … .
    Raises InputError with ``--nodes`` as the field.
    """
    pools = [part for part in (p.strip() for p in text.split(";")) if part]
    frames, total = [], 0
    try:
        for number, pool in enumerate(pools, 1):
            left, count = _split_count(pool)
            total += count
            if count < 1 or total > MAX_NODES:
                raise InputError(f"{count:,} nodes", expected=f"1 to {MAX_NODES:,} nodes")
            shape = parse_shape(left)
            if shape.cpu_milli is None or shape.memory_bytes is None:
                missing = "cpu" if shape.cpu_milli is None else "memory"
                raise InputError(f"'{pool[:60]}' states no {missing}", expected=GRAMMAR)
            frames.append(_nodes(shape, count, f"pool{number}-" if len(pools) > 1 else ""))
        if not frames:
            raise InputError("states no shape", expected=GRAMMAR)
    except InputError as error:
        raise InputError(error.problem, field="--nodes", expected=error.expected) from None
    return conform_nodes(pl.concat(frames, how="diagonal"))


def _nodes(shape: Shape, count: int, prefix: str) -> pl.DataFrame:
    name = pl.lit(f"{prefix}node-") + pl.int_range(count).cast(pl.String).str.zfill(6)
    frame = pl.select(
        name.alias("name"),
        cpu_milli=shape.cpu_milli,
        memory_bytes=shape.memory_bytes,
        ephemeral_storage_bytes=pl.lit(shape.ephemeral_storage_bytes, pl.Int64),
        pods=shape.pods,
        gpu_count=shape.gpu_count,
        gpu_model=pl.lit(shape.gpu_model, pl.String),
        labels=pl.lit(",".join(shape.labels) or None, pl.String),
        taints=pl.lit(",".join(shape.taints) or None, pl.String),
        unschedulable=False,
    )
    return conform_nodes(frame.with_columns(pl.lit(n).alias(RESOURCE + name) for name, n in shape.resources.items()))
