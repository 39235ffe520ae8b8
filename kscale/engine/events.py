"""The table ``events``: what happened to the pods, sorted by time, written window by window.

Each stretch of pods leaves a run of sorted numbers on disk, and its texts beside. A window of time takes its piece of
every run, so that no more than a window is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.ledger import node_type
from kscale.engine.outputs import EVENT_KINDS, STATUSES
from kscale.engine.scratch import Scratch

#: Events that a window holds, about.
WINDOW = 1 << 21
#: The kinds of events in the order in which they come within an instant, as in the loop: ends before arrivals.
_ORDER = (
    "Succeeded", "Failed", "Deleted", "NodeJoined", "NodeLeft", "NodeUpdated", "NodeCordoned", "NodeUncordoned", "Lost",
    "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Evicted",
)  # fmt: skip
_NODE_EVENTS = {
    "join": "NodeJoined", "leave": "NodeLeft", "update": "NodeUpdated", "cordon": "NodeCordoned",
    "uncordon": "NodeUncordoned",
}  # fmt: skip
_CONCERN_A_NODE = ("Scheduled", "Started", "Succeeded", "Failed", "Evicted", "Lost", *_NODE_EVENTS.values())
_HAVE_A_REASON = ("FailedScheduling", "Refused", "Deleted")
#: A time and a kind are one number: the time in the bits above these, the kind's place in ``_ORDER`` in them.
_KIND_BITS = 4
#: What is said of each pod of a run; texts that repeat are codes until they are written.
_TEXTS: Any = {"object": pl.String, "node": pl.UInt32, "reason": pl.Categorical}
#: What each time of a pod is the time of: by the status that it has at last, or of all others. What has failed ran; of
#: what was never bound, the recorded end came while it waited (``_happened``).
_STAMPS = {
    "ended_us": {"failed": "Failed", "deleted": "Deleted", "evicted": "Evicted", "lost": "Lost", "": "Succeeded"},
    "arrived_us": {"": "Arrived"},
    "first_failed_us": {"refused": "Refused", "": "FailedScheduling"}, "bound_us": {"": "Scheduled"},
    "started_us": {"": "Started"},
}  # fmt: skip
#: Every so many events of a run, one is looked at to choose the windows.
STEP = 1 << 10
#: Codes of ``EVENT_KINDS`` by the place in ``_ORDER``.
_CODES = pl.Series([EVENT_KINDS.index(kind) for kind in _ORDER], dtype=pl.UInt8)


class Events:
    """Gathers the events of a table ``pods`` and gives them sorted: by time, then kind, then trace order.

    About ``WINDOW`` events are in memory at once: more where many are of one instant and kind. ``nodes`` are the names
    of the nodes.
    """

    def __init__(self, scratch: Scratch, nodes: Sequence[str]) -> None:
        self._scratch, self._node = scratch, node_type(nodes)
        self._nodes = self._node.categories.cast(self._node)
        self._runs: list[_Run] = []

    def add(self, pods: pl.DataFrame) -> None:
        """Take the next rows of ``pods``."""
        node = pods["node"].cast(self._node).to_physical().cast(pl.UInt32)
        object_ = pl.concat_str("namespace", pl.lit("/"), "name").alias("object")
        texts = pods.select(object_, node.alias("node"), pl.col("reason").cast(pl.Categorical))
        self._runs.append(_Run(self._scratch, len(self._runs), *_sorted(*_happened(pods)), texts))

    def add_nodes(self, changes: pl.DataFrame) -> None:
        """Take what happened to nodes: columns ``time_us``, ``node`` (its row) and ``event`` (as node events say)."""
        kind = changes["event"].replace_strict({event: _ORDER.index(kind) for event, kind in _NODE_EVENTS.items()})
        keys = changes["time_us"].to_numpy() << _KIND_BITS | kind.cast(pl.Int64).to_numpy()
        texts = changes.select(
            object=self._nodes.gather(changes["node"]).cast(pl.String), node=pl.col("node").cast(pl.UInt32),
            reason=pl.lit(None, pl.String).cast(pl.Categorical),
        )  # fmt: skip
        rows = np.arange(changes.height, dtype=np.uint32)
        self._runs.append(_Run(self._scratch, len(self._runs), *_sorted(keys, rows), texts))

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the table in portions, nodes as codes; at least one, also without rows."""
        bounds = self._bounds()
        for run in self._runs:
            run.cut(bounds)
        for window in range(len(bounds) + 1):
            keys, places, texts, before = [], [], [pl.DataFrame(schema=_TEXTS)], 0
            for run in self._runs:
                if not run.has(window):
                    continue
                key, place, told = run.take(window)
                keys.append(key)
                places.append(place + before)
                texts.append(told)
                before += told.height
            yield _frame(_joined(keys), _joined(places), pl.concat(texts, rechunk=True), self._nodes)

    def _bounds(self) -> np.ndarray[Any, Any]:
        """Return the keys at which a new window begins."""
        sampled = np.sort(np.concatenate([run.sampled for run in self._runs]))
        return np.unique(sampled[:: max(WINDOW // STEP, 1)][1:])


class _Run:
    """The sorted events of a stretch of pods as they lie on disk, taken window by window.

    ``keys`` are their keys, ``rows`` those of their pods in ``texts``.
    """

    def __init__(
        self, scratch: Scratch, number: int, keys: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], texts: pl.DataFrame
    ) -> None:
        self.sampled = keys[::STEP].copy()
        self._events, self._ends = len(keys), [0]
        self._paths = [scratch.path(f"events-{what}-{number:06}") for what in ("keys", "rows", "texts")]
        self._paths[0].write_bytes(keys.data)
        self._paths[1].write_bytes(rows.data)
        texts.write_ipc(self._paths[2])
        # The texts that are held, and the rows that they are of; None is all.
        self._texts: pl.DataFrame | None = None
        self._rows: np.ndarray[Any, Any] | None = None

    def cut(self, bounds: np.ndarray[Any, Any]) -> None:
        """Find where the windows that begin at these keys begin among the events."""
        self._ends = [0, *np.searchsorted(self._read(0, 0, self._events), bounds).tolist(), self._events]

    def has(self, window: int) -> bool:
        """Return whether a window has events of these pods."""
        return self._ends[window] < self._ends[window + 1]

    def take(self, window: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], pl.DataFrame]:
        """Return the keys of a window, the places of their pods in texts, and these texts; windows come in order."""
        first, last = self._ends[window : window + 2]
        rows = self._read(1, first, last - first)
        texts = pl.read_ipc(self._paths[2]) if self._texts is None else self._texts
        place = rows if self._rows is None else np.searchsorted(self._rows, rows)
        self._hold(last, texts)
        return self._read(0, first, last - first), *_only(texts, place)

    def _hold(self, after: int, texts: pl.DataFrame) -> None:
        """Hold the texts of the pods that have events to come: of most pods, the events lie close together."""
        left = self._events - after
        if 2 * left >= texts.height:
            self._texts = texts
            return
        rows = np.unique(self._read(1, after, left))
        self._texts = texts[rows if self._rows is None else np.searchsorted(self._rows, rows)]
        self._rows = rows

    def _read(self, what: int, first: int, count: int) -> np.ndarray[Any, Any]:
        dtype: Any = (np.int64, np.uint32)[what]
        return np.fromfile(self._paths[what], dtype, count, offset=first * np.dtype(dtype).itemsize)


def _only(texts: pl.DataFrame, rows: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], pl.DataFrame]:
    """Return the texts of these rows, each row once, and where each row stands among them."""
    wanted = np.zeros(texts.height, np.bool_)
    wanted[rows] = True
    return (np.cumsum(wanted) - 1)[rows], texts.filter(pl.Series(wanted))


def _happened(pods: pl.DataFrame) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return each event's key and the row of its pod, stamp by stamp."""
    status = pods["status"].to_physical().to_numpy()
    keys, rows = [], []
    for stamp, kinds in _STAMPS.items():
        times = pods[stamp].fill_null(-1).to_numpy()
        kind = np.array([_ORDER.index(kinds.get(word, kinds[""])) for word in STATUSES], np.int64)[status]
        if stamp == "ended_us":
            never_bound = pods["bound_us"].is_null().to_numpy()
            kind[never_bound & (kind == _ORDER.index("Failed"))] = _ORDER.index("Deleted")
        found = np.flatnonzero(times >= 0).astype(np.uint32)
        if len(found) < len(times):
            times, kind = times[found], kind[found]
        keys.append(times << _KIND_BITS | kind)
        rows.append(found)
    return np.concatenate(keys), np.concatenate(rows)


def _sorted(
    keys: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return events by key; those of one key by row, as they are given."""
    low, bits = int(keys.min(initial=0)), int(rows.max(initial=0)).bit_length()
    if (int(keys.max(initial=0)) - low).bit_length() + bits > 63:
        order = np.argsort(keys, kind="stable")
        return keys[order], rows[order]
    # Both in one number: numbers are sorted in half the time that it takes to find their order.
    both = (keys - low) << bits | rows
    both.sort(kind="stable")
    return (both >> bits) + low, (both & ((1 << bits) - 1)).astype(np.uint32)


def _joined(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate([*parts, np.empty(0, np.int64)])


def _frame(
    keys: np.ndarray[Any, Any], places: np.ndarray[Any, Any], texts: pl.DataFrame, nodes: pl.Series
) -> pl.DataFrame:
    """Return events in their order; ``places`` says for each where its object, node and reason stand in ``texts``.

    ``nodes`` are the nodes by their codes.
    """
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    kind = pl.Series((keys & ((1 << _KIND_BITS) - 1)).astype(np.uint32))
    told = texts[places[order]].select(
        "object",
        pl.when(_is_one_of(kind, _CONCERN_A_NODE)).then("node").alias("node"),
        pl.when(_is_one_of(kind, _HAVE_A_REASON)).then("reason").alias("reason"),
    )
    return pl.DataFrame(
        {
            "time_us": keys >> _KIND_BITS,
            "kind": pl.Series(EVENT_KINDS, dtype=pl.Enum(EVENT_KINDS)).gather(_CODES.gather(kind)),
            "object": told["object"],
            "node": nodes.gather(told["node"]),
            "reason": told["reason"].cast(pl.String),
        }
    )


def _is_one_of(kind: pl.Series, words: tuple[str, ...]) -> pl.Series:
    return pl.Series([word in words for word in _ORDER]).gather(kind)
