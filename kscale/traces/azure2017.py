"""Azure VMs of 2017 (Cortez et al., SOSP'17): a row a VM of one region over 30 days, cores and memory as they were."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.traces import Reader
from kscale.traces.common import specs, vmtable
from kscale.traces.common.checks import Checker, Field, rounded_up

#: The last instant of the table, 30 days less one step.
LAST = 2_591_700

_AMOUNTS = (Field("vmcorecount", pl.Float64, high=4096), Field("vmmemory", pl.Float64, high=1 << 20))


def _detects(path: Path, head: bytes) -> bool:
    seen = vmtable.sizes(head)
    return bool(seen) and not vmtable.bucketed(seen)


def _mapped(frame: pl.DataFrame, check: Checker) -> pl.DataFrame:
    return frame.with_columns(
        cpu_milli=rounded_up(pl.col("vmcorecount") * 1000),
        memory_bytes=rounded_up(pl.col("vmmemory") * vmtable.GIB),
    )


_NOTES = ("azure2017: a VM is a pod; vmmemory is in GiB.",)
_portions = vmtable.portions("azure2017", LAST, _AMOUNTS, _mapped, _NOTES)

READER = Reader(
    name="azure2017",
    doc="Azure VMs of 2017: CSV of VMs with cores and memory; no nodes.",
    detects=_detects,
    read=specs.reading("azure2017", _portions),
    portions=_portions,
)
