"""How a Job is read: Kubernetes' defaults and checks (pkg/apis/batch)."""

from __future__ import annotations

from typing import Any

import msgspec

from kscale.controllers.common.job_policies import ACTIONS, FailureRule, SuccessRule, text_of
from kscale.controllers.common.jobs import COMPLETE, FAILED_JOB, NO_LIMIT, SECOND
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.selectors import INT32
from kscale.state.manifests.workloads import Manifest, PodTemplateSpec, Taking

#: Most parallelism of an Indexed Job; beyond so many completions, failed indexes have to be limited.
MOST_INDEXED, MOST_LIMITED = 100_000, 10_000
#: Most rules of a policy, and most conditions of a rule.
MOST_RULES = 20
_LABELS = ("job-name", "batch.kubernetes.io/job-name")


class OnExitCodes(models.Part, frozen=True):
    """batch/v1 PodFailurePolicyOnExitCodesRequirement."""

    container_name: str | None = None
    operator: str | None = None
    values: tuple[int, ...] | None = None


class OnPodCondition(models.Part, frozen=True):
    """batch/v1 PodFailurePolicyOnPodConditionsPattern."""

    type: str | None = None
    status: str | None = None


class PodFailureRule(models.Part, frozen=True):
    """batch/v1 PodFailurePolicyRule."""

    action: str | None = None
    on_exit_codes: OnExitCodes | None = None
    on_pod_conditions: tuple[OnPodCondition, ...] | None = None


class PodFailurePolicy(models.Part, frozen=True):
    """batch/v1 PodFailurePolicy."""

    rules: tuple[PodFailureRule, ...] | None = None


class SuccessPolicyRule(models.Part, frozen=True):
    """batch/v1 SuccessPolicyRule."""

    succeeded_indexes: str | None = None
    succeeded_count: int | None = None


class SuccessPolicy(models.Part, frozen=True):
    """batch/v1 SuccessPolicy."""

    rules: tuple[SuccessPolicyRule, ...] | None = None


class JobSpec(models.Part, frozen=True):
    """batch/v1 JobSpec."""

    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    active_deadline_seconds: int | None = None
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    pod_replacement_policy: str | None = None
    manual_selector: bool | None = None
    managed_by: str | None = None
    template: PodTemplateSpec | None = None


class JobCondition(models.Part, frozen=True):
    """batch/v1 JobCondition."""

    type: str | None = None
    status: str | None = None


class JobStatus(models.Part, frozen=True):
    """batch/v1 JobStatus."""

    succeeded: int | None = None
    failed: int | None = None
    conditions: tuple[JobCondition, ...] | None = None


class Job(models.Part, frozen=True):
    """batch/v1 Job."""

    metadata: models.Meta | None = None
    spec: JobSpec | None = None
    status: JobStatus | None = None


class _Container(models.Part, frozen=True):
    name: str | None = None


class _PodSpec(models.Part, frozen=True):
    restart_policy: str | None = None
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None


def amount(value: int | None, field: str, default: int, *, least: int = 0, most: int = INT32) -> int:
    """Return a whole number of at least ``least``, or ``default`` where there is none. Raises InputError."""
    if value is None:
        return default
    if not least <= value <= most:
        expected = f"a whole number from {least:,} to {most:,}"
        raise InputError(f"is {value:,}", field=field, expected=expected)
    return value


def seconds(value: int | None, field: str) -> int:
    """Return seconds as microseconds, -1 where there are none. Raises InputError."""
    return amount(value, field, -1) * SECOND if value is not None else -1


def job_columns(taking: Taking, spec: JobSpec | None, field: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return the columns of a Job's spec, which stands at ``field``; its pods get ``labels``. Raises InputError."""
    spec = need(spec, field, "what the Job is to do")
    pod = _pod_spec(spec.template, f"{field}.template")
    policy = one_of(pod.restart_policy or "Always", ("Never", "OnFailure"), f"{field}.template.spec.restartPolicy")
    limits = _limits(spec, field)
    rules = _failure_rules(taking, spec, pod, field)
    early = _success_rules(spec, limits["completions"], field)
    if spec.manual_selector:
        taking.note("Job.spec.manualSelector: a Job has the pods that it creates")
    if spec.managed_by not in (None, "kubernetes.io/job-controller"):
        taking.note("Job.spec.managedBy: the Job controller looks after it all the same")
    replacement = spec.pod_replacement_policy or ("Failed" if rules else "TerminatingOrFailed")
    choices = ("Failed",) if rules else ("TerminatingOrFailed", "Failed")
    one_of(replacement, choices, f"{field}.podReplacementPolicy")
    return {
        **limits,
        "template": taking.template(spec.template, f"{field}.template", labels=labels),
        "deadline_us": seconds(spec.active_deadline_seconds, f"{field}.activeDeadlineSeconds"),
        "ttl_us": seconds(spec.ttl_seconds_after_finished, f"{field}.ttlSecondsAfterFinished"),
        "suspend": int(bool(spec.suspend)),
        "restarts": int(policy == "OnFailure"),
        "only_failed": int(replacement == "Failed"),
        "failure_policy": taking.text(text_of(rules)) if rules else -1,
        "success_policy": taking.text(text_of(early)) if early else -1,
    }


def _pod_spec(template: PodTemplateSpec | None, field: str) -> _PodSpec:
    if template is None or template.empty:
        raise InputError("is missing", field=f"{field}.spec", expected="the spec of its pods")
    try:
        return msgspec.json.decode(template.spec, type=_PodSpec)
    except msgspec.ValidationError as error:
        raise InputError(f"cannot be read: {error}", field=f"{field}.spec", expected="the spec of a pod") from None


def _limits(spec: JobSpec, field: str) -> dict[str, int]:
    """Return how many pods a Job is to have, and how many failures it may have."""
    mode = one_of(spec.completion_mode or "NonIndexed", ("NonIndexed", "Indexed"), f"{field}.completionMode")
    completions = spec.completions
    if completions is None and spec.parallelism is None:
        completions = 1
    count = amount(completions, f"{field}.completions", -1)
    indexed = mode == "Indexed"
    if indexed and spec.completions is None and spec.parallelism is not None:
        raise InputError("is missing", field=f"{field}.completions", expected="a number, for completionMode Indexed")
    most = MOST_INDEXED if indexed else INT32
    parallelism = amount(spec.parallelism, f"{field}.parallelism", 1, most=most)
    per_index = amount(spec.backoff_limit_per_index, f"{field}.backoffLimitPerIndex", -1)
    failed = amount(spec.max_failed_indexes, f"{field}.maxFailedIndexes", -1, most=max(count, 0))
    if per_index >= 0 and not indexed:
        raise InputError("is stated", field=f"{field}.backoffLimitPerIndex", expected="completionMode Indexed with it")
    if failed >= 0 and per_index < 0:
        raise InputError("is stated", field=f"{field}.maxFailedIndexes", expected="backoffLimitPerIndex with it")
    if per_index >= 0 and count > MOST_INDEXED:
        for name, value in (("maxFailedIndexes", spec.max_failed_indexes), ("parallelism", parallelism)):
            stated = need(value, f"{field}.{name}", f"a number, beyond {MOST_INDEXED:,} completions")
            amount(stated, f"{field}.{name}", -1, most=MOST_LIMITED)
    return {
        "parallelism": parallelism, "completions": count, "part_count": count if indexed else 0,
        "backoff_limit": amount(spec.backoff_limit, f"{field}.backoffLimit", 6 if per_index < 0 else NO_LIMIT),
        "backoff_limit_per_index": per_index, "max_failed_indexes": failed,
    }  # fmt: skip


def _rules(found: tuple[Any, ...] | None, field: str) -> tuple[Any, ...]:
    if not found or len(found) > MOST_RULES:
        raise InputError(f"has {len(found or ())} rules", field=f"{field}.rules", expected=f"1 to {MOST_RULES} rules")
    return found


def _failure_rules(taking: Taking, spec: JobSpec, pod: _PodSpec, field: str) -> tuple[FailureRule, ...]:
    """Return what the rules for failed pods ask of exit codes and disruptions."""
    if spec.pod_failure_policy is None:
        return ()
    field = f"{field}.podFailurePolicy"
    if pod.restart_policy != "Never":
        raise InputError("is stated", field=field, expected="restartPolicy Never with it")
    rules = []
    for i, rule in enumerate(_rules(spec.pod_failure_policy.rules, field)):
        at = f"{field}.rules[{i}]"
        action = ACTIONS[one_of(need(rule.action, f"{at}.action", "an action"), ACTIONS, f"{at}.action")]
        if rule.action == "FailIndex" and spec.backoff_limit_per_index is None:
            raise InputError("is FailIndex", field=f"{at}.action", expected="backoffLimitPerIndex with it")
        if (rule.on_exit_codes is None) == (not rule.on_pod_conditions):
            raise InputError("says not what it is for", field=at, expected="either onExitCodes or onPodConditions")
        if rule.on_exit_codes is not None:
            rules.append(_exit_codes(taking, action, rule.on_exit_codes, pod, f"{at}.onExitCodes"))
        else:
            rules.append(_conditions(taking, action, rule.on_pod_conditions or (), f"{at}.onPodConditions"))
    return tuple(rules)


def _exit_codes(taking: Taking, action: int, found: OnExitCodes, pod: _PodSpec, field: str) -> FailureRule:
    operator = one_of(need(found.operator, f"{field}.operator", "an operator"), ("In", "NotIn"), f"{field}.operator")
    values = found.values or ()
    if not 0 < len(values) <= 255 or list(values) != sorted(set(values)):
        raise InputError("are not ascending numbers", field=f"{field}.values", expected="1 to 255 exit codes")
    if operator == "In" and 0 in values:
        raise InputError("has 0", field=f"{field}.values", expected="codes of failures, for the operator In")
    first = [container.name for container in pod.containers or ()]
    names = first + [container.name for container in pod.init_containers or ()]
    if found.container_name is not None and found.container_name not in names:
        raise InputError(
            f"'{found.container_name[:80]}' is none of the template's", field=f"{field}.containerName",
            expected="the name of a container",
        )  # fmt: skip
    if found.container_name not in (None, first[0] if first else None):
        taking.note("Job.spec.podFailurePolicy: exit codes are those of the first container")
        return FailureRule(action)
    return FailureRule(action, values, operator == "In", by_codes=True)


def _conditions(taking: Taking, action: int, found: tuple[OnPodCondition, ...], field: str) -> FailureRule:
    if len(found) > MOST_RULES:
        raise InputError(f"has {len(found)} conditions", field=field, expected=f"at most {MOST_RULES}")
    disrupted = False
    for i, one in enumerate(found):
        kind = need(one.type, f"{field}[{i}].type", "the type of a condition")
        status = one_of(one.status or "True", ("True", "False", "Unknown"), f"{field}[{i}].status")
        if kind == "DisruptionTarget":
            disrupted |= status == "True"
        else:
            taking.note(f"Job.spec.podFailurePolicy: pods have no condition {kind[:80]}")
    return FailureRule(action, disrupted=disrupted)


def _success_rules(spec: JobSpec, completions: int, field: str) -> tuple[SuccessRule, ...]:
    if spec.success_policy is None:
        return ()
    field = f"{field}.successPolicy"
    if spec.completion_mode != "Indexed":
        raise InputError("is stated", field=field, expected="completionMode Indexed with it")
    rules = []
    for i, rule in enumerate(_rules(spec.success_policy.rules, field)):
        at = f"{field}.rules[{i}]"
        if rule.succeeded_indexes is None and rule.succeeded_count is None:
            raise InputError("is empty", field=at, expected="succeededIndexes or succeededCount")
        indexes = _ranges(rule.succeeded_indexes, completions, f"{at}.succeededIndexes")
        most = sum(last - first + 1 for first, last in indexes) or completions
        count = amount(rule.succeeded_count, f"{at}.succeededCount", -1, least=1, most=most)
        rules.append(SuccessRule(indexes, count))
    return tuple(rules)


def _ranges(text: str | None, completions: int, field: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of indexes that a text like ``0,2-4`` names. Raises InputError."""
    if text is None:
        return ()
    found, above = [], -1
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isdecimal() and end.isascii() and len(end) < 11 for end in ends):
            raise InputError(f"'{text[:80]}' is no list of indexes", field=field, expected="one like 0,2-4")
        low, high = int(ends[0]), int(ends[1])
        if not above < low <= high or high >= completions:
            raise InputError(
                f"'{text[:80]}' does not ascend below {completions:,}", field=field, expected="indexes that the Job has"
            )
        found.append((low, high))
        above = high
    return tuple(found)


def _take(taking: Taking, job: Job) -> dict[str, Any]:
    labels = dict.fromkeys(_LABELS, taking.name) if len(taking.name) <= 63 else {}
    columns = job_columns(taking, job.spec, "spec", labels)
    status = job.status or JobStatus()
    met = {condition.type for condition in status.conditions or () if condition.status == "True"}
    finished = COMPLETE if "Complete" in met else FAILED_JOB if "Failed" in met else 0
    if finished:
        # It has finished before the run: for its time to live, at the run's start.
        columns |= {
            "finished": finished, "finish_us": 0, "completion_us": 0 if finished == COMPLETE else -1,
            "succeeded": status.succeeded or 0, "failed": status.failed or 0,
        }  # fmt: skip
    return columns


MANIFEST = Manifest(("batch",), Job, _take, ("template",))
