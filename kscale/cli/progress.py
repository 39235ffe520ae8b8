"""Progress on standard error: nothing for what is quick, a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from kscale.cli.terminal import console, tell
from kscale.state.quantities import format_duration

#: Seconds: a stage or a run that is over sooner is not told of; without a terminal, a line comes this often.
_STAGE_PATIENCE, _RUN_PATIENCE, _LINE_EVERY = 1.0, 2.0, 10.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} pods/s" if task.speed else "")


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

    def progress(self, now_us: int, arrived: int, total: int) -> None:
        """Tell how far the run is: virtual time, and how many of the pods have arrived."""
        seen = time.monotonic()
        if self._quiet or seen - self._began < _RUN_PATIENCE:
            return
        if self._console.is_terminal:
            self._move_bar(now_us, arrived, total)
        elif seen - self._last >= _LINE_EVERY:
            self._last = seen
            rate = arrived / (seen - self._began)
            # Pods that controllers make come on top of the total.
            known = arrived < total
            left = f", {(total - arrived) / rate:,.0f} s left" if rate and known else ""
            pods = f"{arrived:,} of {total:,} pods" if known else f"{arrived:,} pods"
            pods += f", {rate:,.0f} pods/s"
            tell(f"virtual time {format_duration(now_us)}: {pods}{left}", stderr=True)

    def _move_bar(self, now_us: int, arrived: int, total: int) -> None:
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f}%"),
                _Rate(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True, expand=True, refresh_per_second=8)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        told = f"at {format_duration(now_us)}"
        self._bar.update(self._task, completed=arrived, total=max(total, arrived), description=told)
