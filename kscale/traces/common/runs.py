"""What a table records of runs that began and ended, or did not: states, times of zero, ends that are not said."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from kscale.traces.common.checks import microseconds

#: The states of what has not begun.
WAITING = ("Ready", "Waiting")
#: The state of what has not ended.
RUNNING = "Running"


@dataclass
class Account:
    """What became of the rows of a table, for the notes.

    Attributes:
        rows: how many were read.
        never_ran: of them, those that have not begun.
        end_unknown: those that ended, at a time that is not said.
        backwards: those that end before they start.
        early: those that began before the trace.
        endless: those that still run.
    """

    rows: int = 0
    never_ran: int = 0
    end_unknown: int = 0
    backwards: int = 0
    early: int = 0
    endless: int = 0

    def told(self, table: str) -> list[str]:
        """Return sentences on the rows of ``table``, without those that are about none."""
        used = self.rows - self.never_ran - self.end_unknown - self.backwards
        said = [f"{table}: {self.rows:,} rows, of which {used:,} ran."]
        if used < self.rows:
            said.append(
                f"{table}: left out are {self.never_ran:,} rows that never began, {self.end_unknown:,} that ended at a "
                f"time that is not said, {self.backwards:,} that end before they start."
            )
        if self.early:
            said.append(f"{table}: {self.early:,} rows began before the trace: they start at 0.")
        if self.endless:
            said.append(f"{table}: {self.endless:,} rows still run at the end of the trace: they never end.")
        return said


def ran(frame: pl.DataFrame, account: Account) -> pl.DataFrame:
    """Return the rows of ``frame`` that ran, with ``start_us`` and ``end_us``; null never ends.

    ``frame`` has start_time and end_time in seconds, where null is 0, and status. A start that is not after 0 lies
    before the trace if the row has an end or still runs, and is then 0. The account tells of the others.
    """
    start, end = (_exact(frame, name) for name in ("start_time", "end_time"))
    runs = (pl.col("status") == RUNNING).fill_null(False)
    open_ended = end <= 0
    never = open_ended & (((start <= 0) & ~runs) | pl.col("status").is_in(WAITING).fill_null(False))
    frame = frame.with_columns(start_us=start.clip(0), end_us=pl.when(end > 0).then(end)).with_columns(
        never=never,
        unknown=open_ended & ~runs & ~never,
        backwards=pl.col("end_us").is_not_null() & (end < start),
    )
    good = ~(pl.col("never") | pl.col("unknown") | pl.col("backwards"))
    counts = frame.select(
        pl.col("never", "unknown", "backwards").sum(),
        early=(good & (start <= 0)).sum(),
        endless=(good & open_ended).sum(),
    ).row(0)
    account.rows += frame.height
    account.never_ran += counts[0]
    account.end_unknown += counts[1]
    account.backwards += counts[2]
    account.early += counts[3]
    account.endless += counts[4]
    if any(counts[:3]):
        frame = frame.filter(good)
    return frame.drop("never", "unknown", "backwards")


def _exact(frame: pl.DataFrame, name: str) -> pl.Expr:
    seconds = pl.col(name).fill_null(0)
    return seconds * 10**6 if frame.schema[name] == pl.Int64 else microseconds(seconds)
