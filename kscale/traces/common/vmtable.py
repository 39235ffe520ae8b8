"""The table of VMs that Azure published of 2017 and of 2019: a row a VM, without a header.

Times are seconds on a grid of five minutes. A VM that is there at the first instant was created before, one that is
there at the last outlives the trace. The publishers count a VM that lived less than a step as one step; so do we.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl

from kscale.traces import Options, Portions, Rest
from kscale.traces.common import files
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule

NAMES = (
    "vmid", "subscriptionid", "deploymentid", "vmcreated", "vmdeleted", "maxcpu", "avgcpu", "p95maxcpu", "vmcategory",
    "vmcorecount", "vmmemory",
)  # fmt: skip
#: Seconds between two readings.
STEP = 300
GIB = 1 << 30
#: What the publishers found a VM to be like; the 2017 table spells the last one "Unkown".
CATEGORIES = ("Delay-insensitive", "Interactive", "Unknown")
_SPELT = {"Unkown": "Unknown"}
#: What a bucket of cores in the 2019 table counts as; for the open one, the figure of the publishers' own analysis.
CORES = {"2": 2, "4": 4, "8": 8, "24": 24, ">24": 30}
#: What a bucket of memory counts as, in GiB.
MEMORY = {"2": 2, "4": 4, "8": 8, "32": 32, "64": 64, ">64": 70}

_FIELDS = (
    Field("vmid", pl.String, high=LONGEST_NAME),
    Field("deploymentid", pl.String, high=LONGEST_NAME),
    Field("vmcreated", high=LARGEST_SECONDS),
    Field("vmdeleted", high=LARGEST_SECONDS),
    Field("vmcategory", pl.String, high=64),
)


def sizes(head: bytes) -> list[tuple[str, str]]:
    """Return cores and memory of the VMs in the first bytes of a table, as written; none where it is no such table."""
    lines = head.decode(errors="replace").splitlines()
    if len(head) == files.HEAD:  # the last line is cut
        lines = lines[:-1]
    rows = [line.split(",") for line in lines if line]
    if not all(len(row) == len(NAMES) and row[8] in (*CATEGORIES, *_SPELT) for row in rows):
        return []
    return [(row[9], row[10]) for row in rows]


def bucketed(seen: list[tuple[str, str]]) -> bool:
    """Whether all of these cores and memories, as written, are buckets."""
    return all(cores in CORES and memory in MEMORY for cores, memory in seen)


def portions(
    name: str,
    last: int,
    amounts: tuple[Field, Field],
    mapped: Callable[[pl.DataFrame, Checker], pl.DataFrame],
    notes: tuple[str, ...],
) -> Callable[[Path, Options], Portions]:
    """Return the portions of a reader.

    ``last`` is the instant in seconds from which a VM counts as outliving the trace; ``amounts`` are the fields of
    cores and memory; ``mapped`` gives a frame its columns ``cpu_milli`` and ``memory_bytes``, after its own checks.
    """

    def _portions(path: Path, options: Options) -> Portions:
        check = Checker(path, options)
        early = late = short = 0
        found: Counter[str] = Counter()
        for batch in check.csv((*_FIELDS, *amounts), NAMES):
            frame = mapped(check.fresh(check.drop(batch, _rules()), "vmid"), check)
            early += int((frame["vmcreated"] == 0).sum())
            late += int((frame["vmdeleted"] >= last).sum())
            short += frame.filter((pl.col("vmdeleted") == pl.col("vmcreated")) & (pl.col("vmdeleted") < last)).height
            found.update(dict(frame["vmcategory"].replace(_SPELT).value_counts().iter_rows()))
            yield _pods(frame, last)
        told = ", ".join(f"{found[category]:,} {category}" for category in CATEGORIES)
        return Rest(
            (
                *notes,
                f"{name}: {early:,} VMs were there before the start: they arrive at 0.",
                f"{name}: {late:,} VMs are there at the last instant ({last:,} s or later): they never end.",
                f"{name}: {short:,} VMs have one instant for both times: they run {STEP} s, the step of the table.",
                f"{name}: a VM's owner is its deployment; subscription and CPU utilisation are not used, nor is the "
                f"category ({told}), which was found from utilisation.",
                f"{name}: the trace has no nodes; give some, such as 64cpu,448Gi:1000",
            ),
            dropped=check.dropped,
        )

    return _portions


def _rules() -> list[Rule]:
    before = pl.col("vmdeleted") < pl.col("vmcreated")
    unknown = ~pl.col("vmcategory").is_in([*CATEGORIES, *_SPELT])
    return [
        Rule(before, "vmdeleted", "'{value}' is before vmcreated", "a time that is not before the creation"),
        Rule(unknown, "vmcategory", "'{value}' is no category", ", ".join(CATEGORIES)),
    ]


def _pods(frame: pl.DataFrame, last: int) -> pl.DataFrame:
    created, deleted = pl.col("vmcreated"), pl.col("vmdeleted")
    lived = pl.when(deleted < last).then(pl.max_horizontal(deleted - created, STEP))
    return frame.select(
        "cpu_milli",
        "memory_bytes",
        name="vmid",
        namespace=pl.lit("default"),
        owner="deploymentid",
        arrival_us=created * 10**6,
        duration_us=lived * 10**6,
        end_us=(created + lived) * 10**6,
    )
