"""The endpoints of a Service that traffic may reach: what they truly are, and what came to them."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: What an endpoint truly is, whatever rules say: it serves; its deletion was asked for, and it runs yet; it runs and is
#: not ready; it does not run any more.
SERVES, TERMINATING, NOT_READY, GONE = range(4)
#: Connections that rules send where they should not, by what is there: the states after ``SERVES``.
REASONS = ("terminating", "not ready", "gone")

_COLUMNS: tuple[tuple[str, str, int, Any], ...] = (
    ("row", "int64", 0, 0), ("serial", "int64", 0, 0), ("node", "int64", 0, -1), ("state", "uint8", 0, SERVES),
    ("first_us", "int64", 0, 0), ("left_us", "int64", 0, -1), ("why", "uint8", 0, 0), ("connections", "int64", 0, 0),
    ("lost", "int64", len(REASONS), 0), ("stale", "int64", len(REASONS), 0), ("cut", "int64", 0, 0),
    ("stale_cut", "int64", 0, 0), ("step", "int64", 0, 0), ("even", "bool", 0, False),
)  # fmt: skip


class Endpoints:
    """Endpoints side by side, in the order in which they were first listed.

    Attributes:
        row: int64, numbers that are never used again; ascending.
        serial: int64, their pods' places in the order of arrival.
        node: int64.
        state: uint8.
        first_us, left_us: int64, when it was first listed, and since when it should get nothing (-1: it should).
        why: uint8, its state when it left.
        connections, cut: int64, all that were sent to it, and those of them that its end cut off.
        lost: int64 (endpoint, reason), of those sent to it.
        stale, stale_cut: the same since it left.
        step: int64, sent to it in this step.
        even: bool, whether it served all through this step, and all rules had it.
    """

    row: Rows
    serial: Rows
    node: Rows
    state: Rows
    first_us: Rows
    left_us: Rows
    why: Rows
    connections: Rows
    lost: Rows
    stale: Rows
    cut: Rows
    stale_cut: Rows
    step: Rows
    even: Rows

    def __init__(self) -> None:
        self._next = 0
        self._known: dict[int, int] = {}
        for name, dtype, width, _ in _COLUMNS:
            setattr(self, name, np.empty((0, width) if width else 0, dtype))

    def __len__(self) -> int:
        return len(self.row)

    def rows(self, serials: Rows, nodes: Rows, states: Rows, time_us: int) -> Rows:
        """Return the rows of pods; those that were not known are added, as they are and where they are."""
        fresh = [place for place, serial in enumerate(serials.tolist()) if serial not in self._known]
        if fresh:
            self._add(len(fresh))
            added = slice(len(self.row) - len(fresh), len(self.row))
            self.serial[added], self.node[added], self.state[added] = serials[fresh], nodes[fresh], states[fresh]
            self.first_us[added] = time_us
            self._known |= zip(serials[fresh].tolist(), self.row[added].tolist(), strict=True)
        return np.array([self._known[serial] for serial in serials.tolist()], np.int64)

    def _add(self, count: int) -> None:
        for name, dtype, width, default in _COLUMNS:
            more = np.full((count, width) if width else count, default, dtype)
            setattr(self, name, np.concatenate([getattr(self, name), more]))
        self.row[len(self.row) - count :] = np.arange(self._next, self._next + count)
        self._next += count

    def places(self, rows: Rows) -> Rows:
        """Return where rows are that are there."""
        return np.searchsorted(self.row, rows)

    def known(self, serials: Rows) -> tuple[Rows, Rows]:
        """Return which of ``serials`` (mask) are there, and where these are."""
        rows = np.array([self._known.get(serial, -1) for serial in serials.tolist()], np.int64)
        return rows >= 0, self.places(rows[rows >= 0])

    def drop(self, gone: Rows) -> None:
        """Forget endpoints (mask)."""
        for serial in self.serial[gone].tolist():
            del self._known[serial]
        for name, *_ in _COLUMNS:
            setattr(self, name, getattr(self, name)[~gone])
