"""Wrong objects and wrong usage of the commands that read them: one line each, and nothing is left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.objects import WORLD, listed, sized
from tests.state.manifests.making import OBJECTS, node, pod
from tests.state.manifests.test_mutations import ODD, PLACES, changed


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A file with the world, in the folder where commands run."""
    (tmp_path / "dump.json").write_text(listed(WORLD))
    return tmp_path


def deep(levels: int) -> str:
    return f'{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "d"}}, "spec": {"[" * levels + "]" * levels}}}'


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "has no objects"),
    "no node": (listed([pod("a")]), "has no Node"),
    "no kind": ('{"metadata": {}}', "has no kind"),
    "cut": (listed([node("n1"), pod("a")])[:-20], "cannot be read as JSON"),
    "not utf-8": (b"kind: Pod\nmetadata: {name: \xff}\n", "is not UTF-8 text"),
    "bomb": (BOMB, "aliases"),
    "deep": (deep(100_000), "is nested too deeply"),
    "twice": (listed([node("n1"), pod("a"), pod("a")]), "is there twice"),
    "type": (listed([node("n1"), pod("a", priority="high")]), "item 2 (Pod default/a), field 'spec.priority'"),
    "word": (listed([node("n1"), pod("a", preemptionPolicy="Sometimes")]), "field 'spec.preemptionPolicy'"),
    "amount": (listed([node("n1"), sized("a", "9" * 40)]), "out of range"),
    "unit": (listed([node("n1"), sized("a", "1 core")]), "resources.requests.cpu"),
    "long": (listed([node("n1"), pod("a" * 10_000_000)]), "metadata.name"),
    "list": ("[" * 20 + "]" * 20, "is a list"),
    "binary": (bytes(range(256)), "dump"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["schedule", "report"])
def test_bad_objects_are_one_line(cli, tmp_path, name, command):
    text, said = BAD[name]
    (tmp_path / "dump").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = cli(command, "-f", "dump", "--out", "made/run")
    assert done.code == 2
    assert said in done.line and "dump" in done.line and "expected" in done.line.lower() and len(done.line) < 620
    assert [path.name for path in tmp_path.iterdir()] == ["dump"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["schedule"], "-f is missing; expected kscale schedule -f …"),
        (["schedule", "-f"], "field '-f': has no value"),
        (["schedule", "-f", "--out", "x"], "field '-f': has no value"),
        (["schedule", "-f", "nope.json"], "nope.json: does not exist"),
        (["schedule", "-f", "dump.json", "-o", "jsn"], "there is no 'jsn'; did you mean 'json'?"),
        (["schedule", "-f", "dump.json", "--order", "que"], "there is no 'que'; did you mean 'queue'?"),
        (["schedule", "-f", "dump.json", "-l", "a=b,"], "field '--selector': ends with a comma"),
        (["schedule", "-f", "dump.json", "-l", "a b"], "field '--selector': cannot be read at 'a b'"),
        (["schedule", "-f", "dump.json", "-l", "a=" + "x" * 64], "is not a label value"),
        (["schedule", "-f", "dump.json", "-n", "A B"], "is not a namespace"),
        (["schedule", "-f", "dump.json", "--config", "nope.yaml"], "nope.yaml: does not exist"),
        (["schedule", "-f", "dump.json", "--config", "dump.json"], "field 'kind': is 'List'"),
        (["schedule", "-f", "dump.json", "--max-input", "10"], "is larger than 10 bytes"),
        (["schedule", "-f", "dump.json", "--max-input", "x"], "--max-input"),
        (["schedule", "-f", "dump.json", "--out", "."], "is the working folder"),
        (["schedule", "-f", "full/dump.json", "--out", "full"], "holds an input"),
        (["schedule", "-f", "dump.json", "--out", "full"], "is not a run folder"),
        (["report"], "RUN is missing; expected kscale report RUN, or kscale report -f OBJECTS"),
        (["report", "full", "-f", "dump.json"], "RUN and -f are both given"),
        (["report", "full", "--out", "x"], "field '--out'"),
        (["report", "-f", "dump.json", "--out", "."], "is the working folder"),
    ],
)
def test_wrong_usage_is_one_line(cli, dump, words, said):
    (dump / "full").mkdir()
    (dump / "full" / "dump.json").write_text("{}")
    done = cli(*words)
    assert done.code == 2 and said in done.line, done
    assert sorted(path.name for path in dump.iterdir()) == ["dump.json", "full"]


def test_a_pod_nested_too_deeply_is_told(cli, tmp_path):
    made = json.loads(listed([node("n1"), pod("a")]))
    made["items"][1]["spec"]["unknown"] = json.loads("[" * 600 + "]" * 600)
    (tmp_path / "dump").write_text(json.dumps(made))
    assert cli("schedule", "-f", "dump", "-o", "json").code == 0
    done = cli("schedule", "-f", "dump", "-o", "objects", "-q")
    assert done.code == 0 or ("nested too deeply" in done.line and done.code == 2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*ODD, ...])), min_size=1, max_size=2),
    st.sampled_from(["queue", "given"]),
    st.sampled_from(["json", "objects", "table"]),
)
def test_odd_values_end_in_a_result_or_in_one_line(
    cli: Any, tmp_path: Path, changes: Any, order: str, form: str
) -> None:
    objects = [json.loads(json.dumps(one)) for one in OBJECTS]
    for (i, path), odd in changes:
        changed(objects, i, path, odd)
    (tmp_path / "dump").write_text(listed([*objects, node("spare"), pod("plain"), pod("first", priority=10)]))
    done = cli("schedule", "-f", "dump", "--order", order, "-o", form, "-q")
    assert done.code == 0 or (done.code == 2 and "dump" in done.line and len(done.line) < 620)
    if done.code == 0 and form == "json":
        assert {"plain", "first"} <= {row["name"] for row in json.loads(done.out)["pods"]}
