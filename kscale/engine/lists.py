"""Lists of rows, linked both ways by columns: several lists in the same columns, each with its first and last row."""

from __future__ import annotations

from typing import Any

from kscale.kernels import inlined


@inlined
def link(row: int, before: int, following: Any, preceding: Any, first: Any, last: Any, of: int) -> None:
    """Put a row into the list whose ends are ``first[of]`` and ``last[of]``, behind ``before``; -1 is the front."""
    after = following[before] if before >= 0 else first[of]
    preceding[row], following[row] = before, after
    if before >= 0:
        following[before] = row
    else:
        first[of] = row
    if after >= 0:
        preceding[after] = row
    else:
        last[of] = row


@inlined
def unlink(row: int, following: Any, preceding: Any, first: Any, last: Any, of: int) -> None:
    """Take a row out of the list whose ends are ``first[of]`` and ``last[of]``."""
    before, after = preceding[row], following[row]
    if before >= 0:
        following[before] = after
    else:
        first[of] = after
    if after >= 0:
        preceding[after] = before
    else:
        last[of] = before
