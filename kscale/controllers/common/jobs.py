"""What Jobs and CronJobs share: the columns of a Job's spec, and what its conditions say."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.world import World
from kscale.state.schema import Column

Rows = np.ndarray[Any, Any]
SECOND = 1_000_000
#: Values of ``job_target``: the condition that comes before the last one.
NO_TARGET, FAILURE_TARGET, SUCCESS_CRITERIA_MET = range(3)
#: Values of ``job_finished``.
UNFINISHED, COMPLETE, FAILED_JOB = range(3)
#: Values of ``job_suspended``: the condition Suspended was never there, is False, is True.
NEVER_SUSPENDED, RESUMED, SUSPENDED = range(3)
#: Values of ``job_reason``.
REASONS = (
    "", "PodFailurePolicy", "BackoffLimitExceeded", "DeadlineExceeded", "MaxFailedIndexesExceeded", "FailedIndexes",
    "SuccessPolicy", "CompletionsReached",
)  # fmt: skip
(
    NO_REASON, POD_FAILURE_POLICY, BACKOFF_LIMIT_EXCEEDED, DEADLINE_EXCEEDED, MAX_FAILED_INDEXES_EXCEEDED,
    FAILED_INDEXES, SUCCESS_POLICY, COMPLETIONS_REACHED,
) = range(len(REASONS))  # fmt: skip
#: backoffLimit where backoffLimitPerIndex is stated, and parallelism and completions have no more either (int32).
NO_LIMIT = (1 << 31) - 1

SPEC = (
    Column("parallelism", "int64", "The most pods that it has at a time.", "pods", default=1, path="spec.parallelism"),
    Column("completions", "int64", "Pods that have to end well; -1 leaves it to the pods (a work queue).", "pods",
           default=-1, path="spec.completions"),
    Column("part_count", "int64", "Its completion indexes, 0 to one less than this; 0 without completionMode Indexed.",
           path="spec.completionMode"),
    Column("template", "int64", "Template of its pods.", default=-1, path="spec.template"),
    Column("backoff_limit", "int64", "Failures that it may have.", default=6, path="spec.backoffLimit"),
    Column("backoff_limit_per_index", "int64", "Failures that an index may have; -1 counts none apart.", default=-1,
           path="spec.backoffLimitPerIndex"),
    Column("max_failed_indexes", "int64", "Indexes that may fail; -1 is any number.", default=-1,
           path="spec.maxFailedIndexes"),
    Column("deadline_us", "int64", "How long it may be active; -1 is for ever.", "us", default=-1,
           path="spec.activeDeadlineSeconds"),
    Column("ttl_us", "int64", "How long it stays when it has finished; -1 is for ever.", "us", default=-1,
           path="spec.ttlSecondsAfterFinished"),
    Column("suspend", "uint8", "1 when it is to have no pods.", path="spec.suspend"),
    Column("restarts", "uint8", "1 when containers of its pods that fail are started again.",
           path="spec.template.spec.restartPolicy"),
    Column("only_failed", "uint8", "1 when pods that are being deleted are replaced only when they have failed.",
           path="spec.podReplacementPolicy"),
    Column("failure_policy", "int64", "Text of its rules for failed pods; -1 has none.", default=-1,
           path="spec.podFailurePolicy"),
    Column("success_policy", "int64", "Text of its rules for an early end; -1 has none.", default=-1,
           path="spec.successPolicy"),
)  # fmt: skip


def finished(world: World, jobs: Rows) -> Rows:
    """Return which jobs have the condition Complete or Failed (mask)."""
    return world.cluster.job_finished[world.cluster.object_row[jobs]] != UNFINISHED
