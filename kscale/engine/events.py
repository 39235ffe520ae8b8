"""The table ``events``: what happened to the pods, sorted by time, written window by window.

Each stretch of pods leaves a run of sorted numbers on disk, and its texts beside. A window of time takes its piece of
every run, so that no more than a window is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.outputs import EVENT_KINDS, STATUSES
from kscale.engine.scratch import Scratch

#: Events that a window holds, about.
WINDOW = 1 << 21
#: The kinds of events in the order in which they come within an instant, as in the loop: ends before arrivals.
_ORDER = ("Succeeded", "Deleted", "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Evicted")
_CONCERN_A_NODE = ("Scheduled", "Started", "Succeeded", "Evicted")
_HAVE_A_REASON = ("FailedScheduling", "Refused", "Deleted")
#: A time and a kind are one number: the time in the bits above these, the kind's place in ``_ORDER`` in them.
_KIND_BITS = 3
_PIECE = np.dtype([("key", np.int64), ("pod", np.uint32)])
#: Every so many events of a run, one is looked at to choose the windows.
STEP = 1 << 10
#: Codes of ``EVENT_KINDS`` by the place in ``_ORDER``.
_CODES = pl.Series([EVENT_KINDS.index(kind) for kind in _ORDER], dtype=pl.UInt8)


@dataclass(frozen=True)
class _Run:
    """The events of a stretch of pods, as they lie on disk."""

    number: int
    events: int
    sampled: np.ndarray[Any, Any]


class Events:
    """Gathers the events of a table ``pods`` and gives them sorted: by time, then kind, then trace order.

    About ``WINDOW`` events are in memory at once: more where many are of one instant and kind. ``nodes`` are the names
    of the nodes.
    """

    def __init__(self, scratch: Scratch, nodes: Sequence[str]) -> None:
        self._scratch = scratch
        # Texts that repeat are codes until they are written.
        self._texts_of: Any = {
            "object": pl.String,
            "node": pl.Enum(list(dict.fromkeys(nodes))),
            "reason": pl.Categorical,
        }
        self._runs: list[_Run] = []

    def add(self, pods: pl.DataFrame) -> None:
        """Take the next rows of ``pods``."""
        keys, rows = _happened(pods)
        order = np.argsort(keys, kind="stable")
        pieces = np.empty(len(order), _PIECE)
        pieces["key"], pieces["pod"] = keys[order], rows[order]
        number = len(self._runs)
        self._scratch.path(f"events-{number:06}").write_bytes(pieces.data)
        texts = pods.select(pl.concat_str("namespace", pl.lit("/"), "name").alias("object"), "node", "reason")
        texts.cast(self._texts_of).write_ipc(self._scratch.path(f"texts-{number:06}"))
        self._runs.append(_Run(number, len(pieces), pieces["key"][::STEP].copy()))

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the table in portions; at least one, also without rows."""
        bounds = self._bounds()
        ends = {run.number: self._cut(run, bounds) for run in self._runs}
        for window in range(len(bounds) + 1):
            keys, places, texts, before = [], [], [pl.DataFrame(schema=self._texts_of)], 0
            for run in self._runs:
                first, last = ends[run.number][window : window + 2]
                if first == last:
                    continue
                piece = self._piece(run, first, last - first)
                told, place = self._texts(run, piece["pod"])
                keys.append(piece["key"])
                places.append(place + before)
                texts.append(told)
                before += told.height
            yield _frame(_joined(keys), _joined(places), pl.concat(texts, rechunk=True))

    def _texts(self, run: _Run, pods: np.ndarray[Any, Any]) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
        """Return the texts of these pods, each pod once, and where each stands among them."""
        texts = pl.read_ipc(self._scratch.path(f"texts-{run.number:06}"))
        wanted = np.zeros(texts.height, np.bool_)
        wanted[pods] = True
        return texts.filter(pl.Series(wanted)), (np.cumsum(wanted) - 1)[pods]

    def _bounds(self) -> np.ndarray[Any, Any]:
        """Return the keys at which a new window begins."""
        sampled = np.sort(np.concatenate([run.sampled for run in self._runs]))
        return np.unique(sampled[:: max(WINDOW // STEP, 1)][1:])

    def _cut(self, run: _Run, bounds: np.ndarray[Any, Any]) -> list[int]:
        """Return where each window begins among a run's events, and at last its end."""
        keys = self._piece(run, 0, run.events)["key"].copy()
        return [0, *np.searchsorted(keys, bounds).tolist(), run.events]

    def _piece(self, run: _Run, first: int, count: int) -> np.ndarray[Any, Any]:
        path = self._scratch.path(f"events-{run.number:06}")
        return np.fromfile(path, _PIECE, count, offset=first * _PIECE.itemsize)


def _happened(pods: pl.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return each event's key and the row of its pod, kind by kind."""
    status = pods["status"].to_physical().to_numpy()
    stamps = {
        name: pods[name].fill_null(-1).to_numpy()
        for name in ("arrived_us", "first_failed_us", "bound_us", "started_us", "ended_us")
    }
    refused, failed, evicted = (status == STATUSES.index(word) for word in ("refused", "failed", "evicted"))
    happened = {
        "Succeeded": (stamps["ended_us"], ~failed & ~evicted), "Deleted": (stamps["ended_us"], failed),
        "Evicted": (stamps["ended_us"], evicted),
        "Arrived": (stamps["arrived_us"], None), "FailedScheduling": (stamps["first_failed_us"], ~refused),
        "Refused": (stamps["first_failed_us"], refused), "Scheduled": (stamps["bound_us"], None),
        "Started": (stamps["started_us"], None),
    }  # fmt: skip
    keys, rows = [], []
    for place, kind in enumerate(_ORDER):
        times, condition = happened[kind]
        found = np.flatnonzero((times >= 0) if condition is None else (times >= 0) & condition)
        rows.append(found.astype(np.uint32))
        keys.append(times[found] << _KIND_BITS | place)
    return np.concatenate(keys), np.concatenate(rows)


def _joined(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate([*parts, np.empty(0, np.int64)])


def _frame(keys: np.ndarray[Any, Any], places: np.ndarray[Any, Any], texts: pl.DataFrame) -> pl.DataFrame:
    """Return events in their order; ``places`` says for each where its object, node and reason stand in ``texts``."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    kind = pl.Series((keys & ((1 << _KIND_BITS) - 1)).astype(np.uint32))
    told = texts[places[order]].select(
        "object",
        pl.when(_is_one_of(kind, _CONCERN_A_NODE)).then(pl.col("node").to_physical().cast(pl.UInt32)).alias("node"),
        pl.when(_is_one_of(kind, _HAVE_A_REASON)).then("reason").alias("reason"),
    )
    nodes: Any = texts.schema["node"]
    return pl.DataFrame(
        {
            "time_us": keys >> _KIND_BITS,
            "kind": pl.Series(EVENT_KINDS, dtype=pl.Enum(EVENT_KINDS)).gather(_CODES.gather(kind)),
            "object": told["object"],
            "node": nodes.categories.gather(told["node"]),
            "reason": told["reason"].cast(pl.String),
        }
    )


def _is_one_of(kind: pl.Series, words: tuple[str, ...]) -> pl.Series:
    return pl.Series([word in words for word in _ORDER]).gather(kind)
