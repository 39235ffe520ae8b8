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
        unknown: those that began or ended at a time that is not said.
        backwards: those that end before they start.
        early: those that began before the trace.
        endless: those that still run.
    """

    rows: int = 0
    never_ran: int = 0
    unknown: int = 0
    backwards: int = 0
    early: int = 0
    endless: int = 0

    def told(self, table: str) -> list[str]:
        """Return sentences on the rows of ``table``, without those that are about none."""
        used = self.rows - self.never_ran - self.unknown - self.backwards
        said = [f"{table}: {self.rows:,} rows, of which {used:,} ran."]
        if used < self.rows:
            said.append(
                f"{table}: left out are {self.never_ran:,} rows that never began, {self.unknown:,} that began or "
                f"ended at a time that is not said, {self.backwards:,} that end before they start."
            )
        if self.early:
            said.append(f"{table}: {self.early:,} rows began before the trace: they start at 0.")
        if self.endless:
            said.append(f"{table}: {self.endless:,} rows still run at the end of the trace: they never end.")
        return said


def ran(frame: pl.DataFrame, account: Account) -> pl.DataFrame:
    """Return the rows of ``frame`` that ran, with ``start_us`` and ``end_us``; null never ends.

    ``frame`` has start_time and end_time in seconds, which may be null, and status. An end that is not after 0 is none.
    A start that is not after 0 lies before the trace if the row has an end or still runs, and is then 0. The account
    tells of the rows that did not run, and of those that did at times that make no sense.
    """
    start, end = (_microseconds(frame, name) for name in ("start_time", "end_time"))
    runs = (pl.col("status") == RUNNING).fill_null(False)
    waits = pl.col("status").is_in(WAITING).fill_null(False)
    no_end, no_start = (end <= 0).fill_null(True), (start <= 0).fill_null(True)
    frame = frame.with_columns(
        start_us=start.clip(0),
        end_us=pl.when(~no_end).then(end),
        never=no_end & (waits | (no_start & ~runs)),
        backwards=(end < start).fill_null(False) & ~no_end,
    )
    frame = frame.with_columns(unknown=~pl.col("never") & (pl.col("start_us").is_null() | (no_end & ~runs)))
    good = ~(pl.col("never") | pl.col("unknown") | pl.col("backwards"))
    never, unknown, backwards, early, endless = frame.select(
        pl.col("never", "unknown", "backwards").sum(), early=(good & no_start).sum(), endless=(good & no_end).sum()
    ).row(0)
    account.rows += frame.height
    account.never_ran += never
    account.unknown += unknown
    account.backwards += backwards
    account.early += early
    account.endless += endless
    if never or unknown or backwards:
        frame = frame.filter(good)
    return frame.drop("never", "unknown", "backwards")


def _microseconds(frame: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) * 10**6 if frame.schema[name] == pl.Int64 else microseconds(pl.col(name))
