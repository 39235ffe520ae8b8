"""What can go wrong, as a person is told it: one line, and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

EXIT_GATE = 1
EXIT_INPUT = 2
EXIT_INTERNAL = 3
EXIT_MACHINE = 4
EXIT_INTERRUPTED = 130


class KscaleError(Exception):
    """A fault that is told in one line; ``exit_code`` is what the command ends with."""

    exit_code = EXIT_INTERNAL


class InputError(KscaleError):
    """Wrong input or usage (exit code 2), with where it is and what was expected.

    ``row`` counts the data rows of the file from 1, the header not included.
    """

    exit_code = EXIT_INPUT

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        field: str | None = None,
        expected: str | None = None,
    ) -> None:
        self.problem, self.file, self.row, self.field, self.expected = problem, file, row, field, expected
        where = [str(file)] if file is not None else []
        if row is not None:
            where.append(f"row {row}")
        if field is not None:
            where.append(f"field '{field}'")
        line = ": ".join([", ".join(where), problem] if where else [problem])
        if expected is not None:
            line += f" Expected {expected}" if line.endswith("?") else f"; expected {expected}"
        super().__init__(one_line(line))


class MachineError(KscaleError):
    """The machine refused: disk, memory or permission (exit code 4)."""

    exit_code = EXIT_MACHINE


class GateError(KscaleError):
    """A gate or an invariant failed (exit code 1)."""

    exit_code = EXIT_GATE


def one_line(text: str, limit: int = 600) -> str:
    """Return ``text`` on one line, control characters made visible, cut to ``limit`` characters."""
    visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return visible if len(visible) <= limit else visible[: limit - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name closest to ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
