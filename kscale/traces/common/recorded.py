"""Pods as a recording of a Kubernetes cluster tells of them: each comes, and may start and end."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, Options, Trace
from kscale.traces.common import specs
from kscale.traces.common.podspecs import PodSpecs

_NEVER = -1


class _TooMany(InputError):
    """More pods than memory is allowed for: no leniency helps."""


class Recorded:
    """Collects the pods of a recording, by row, and what was left out of it; times are microseconds from its start."""

    def __init__(self, path: Path, options: Options, item: str) -> None:
        self.specs = PodSpecs()
        self.dropped: dict[str, int] = {}
        self.arrival: list[int] = []
        self.start: list[int] = []
        self.end: list[int] = []
        self._path, self._options, self._item = path, options, item
        self._names: list[str] = []
        self._namespaces: list[str] = []
        self._owners: list[str | None] = []
        self._spec: list[int] = []
        self._taken: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self.arrival)

    def comes(self, name: str, namespace: str, owner: str | None, time_us: int, spec: int) -> int:
        """Add a pod that arrives; return its row. A name that was there before gets a number.

        Raises InputError when there are more pods than ``Options.max_input`` allows.
        """
        if len(self) >= self._options.max_input // specs.POD_BYTES:
            most = f"at most {len(self):,}; see --max-input"
            raise _TooMany("comes to too many pods", file=self._path, expected=most)
        self.specs.asked(spec)
        self._names.append(self._distinct(namespace, name))
        # Of these there are few, and a file has each of them again and again.
        self._namespaces.append(sys.intern(namespace))
        self._owners.append(owner if owner is None else sys.intern(owner))
        self.arrival.append(time_us)
        self.start.append(_NEVER)
        self.end.append(_NEVER)
        self._spec.append(spec)
        return len(self.arrival) - 1

    def _distinct(self, namespace: str, name: str) -> str:
        number = self._taken.get((namespace, name), 0) + 1
        called = name if number == 1 else f"{name}.{number}"
        while number > 1 and (namespace, called) in self._taken:
            number += 1
            called = f"{name}.{number}"
        self._taken[namespace, name] = number
        self._taken.setdefault((namespace, called), 1)
        return called

    def starts(self, row: int, time_us: int) -> None:
        """Note when a pod starts; the first time counts."""
        if self.start[row] == _NEVER:
            self.start[row] = max(time_us, self.arrival[row])

    def ends(self, row: int, time_us: int) -> None:
        """Note when a pod ends; the first time counts."""
        if self.end[row] == _NEVER:
            self.end[row] = max(time_us, self.start[row], self.arrival[row])

    def lived(self, row: int, start_us: int, end_us: int | None) -> None:
        """Note a life that is recorded of a pod; where it tells the end, no other end counts."""
        self.start[row] = max(start_us, self.arrival[row])
        if end_us is not None:
            self.end[row] = max(end_us, self.start[row])
        elif self.end[row] != _NEVER:
            self.end[row] = max(self.end[row], self.start[row])

    def bad(self, error: InputError, number: int, called: str = "") -> None:
        """Raise ``error`` with where it is in the file, or, lenient, count it."""
        if isinstance(error, _TooMany):
            raise error
        if not self._options.lenient:
            self.refuse(error, number, called)
        problem = re.sub("'.*'", "'{value}'", error.problem, flags=re.DOTALL)
        reason = f"{error.field or self._item}: {problem}"
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def refuse(self, error: InputError, number: int, called: str = "") -> NoReturn:
        """Raise ``error`` with where it is in the file, unless it says so itself."""
        if error.file is not None:
            raise error
        where = f"{self._path}, {self._item} {number}" + (f" ({called[:120]})" if called else "")
        raise InputError(error.problem, file=where, field=error.field, expected=error.expected) from None

    def trace(self, name: str, notes: Sequence[str], nodes: pl.DataFrame | None, events: Events | None) -> Trace:
        """Return the trace ``name``: a pod lasts from its start, or else its arrival, to its end."""
        known = {"arrival_us": self.arrival, "start_us": self.start, "end_us": self.end}
        frame = pl.DataFrame(known, schema=dict.fromkeys(known, pl.Int64)).with_columns(
            pl.Series("name", self._names, pl.String),
            pl.Series("namespace", self._namespaces, pl.String),
            pl.Series("owner", self._owners, pl.String),
        )
        end = pl.when(pl.col("end_us") >= 0).then(pl.col("end_us"))
        start = pl.when(pl.col("start_us") >= 0).then(pl.col("start_us")).otherwise(pl.col("arrival_us"))
        frame = frame.with_columns(end_us=end, duration_us=end - start).drop("start_us")
        frame = frame.hstack(self.specs.frame()[self._spec] if self._spec else self.specs.frame().clear())
        return _with_events(
            specs.build(name, frame, nodes=nodes, notes=(*notes, *self.specs.notes(name)), dropped=self.dropped), events
        )


class Events:
    """Collects node events in the order of time."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, str, int | None, int | None]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self, time_us: int, node: str, event: str, cpu_milli: int | None = None, memory_bytes: int | None = None
    ) -> None:
        """Add an event, one of ``NODE_EVENT_KINDS``."""
        self._rows.append((time_us, node, event, cpu_milli, memory_bytes))

    def frame(self) -> pl.DataFrame:
        """Return the events with the columns of ``NODE_EVENTS``."""
        frame = pl.DataFrame(self._rows, schema=NODE_EVENTS, orient="row")
        return frame.sort("time_us", maintain_order=True)


def _with_events(trace: Trace, events: Events | None) -> Trace:
    if events is None or not len(events):
        return trace
    return Trace(
        trace.format, trace.pods, trace.specs, trace.nodes, trace.notes, trace.dropped, node_events=events.frame()
    )


def merged(value: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value: mappings merge, null removes, all else takes the place.

    Lists are replaced, also where Kubernetes merges their items: those are not read.
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(value) if isinstance(value, Mapping) else {}
    for key, part in patch.items():
        if part is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), part)
    return result


def at(value: Any, *keys: str) -> Any:
    """Return what stands under ``keys`` in nested mappings, or None."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def whole(value: Any, field: str, high: int, default: int | None = None) -> int:
    """Return a whole number from 0 to ``high``; null is ``default``, where there is one. Raises InputError."""
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        problem = f"'{str(value)[:60]}' is no such number" if value is not None else "is missing"
        raise InputError(problem, field=field, expected=f"a whole number from 0 to {high:,}")
    return value
