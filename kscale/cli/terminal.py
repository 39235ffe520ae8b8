"""The terminal: consoles that honour ``NO_COLOR`` and never read a name as markup, and lines that stay whole."""

from __future__ import annotations

from rich.console import Console

from kscale.errors import one_line

#: Longest line that is told.
_LONGEST = 4000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a closed pipe to the door, which ends the command without a fault."""
        raise


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console for standard output, or standard error; as wide as the terminal, or as ``width``."""
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def tell(line: str, *, stderr: bool = False, style: str | None = None) -> None:
    """Print one line, control characters made visible.

    It is not broken at the terminal's width: what is broken here cannot be copied, searched or counted.
    """
    console(stderr=stderr).print(one_line(line, _LONGEST), style=style, soft_wrap=True)


def tell_dropped(dropped: dict[str, int]) -> None:
    """Say on standard error how many rows were left out under ``--lenient``, by reason."""
    for reason, count in dropped.items():
        tell(f"left out: {count:,} {'row' if count == 1 else 'rows'}: {reason}", stderr=True)
