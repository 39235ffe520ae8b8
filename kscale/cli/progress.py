"""Progress on standard error: nothing for what is quick, a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kscale.cli.terminal import console, tell
from kscale.state.quantities import format_duration

#: Seconds: a stage or a run that is over sooner is not told of; without a terminal, a line comes this often.
_STAGE_PATIENCE, _RUN_PATIENCE, _LINE_EVERY = 1.0, 2.0, 10.0


class Reporter:
    """Tells stages and progress; a context manager. ``quiet`` tells nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console: Console = console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._began = self._last = time.monotonic()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def stage(self, line: str) -> None:
        """Begin a stage; its line appears when it takes a while, so that quick commands and wrong input say nothing."""
        self._stop()
        self._began = self._last = time.monotonic()
        if not self._quiet:
            self._timer = threading.Timer(_STAGE_PATIENCE, tell, [f"{line} …"], {"stderr": True, "style": "dim"})
            self._timer.daemon = True
            self._timer.start()

    def reading(self, source: Path) -> Meter:
        """Return what follows the reading of a trace."""
        self.stage(f"reading {source}")
        return Meter(self, source)

    def read(self, pods: int, bytes_read: int, size: int) -> None:
        """Tell how far the reading of a trace is: pods, and bytes of ``size`` (0: not known)."""
        seen = time.monotonic()
        if self._quiet or seen - self._began < _RUN_PATIENCE:
            return
        if self._console.is_terminal:
            share = {"completed": bytes_read, "total": size} if size else {"total": None}
            self._move_bar(f"{pods:,} pods", rate=pods / (seen - self._began), **share)
        elif seen - self._last >= _LINE_EVERY:
            self._last = seen
            rate = bytes_read / (seen - self._began)
            left = f", {(size - bytes_read) / rate:,.0f} s left" if rate and size else ""
            tell(f"{pods:,} pods, {pods / (seen - self._began):,.0f} pods/s{left}", stderr=True)

    def progress(self, now_us: int, arrived: int, total: int) -> None:
        """Tell how far the run is: virtual time, and how many of the pods have arrived."""
        seen = time.monotonic()
        if self._quiet or seen - self._began < _RUN_PATIENCE:
            return
        if self._console.is_terminal:
            rate = arrived / (seen - self._began)
            self._move_bar(f"at {format_duration(now_us)}", rate, completed=arrived, total=max(total, arrived))
        elif seen - self._last >= _LINE_EVERY:
            self._last = seen
            rate = arrived / (seen - self._began)
            # Pods that controllers make come on top of the total.
            known = arrived < total
            left = f", {(total - arrived) / rate:,.0f} s left" if rate and known else ""
            pods = f"{arrived:,} of {total:,} pods" if known else f"{arrived:,} pods"
            pods += f", {rate:,.0f} pods/s"
            tell(f"virtual time {format_duration(now_us)}: {pods}{left}", stderr=True)

    def _move_bar(self, told: str, rate: float, *, completed: int = 0, total: int | None = None) -> None:
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True, expand=True, refresh_per_second=8)
            self._task = self._bar.add_task("", total=total, rate="")
            self._bar.start()
        self._bar.update(self._task, completed=completed, total=total, description=told, rate=f"{rate:,.0f} pods/s")


class Meter:
    """Counts what is read of a trace, and tells it."""

    def __init__(self, reporter: Reporter, source: Path) -> None:
        self._reporter = reporter
        # Of a folder not every table is read, and some are read twice: what is left of it cannot be told.
        self._size = source.stat().st_size if source.is_file() else 0
        self._bytes = 0
        self.pods = 0

    def read(self, count: int) -> None:
        """Count bytes."""
        self._bytes += count
        self._reporter.read(self.pods, min(self._bytes, self._size), self._size)

    def saw(self, pods: pl.DataFrame) -> None:
        """Count the pods of a portion."""
        self.pods += pods.height
        self._reporter.read(self.pods, min(self._bytes, self._size), self._size)
