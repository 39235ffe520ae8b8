"""What components ask of the API server: who, which objects, what; and when it takes effect.

A controller's pass says what it asks for in ``Requests``: batches of rows, each row one call, each of some key (the
object that is being reconciled). The runner (kscale.engine.reconcile) gives each call the time at which its client's
limit lets it pass. ``Writer`` carries calls out: pods through compiled code (the table ``request``), objects here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
SECOND = 1_000_000
#: Verbs.
CREATE_PODS, DELETE_PODS, ORPHAN_PODS, CREATE_OBJECTS, DELETE_OBJECTS, UPDATE, EVICT_PODS, TRACK_PODS = range(8)
#: Begins the names of columns that a write depends on.
GIVEN = "given "


@dataclass
class Request:
    """Calls of one verb.

    Attributes:
        verb: see above.
        key: int64 (call,), place of each call's key among the keys of the pass.
        columns: by name, values of each call; what they are depends on the verb.
        kind: of the objects that are created, or whose table is written.
        cost: calls of the client that each is charged for; 0 for what is a part of another call.
        members: columns of members of objects (kscale.engine.members); the columns ``members_first`` and
            ``members_count`` say which of these rows are whose.
        turn: int64 (call,); requests with turns that follow each other mix: of a key, calls of a lower turn come first.
            None takes its calls after those that were asked before.
    """

    verb: int
    key: Rows
    columns: dict[str, Rows]
    kind: str = ""
    cost: int = 1
    members: Mapping[str, Rows] = field(default_factory=dict)
    turn: Rows | None = None

    def __len__(self) -> int:
        return len(self.key)

    def some(self, which: Rows) -> Request:
        """Return the calls of a mask or of places."""
        return Request(
            self.verb, self.key[which], {name: values[which] for name, values in self.columns.items()}, self.kind,
            self.cost, self.members, None if self.turn is None else self.turn[which],
        )  # fmt: skip


@dataclass
class Requests:
    """What a pass asks for, in the order in which each key's calls follow each other.

    Attributes:
        asked: the calls.
        later: (places of keys, times): keys that are to be looked at again then.
        failed: places of keys whose pass ended in an error: they come again after their back-off.
        settled: places of keys that did well: their back-off is forgotten. All that have not failed, where None.
    """

    asked: list[Request] = field(default_factory=list)
    later: list[tuple[Rows, Rows]] = field(default_factory=list)
    failed: list[Rows] = field(default_factory=list)

    def create_pods(
        self, key: Rows, owner: Rows, template: Rows, number: Rows | None = None, pin: Rows | None = None,
        revision: Rows | None = None, turn: Rows | None = None,
    ) -> None:  # fmt: skip
        """Ask for a pod per row: its owner (object row), template, ordinal or index, and the only node it may go to.

        ``revision`` is that of its owner; ``turn``: see ``Request``.
        """
        none = np.full(len(key), -1, np.int64)
        columns = {
            "owner": owner, "template": template, "number": none if number is None else number,
            "pin": none if pin is None else pin, "revision": none if revision is None else revision,
        }  # fmt: skip
        self._add(Request(CREATE_PODS, key, columns, turn=turn))

    def delete_pods(self, key: Rows, pod: Rows, serial: Rows, grace_us: Rows | None = None, *, cost: int = 1) -> None:
        """Ask for the deletion of pods (row and place in the order of arrival); -1 is the pod's own grace."""
        grace = np.full(len(key), -1, np.int64) if grace_us is None else grace_us
        self._add(Request(DELETE_PODS, key, {"pod": pod, "serial": serial, "grace_us": grace}, cost=cost))

    def evict_pods(self, key: Rows, pod: Rows, serial: Rows) -> None:
        """Ask for the eviction of pods (row and place in the order of arrival), with their own grace.

        The API server may refuse, when the call is carried out: the key has failed then, and comes again.
        """
        self._add(Request(EVICT_PODS, key, {"pod": pod, "serial": serial, "grace_us": np.full(len(key), -1, np.int64)}))

    def orphan_pods(self, key: Rows, pod: Rows, serial: Rows, *, cost: int = 1) -> None:
        """Ask for the owners of pods (row and place in the order of arrival) to be taken away."""
        self._add(Request(ORPHAN_PODS, key, {"pod": pod, "serial": serial}, cost=cost))

    def track_pods(self, key: Rows, pod: Rows, serial: Rows, tracked: int, *, cost: int = 1) -> None:
        """Ask for pods (row and place in the order of arrival) to be tracked, or let go (kscale.engine.objects)."""
        values = np.full(len(key), tracked, np.int64)
        self._add(Request(TRACK_PODS, key, {"pod": pod, "serial": serial, "tracked": values}, cost=cost))

    def create_objects(
        self, key: Rows, kind: str, owner: Rows, columns: Mapping[str, Rows], members: Mapping[str, Rows] | None = None,
        *, beside: Rows | None = None, turn: Rows | None = None,
    ) -> None:  # fmt: skip
        """Ask for an object of ``kind`` per row; ``columns`` are those of its kind's table, without its name.

        ``beside``: the object in whose namespace each is; its owner's, where it is not given. ``members`` and ``turn``:
        see ``Request``.
        """
        where = {} if beside is None else {"beside": beside}
        self._add(
            Request(CREATE_OBJECTS, key, {"owner": owner, **where, **columns}, kind, members=members or {}, turn=turn)
        )

    def delete_objects(self, key: Rows, object_: Rows, uid: Rows, policy: Rows | None = None, *, cost: int = 1) -> None:
        """Ask for the deletion of objects; ``policy`` is the finalizer that it sets (kscale.engine.objects)."""
        policy = np.zeros(len(key), np.int64) if policy is None else policy
        self._add(Request(DELETE_OBJECTS, key, {"object": object_, "uid": uid, "policy": policy}, cost=cost))

    def update(
        self, key: Rows, kind: str, object_: Rows, columns: Mapping[str, Rows], *, spec: bool = False, cost: int = 1,
        given: Mapping[str, Rows] | None = None, members: Mapping[str, Rows] | None = None,
    ) -> None:  # fmt: skip
        """Ask for columns of objects' own tables, or of ``object`` (full names), to be written.

        ``spec``: it is the spec that is written, so that the generation rises. ``given``: columns that have to hold
        these values still when the call is carried out; it does nothing where they do not. ``members``: see
        ``Request``.
        """
        still = {GIVEN + name: values for name, values in (given or {}).items()}
        name = kind + (".spec" if spec else "")
        self._add(Request(UPDATE, key, {"object": object_, **columns, **still}, name, cost, members or {}))

    def update_parts(
        self, key: Rows, kind: str, object_: Rows, part: Rows, columns: Mapping[str, Rows]
    ) -> None:  # fmt: skip
        """Ask for columns of parts of objects (numbers from 0) to be written, within the call that was asked before."""
        self._add(Request(UPDATE, key, {"object": object_, "part": part, **columns}, kind, 0))

    def again(self, key: Rows, at_us: Rows) -> None:
        """Ask for keys to be looked at again at some time."""
        if len(key):
            self.later.append((key, at_us))

    def fail(self, key: Rows) -> None:
        """Say that the pass of these keys ended in an error."""
        if len(key):
            self.failed.append(key)

    def _add(self, request: Request) -> None:
        if len(request):
            self.asked.append(request)


class Client:
    """A client's token bucket: ``qps`` tokens a second, at most ``burst``; 0 qps has no limit.

    client-go's flowcontrol: a call that finds no token waits for its own, first come, first served.
    """

    def __init__(self, qps: float, burst: int) -> None:
        self.qps, self.burst = qps, burst
        self._interval_us = SECOND / qps if qps > 0 else 0.0
        #: When the bucket was, or will be, empty.
        self._empty_us = -burst * self._interval_us

    def free(self, now_us: int) -> int:
        """Return how many calls pass at once now."""
        if not self._interval_us:
            return 1 << 62
        return max(int((now_us - max(self._empty_us, self._full(now_us))) / self._interval_us + 1e-9), 0)

    def take(self, calls: int, now_us: int) -> Rows:
        """Return when each of ``calls`` further calls passes, int64 (call,)."""
        if not self._interval_us or not calls:
            return np.full(calls, now_us, np.int64)
        empty = max(self._empty_us, self._full(now_us))
        at = empty + self._interval_us * np.arange(1, calls + 1)
        self._empty_us = float(at[-1])
        return np.maximum(np.ceil(at - 1e-6).astype(np.int64), now_us)

    def _full(self, now_us: int) -> float:
        """Return when a bucket would have been empty that is full now."""
        return now_us - self.burst * self._interval_us
