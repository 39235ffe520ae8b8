"""One pass of the Job controller over one job: plain objects and loops, as Kubernetes' own goes through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000
BASE, MOST = 10 * SECOND, 600 * SECOND


@dataclass
class Pod:
    """A pod of the job as the API server has it."""

    name: int
    phase: str
    deleted: int | None
    tracked: int
    index: int | None
    ended: int
    exit_code: int
    restarts: int
    bound: bool
    ready: bool
    ready_since: int
    created: int

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def active(self) -> bool:
        return not self.over and self.deleted is None

    @property
    def ended_at(self) -> int:
        return self.ended if self.over else self.deleted  # type: ignore[return-value]


@dataclass
class Job:
    """Spec and status of the job; rules are lists of (action, kind, values)."""

    spec: dict[str, Any]
    status: dict[str, Any]
    #: index: [state, failures, ignored, when the last ended]
    indexes: list[list[int]]
    failure_rules: list[Any]
    success_rules: list[Any]
    deleting: bool


@dataclass
class Plan:
    """What the pass asks for."""

    created: list[int | None] = field(default_factory=list)
    surplus: set[int] = field(default_factory=set)
    doomed: set[int] = field(default_factory=set)
    let_go: set[int] = field(default_factory=set)
    counted: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)
    status: dict[str, int] = field(default_factory=dict)
    indexes: list[list[int]] = field(default_factory=list)
    finished: int = 0


def delay(failures: int, last: int, now: int) -> int:
    """Return how long is to be waited still."""
    if failures == 0:
        return 0
    wait = BASE
    for _ in range(failures - 1):
        wait = min(2 * wait, MOST)
    return max(last + wait - now, 0)


def sync(job: Job, pods: list[Pod], now: int) -> Plan:
    """Return what one pass over the job asks for."""
    return _Pass(job, pods, now).run()


class _Pass:
    def __init__(self, job: Job, pods: list[Pod], now: int) -> None:
        self.job, self.pods, self.now, self.plan = job, pods, now, Plan()
        self.spec, self.status = job.spec, dict(job.status)
        self.indexed = bool(job.indexes)

    def run(self) -> Plan:
        spec, status, plan = self.spec, self.status, self.plan
        if status["start_us"] < 0 and not spec["suspend"]:
            status["start_us"] = self.now
        fresh = [pod for pod in self.pods if self.is_new(pod)]
        self.after = self.indexes_with(fresh)
        self.succeeded = status["succeeded"] + sum(pod.phase == "Succeeded" for pod in fresh)
        if self.indexed:
            self.succeeded = sum(state == 1 for state, *_ in self.after)
        self.record = self.record_with(fresh)
        reason = self.reason(fresh)
        ending = bool(reason)
        if not ending and spec["deadline_us"] >= 0 and not spec["suspend"]:
            plan.again.add(status["start_us"] + spec["deadline_us"])
        active = [pod for pod in self.pods if pod.active]
        count, ready = len(active), sum(pod.ready for pod in active)
        terminating = sum(not pod.over and pod.deleted is not None for pod in self.pods)
        managed = not ending and not self.job.deleting
        if ending:
            plan.doomed = {pod.name for pod in active}
        elif managed:
            self.manage(active, terminating)
        dropped = [pod for pod in active if pod.name in plan.doomed | plan.surplus]
        count += len(plan.created) - len(dropped)
        ready -= sum(pod.ready for pod in dropped)
        terminating += len(dropped)
        if not ending and count == 0:
            done = self.succeeded > 0 if spec["completions"] < 0 else self.succeeded >= spec["completions"]
            if done:
                reason = "CompletionsReached"
        if not reason and managed:
            self.suspend()
        target = 0 if not reason else 2 if reason in ("SuccessPolicy", "CompletionsReached") else 1
        full = self.flush(bool(reason), target == 1)
        status |= {"active": count, "ready": ready, "terminating": terminating, "target": target, "reason": reason}
        if reason and not full and terminating == 0:
            plan.finished = target
        plan.status = status
        return plan

    def is_new(self, pod: Pod) -> bool:
        if pod.tracked != 1 or (self.indexed and not self.has_index(pod)):
            return False
        return pod.phase == "Succeeded" or self.has_failed(pod)

    def has_index(self, pod: Pod) -> bool:
        return pod.index is not None and 0 <= pod.index < len(self.job.indexes)

    def has_failed(self, pod: Pod) -> bool:
        if pod.phase == "Failed":
            return True
        return not self.spec["only_failed"] and pod.deleted is not None and pod.phase != "Succeeded"

    def action(self, pod: Pod) -> str:
        for action, kind, values, among in self.job.failure_rules:
            if kind == "codes":
                if pod.exit_code != 0 and (pod.exit_code in values) == among:
                    return action
            elif pod.deleted is not None:
                return action
        return "Count"

    def indexes_with(self, pods: list[Pod]) -> list[list[int]]:
        found = [list(index) for index in self.job.indexes]
        limit = self.spec["backoff_limit_per_index"]
        if not self.indexed:
            return found
        by_rule = set()
        for pod in pods:
            if pod.phase == "Succeeded":
                continue
            index = found[pod.index]  # type: ignore[index]
            ignored = self.action(pod) == "Ignore"
            index[1 if not ignored else 2] += 1
            index[3] = max(index[3], pod.ended_at)
            if self.action(pod) == "FailIndex":
                by_rule.add(pod.index)
        for number, index in enumerate(found):
            if limit >= 0 and (index[1] > limit or number in by_rule) and index[0] == 0:
                index[0] = 2
        for pod in pods:
            if pod.phase == "Succeeded":
                found[pod.index][0] = 1  # type: ignore[index]
        return found

    def record_with(self, pods: list[Pod]) -> tuple[int, int]:
        failures = sorted(pod.ended_at for pod in pods if pod.phase != "Succeeded")
        wins = [pod.ended_at for pod in pods if pod.phase == "Succeeded"]
        count, last = self.job.status["failures"], self.job.status["last_failed_us"]
        if wins:
            count = 0
        for at in failures:
            last = max(last, at)
            if not wins or at > max(wins):
                count += 1
        return count, last

    def reason(self, fresh: list[Pod]) -> str:
        spec, status = self.spec, self.status
        if status["target"]:
            return status["reason"]
        lost = [pod for pod in fresh if self.has_failed(pod) and pod.phase != "Succeeded"]
        if any(self.action(p) == "FailJob" for p in self.pods if p.tracked == 1 and self.has_failed(p)):
            return "PodFailurePolicy"
        failed = status["failed"] + sum(self.action(pod) != "Ignore" for pod in lost)
        restarts = sum(pod.restarts for pod in self.pods if not pod.over)
        limit = spec["backoff_limit"]
        if failed > limit or (spec["restarts"] and (restarts > 0 if limit == 0 else restarts >= limit)):
            return "BackoffLimitExceeded"
        if spec["deadline_us"] >= 0 and not spec["suspend"]:
            end = status["start_us"] + spec["deadline_us"]
            if self.now >= end:
                return "DeadlineExceeded"
        if spec["backoff_limit_per_index"] >= 0:
            bad = sum(state == 2 for state, *_ in self.after)
            if 0 <= spec["max_failed_indexes"] < bad:
                return "MaxFailedIndexesExceeded"
            if bad and bad + self.succeeded >= spec["completions"]:
                return "FailedIndexes"
        for wanted, count in self.job.success_rules:
            among = [n for n in range(len(self.after)) if wanted is None or n in wanted]
            won = sum(self.after[n][0] == 1 for n in among)
            if won >= (len(among) if count < 0 else count):
                return "SuccessPolicy"
        return ""

    def manage(self, active: list[Pod], terminating: int) -> None:
        spec, plan = self.spec, self.plan
        if spec["suspend"]:
            want = 0
        elif spec["completions"] < 0:
            want = len(active) if self.succeeded > 0 else spec["parallelism"]
        else:
            want = max(min(spec["completions"] - self.succeeded, spec["parallelism"]), 0)
        doomed, left = [], sorted(active, key=_first_to_go)
        if self.indexed:
            best = {pod.index: pod for pod in left if self.has_index(pod)}
            doomed = [pod for pod in left if best.get(pod.index) is not pod]
            left = [pod for pod in left if best.get(pod.index) is pod]
        doomed += left[: max(len(active) - want - len(doomed), 0)]
        if doomed:
            plan.surplus = {pod.name for pod in doomed[:500]}
            return
        short = want - len(active) - (terminating if spec["only_failed"] else 0)
        if short <= 0:
            return
        per_index = spec["backoff_limit_per_index"] >= 0
        wait = 0 if per_index else delay(*self.record, self.now)
        if wait:
            plan.again.add(self.now + wait)
        elif self.indexed:
            self.create_indexes(min(short, 500), per_index)
        else:
            plan.created = [None] * min(short, 500)

    def create_indexes(self, short: int, per_index: bool) -> None:
        taken = {pod.index for pod in self.pods if pod.active}
        if self.spec["only_failed"]:
            taken |= {pod.index for pod in self.pods if not pod.over and pod.deleted is not None}
        waits = []
        for number, (state, failures, ignored, last) in enumerate(self.after):
            if state == 0 and number not in taken and short:
                short -= 1
                wait = delay(failures + ignored, last, self.now) if per_index else 0
                if wait:
                    waits.append(wait)
                else:
                    self.plan.created.append(number)
        if waits and not self.plan.created:
            self.plan.again.add(self.now + min(waits))

    def suspend(self) -> None:
        status = self.status
        if self.spec["suspend"]:
            status["suspended"], status["start_us"] = 2, -1
        elif status["suspended"]:
            if status["suspended"] == 2:
                status["start_us"] = self.now
            status["suspended"] = 1

    def flush(self, over: bool, failing: bool) -> bool:
        """Count pods and let them go; return whether more may be left."""
        status, plan = self.status, self.plan
        ends, wins, losses, number = [], [], 0, 0
        for pod in sorted(self.pods, key=lambda pod: pod.index if self.indexed and self.has_index(pod) else -1):
            if pod.tracked == 0 or pod.name in plan.surplus:
                continue
            done = pod.phase == "Succeeded" or self.has_failed(pod)
            if not (over or self.job.deleting or done or pod.tracked == 2):
                continue
            plan.let_go.add(pod.name)
            if not (pod.tracked == 1 and (self.has_index(pod) or not self.indexed)):
                continue
            if done:
                ends.append(pod)
            if pod.phase == "Succeeded":
                if self.indexed and self.job.indexes[pod.index][0] == 1:  # type: ignore[index]
                    continue
                wins.append(pod)
            elif (done or failing) and self.action(pod) != "Ignore":
                losses += 1
            else:
                continue
            plan.counted.add(pod.name)
            number += 1
            if number == 500:
                break
        status["failures"], status["last_failed_us"] = self.record_with(ends)
        status["failed"] += losses
        plan.indexes = self.indexes_with(ends)
        status["succeeded"] += len(wins)
        if self.indexed:
            status["succeeded"] = sum(state == 1 for state, *_ in plan.indexes)
        return number == 500


def _first_to_go(pod: Pod) -> tuple[Any, ...]:
    phase = {"Pending": 0, "Unknown": 1, "Running": 2}[pod.phase]
    since = -pod.ready_since if pod.ready else 0
    return pod.bound, phase, pod.ready, since, -pod.restarts, -pod.created, -pod.name
