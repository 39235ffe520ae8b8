"""From events of tasks (submit, schedule … finish) to pods, with no more in memory than the tasks that are open.

A *pod* is a task from its submission to its end. A task that is evicted, or fails, and is submitted again within
``RESTART_US`` goes on as the same pod: what another scheduler did with it is an outcome, not a wish. After an eviction
the run begins anew; after a failure it goes on, as a kubelet restarts a container in its pod. A task that was ended
(finished, killed, lost) and is submitted again is a new pod.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

Numbers = np.ndarray[Any, Any]

#: Kinds of events, with the numbers of Google's trace of 2019.
SUBMIT, QUEUE, ENABLE, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_PENDING, UPDATE_RUNNING = range(11)
#: A task that stopped and is submitted again within this time goes on as the same pod; the records of a restart mostly
#: have the very same time.
RESTART_US = 300 * 10**6

_PENDING, _RUNNING, _STOPPED, _ENDED = range(4)
#: What a task is after an event of each kind.
_AFTER = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 0, 1], np.int8)
#: The order of events of one task at one time, unless it ends before it begins again.
_RANK = np.array([0, 1, 2, 4, 6, 7, 8, 9, 10, 3, 5], np.int64)
_NEVER = np.iinfo(np.int64).max
#: What is known of an open pod, and how rows of one are put together: whether it ran, its first event, the first time
#: at which it was enabled before it ran, the beginning of its run, and how many events it has.
_KNOWN = {"ran": np.maximum, "first": np.minimum, "enabled": np.minimum, "start": np.minimum, "count": np.add}


@dataclass
class Counts:
    """What was counted on the way.

    Attributes:
        events: all events.
        evictions: submissions, or runs, after an eviction.
        failures: submissions, or runs, after a failure.
        unrecorded: submissions of tasks that were running: their end is not recorded.
        updates: changes of running tasks, which are not followed.
        strays: ends of tasks that were never submitted or scheduled.
        never_ran: pods that ended without a run since their submission or last eviction.
        endless: pods without an end.
    """

    events: int = 0
    evictions: int = 0
    failures: int = 0
    unrecorded: int = 0
    updates: int = 0
    strays: int = 0
    never_ran: int = 0
    endless: int = 0


class Lifecycles:
    """Takes events in the order of time, whole instants at once, and gives pods as they end.

    ``fields`` are the columns (Float64) that say what a task asks for; of each, the last value that is stated until
    the task is first scheduled counts, or else the first one after it. ``flag`` (Boolean) is true of a pod if any of
    its events has it.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.counts = Counts()
        self._fields = tuple(fields)
        #: A row for each open task: its last event, the fields, and what is known of the pod (``_KNOWN``).
        self._open: dict[str, Numbers] = {
            **{name: np.empty(0, np.int64) for name in ("job", "index", "time", *_KNOWN)},
            **{name: np.empty(0, np.float64) for name in self._fields},
            "kind": np.empty(0, np.int8),
            "flag": np.empty(0, bool),
        }

    def add(self, events: pl.DataFrame) -> pl.DataFrame:
        """Take the next events (``job``, ``index``, ``time``, ``kind``, ``flag`` and the fields), sorted by time.

        No later call may have events of the last time. Returns the pods that have ended, by the time at which that was
        certain: ``job``, ``index``, ``arrival``, ``start`` and ``end`` (null: never), ``flag`` and the fields.
        """
        if not events.height:
            return self._pods(self._open, np.empty(0, np.int64))
        now = int(events["time"][-1])
        self.counts.events += events.height
        self.counts.updates += int((events["kind"] == UPDATE_RUNNING).sum())
        columns = {name: np.concatenate([self._open[name], events[name].to_numpy()]) for name in ("job", "index")}
        keys = _keys(columns["job"], columns["index"])
        order = _stable_order(keys)
        keys = keys[order]
        time, kind = (np.concatenate([self._open[n], events[n].to_numpy()])[order] for n in ("time", "kind"))
        ranked = _by_rank(keys, time, kind)
        if ranked is not None:
            order, time, kind = order[ranked], time[ranked], kind[ranked]
        pods = self._segments(keys, time, kind, order, events)
        for name in ("job", "index"):
            pods[name] = columns[name][order[pods["last"]]]
        # A task that has stopped may go on until RESTART_US have passed; then it is certain that it has ended.
        after = _AFTER[pods["kind"]]
        certain = np.where(after == _STOPPED, pods["time"] + RESTART_US, pods["time"])
        done = (after >= _STOPPED) & (certain <= now)
        chosen = np.flatnonzero(done)
        ended = self._pods(pods, chosen[np.argsort(certain[chosen], kind="stable")])
        self._open = {name: pods[name][~done] for name in self._open}
        return ended

    def end(self) -> pl.DataFrame:
        """Return the pods that are left at the end of the events: those that stopped, then those that never end."""
        rows, after = self._open, _AFTER[self._open["kind"]]
        stopped, alive = np.flatnonzero(after == _STOPPED), np.flatnonzero(after < _STOPPED)
        stopped = stopped[np.argsort(rows["time"][stopped], kind="stable")]
        alive = alive[np.argsort(_arrivals(rows)[alive], kind="stable")]
        return self._pods(rows, np.concatenate([stopped, alive]))

    def _segments(
        self, keys: Numbers, time: Numbers, kind: Numbers, order: Numbers, events: pl.DataFrame
    ) -> dict[str, Numbers]:
        """Return a row for each pod that the rows of ``keys`` (sorted, each in the order of its events) tell of.

        ``order`` says where a row stands among the open tasks and the events behind them.
        """
        height, opened = len(keys), len(self._open["job"])
        place, after = np.arange(height), _AFTER[kind]
        begins = np.ones(height, bool)
        begins[1:] = keys[1:] != keys[:-1]
        gone_on = time[1:] - time[:-1] <= RESTART_US
        begins[1:] |= (after[:-1] == _ENDED) | ((after[:-1] == _STOPPED) & ~gone_on)
        firsts = np.flatnonzero(begins)
        lasts = np.append(firsts[1:], height) - 1
        sizes = lasts + 1 - firsts
        runs = after == _RUNNING
        known = {
            "ran": runs.astype(np.int64),
            "first": np.where(after <= _RUNNING, time, _NEVER),
            "enabled": np.where(kind == ENABLE, time, _NEVER),
            "start": np.where(runs, time, _NEVER),
            "count": np.ones(height, np.int64),
        }
        held = np.flatnonzero(order < opened)
        for name, column in known.items():
            column[held] = self._open[name][order[held]]
        run = np.maximum.reduceat(np.where(self._restarts(kind, after, begins), place, -1), firsts)
        first_run = np.minimum.reduceat(np.where(known["ran"] > 0, place, height), firsts)
        until_run = place <= np.repeat(first_run, sizes)
        known["enabled"][~until_run] = _NEVER
        known["start"][place < np.repeat(run, sizes)] = _NEVER
        pods = {"last": lasts, "time": time[lasts], "kind": kind[lasts]}
        pods |= {name: _KNOWN[name].reduceat(column, firsts) for name, column in known.items()}
        flag = np.concatenate([self._open["flag"], events["flag"].fill_null(False).to_numpy()])[order]
        pods["flag"] = np.logical_or.reduceat(flag, firsts)
        for name in self._fields:
            values = np.concatenate([self._open[name], events[name].fill_null(np.nan).to_numpy()])
            pods[name] = _stated(values[order], until_run, firsts)
        return pods

    def _restarts(self, kind: Numbers, after: Numbers, begins: Numbers) -> Numbers:
        """Return where a run begins anew: after an eviction, or where a running task is submitted again; count them."""
        before, on = kind[:-1], ~begins[1:] & (after[1:] <= _RUNNING)
        evicted = on & (before == EVICT)
        unrecorded = on & (after[:-1] == _RUNNING) & (kind[1:] == SUBMIT)
        self.counts.evictions += int(np.count_nonzero(evicted))
        self.counts.failures += int(np.count_nonzero(on & (before == FAIL)))
        self.counts.unrecorded += int(np.count_nonzero(unrecorded))
        return np.append(False, evicted | unrecorded)

    def _pods(self, rows: dict[str, Numbers], chosen: Numbers) -> pl.DataFrame:
        """Return the rows ``chosen`` as pods; those that are ends alone are counted and left out."""
        began = rows["first"][chosen] != _NEVER
        self.counts.strays += int(rows["count"][chosen[~began]].sum())
        there = {name: rows[name][chosen[began]] for name in self._open}
        ended, ran = _AFTER[there["kind"]] >= _STOPPED, there["start"] != _NEVER
        self.counts.never_ran += int(np.count_nonzero(ended & ~ran))
        self.counts.endless += int(np.count_nonzero(~ended))
        frame = pl.DataFrame({"job": there["job"], "index": there["index"], "arrival": _arrivals(there)})
        frame = frame.with_columns(
            pl.when(pl.Series(ran)).then(pl.Series(there["start"])).alias("start"),
            pl.when(pl.Series(ended)).then(pl.Series(there["time"])).alias("end"),
            pl.Series("flag", there["flag"]),
        )
        return frame.with_columns(pl.Series(name, there[name]).fill_nan(None) for name in self._fields)


def _arrivals(rows: dict[str, Numbers]) -> Numbers:
    """Return when tasks became eligible, where that is said, or else their first event."""
    return np.where(rows["enabled"] != _NEVER, rows["enabled"], rows["first"])


def _keys(job: Numbers, index: Numbers) -> Numbers:
    """Return numbers that are alike for events of one task, in the order of ``job`` and ``index`` (none negative)."""
    bits = int(index.max()).bit_length()
    if int(job.max()).bit_length() + bits < 64:
        return job << bits | index
    pairs = pl.struct(pl.Series("job", job), pl.Series("index", index), eager=True)
    return pairs.rank("dense").cast(pl.Int64).to_numpy()


def _stable_order(keys: Numbers) -> Numbers:
    """Return what ``np.argsort(keys, kind="stable")`` returns, three times as fast: vectors sort, but not stably."""
    order = np.argsort(keys)
    ascending = keys[order]
    segment = np.zeros(len(keys), np.int64)
    np.cumsum(ascending[1:] != ascending[:-1], out=segment[1:])
    bits = len(keys).bit_length()
    places = segment << bits | order
    places.sort()
    return places & ((1 << bits) - 1)


def _stated(values: Numbers, until_run: Numbers, firsts: Numbers) -> Numbers:
    """Return the last value of each segment that is stated until the first run, or else the first one after it."""
    stated = ~np.isnan(values)
    if not stated.any():
        return values[firsts]
    place = np.arange(len(values))
    last = np.maximum.reduceat(np.where(stated & until_run, place, -1), firsts)
    if (last < 0).any():
        later = np.minimum.reduceat(np.where(stated, place, len(values)), firsts)
        last = np.where((last < 0) & (later < len(values)), later, last)
    return np.where(last < 0, np.nan, values[last])


def _by_rank(keys: Numbers, time: Numbers, kind: Numbers) -> Numbers | None:
    """Return the order of rows (sorted by key and time) in which events of one task at one time follow from each other.

    None where that is the order they have. Traces do not say it: a task that was there ends before it is submitted
    again; one that was not ends last.
    """
    height = len(keys)
    instant = np.ones(height, bool)
    instant[1:] = (keys[1:] != keys[:-1]) | (time[1:] != time[:-1])
    firsts = np.flatnonzero(instant)
    if len(firsts) == height:
        return None
    rank = _RANK[kind]
    sizes = np.diff(np.append(firsts, height))
    ends = _AFTER[kind] >= _STOPPED
    with_end = np.logical_or.reduceat(ends, firsts)
    with_begin = np.logical_or.reduceat(~ends, firsts)
    open_ended = with_end & with_begin & np.logical_or.reduceat(kind == SUBMIT, firsts)
    if open_ended.any():
        # Whether the task was there before: what the last instant says that leaves no choice; at its first it was not.
        number = np.arange(len(firsts))
        told = np.append(-1, np.maximum.accumulate(np.where(open_ended, -1, number))[:-1])
        new = keys[firsts] != np.append(-1, keys[firsts][:-1])
        start = np.maximum.accumulate(np.where(new, number, 0))
        there = (told >= start) & (with_begin & ~with_end)[np.maximum(told, 0)]
        rank = np.where(np.repeat(open_ended & there, sizes) & ends, rank - len(_RANK), rank)
    if (instant[1:] | (rank[1:] >= rank[:-1])).all():
        return None
    tied = np.flatnonzero(np.repeat(sizes > 1, sizes))
    number = np.repeat(np.arange(len(firsts)), sizes)[tied]
    order = np.arange(height)
    order[tied] = tied[np.lexsort((rank[tied], number))]
    return order
