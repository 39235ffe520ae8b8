"""Azure VMs of 2019: a row a VM of one region over 30 days; cores and memory are told as buckets.

A bucket is named by its upper end: 8 cores are 5 to 8. The last ones have none (">24", ">64").
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.traces import Reader
from kscale.traces.common import specs, vmtable
from kscale.traces.common.checks import Checker, Field, Rule

#: The publishers show a VM of the whole trace that ends here, a step before the 2017 table does.
LAST = 2_591_400

_AMOUNTS = (Field("vmcorecount", pl.String, high=16), Field("vmmemory", pl.String, high=16))


def _detects(path: Path, head: bytes) -> bool:
    seen = vmtable.sizes(head)
    return bool(seen) and vmtable.bucketed(seen)


def _mapped(frame: pl.DataFrame, check: Checker) -> pl.DataFrame:
    buckets = {"vmcorecount": vmtable.CORES, "vmmemory": vmtable.MEMORY}
    rules = [
        Rule(~pl.col(name).is_in(list(known)), name, "'{value}' is no bucket", ", ".join(known))
        for name, known in buckets.items()
    ]
    return check.drop(frame, rules).with_columns(
        cpu_milli=_counted("vmcorecount", vmtable.CORES) * 1000,
        memory_bytes=_counted("vmmemory", vmtable.MEMORY) * vmtable.GIB,
    )


def _counted(name: str, known: dict[str, int]) -> pl.Expr:
    return pl.col(name).replace_strict(known, default=None, return_dtype=pl.Int64)


_NOTES = (
    "azure2019: a VM is a pod; cores and memory are the upper ends of their buckets, in GiB; "
    f">24 cores count as {vmtable.CORES['>24']}, >64 GiB as {vmtable.MEMORY['>64']}, as in the publishers' analysis.",
)
_portions = vmtable.portions("azure2019", LAST, _AMOUNTS, _mapped, _NOTES)

READER = Reader(
    name="azure2019",
    doc="Azure VMs of 2019: CSV of VMs with buckets of cores and memory; no nodes.",
    detects=_detects,
    read=specs.reading("azure2019", _portions),
    portions=_portions,
)
