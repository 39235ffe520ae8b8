"""Random jobs, and what becomes of their pods; and a job as its plain twin sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common import jobs as conditions
from kscale.controllers.common.job_policies import FailureRule, SuccessRule, failure_rules, success_rules, text_of
from kscale.engine.objects import PHASES, pods_of
from kscale.engine.pods import FINISHED, RUNNING
from tests.controllers.world import Hand
from tests.twin import job as twin

SECOND = 1_000_000
ACTIONS = ("Count", "Ignore", "FailIndex", "FailJob")
FAILURE_RULES = (
    (FailureRule(1, (9,), by_codes=True), FailureRule(3, (7,), by_codes=True)),
    (FailureRule(1, disrupted=True), FailureRule(2, (7,), by_codes=True)),
)
SUCCESS_RULES = ((SuccessRule(((0, 1),)), SuccessRule(count=4)), (SuccessRule(((1, 3),), 2),))
STATUS = (
    "active", "ready", "terminating", "succeeded", "failed", "failures", "last_failed_us", "start_us", "suspended",
    "target",
)  # fmt: skip


def some_job(rng: np.random.Generator, hand: Hand, name: str, *, disruptions: bool = True) -> int:
    """Make a random job."""
    if not hand.world.texts:
        hand.world.texts += [text_of(rules) for rules in (*FAILURE_RULES, *SUCCESS_RULES)]
    indexed = rng.random() < 0.5
    completions = int(rng.integers(1, 7)) if indexed or rng.random() < 0.7 else -1
    columns: dict[str, Any] = {
        "parallelism": int(rng.integers(0, 6)), "completions": completions,
        "part_count": completions if indexed else 0, "backoff_limit": int(rng.integers(0, 5)),
        "restarts": int(rng.random() < 0.3), "only_failed": int(rng.random() < 0.4),
        "suspend": int(rng.random() < 0.15), "deadline_us": int(rng.choice([-1, 40])) * SECOND,
    }  # fmt: skip
    columns["deadline_us"] = max(columns["deadline_us"], -1)
    if indexed and rng.random() < 0.5:
        columns |= {"backoff_limit_per_index": int(rng.integers(0, 3)), "backoff_limit": conditions.NO_LIMIT}
        columns["max_failed_indexes"] = int(rng.integers(-1, 3))
    if indexed and rng.random() < 0.4:
        columns["success_policy"] = int(rng.integers(2, 4))
    if not columns["restarts"] and rng.random() < 0.5:
        columns |= {"failure_policy": int(rng.integers(0, 2 if disruptions else 1)), "only_failed": 1}
    return hand.make("Job", name, **columns)


def something(rng: np.random.Generator, hand: Hand, every: list[int]) -> None:
    """Let something happen to a pod or a job, or time pass."""
    cluster = hand.cluster
    pods = [pod for pod in hand.pods() if cluster.pod_state[pod] != FINISHED]
    what = rng.random()
    if what < 0.2 or not pods:
        hand.now += int(rng.choice([0, 200_000, 1_000_000, 9_000_000, 30_000_000]))
        return
    pod = int(rng.choice(pods))
    if what < 0.4:
        hand.run(pod, ready=bool(rng.random() < 0.7))
    elif what < 0.65 and cluster.life_deleted_us[pod] < 0:
        hand.finish(pod, well=bool(rng.random() < 0.5), exit_code=int(rng.choice([1, 7, 9])))
    elif what < 0.75 and cluster.pod_state[pod] == RUNNING:
        hand.delete(pod)
    elif what < 0.85:
        hand.stopped()
    elif what < 0.9:
        hand.change(pod, restarts=int(cluster.life_restarts[pod]) + 1)
    elif what < 0.95:
        hand.write(int(rng.choice(every)), parallelism=int(rng.integers(0, 6)))
    else:
        job = int(rng.choice(every))
        hand.write(job, suspend=1 - hand.read(job, "suspend"))


def plain(hand: Hand, job: int) -> tuple[twin.Job, list[twin.Pod]]:
    """Return a job and its pods as the twin has them."""
    cluster, texts = hand.cluster, hand.world.texts
    own = pods_of(cluster, np.array([job]))[0].tolist()
    count = hand.read(job, "part_count")
    first = hand.read(job, "part_first")
    spec = {column.name: hand.read(job, column.name) for column in conditions.SPEC}
    status = {name: hand.read(job, name) for name in STATUS} | {"reason": conditions.REASONS[hand.read(job, "reason")]}
    indexes = [
        [int(cluster.columns[f"jobindex_{name}"][row]) for name in ("state", "failures", "ignored", "failed_us")]
        for row in range(first, first + count)
    ]
    failures = failure_rules(texts[spec["failure_policy"]]) if spec["failure_policy"] >= 0 else ()
    wins = success_rules(texts[spec["success_policy"]]) if spec["success_policy"] >= 0 else ()
    failing = [
        (ACTIONS[rule.action], "codes" if rule.by_codes else "disrupted", rule.codes, rule.among) for rule in failures
    ]
    early = [({n for low, high in r.indexes for n in range(low, high + 1)} or None, r.count) for r in wins]
    found = twin.Job(spec, status, indexes, failing, early, bool(cluster.object_deleted_us[job] >= 0))
    return found, [_plain_pod(hand, pod) for pod in own]


def _plain_pod(hand: Hand, pod: int) -> twin.Pod:
    cluster = hand.cluster
    deleted, number = int(cluster.life_deleted_us[pod]), int(cluster.life_number[pod])
    return twin.Pod(
        name=int(cluster.pod_trace_row[pod]), phase=PHASES[cluster.life_phase[pod]],
        deleted=None if deleted < 0 else deleted, tracked=int(cluster.life_tracked[pod]),
        index=None if number < 0 else number, ended=int(cluster.pod_ended_us[pod]),
        exit_code=int(cluster.life_exit_code[pod]), restarts=int(cluster.life_restarts[pod]),
        bound=bool(cluster.pod_node[pod] >= 0), ready=bool(cluster.life_ready[pod]),
        ready_since=int(cluster.life_ready_us[pod]), created=int(cluster.pod_arrived_us[pod]),
    )  # fmt: skip
