"""Jobs and CronJobs as they are read: defaults, and one clear line for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kscale import controllers
from kscale.controllers.common import jobs as conditions
from kscale.controllers.common.job_policies import failure_rules, success_rules
from kscale.errors import InputError
from kscale.state.manifests.reading import ReadOptions
from kscale.state.manifests.taking import gather_objects

POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}, {"name": "side", "image": "y"}]}
SECOND = 1_000_000


def read(folder: Path, kind: str, spec: dict[str, Any], name: str = "one", **parts: Any) -> Any:
    """Return the columns of one object, and all texts."""
    found = {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name}, "spec": spec, **parts}
    file = folder / "objects.json"
    file.write_bytes(msgspec.json.encode(found))
    manifests = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest}
    workloads = gather_objects([file], ReadOptions(), manifests).workloads
    (made,) = workloads.made
    return made.columns, list(workloads.texts)


def job(folder: Path, pod: dict[str, Any] | None = None, **spec: Any) -> Any:
    return read(folder, "Job", {"template": {"spec": {**POD, **(pod or {})}}, **spec})


def test_defaults(tmp_path: Path) -> None:
    columns, _ = job(tmp_path)
    assert columns == {
        "parallelism": 1, "completions": 1, "part_count": 0, "backoff_limit": 6, "backoff_limit_per_index": -1,
        "max_failed_indexes": -1, "template": 0, "deadline_us": -1, "ttl_us": -1, "suspend": 0, "restarts": 0,
        "only_failed": 0, "failure_policy": -1, "success_policy": -1,
    }  # fmt: skip


def test_a_work_queue_has_no_completions(tmp_path: Path) -> None:
    columns, _ = job(tmp_path, parallelism=3, ttlSecondsAfterFinished=0)
    assert (columns["parallelism"], columns["completions"], columns["ttl_us"]) == (3, -1, 0)


def test_policies(tmp_path: Path) -> None:
    rules = [
        {"action": "FailIndex", "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [1, 2]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
    early = [{"succeededIndexes": "0,2-3", "succeededCount": 2}]
    columns, texts = job(
        tmp_path, completionMode="Indexed", completions=5, backoffLimitPerIndex=1,
        podFailurePolicy={"rules": rules}, successPolicy={"rules": early},
    )  # fmt: skip
    assert (columns["part_count"], columns["only_failed"]) == (5, 1)
    assert columns["backoff_limit"] == conditions.NO_LIMIT
    first, second = failure_rules(texts[columns["failure_policy"]])
    assert (first.codes, first.among, first.by_codes, second.disrupted) == ((1, 2), False, True, True)
    (rule,) = success_rules(texts[columns["success_policy"]])
    assert (rule.indexes, rule.count) == (((0, 0), (2, 3)), 2)


def test_a_job_that_had_finished_does_not_run_again(tmp_path: Path) -> None:
    status = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    columns, _ = read(tmp_path, "Job", {"template": {"spec": POD}}, status=status)
    assert (columns["finished"], columns["succeeded"], columns["completion_us"]) == (conditions.COMPLETE, 1, 0)


CODES = {"operator": "In", "values": [1]}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"pod": {"restartPolicy": "Always"}}, "spec.template.spec.restartPolicy"),
        ({"parallelism": -1}, "spec.parallelism"),
        ({"completions": -2}, "spec.completions"),
        ({"backoffLimit": -1}, "spec.backoffLimit"),
        ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished"),
        ({"completionMode": "Some"}, "spec.completionMode"),
        ({"completionMode": "Indexed", "parallelism": 2}, "spec.completions"),
        ({"completionMode": "Indexed", "completions": 5, "parallelism": 100_001}, "spec.parallelism"),
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex"),
        ({"completionMode": "Indexed", "completions": 5, "maxFailedIndexes": 1}, "spec.maxFailedIndexes"),
        ({"podFailurePolicy": {"rules": []}}, "spec.podFailurePolicy.rules"),
        ({"podFailurePolicy": {"rules": [{"action": "Count"}]}}, "spec.podFailurePolicy.rules[0]"),
        ({"podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": CODES}]}},
         "spec.podFailurePolicy.rules[0].action"),
        ({"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {"operator": "In", "values": [0]}}]}},
         "spec.podFailurePolicy.rules[0].onExitCodes.values"),
        ({"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {**CODES, "containerName": "no"}}]}},
         "spec.podFailurePolicy.rules[0].onExitCodes.containerName"),
        ({"podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": CODES}]},
          "podReplacementPolicy": "TerminatingOrFailed"}, "spec.podReplacementPolicy"),
        ({"pod": {"restartPolicy": "OnFailure"},
          "podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": CODES}]}}, "spec.podFailurePolicy"),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy"),
        ({"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [{"succeededIndexes": "1-3"}]}},
         "spec.successPolicy.rules[0].succeededIndexes"),
        ({"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [{"succeededIndexes": "a"}]}},
         "spec.successPolicy.rules[0].succeededIndexes"),
        ({"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [{}]}},
         "spec.successPolicy.rules[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_job(tmp_path: Path, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        job(tmp_path, **spec)
    assert error.value.field == field
    assert "item 1 (Job default/one)" in str(error.value)


def cronjob(folder: Path, name: str = "tick", **spec: Any) -> Any:
    template = {"spec": {"template": {"spec": POD}}}
    return read(folder, "CronJob", {"schedule": "*/5 * * * *", "jobTemplate": template, **spec}, name)


def test_defaults_of_a_cronjob(tmp_path: Path) -> None:
    columns, texts = cronjob(tmp_path, timeZone="Europe/Berlin")
    assert (texts[columns["schedule"]], texts[columns["zone"]]) == ("*/5 * * * *", "Europe/Berlin")
    assert (columns["concurrency"], columns["deadline_us"], columns["suspend"]) == (0, -1, 0)
    assert (columns["most_successful"], columns["most_failed"]) == (3, 1)
    assert (columns["job_template"], columns["job_completions"], columns["job_backoff_limit"]) == (0, 1, 6)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"schedule": "0 0 31 2 *"}, "spec.schedule"), ({"schedule": "every day"}, "spec.schedule"),
        ({"schedule": ""}, "spec.schedule"), ({"timeZone": "Moon/Crater"}, "spec.timeZone"),
        ({"timeZone": ""}, "spec.timeZone"), ({"concurrencyPolicy": "Maybe"}, "spec.concurrencyPolicy"),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds"),
        ({"failedJobsHistoryLimit": -1}, "spec.failedJobsHistoryLimit"),
        ({"jobTemplate": {}}, "spec.jobTemplate.spec"), ({"name": "x" * 53}, "metadata.name"),
        ({"jobTemplate": {"spec": {"template": {"spec": {**POD, "restartPolicy": "Always"}}}}},
         "spec.jobTemplate.spec.template.spec.restartPolicy"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_cronjob(tmp_path: Path, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        cronjob(tmp_path, **spec)
    assert error.value.field == field
