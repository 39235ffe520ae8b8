"""``kscale schedule``, ``kscale report -f`` and ``kscale replay --config``: forms, filters, folders, recordings."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kscale.cli.yamls import yaml_text
from kscale.engine import runfolder
from kscale.engine.runfolder import digest_file
from tests.cli import recorded
from tests.cli.objects import PENDING, RUNNING, WORDS, WORLD, listed, sized
from tests.state.manifests.making import node

KEYS = ["namespace", "name", "status", "node", "victims", "message"]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A file with the world, in the folder where commands run."""
    (tmp_path / "dump.json").write_text(listed(WORLD))
    return tmp_path


def rows(cli: Any, *options: object, file: str = "dump.json") -> list[dict[str, Any]]:
    """What ``-o json`` gives."""
    done = cli("schedule", "-f", file, "-o", "json", *options)
    assert done.code == 0, done.err
    found: list[dict[str, Any]] = json.loads(done.out)["pods"]
    return found


def test_every_word_in_input_order(cli, dump):
    for order in ("queue", "given"):
        found = rows(cli, "--order", order)
        assert [list(row) for row in found] == [KEYS] * len(PENDING)
        assert {row["name"]: row["status"] for row in found} == WORDS
        assert [row["name"] for row in found] == list(WORDS)
        by_name = {row["name"]: row for row in found}
        assert by_name["urgent"]["node"] == "n1" and by_name["urgent"]["victims"] == ["default/low"]
        assert all((row["node"] is None) == (row["status"] not in ("scheduled", "preempted")) for row in found)
        assert by_name["large"]["message"].startswith("0/2 nodes are available: 2 Insufficient cpu")
        assert "example.com/wait" in by_name["gated"]["message"] and "'theirs'" in by_name["foreign"]["message"]


def test_an_error_is_a_word_of_its_own(cli, dump):
    odd = {"matchExpressions": [{"key": "zone", "operator": "Gt", "values": ["x"]}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": odd}]}
    (dump / "dump.json").write_text(listed([node("n1"), sized("odd", "1", affinity={"nodeAffinity": preferred})]))
    (row,) = rows(cli)
    assert (row["status"], row["node"]) == ("error", None)


def test_the_orders_differ(cli, dump):
    objects = [node("n1"), sized("first", "3", priority=1), sized("second", "3", priority=2)]
    (dump / "dump.json").write_text(listed(objects))
    first, second = rows(cli)
    assert (first["status"], second["status"]) == ("unschedulable", "scheduled")
    first, second = rows(cli, "--order", "given")
    assert (first["status"], first["node"], second["status"]) == ("scheduled", "n1", "preempted")
    assert second["victims"] == ["default/first"]
    assert first["message"] == "Preempted by pod default/second on node n1"
    done = cli("schedule", "-f", "dump.json", "--order", "given")
    assert "1 of 2 pending pods placed, 1 of them by preemption" in done.out
    assert "1 pod evicted, 1 of which had just been placed" in done.out
    assert [one["metadata"]["name"] for one in applied(cli, "--order", "given")] == ["second"]


def applied(cli: Any, *options: object, file: str = "dump.json") -> list[dict[str, Any]]:
    """What ``-o objects`` gives."""
    done = cli("schedule", "-f", file, "-o", "objects", *options)
    assert done.code == 0, done.err
    found = yaml.safe_load(done.out)
    assert (found["apiVersion"], found["kind"]) == ("v1", "List")
    items: list[dict[str, Any]] = found["items"]
    return items


def test_objects_are_the_placed_pods_with_their_nodes(cli, dump):
    places = {row["name"]: row["node"] for row in rows(cli) if row["node"]}
    items = applied(cli)
    assert {one["metadata"]["name"]: one["spec"].pop("nodeName") for one in items} == places
    sources = {one["metadata"]["name"]: one for one in PENDING}
    assert all(one == sources[one["metadata"]["name"]] for one in items)
    done = cli("schedule", "-f", "dump.json", "-o", "objects", "-q")
    assert done.err == "to be evicted before these are applied: default/low\n"
    (dump / "placed.yaml").write_text(done.out)
    (dump / "rest.json").write_text(listed([node("n1"), node("n2"), RUNNING[1]]))
    done = cli("schedule", "-f", "rest.json", "-f", "placed.yaml", "-o", "json")
    assert {row["name"]: row["node"] for row in json.loads(done.out)["pods"]} == places


def test_objects_leave_out_what_the_server_sets(cli, dump):
    made = sized("a", "1")
    made["metadata"] |= {"uid": "7", "resourceVersion": "1", "annotations": {"é": "no", "x": "1e3\n😀\x85"}}
    made["status"] = {"phase": "Pending"}
    (dump / "dump.json").write_text(listed([node("n1"), made]))
    (item,) = applied(cli)
    assert list(item) == ["apiVersion", "kind", "metadata", "spec"]
    assert item["metadata"] == {
        "name": "a", "namespace": "default", "labels": {}, "annotations": {"é": "no", "x": "1e3\n😀\x85"},
    }  # fmt: skip


def test_every_form_says_the_same(cli, dump):
    found = rows(cli)
    assert yaml.safe_load(cli("schedule", "-f", "dump.json", "-o", "yaml").out) == {"pods": found}
    table = list(csv.DictReader(io.StringIO(cli("schedule", "-f", "dump.json", "-o", "csv").out)))
    assert [list(row) for row in table] == [KEYS] * len(found)
    for row, known in zip(table, found, strict=True):
        assert row == {**known, "node": known["node"] or "", "victims": " ".join(known["victims"])}
    for form in ("table", "wide"):
        out = cli("schedule", "-f", "dump.json", "-o", form).out
        for row in found:
            assert f"{row['namespace']}/{row['name']}" in out and row["status"] in out
        assert "3 of 6 pending pods placed, 1 of them by preemption, 1 unschedulable, 1 gated, 1 no_profile\n" in out
        assert "1 pod evicted\n" in out
    table_text = cli("schedule", "-f", "dump.json").out
    assert max(map(len, table_text.splitlines()[:-2])) <= 80
    assert "2 Insufficient cpu" in table_text and "default/low" in cli("schedule", "-f", "dump.json", "-o", "wide").out


def test_many_rows_are_printed_as_the_few_are(cli, dump, monkeypatch):
    few = cli("schedule", "-f", "dump.json").out
    monkeypatch.setattr("kscale.cli.schedule._MOST_FOLDED", 3)
    many = cli("schedule", "-f", "dump.json").out
    assert [line.split() for line in many.splitlines()] == [line.split() for line in few.splitlines()]


def test_filters_leave_out_only_what_is_printed(cli, dump):
    whole = {(row["namespace"], row["name"]): row for row in rows(cli)}
    for options, names in {
        ("-n", "shop"): ["other"],
        ("-n", "default", "-l", "app=web"): ["small"],
        ("-l", "app in (web, db),tier!=back"): ["small", "other"],
        ("-l", "app,!tier"): ["small", "other"],
        ("-l", "app notin (web)"): ["urgent", "large", "gated", "foreign"],
        ("--selector", "app==db"): ["urgent"],
        ("-l", "app=none"): [],
    }.items():
        found = rows(cli, *options)
        assert [row["name"] for row in found] == names
        assert all(whole[row["namespace"], row["name"]] == row for row in found)
    assert cli("schedule", "-f", "dump.json", "-l", "app=none").out == "no pending pod is selected\n"


def test_notes_are_told_apart_from_results(cli, dump):
    done = cli("schedule", "-f", "dump.json", "-o", "json")
    assert "note: scores all nodes: the configuration does not set percentageOfNodesToScore\n" in done.err
    assert "note: ignored: ConfigMap" in done.err and "(1)\n" in done.err
    assert cli("schedule", "-f", "dump.json", "-o", "json", "--quiet").err == ""
    (dump / "config.yaml").write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\npercentageOfNodesToScore: 100\n"
        "extenders: [{urlPrefix: http://x}]\n"
    )
    told = cli("schedule", "-f", "dump.json", "-o", "json", "--config", "config.yaml").err
    assert "percentageOfNodesToScore" not in told and "note: extenders: none is called (1 stated)\n" in told
    told = cli("schedule", "-f", "dump.json", "-o", "json", "--quiet", "--verbose").err
    assert "read: 2 Node, 8 Pod" in told and "plain Python" in told and "order queue" in told


def test_a_configuration_changes_the_result(cli, dump):
    (dump / "config.yaml").write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "profiles:\n- schedulerName: theirs\n"
    )
    found = {row["name"]: row["status"] for row in rows(cli, "--config", "config.yaml")}
    assert found["foreign"] == "scheduled" and found["small"] == found["large"] == "no_profile"


def test_objects_come_from_folders_files_and_standard_input(cli, dump, monkeypatch):
    whole = rows(cli)
    (dump / "parts").mkdir()
    for number, one in enumerate(WORLD):
        (dump / "parts" / f"{number:02}.yaml").write_text(yaml_text(one))
    assert rows(cli, file="parts") == whole
    (dump / "nodes.json").write_text(listed(WORLD[:4]))
    (dump / "pods.json").write_text(listed(PENDING))
    assert rows(cli, "-f", "pods.json", file="nodes.json") == whole
    stream = io.TextIOWrapper(io.BytesIO((dump / "pods.json").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert rows(cli, "-f", "-", file="nodes.json") == whole


def test_no_pending_pods_is_a_result(cli, dump):
    (dump / "dump.json").write_text(listed([node("n1")]))
    assert rows(cli) == [] == rows(cli, "--order", "given") == applied(cli)
    assert cli("schedule", "-f", "dump.json").out == "no pending pods\n"
    assert cli("schedule", "-f", "dump.json", "-o", "csv").out == ",".join(KEYS) + "\n"
    for order in ("queue", "given"):
        assert cli("schedule", "-f", "dump.json", "--order", order, "--out", "run").code == 0


@pytest.mark.parametrize("order", ["queue", "given"])
def test_a_run_folder_repeats_itself(cli, dump, order):
    done = cli("schedule", "-f", "dump.json", "--order", order, "--out", "run", "-o", "json")
    assert done.code == 0 and json.loads(done.out)["pods"]
    assert "report: run/report.html" in done.err
    run = runfolder.load(dump / "run")
    (read,) = run.inputs
    assert (read.role, read.path, read.sha256) == ("objects", "dump.json", digest_file(dump / "dump.json").sha256)
    assert run.counts["arrived"] == len(RUNNING) + len(PENDING) and run.counts["bound"] == 5
    assert run.configuration["order"] == order and run.timing["pods_per_second"] > 0
    assert any("ConfigMap" in note for note in run.notes) and any("Not modelled" in note for note in run.notes)
    assert cli(*run.command.split()[1:]).code == 0
    again = runfolder.load(dump / "run")
    assert (again.fingerprint, again.command, again.counts) == (run.fingerprint, run.command, run.counts)
    shown = cli("report", "run").out
    assert "5 of 8 placed" in shown and "report: run/report.html" in shown
    assert "waiting for scheduling gates" in (dump / "run" / "report.md").read_text()


def test_a_dump_as_it_stands(cli, dump):
    done = cli("report", "-f", "dump.json")
    assert done.code == 0, done.err
    assert "As it stands: 2 of 8 pods on nodes, 6 pending" in done.out and "Not tried" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert [path.name for path in dump.iterdir()] == ["dump.json"]
    numbers = {
        row["metric"]: row["value"]
        for row in json.loads(cli("report", "-f", "dump.json", "-o", "json").out)["headline"]
    }
    assert numbers["pods_arrived"] == 8 and numbers["pods_placed"] == 2 and numbers["waiting_pods"] == 6
    page = cli("report", "-f", "dump.json", "-o", "markdown").out
    assert page.startswith("# ") and "As it stands" in page
    done = cli("report", "-f", "dump.json", "--out", "today")
    assert done.code == 0 and "report: today/report.html" in done.out
    run = runfolder.load(dump / "today")
    assert run.command == "kscale report -f dump.json --out today" and run.counts["attempts"] == 0
    assert cli("report", "today", "-o", "markdown").out == (dump / "today" / "report.md").read_text()
    (dump / "dump.json").write_text(listed(WORLD[:4]))
    assert "As it stands: all 2 pods are on nodes" in cli("report", "-f", "dump.json").out


CONFIGURATION = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: {name}
  pluginConfig:
  - name: NodeResourcesFit
    args: {{scoringStrategy: {{type: MostAllocated, resources: [{{name: cpu, weight: 1}}]}}}}
"""


def test_a_replay_takes_a_configuration(cli, play, world):
    (world / "config.yaml").write_text(CONFIGURATION.format(name="default-scheduler"))
    play()
    before = runfolder.load(world / "run")
    play("--config", "config.yaml")
    run = runfolder.load(world / "run")
    assert run.fingerprint != before.fingerprint
    assert "--config config.yaml" in run.command and run.configuration["config"] == "config.yaml"
    assert [i.role for i in run.inputs] == ["trace", "nodes", "config"]
    assert run.inputs[2].sha256 == digest_file(world / "config.yaml").sha256
    assert any("percentageOfNodesToScore" in note for note in run.notes)


def test_a_replay_refuses_a_configuration_that_it_cannot_use(cli, world):
    words = ("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run", "--config", "config.yaml")
    done = cli(*words)
    assert done.code == 2 and "config.yaml" in done.line
    (world / "config.yaml").write_text(CONFIGURATION.format(name="mine"))
    done = cli(*words)
    assert done.code == 2 and "has no profile for the pods of a trace, only mine" in done.line
    assert "expected default-scheduler" in done.line
    done = cli(*words, "--policy", "FGD")
    assert done.code == 2 and "--config says nothing with --policy FGD" in done.line
    assert not (world / "run").exists()


EACH = 2


@pytest.mark.data
@pytest.mark.parametrize("family", recorded.FAMILIES)
def test_recorded_decisions(cli: Callable[..., Any], tmp_path: Path, family: str, monkeypatch: Any) -> None:
    """A selection of every family; all small recordings were compared once, without a difference."""
    monkeypatch.setattr("kscale.placing.plain_seconds", lambda inventory, tries=None: 0.0)
    files = recorded.files(Path(os.environ["KSCALE_DATA"]), family)
    for path in random.Random(family).sample(files, min(EACH, len(files))):
        recording = recorded.read(path)
        assert recorded.found(recording, tmp_path, cli) == recorded.expected(recording), path.name
