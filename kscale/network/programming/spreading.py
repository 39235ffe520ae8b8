"""Work over rows, spread over threads: parts that do not touch each other, in an order that does not matter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
#: Rows times what each costs, below which a thread costs more than it saves.
_WORTH = 100_000


class Spreading:
    """Spreads work over ``threads``; 1 makes none."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def over(self, rows: int, each: int, part: Callable[[int, int, int], Result]) -> list[Result]:
        """Return what ``part`` makes of parts of the rows: it is told its number, its first row and the one after.

        ``each``: how much there is to do for a row. Results must not depend on where the parts begin.
        """
        parts = max(min(self.threads, rows), 1) if rows * each >= _WORTH else 1
        if parts == 1:
            return [part(0, 0, rows)]
        numbers = range(parts)
        with ThreadPoolExecutor(parts) as pool:
            return list(
                pool.map(part, numbers, (rows * one // parts for one in numbers),
                         (rows * (one + 1) // parts for one in numbers))
            )  # fmt: skip
