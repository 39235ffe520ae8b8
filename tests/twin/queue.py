"""The twin of the scheduling queue: pods that arrive and end in virtual time.

Phases of an instant: ends, arrivals, timers, then tries until the queue is empty. A try takes no time. The victims of
a pod are gone by the time its try is over; with kubelets, they are gone when these say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.twin.cycle import Cycle
from tests.twin.filters import SchedulingGates
from tests.twin.hints import Event, concerns, may_help
from tests.twin.objects import PENDING_START, NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, Rejected
from tests.twin.preemption import Candidate, preempt
from tests.twin.schedule import Twin

SECOND = 1_000_000
BACKOFF_FIRST = SECOND
BACKOFF_MOST = 10 * SECOND
LEFTOVER_AGE = 300 * SECOND
LEFTOVER_PERIOD = 30 * SECOND
FOR_EVER = 1 << 62


@dataclass(eq=False)
class Entry:
    """A pod that waits."""

    index: int
    pod: Pod
    sequence: int = 0  # order of entering the queue
    failures: int = 0  # tries that found no node
    errors: int = 0  # tries that broke off
    failed_us: int = 0
    backoff_us: int = 0  # end of the back-off, in whole seconds
    rejectors: set[str] = field(default_factory=set)


class Queue:
    """Pods to try now, pods that back off after a failure or an error, and pods that rest until something helps."""

    def __init__(self) -> None:
        self.active: list[Entry] = []
        self.backoff: list[Entry] = []
        self.broken: list[Entry] = []
        self.resting: list[Entry] = []
        self.sequence = 0

    def arrive(self, entry: Entry) -> None:
        """A new pod."""
        self._number(entry)
        self.active.append(entry)

    def pop(self) -> Entry | None:
        """The next pod to try; one that backs off after a failure only if no other is there."""
        if self.active:
            entry = min(self.active, key=lambda e: (-e.pod.priority, e.sequence))
            self.active.remove(entry)
        elif self.backoff:
            entry = min(self.backoff, key=lambda e: (e.backoff_us, -e.pod.priority, e.sequence))
            self.backoff.remove(entry)
        else:
            return None
        return entry

    def fail(self, entry: Entry, now: int, *, helped: bool) -> None:
        """A try found no node; ``helped`` says that something that may help happened during the try."""
        entry.failures += 1
        entry.errors = 0
        self._back_off(entry, now, entry.failures)
        self.resting.append(entry)
        if helped:
            self.wake([entry], now)

    def break_off(self, entry: Entry, now: int) -> None:
        """A try ended in an error."""
        entry.errors += 1
        self._back_off(entry, now, entry.errors)
        self.broken.append(entry)

    def wake(self, entries: Sequence[Entry], now: int) -> None:
        """Pods at rest are to be tried again."""
        for entry in entries:
            self.resting.remove(entry)
            (self.backoff if self._backs_off(entry, now) else self.active).append(entry)

    def run_timers(self, now: int) -> None:
        """Wake those who rest too long at multiples of 30 s, end back-offs at whole seconds."""
        if now % LEFTOVER_PERIOD == 0:
            self.wake([e for e in self.resting if now - e.failed_us > LEFTOVER_AGE], now)
        if now % SECOND == 0:
            for waiting in (self.backoff, self.broken):
                for entry in [e for e in waiting if not self._backs_off(e, now)]:
                    waiting.remove(entry)
                    self.active.append(entry)

    def timers(self, now: int) -> list[int]:
        """When the timers have something to do next."""
        times = [(now // SECOND + 1) * SECOND] if self.backoff or self.broken else []
        for entry in self.resting:
            times.append(((entry.failed_us + LEFTOVER_AGE) // LEFTOVER_PERIOD + 1) * LEFTOVER_PERIOD)
        return times

    def _number(self, entry: Entry) -> None:
        entry.sequence = self.sequence
        self.sequence += 1

    def _back_off(self, entry: Entry, now: int, times: int) -> None:
        self._number(entry)
        entry.failed_us = now
        entry.backoff_us = (now + min(BACKOFF_FIRST * 2 ** (times - 1), BACKOFF_MOST)) // SECOND * SECOND

    def _backs_off(self, entry: Entry, now: int) -> bool:
        return entry.backoff_us >= now // SECOND * SECOND


@dataclass
class Outcome:
    """What became of a pod; ``victims`` are the pods driven out for it."""

    status: str = "waiting"
    node: str | None = None
    bound_us: int | None = None
    attempts: int = 0
    victims: list[str] = field(default_factory=list)


class Timed:
    """A scenario and pods that come in time.

    Args:
        scenario: as for ``Twin``; its pending pods are left out.
        arrivals: time in microseconds, the pod, and how long it runs (None: it does not end). Time 0 is in June 2026,
            after the start of all pods that are there.
        gone: with kubelets, when each victim is gone, by namespace/name; one that is not named is terminating to the
            end. None: victims are gone at once.
        until: the end of the run.
    """

    def __init__(
        self,
        scenario: Mapping[str, Any],
        arrivals: Sequence[tuple[int, Mapping[str, Any], int | None]],
        *,
        gone: Mapping[str, int] | None = None,
        until: int = FOR_EVER,
    ) -> None:
        self.gone, self.until = gone, until
        #: Victims that are terminating, by key, with their nodes; and when they were asked to go.
        self.going: dict[str, tuple[Pod, NodeState]] = {}
        self.asked: dict[str, int] = {}
        self.twin = Twin({**scenario, "pending": []}, masks=False)
        self.entries = [
            Entry(index, Pod(written, PENDING_START, self.twin.cluster.classes))
            for index, (_, written, _) in enumerate(arrivals)
        ]
        self.durations = [duration for _, _, duration in arrivals]
        self.outcomes = [Outcome() for _ in arrivals]
        self.arrivals = sorted((time, index) for index, (time, _, _) in enumerate(arrivals))
        self.ends: list[tuple[int, int]] = []  # time, pod
        self.indices = {entry.pod.key: entry.index for entry in self.entries}
        self.queue = Queue()
        self.now = 0

    def run(self) -> list[Outcome]:
        """Play it to the end: until nothing arrives or ends any more. Timers alone do not keep it going."""
        while self.arrivals or self.ends or self.going:
            times = [time for time, _ in self.arrivals + self.ends] + self.queue.timers(self.now) + self.leaving()
            if max(self.now, min(times)) > self.until:
                break
            self.now = max(self.now, min(times))
            self.end_pods()
            self.let_go()
            self.admit_pods()
            self.queue.run_timers(self.now)
            while (entry := self.queue.pop()) is not None:
                self.attempt(entry)
        return self.outcomes

    def end_pods(self) -> None:
        """Pods end and leave their nodes."""
        for end in sorted(end for end in self.ends if end[0] <= self.now):
            self.ends.remove(end)
            pod = self.entries[end[1]].pod
            self.twin.cluster.by_name[pod.bound_to].remove(pod)
            self.outcomes[end[1]].status = "succeeded"
            self.tell(Event(pod, added=False))

    def leaving(self) -> list[int]:
        """When the terminating victims are gone."""
        assert self.gone is not None or not self.going
        return [self.gone.get(key, FOR_EVER) for key in self.going] if self.gone else [FOR_EVER] * len(self.going)

    def let_go(self) -> None:
        """Victims whose containers have stopped leave their nodes."""
        for key, time in list(zip(self.going, self.leaving(), strict=True)):
            if time <= self.now:
                pod, node = self.going.pop(key)
                node.remove(pod)
                self.mark_evicted(key)
                self.tell(Event(pod, added=False))

    def mark_evicted(self, key: str) -> None:
        """Note that a pod was driven out, if it came in time."""
        index = self.indices.get(key)
        if index is not None:
            self.outcomes[index].status = "evicted"

    def awaits_victims(self, cycle: Cycle) -> bool:
        """PodEligibleToPreemptOthers: whether victims of an earlier try are terminating on the pod's nominated node."""
        _, node = self.twin.nominated.get(cycle.pod.key, (None, None))
        if node is None or cycle.rejected or cycle.statuses[node.index][1] == UNRESOLVABLE:
            return False
        return any(on is node and pod.priority < cycle.pod.priority for pod, on in self.going.values())

    def admit_pods(self) -> None:
        """Pods arrive; gated ones and those for another scheduler wait outside."""
        while self.arrivals and self.arrivals[0][0] <= self.now:
            _, index = self.arrivals.pop(0)
            entry = self.entries[index]
            profile = self.twin.profiles.get(entry.pod.scheduler)
            if profile is None:
                self.outcomes[index].status = "no_profile"
            elif "SchedulingGates" in profile.points["preEnqueue"] and SchedulingGates.admit(entry.pod) is not None:
                self.outcomes[index].status = "gated"
            else:
                self.queue.arrive(entry)

    def tell(self, event: Event) -> None:
        """Wake the pods at rest that an event may help."""
        cluster = self.twin.cluster
        asked = [e for e in self.queue.resting if not event.added or concerns(cluster, event.pod, e.pod, e.rejectors)]
        self.queue.wake([entry for entry in asked if self.helps(event, entry)], self.now)

    def helps(self, event: Event, entry: Entry) -> bool:
        """Whether one of the plug-ins that turned the pod away thinks that the event may help it."""
        plugins = self.twin.plugins[entry.pod.scheduler]
        return any(may_help(plugins[name], event, entry.pod) for name in entry.rejectors)

    def attempt(self, entry: Entry) -> None:
        """Try a pod: bind it, drive out others for it, or let it rest."""
        outcome = self.outcomes[entry.index]
        outcome.attempts += 1
        profile = self.twin.profiles[entry.pod.scheduler]
        cycle = Cycle(self.twin, profile, entry.pod)
        try:
            cycle.find()
        except Rejected:
            self.queue.break_off(entry, self.now)
            return
        if cycle.chosen is not None:
            self.bind(entry, cycle, cycle.chosen)
            return
        entry.rejectors = cycle.rejectors()
        events: list[Event] = []
        cleared = False
        if "DefaultPreemption" in profile.points["postFilter"] and not self.awaits_victims(cycle):
            described, candidate = preempt(cycle)
            if candidate is not None:
                cleared = self.gone is None
                outcome.victims += [victim.key for victim in candidate.victims if victim.key not in self.going]
                events = self.clear(candidate, entry.pod)
            elif described["eligible"]:
                self.twin.nominated.pop(entry.pod.key, None)
        for event in events:
            self.tell(event)
        self.queue.fail(entry, self.now, helped=cleared or any(self.helps(event, entry) for event in events))

    def bind(self, entry: Entry, cycle: Cycle, node: NodeState) -> None:
        """A pod gets its node and starts."""
        pod, outcome = entry.pod, self.outcomes[entry.index]
        self.twin.nominated.pop(pod.key, None)
        cycle.bind(node)
        pod.bound_to = node.name
        pod.start = PENDING_START + self.now / SECOND
        outcome.status, outcome.node, outcome.bound_us = "running", node.name, self.now
        duration = self.durations[entry.index]
        if duration is not None:
            self.ends.append((self.now + duration, entry.index))
        self.tell(Event(pod, added=True))

    def clear(self, candidate: Candidate, pod: Pod) -> list[Event]:
        """Drive out the victims and keep the node for the pod; less important pods lose it."""
        for victim in candidate.victims:
            self.ends = [end for end in self.ends if end[1] != self.indices.get(victim.key)]
            if self.gone is None:
                candidate.node.remove(victim)
                self.mark_evicted(victim.key)
            elif victim.key not in self.going:
                self.going[victim.key], self.asked[victim.key] = (victim, candidate.node), self.now
        for key, (other, node) in list(self.twin.nominated.items()):
            if node is candidate.node and other.priority < pod.priority:
                del self.twin.nominated[key]
        self.twin.nominated[pod.key] = pod, candidate.node
        return [Event(victim, added=False) for victim in candidate.victims] if self.gone is None else []
