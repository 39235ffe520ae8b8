"""What Google's traces of Borg of 2011 and 2019 have in common: times, fractions of machines, pods from lifecycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.attributes import Terms, labels
from kscale.traces.common.checks import LARGEST, LONGEST_NAME, Checker, Field, Rule, rounded_up
from kscale.traces.common.chronological import gathered
from kscale.traces.common.lifecycles import RESTART_US, Counts
from kscale.traces.common.machines import machines
from kscale.traces.common.shapes import parse_unit

#: The window of a trace begins at this time (v3 of the format's document); 0 is before it.
START_US = 600 * 10**6
#: The time of what happened after the window.
AFTER_US = (1 << 63) - 1
#: What the keys of node labels begin with that are attributes of machines.
PREFIX = "borg/"
#: What a task asks for, besides its times.
ASKED = ("cpu", "memory", "priority", "term")
#: Most of a machine that is taken for a fraction.
LARGEST_FRACTION = 1e6


def time_field(name: str) -> Field:
    """Return the field of a time in microseconds."""
    return Field(name, high=AFTER_US)


@dataclass
class Reading:
    """One reading of a trace: where its tables are, what a machine is, and what was counted."""

    format: str
    path: Path
    options: Options
    default_unit: str
    dropped: dict[str, int] = field(default_factory=dict)
    after: int = 0
    synthesised: int = 0

    def __post_init__(self) -> None:
        """Read what 1.0 of a machine is. Raises InputError."""
        self.unit_text = self.options.machine_unit or self.default_unit
        unit = parse_unit(self.unit_text, "cpu_milli", "memory_bytes")
        self._cpu, self._memory = unit.cpu_milli or 0, unit.memory_bytes or 0
        self.terms = Terms(PREFIX)

    def parts(self, table: str) -> list[Path]:
        """Return the files of a table; a trace that is a single file has none but its events of tasks."""
        return files.parts(self.path, table) if self.path.is_dir() else []

    def check(self, path: Path) -> Checker:
        """Return the checks of a file, which count to this trace."""
        return Checker(path, self.options, self.dropped)

    def within(self, frame: pl.DataFrame, check: Checker, time: str) -> pl.DataFrame:
        """Return ``frame`` without what happened after the window, which is counted."""
        wrong = (pl.col(time) > LARGEST) & (pl.col(time) != AFTER_US)
        frame = check.drop(frame, [Rule(wrong, time, "'{value}' is too large", "a time, or 2^63-1")])
        kept = frame.filter(pl.col(time) != AFTER_US)
        self.after += frame.height - kept.height
        return kept

    def amounts(self, cpu: pl.Expr, memory: pl.Expr) -> dict[str, pl.Expr]:
        """Return fractions of a machine as ``cpu_milli`` and ``memory_bytes``."""
        return {"cpu_milli": rounded_up(cpu * self._cpu), "memory_bytes": rounded_up(memory * self._memory)}

    def pods(self, ended: pl.DataFrame, owner: str) -> pl.DataFrame:
        """Return what ``Lifecycles`` gives as pods; ``owner`` is what the names of owners begin with."""
        arrival, end = since_start(pl.col("arrival")), since_start(pl.col("end"))
        job = pl.lit(f"{owner}-") + pl.col("job").cast(pl.String)
        return ended.select(
            # A task may come again after its end, so its number alone is no name.
            name=pl.concat_str(job, pl.lit("-"), pl.col("index"), pl.lit("-"), pl.col("arrival")),
            namespace=pl.lit("default"),
            owner=job,
            arrival_us=arrival,
            duration_us=end - since_start(pl.coalesce("start", "arrival")),
            end_us=end,
            **self.amounts(pl.col("cpu"), pl.col("memory")),
            priority=pl.col("priority").cast(pl.Int64),
            node_affinity=self.terms.affinity(ended["term"]),
        )

    def nodes(
        self, events: pl.DataFrame, shown: list[str], attributes: pl.DataFrame
    ) -> tuple[pl.DataFrame | None, pl.DataFrame | None, str]:
        """Return nodes, their events (None for both where there is no node), and the sentence about them.

        ``events`` has the columns ``time``, ``machine``, ``kind``, ``cpu``, ``memory`` and those of ``shown``.
        """
        events = events.with_columns(since_start(pl.col("time")).alias("time_us")).with_columns(
            **self.amounts(pl.col("cpu"), pl.col("memory"))
        )
        nodes, happens, counts = machines(events, shown, labels(attributes, PREFIX))
        said = (
            f"{self.format}: {events.height:,} machine events are {nodes.height:,} nodes and {happens.height:,} "
            f"events of nodes; {counts['without_capacity']:,} machines without a known capacity are left out, and "
            f"{counts['nothing']:,} machine events that change nothing."
        )
        return (nodes, happens, said) if nodes.height else (None, None, said)

    def first_attributes(self, batches: Iterator[pl.DataFrame]) -> tuple[pl.DataFrame, int, int]:
        """Return the first value of each attribute of a machine, how many records there were, and later values.

        Batches have the columns ``time``, ``machine``, ``name``, ``value`` and ``deleted``.
        """
        kept, seen, later = None, 0, 0
        for batch in gathered(batches, 1 << 20):
            seen += batch.height
            there = batch.filter(~pl.col("deleted").fill_null(False)).drop("deleted")
            joined = there if kept is None else pl.concat([kept, there])
            kept = joined.sort("time", maintain_order=True).unique(
                ["machine", "name"], keep="first", maintain_order=True
            )
            later += joined.height - kept.height
        empty = {"machine": pl.Int64, "name": pl.String, "value": pl.String}
        return pl.DataFrame(schema=empty) if kept is None else kept, seen, later

    def notes(self, counts: Counts, pods: int) -> list[str]:
        """Return the sentences that hold for both traces."""
        name = self.format
        return [
            f"{name}: 1.0 of a machine is {self.unit_text} (--machine-unit): amounts are fractions of it.",
            f"{name}: 0 is second 600 of the trace, where its window begins; what was before it is at 0, and "
            f"{self.after:,} records of what came after it are not used.",
            f"{name}: {counts.events:,} events are {pods:,} pods, one from its submission to its end; "
            f"{self.synthesised:,} of them were made up where records are missing, and count as the others.",
            f"{name}: what stops and is submitted again within {RESTART_US // 60_000_000} minutes is the same pod: its "
            f"run begins anew after an eviction ({counts.evictions:,}) and goes on after a failure "
            f"({counts.failures:,}); {counts.unrecorded:,} submissions of what was running begin a run, too.",
            f"{name}: requests are those until the first run, {counts.updates:,} changes of running tasks are left "
            f"out; so are {counts.strays:,} ends of tasks that never began.",
            f"{name}: {counts.endless:,} pods never end; {counts.never_ran:,} ended before they ran and take the time "
            "from arrival to end as their duration.",
        ]


def since_start(time: pl.Expr) -> pl.Expr:
    """Return times from the start of the window; what was before it is at 0."""
    return (time - START_US).clip(lower_bound=0)


def text_field(name: str, *, required: bool = True) -> Field:
    """Return the field of a text that a row may leave empty."""
    return Field(name, pl.String, required=required, nullable=True, high=LONGEST_NAME)
