"""A node's kubelet, written from Kubernetes' rules: time goes on by tenths of a second, each probe is run.

Nothing is known in advance here: containers exit when their time is up, the runtime is looked at each period, probes
tick, pulls stand in a queue, and the pod's phase is made from the statuses of its containers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kscale.state.lives import ALWAYS_RESTART, INIT, NEVER_RESTART, REGULAR, SIDECAR, ContainerLife, PodLife, Probe

STEP = 100_000
PENDING, RUNNING, SUCCEEDED, FAILED = range(4)


@dataclass
class Results:
    """Results of a probe in a row, as a worker of pkg/kubelet/prober keeps them."""

    probe: Probe
    result: str
    last: bool | None = None
    run: int = 0

    def add(self, good: bool) -> None:
        self.run = self.run + 1 if self.last == good else 1
        self.last = good
        if self.run >= (self.probe.success if good else self.probe.failure):
            self.result = "Success" if good else "Failure"


@dataclass
class Container:
    """A container of a pod, as the runtime has it and as its kubelet sees it."""

    life: ContainerLife
    state: str = "none"  # none, pulling, held, running, exited, waiting (for its back-off), done
    start: int = -1
    seen: bool = False
    started: bool = False
    ended: int = -1
    code: int = 0
    restarts: int = 0
    backoff: int = 0
    backoff_at: int = 0
    until: int = -1
    pulls: int = 0
    fails: bool = False  # whether its pull does
    killed: int = -1  # when it was asked to stop by a probe
    results: dict[str, Results] = field(default_factory=dict)
    probed: dict[str, int] = field(default_factory=dict)
    coming: list[tuple[int, str, bool]] = field(default_factory=list)

    def healthy(self, now: int) -> bool:
        life = self.life
        return self.start + life.ready_us <= now and not self.hangs(now)

    def hangs(self, now: int) -> bool:
        return self.life.hang_us >= 0 and now >= self.start + self.life.hang_us

    def ready(self) -> bool:
        if self.state not in ("running", "exited") or not self.seen:
            return False
        return self.results["readiness"].result == "Success" if self.life.readiness else self.started


@dataclass
class Pod:
    life: PodLife
    bound: int
    deleted: int = -1
    containers: list[Container] = field(default_factory=list)
    next: int = 0
    begins: int = -1
    worker: int = -1
    told: tuple[int, int] = (PENDING, 0)
    addressed: bool = False
    over: int = -1
    gone: bool = False
    stops: list[int] = field(default_factory=list)


class Node:
    """A node with its kubelet; ``log`` has (time, pod, what) whenever a status is told."""

    def __init__(self, *, relist_us: int, phase_us: int, pull_us: int, rate: int, unpack: int, sizes: dict[str, int],
                 start_us: int, sandbox_us: int, mount_us: int, stop_us: int) -> None:  # fmt: skip
        self.relist, self.phase, self.pull, self.rates, self.sizes = relist_us, phase_us, pull_us, (rate, unpack), sizes
        self.start, self.sandbox, self.mount, self.stop = start_us, sandbox_us, mount_us, stop_us
        self.pods: list[Pod] = []
        self.there: set[str] = set()
        self.asked: set[str] = set()
        #: Pulls whose pods are being deleted: when they are done, and their images.
        self.left: list[tuple[int, str]] = []
        #: Whether the registry fails, and the factor by which it is slower.
        self.failing, self.slower = False, 1
        self.free = 0
        self.now = 0
        self.log: list[tuple[int, int, tuple[int, int] | str]] = []
        #: When the address of each pod was told.
        self.addressed: dict[int, int] = {}

    def bind(self, life: PodLife) -> None:
        self.pods.append(Pod(life, self.now, containers=[Container(one) for one in life.containers]))

    def run(self, until: int) -> None:
        while self.now <= until:
            self._pull_on()
            for number, pod in enumerate(self.pods):
                if not pod.gone:
                    self._pass(number, pod)
            self.now += STEP

    def _pull_on(self) -> None:
        """Pulls go on whose pods are deleted: their layers are there when the last one is done."""
        for pod in self.pods:
            if 0 <= pod.deleted <= self.now:
                for one in pod.containers:
                    if one.state == "pulling":
                        self.left += [] if one.fails else [(one.until, one.life.image)]
                        one.state = "none"
        if self.left and max(until for until, _ in self.left) <= self.now:
            self.there |= {image for _, image in self.left}
            self.left = []

    def _pass(self, number: int, pod: Pod) -> None:
        if pod.deleted >= 0:
            self._terminate(number, pod)
            return
        if pod.over >= 0:
            self._finish(number, pod)
            return
        if pod.begins < 0:
            pod.worker = pod.bound + (self.mount if pod.life.mounts else 0)
            pod.begins = pod.worker + self.sandbox
        while True:
            before = summary(pod)
            self._exits(pod)
            if (self.now - self.phase) % self.relist == 0:
                self._look(pod)
            for one in pod.containers:
                self._probe(pod, one)
            self._sync(pod)
            if summary(pod) == before:
                break
        if all(c.state == "done" for c in pod.containers if c.life.kind == REGULAR) or self._init_failed(pod):
            pod.over = self.now
            self._finish(number, pod)
            return
        told = (phase(pod), int(self._ready(pod)))
        if not pod.addressed and (told[0] == RUNNING or self._answered(pod)):
            pod.addressed, self.addressed[number] = True, self.now
        if told != pod.told:
            pod.told = told
            self.log.append((self.now, number, told))

    def _answered(self, pod: Pod) -> bool:
        """Whether the sync that made the sandbox has ended, and its kubelet has seen what came of it."""
        over = pod.next >= len(pod.containers)
        return any(
            one.state in ("waiting", "done", "held") or one.restarts
            or (one.seen and one.state in ("running", "exited"))
            for one in pod.containers if one.life.kind != REGULAR or over
        )  # fmt: skip

    def _init_failed(self, pod: Pod) -> bool:
        never = pod.life.restart_policy == NEVER_RESTART
        return never and any(c.life.kind == INIT and c.state == "done" and c.code for c in pod.containers)

    def _ready(self, pod: Pod) -> bool:
        return pod.next >= len(pod.containers) and all(c.ready() for c in pod.containers if c.life.kind != INIT)

    def _exits(self, pod: Pod) -> None:
        for one in pod.containers:
            if one.state != "running" or one.start > self.now:
                continue
            life, age = one.life, self.now - one.start
            grace = pod.life.grace_us
            hook = min(life.prestop_us, grace)
            left = max(2_000_000, grace - hook)
            oom = life.oom_us()
            if life.run_us >= 0 and age >= life.run_us and (oom < 0 or life.run_us <= oom):
                one.state, one.ended, one.code = "exited", one.start + life.run_us, life.exit_code
            elif oom >= 0 and age >= oom:
                one.state, one.ended, one.code = "exited", one.start + oom, 137
            elif one.killed >= 0 and self.now >= one.killed + hook + min(life.stop_us, left):
                one.state, one.ended = "exited", self.now
                one.code = 137 if life.stop_us > left else 143

    def _look(self, pod: Pod) -> None:
        """Look at the runtime: what runs, what has exited."""
        for place, one in enumerate(pod.containers):
            if one.state == "running" and one.start <= self.now and not one.seen:
                one.seen = True
                one.started = one.life.startup is None
            elif one.state == "exited":
                self._see_exit(pod, place, one)

    def _see_exit(self, pod: Pod, place: int, one: Container) -> None:
        restart = one.life.restart
        one.seen = False
        if restart == NEVER_RESTART or (restart != ALWAYS_RESTART and one.code == 0):
            one.state = "done"
            if one.life.kind == INIT and one.code == 0 and pod.next == place:
                pod.next, pod.begins = place + 1, self.now
            return
        one.state, one.until = "waiting", self.now
        if one.backoff and one.ended - one.backoff_at <= 600_000_000:
            one.until = max(one.ended + one.backoff, self.now)

    def _probe(self, pod: Pod, one: Container) -> None:
        for due, kind, good in [entry for entry in one.coming if entry[0] <= self.now]:
            one.coming.remove((due, kind, good))
            if one.state in ("running", "exited"):
                self._result(one, kind, good)
        if one.state != "running" or not one.seen:
            return
        for kind in ("startup", "liveness", "readiness"):
            probe: Probe | None = getattr(one.life, kind)
            if probe is None or (kind == "startup") == one.started or one.probed.get(kind) == self.now:
                continue
            if one.killed >= 0 and kind != "readiness":
                continue
            if (self.now - pod.worker) % probe.period_us or self.now - one.start < probe.delay_us:
                continue
            one.probed[kind] = self.now
            if one.hangs(self.now):
                one.coming.append((self.now + min(probe.timeout_us, probe.period_us), kind, False))
            else:
                self._result(one, kind, one.healthy(self.now))

    def _result(self, one: Container, kind: str, good: bool) -> None:
        one.results[kind].add(good)
        if kind == "startup" and one.results[kind].result == "Success":
            one.started = True
        elif (
            kind != "readiness" and one.results[kind].result == "Failure" and one.killed < 0 and one.state == "running"
        ):
            one.killed = self.now

    def _sync(self, pod: Pod) -> None:
        for place, one in enumerate(pod.containers):
            if one.state == "waiting" and one.until <= self.now:
                again = one.backoff > 0 and self.now - one.backoff_at <= 600_000_000
                one.backoff = min(2 * one.backoff, 300_000_000) if again else 10_000_000
                one.backoff_at = self.now
                one.restarts += 1
                self._begin(pod, place, one)
            elif one.state == "held" and one.until <= self.now:
                self._begin(pod, place, one)
            elif one.state == "pulling" and one.until <= self.now:
                if one.fails:
                    one.pulls += 1
                    one.state, one.until = "held", self.now + min(10_000_000 << (one.pulls - 1), 300_000_000)
                    if one.life.kind == REGULAR and pod.next == place:
                        pod.next, pod.begins = place + 1, self.now
                else:
                    self.there.add(one.life.image)
                    self._start(pod, place, one, self.now)
        one_ = pod.containers[pod.next] if pod.next < len(pod.containers) else None
        if one_ is not None and one_.state == "none" and pod.begins <= self.now:
            self._begin(pod, pod.next, one_)
        elif one_ is not None and one_.life.kind == SIDECAR and one_.state == "running" and one_.started:
            pod.next, pod.begins = pod.next + 1, self.now

    def _begin(self, pod: Pod, place: int, one: Container) -> None:
        image = one.life.image
        if image in self.there and not one.life.always_pulls:
            self._start(pod, place, one, self.now)
            return
        self.free = max(self.free, self.now) + self.pull
        one.fails = self.failing or one.pulls < one.life.pull_failures
        if not one.fails:
            if image not in self.there | self.asked:
                rates = self.rates[0] // self.slower, self.rates[1]
                self.free += sum(self.sizes[image] * 1_000_000 // rate for rate in rates)
            self.asked.add(image)
        one.state, one.until = "pulling", self.free

    def _start(self, pod: Pod, place: int, one: Container, at: int) -> None:
        one.state, one.start, one.seen, one.started, one.killed = "running", at + self.start, False, False, -1
        first = {"startup": "Unknown", "liveness": "Success", "readiness": "Failure"}
        one.results = {k: Results(getattr(one.life, k), first[k]) for k in first if getattr(one.life, k)}
        one.probed, one.coming = {}, []
        if one.life.kind == REGULAR and pod.next == place:
            pod.next, pod.begins = place + 1, one.start

    def _finish(self, number: int, pod: Pod) -> None:
        """Sidecars stop; then the pod has succeeded or failed."""
        if self._stopped(pod, pod.over, [c for c in pod.containers if c.life.kind == SIDECAR]):
            regular = [c for c in pod.containers if c.life.kind == REGULAR]
            good = not self._init_failed(pod) and all(c.code == 0 for c in regular)
            pod.gone = True
            self.log.append((self.now, number, "Succeeded" if good else "Failed"))

    def _terminate(self, number: int, pod: Pod) -> None:
        if pod.begins < 0 or pod.bound == pod.deleted:
            pod.gone = True
            self.log.append((self.now, number, "Stopped"))
            return
        if self._stopped(pod, pod.deleted, pod.containers):
            if not pod.stops:
                pod.stops = [self.now + self.stop]
            if self.now >= pod.stops[0]:
                pod.gone = True
                self.log.append((self.now, number, "Stopped"))

    def _stopped(self, pod: Pod, begun: int, chosen: list[Container]) -> bool:
        """Tell whether all have exited that were asked to stop at ``begun``; each on its turn."""
        grace = pod.life.grace_us
        age = self.now - begun
        running = [c for c in chosen if c.state == "running" and c.start <= begun]
        for one in [*running]:
            self._natural(pod, one)
        last_first = [c for c in running if c.life.kind != SIDECAR] + [
            c for c in reversed(running) if c.life.kind == SIDECAR
        ]
        for one in last_first:
            if one.state != "running":
                continue
            hook = min(one.life.prestop_us, grace)
            earlier = [c for c in last_first[: last_first.index(one)] if one.life.kind == SIDECAR]
            waits = any(c.state == "running" for c in earlier) and age < grace
            if age < hook or waits:
                continue
            if one.until < 0 or one.until < begun or one.code != -1:
                one.until, one.code = self.now, -1
            least = max(2_000_000, grace - (one.until - begun))
            if self.now - one.until >= min(one.life.stop_us, least):
                one.state = "exited"
        return all(c.state != "running" or c.start > begun for c in chosen)

    def _natural(self, pod: Pod, one: Container) -> None:
        """Let a container exit whose time is up, or that a probe had killed before."""
        ends = [one.start + t for t in (one.life.run_us, one.life.oom_us()) if t >= 0]
        if one.killed >= 0:
            hook = min(one.life.prestop_us, pod.life.grace_us)
            ends.append(one.killed + hook + min(one.life.stop_us, max(2_000_000, pod.life.grace_us - hook)))
        if ends and self.now >= min(ends):
            one.state = "exited"


def summary(pod: Pod) -> list[object]:
    """What one pass over a pod may change, and what lets the next one do more at the same instant."""
    return [pod.next, pod.begins, *((c.state, c.seen, c.started, c.start, c.until, c.killed) for c in pod.containers)]


def phase(pod: Pod) -> int:
    """The phase, from statuses: what E2 of getPhase says, while the pod is not over."""
    waiting = stopped = running = 0
    for place, one in enumerate(pod.containers):
        if one.life.kind != REGULAR and place >= pod.next:
            return PENDING
        if one.life.kind == INIT:
            continue
        runs = one.seen and one.state in ("running", "exited")
        running += runs
        if one.life.kind == REGULAR and not runs:
            stopped += one.restarts > 0 or one.state in ("done", "waiting")
            waiting += not (one.restarts > 0 or one.state in ("done", "waiting"))
    if waiting:
        return RUNNING if stopped else PENDING
    return RUNNING
