"""How a CronJob is read: Kubernetes' defaults and checks (pkg/apis/batch)."""

from __future__ import annotations

from typing import Any

from kscale.controllers.common import cron
from kscale.controllers.common.job_manifest import JobSpec, amount, job_columns, seconds
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.workloads import Manifest, Taking

#: Values of ``cronjob_concurrency``.
POLICIES = ("Allow", "Forbid", "Replace")
ALLOW, FORBID, REPLACE = range(len(POLICIES))
#: A Job's name has eleven characters more.
LONGEST = 52


class JobTemplate(models.Part, frozen=True):
    """batch/v1 JobTemplateSpec."""

    spec: JobSpec | None = None


class CronJobSpec(models.Part, frozen=True):
    """batch/v1 CronJobSpec."""

    schedule: str | None = None
    time_zone: str | None = None
    starting_deadline_seconds: int | None = None
    concurrency_policy: str | None = None
    suspend: bool | None = None
    job_template: JobTemplate | None = None
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None


class CronJob(models.Part, frozen=True):
    """batch/v1 CronJob."""

    metadata: models.Meta | None = None
    spec: CronJobSpec | None = None


def _take(taking: Taking, found: CronJob) -> dict[str, Any]:
    spec = need(found.spec, "spec", "when to start what")
    if len(taking.name) > LONGEST:
        raise InputError(
            f"'{taking.name[:80]}' has {len(taking.name)} characters", field="metadata.name",
            expected=f"at most {LONGEST}",
        )  # fmt: skip
    text = need(spec.schedule, "spec.schedule", "a schedule like '30 6 * * 1-5'")
    cron.check(text, "UTC" if spec.time_zone is None else spec.time_zone)
    policy = one_of(spec.concurrency_policy or "Allow", POLICIES, "spec.concurrencyPolicy")
    # All Jobs of it share a template, so that none of their pods is labelled with the name of its Job.
    job = job_columns(taking, (spec.job_template or JobTemplate()).spec, "spec.jobTemplate.spec", {})
    return {
        "schedule": taking.text(text),
        "zone": -1 if spec.time_zone is None else taking.text(spec.time_zone),
        "concurrency": POLICIES.index(policy),
        "deadline_us": seconds(spec.starting_deadline_seconds, "spec.startingDeadlineSeconds"),
        "suspend": int(bool(spec.suspend)),
        "most_successful": amount(spec.successful_jobs_history_limit, "spec.successfulJobsHistoryLimit", 3),
        "most_failed": amount(spec.failed_jobs_history_limit, "spec.failedJobsHistoryLimit", 1),
        **{f"job_{name}": value for name, value in job.items()},
    }


MANIFEST = Manifest(("batch",), CronJob, _take, ("job_template",))
