"""Progress on standard error: nothing for what is quick, a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from kscale.cli.tables import console
from kscale.state.quantities import format_duration

#: Runs shorter than this show no progress (seconds); without a terminal, a line comes this often.
_PATIENCE, _LINE_EVERY = 2.0, 10.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} pods/s" if task.speed else "")


class Reporter:
    """Tells stages and progress; a context manager. ``quiet`` tells nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console: Console = console(stderr=True)
        self._bar: Progress | None = None
        self._task: object = None
        self._began = self._last = time.monotonic()
        self._told = ""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def stage(self, line: str) -> None:
        """Tell that a stage begins."""
        self._stop()
        self._began = self._last = time.monotonic()
        if not self._quiet:
            self._console.print(f"{line} …", style="dim")

    def progress(self, now_us: int, arrived: int, total: int) -> None:
        """Tell how far the run is: virtual time, and how many of the pods have arrived."""
        seen = time.monotonic()
        if self._quiet or seen - self._began < _PATIENCE:
            return
        if not self._console.is_terminal:
            if seen - self._last >= _LINE_EVERY:
                self._last = seen
                rate = arrived / (seen - self._began)
                left = (total - arrived) / rate if rate else 0.0
                self._console.print(
                    f"virtual time {format_duration(now_us)}: {arrived:,} of {total:,} pods, {rate:,.0f} pods/s, "
                    f"{left:,.0f} s left"
                )
            return
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                _Rate(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True, refresh_per_second=8)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=arrived, description=f"at {format_duration(now_us)}")  # type: ignore[arg-type]
