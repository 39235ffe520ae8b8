"""Controllers in virtual time: work queues, workers, client limits and back-off, as client-go has them.

A controller is a leaf that compares what is with what was asked, for all keys of a batch at once. Its queue holds each
key once; a key that is being worked on is not taken by a second worker, and comes again when it changed meanwhile. A
call takes no time but what its client's limit makes it wait (the API server's own cost is not modelled here): a key
whose calls have to wait keeps its worker until the last has passed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine import creating
from kscale.engine.clock import NEVER
from kscale.engine.kinds import GONE, THERE
from kscale.engine.pods import REMOVED
from kscale.engine.requests import SECOND, UPDATE, Client, Request, Requests
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: Keys that are looked at beside those whose calls can pass: most keys ask for nothing.
_MORE_KEYS = 256


@dataclass(frozen=True)
class Controller:
    """One controller.

    Attributes:
        name: as kube-controller-manager calls it.
        kind: of its keys; empty for any.
        step: says what the keys (object rows) need now.
        keys: which of its keys the changed objects and changed pods concern; without it, the objects of its kind.
        workers: keys that it works on at a time.
        qps, burst: of its client.
        base_us, cap_us: first and longest back-off of a key that failed, which doubles each time.
        period_us: how long after a pass a key comes again by itself; 0 does not.
        batch_us: how long changes of a key are gathered before it is looked at; 0 does not.
        prompt: which of changed keys (mask) are looked at without that.
        gone: whether keys that are gone are its business too, as long as something says to be of them.
    """

    name: str
    kind: str
    step: Callable[[World, Rows, int], Requests]
    keys: Callable[[World, Rows, Rows], Rows] | None = None
    workers: int = 5
    qps: float = 20.0
    burst: int = 30
    base_us: int = 5_000
    cap_us: int = 1_000 * SECOND
    period_us: int = 0
    batch_us: int = 0
    prompt: Callable[[World, Rows], Rows] | None = None
    gone: bool = False


@dataclass
class Reconciler:
    """A controller at work: its queue, and calls that wait for their time.

    ``limited`` False lets every call pass at once, and works on all keys at a time.
    """

    controller: Controller
    limited: bool = True
    stopped: bool = False
    calls: int = 0
    errors: int = 0
    waiting: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    _timers: list[tuple[int, int, Rows]] = field(default_factory=list)
    _calls: list[tuple[int, int, Request, Rows]] = field(default_factory=list)
    _sequence: int = 0

    def __post_init__(self) -> None:
        controller = self.controller
        self.client = Client(controller.qps if self.limited else 0, controller.burst)
        self._queued = np.zeros(0, bool)
        self._busy, self._fails = np.zeros(0, np.int64), np.zeros(0, np.int64)
        #: When each key is looked at that gathers changes, and when the last timer of each is due.
        self._gathers_until, self._reminded = np.zeros(0, np.int64), np.zeros(0, np.int64)
        #: When the back-off of each key is over that failed last.
        self._held_until = np.zeros(0, np.int64)
        self._workers_busy = 0

    def add(self, keys: Rows) -> None:
        """Put keys into the queue that are not in it."""
        if not len(keys) or self.stopped:
            return
        self._fit(int(keys.max()) + 1)
        fresh = np.unique(keys[~self._queued[keys]])
        self._queued[fresh] = True
        self.waiting = np.concatenate([self.waiting, fresh])

    def gather(self, world: World, keys: Rows, now_us: int) -> None:
        """Put keys that changed into the queue, now or when their changes have been gathered for long enough."""
        controller = self.controller
        if not len(keys) or not controller.batch_us:
            self.add(keys)
            return
        prompt = controller.prompt(world, keys) if controller.prompt else np.zeros(len(keys), bool)
        self.add(keys[prompt])
        self._fit(int(keys.max()) + 1)
        later = keys[~prompt & (self._gathers_until[keys] <= now_us)]
        self._gathers_until[later] = now_us + controller.batch_us
        self._remind(later, self._gathers_until[later])

    def restart(self, world: World) -> None:
        """Begin anew, as after a crash: all that was under way is forgotten, all keys are looked at."""
        self.__post_init__()
        self.waiting, self._timers, self._calls, self.stopped = np.empty(0, np.int64), [], [], False
        self.add(world.all_of(self.controller.kind))

    def due_us(self) -> int:
        """Return when it has something to do next, beside what changes."""
        if self.stopped:
            return NEVER
        due = min(self._timers[0][0] if self._timers else NEVER, self._calls[0][0] if self._calls else NEVER)
        return due if not self._ready().any() or not self._free_workers() else -1

    def _fit(self, size: int) -> None:
        if size > len(self._queued):
            more = max(size, 2 * len(self._queued)) - len(self._queued)
            self._queued = np.concatenate([self._queued, np.zeros(more, bool)])
            self._busy = np.concatenate([self._busy, np.zeros(more, np.int64)])
            self._fails = np.concatenate([self._fails, np.zeros(more, np.int64)])
            self._gathers_until = np.concatenate([self._gathers_until, np.zeros(more, np.int64)])
            self._reminded = np.concatenate([self._reminded, np.zeros(more, np.int64)])
            self._held_until = np.concatenate([self._held_until, np.zeros(more, np.int64)])

    def _ready(self) -> Rows:
        return self._busy[self.waiting] == 0

    def _free_workers(self) -> int:
        return self.controller.workers - self._workers_busy if self.limited else 1 << 62

    def work(self, world: World, now_us: int) -> None:
        """Carry out calls whose time has come, and look at keys as long as there are workers for them."""
        if self.stopped:
            return
        while self._calls and self._calls[0][0] <= now_us:
            _, _, request, keys = heapq.heappop(self._calls)
            refused = world.apply(request, now_us)
            self._done(keys)
            self._back_off(np.unique(keys[refused]), now_us)
        while self._timers and self._timers[0][0] <= now_us:
            due = heapq.heappop(self._timers)[2]
            self._reminded[due] = 0
            self.add(due)
        while self._free_workers() > 0:
            ready = np.flatnonzero(self._ready())
            if not len(ready):
                return
            most = min(self.client.free(now_us), 1 << 40) + self._free_workers() + _MORE_KEYS
            taken = ready[:most]
            keys = self.waiting[taken]
            self.waiting = np.delete(self.waiting, taken)
            self._queued[keys] = False
            self._look(world, keys, now_us)

    def _look(self, world: World, keys: Rows, now_us: int) -> None:
        live = world.cluster.object_live[keys]
        there = keys[(live == THERE) | ((live == GONE) & self.controller.gone)]
        # The row of a key that is gone may be that of an object of another kind by now.
        there = world.of_kind(there, self.controller.kind)
        found = self.controller.step(world, there, now_us)
        found.asked = [creating.begun(world.cluster, request) for request in found.asked]
        if self.controller.period_us:
            found.again(np.arange(len(there)), np.full(len(there), now_us + self.controller.period_us))
        begun, refused = self._start(world, there, found, now_us)
        for places, times in found.later:
            kept = begun[places]
            self._come_again(there[places[kept]], times[kept])
        failed = np.zeros(len(there), bool)
        for places in found.failed:
            failed[places] = True
        failed[refused] = True
        failed &= begun
        self._back_off(there[failed], now_us)
        # One whose calls still wait may be refused yet.
        self._fails[there[begun & ~failed & (self._busy[there] == 0)]] = 0

    def _start(self, world: World, keys: Rows, found: Requests, now_us: int) -> tuple[Rows, Rows]:
        """Let the calls pass or wait, in the order of their keys.

        Returns which keys were begun at all, and the places of those of which a call was refused at once. Where more
        keys would have to wait than there are workers, the last of these are put back.
        """
        begun = np.ones(len(keys), bool)
        if not self.limited:
            refused = [np.empty(0, np.int64)]
            for request in found.asked:
                self.calls += len(request) * request.cost
                refused.append(request.key[world.apply(request, now_us)])
            return begun, np.concatenate(refused)
        costs = np.zeros(len(keys), np.int64)
        for request in found.asked:
            np.add.at(costs, request.key, request.cost)
        waits = np.cumsum(costs) > self.client.free(now_us)
        slow = np.flatnonzero(waits & (costs > 0))
        workers = self._free_workers()
        if len(slow) > workers:
            begun[slow[workers] :] = False
            self._put_back(keys[~begun])
        asked = [request.some(begun[request.key]) for request in found.asked]
        return begun, self._pass(world, keys, asked, now_us)

    def _put_back(self, keys: Rows) -> None:
        fresh = keys[~self._queued[keys]]
        self._queued[fresh] = True
        self.waiting = np.concatenate([fresh, self.waiting])

    def _pass(self, world: World, keys: Rows, asked: list[Request], now_us: int) -> Rows:
        """Let calls pass, or wait for their time; return the keys (places) of those that were refused at once."""
        key = np.concatenate([np.empty(0, np.int64), *(request.key for request in asked)])
        cost = np.concatenate([np.empty(0, np.int64), *(np.full(len(r), r.cost) for r in asked)])
        order = np.lexsort((*_turns(asked), key))
        passes = np.empty(len(key), np.int64)
        total = int(cost.sum())
        self.calls += total
        times = np.concatenate([[now_us], self.client.take(total, now_us)])
        passes[order] = times[np.cumsum(cost[order])]
        first = 0
        refused = [np.empty(0, np.int64)]
        for request in asked:
            at = passes[first : first + len(request)]
            first += len(request)
            at_once = at <= now_us
            if at_once.any():
                part = request.some(at_once)
                refused.append(part.key[world.apply(part, now_us)])
            for time in np.unique(at[~at_once]).tolist():
                part = request.some(at == time)
                if part.verb == UPDATE:
                    part.columns["uid"] = world.cluster.object_uid[part.columns["object"]]
                self._defer(time, part, keys[part.key])
        return np.concatenate(refused)

    def _defer(self, time: int, request: Request, keys: Rows) -> None:
        self._sequence += 1
        heapq.heappush(self._calls, (time, self._sequence, request, keys))
        self._workers_busy += int((self._busy[np.unique(keys)] == 0).sum())
        np.add.at(self._busy, keys, 1)

    def _done(self, keys: Rows) -> None:
        np.subtract.at(self._busy, keys, 1)
        self._workers_busy -= int((self._busy[np.unique(keys)] == 0).sum())

    def _come_again(self, keys: Rows, times: Rows) -> None:
        """Look at keys again at these times; a key that asks for the same time with each look has one timer."""
        fresh = self._reminded[keys] != times
        keys, times = keys[fresh], times[fresh]
        self._reminded[keys] = times
        self._remind(keys, times)

    def _remind(self, keys: Rows, times: Rows) -> None:
        for time in np.unique(times).tolist():
            self._sequence += 1
            heapq.heappush(self._timers, (time, self._sequence, keys[times == time]))

    def _back_off(self, keys: Rows, now_us: int) -> None:
        if not len(keys):
            return
        controller = self.controller
        self.errors += len(keys)
        wait = controller.base_us * np.exp2(np.minimum(self._fails[keys], 60))
        self._fails[keys] += 1
        at = now_us + np.minimum(wait, controller.cap_us).astype(np.int64)
        # client-go's delaying queue holds a key once: one that is to come sooner already has no second timer.
        fresh = (self._held_until[keys] <= now_us) | (self._held_until[keys] > at)
        self._held_until[keys[fresh]] = at[fresh]
        self._remind(keys[fresh], at[fresh])


def _turns(asked: list[Request]) -> tuple[Rows, Rows]:
    """Return the turn of each call, and before that in rank, how many requests without a common turn came before."""
    turns, stages = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    stage, mixes = 0, False
    for request in asked:
        stage += not (mixes and request.turn is not None)
        mixes = request.turn is not None
        turns.append(np.zeros(len(request), np.int64) if request.turn is None else request.turn)
        stages.append(np.full(len(request), stage))
    return np.concatenate(turns), np.concatenate(stages)


class Manager:
    """All controllers of a run, which look at what changed together."""

    def __init__(self, world: World, controllers: list[Controller], *, limited: bool = True) -> None:
        self.world = world
        self.reconcilers = {one.name: Reconciler(one, limited) for one in sorted(controllers, key=lambda c: c.name)}

    def due_us(self) -> int:
        """Return when some controller has something to do next, beside what changes; -1 is at once."""
        return min((one.due_us() for one in self.reconcilers.values()), default=NEVER)

    def look(self, now_us: int) -> Rows:
        """Let every controller look at what changed, and do what is due; set when they look next.

        Return the objects that had changed before.
        """
        world, cluster = self.world, self.world.cluster
        cluster.cluster_control_us[0] = NEVER
        objects = cluster.object_log[: cluster.cluster_objects_changed[0]].copy()
        pods = cluster.life_log[: cluster.cluster_pods_changed[0]].copy()
        cluster.object_changed[objects], cluster.cluster_objects_changed[0] = 0, 0
        cluster.life_changed[pods], cluster.cluster_pods_changed[0] = 0, 0
        world.selected.note(pods)
        for one in self.reconcilers.values():
            if not one.stopped:
                one.gather(world, self._keys(one.controller, objects, pods), now_us)
        for one in self.reconcilers.values():
            one.work(world, now_us)
        self._free_pods(pods)
        world.release(objects)
        due = self.due_us()
        if due < NEVER:
            cluster.cluster_control_us[0] = min(int(cluster.cluster_control_us[0]), max(due, now_us + 1))
        return objects

    def _keys(self, controller: Controller, objects: Rows, pods: Rows) -> Rows:
        if controller.keys is None:
            return self.world.of_kind(objects, controller.kind)
        return controller.keys(self.world, objects, pods)

    def _free_pods(self, pods: Rows) -> None:
        """Use the rows of pods again that were deleted, now that controllers have seen it."""
        cluster = self.world.cluster
        gone = pods[cluster.pod_state[pods] == REMOVED]
        free = int(cluster.queue_size[3])
        cluster.pod_state[gone] = 0
        cluster.queue_free[free : free + len(gone)] = gone[::-1]
        cluster.queue_size[3] = free + len(gone)
