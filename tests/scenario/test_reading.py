"""Scenario files as they are read: what is taken, and the one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.errors import InputError
from kscale.scenario import plan, read
from kscale.scenario.models import VERBS
from tests.scenario.stage import KINDS, gathered, planned, refusal, workload, written

WEB = workload("Deployment", "web")
ONE = "- at: 5m\n  scale: {target: deployment/web, replicas: 3}\n"


def test_documents_and_files_follow_each_other(tmp_path: Path) -> None:
    first = written(tmp_path, f"{ONE}---\nat: 6m\npause: deployment/web\n", "a.yaml")
    second = written(tmp_path, ONE, "b.yaml")
    scenario = read([first, second])
    assert [(Path(s.file).name, s.number, s.place, s.verb) for s in scenario.steps] == [
        ("a.yaml", 1, 0, "scale"), ("a.yaml", 2, 1, "pause"), ("b.yaml", 1, 2, "scale"),
    ]  # fmt: skip
    assert scenario.inputs == (str(first), str(second))


def test_json_is_read_as_well(tmp_path: Path) -> None:
    assert len(planned(tmp_path, '[{"at": 5, "pause": "deploy/web"}]', WEB)) == 1


def test_manifests_come_from_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    written(tmp_path / "more", msgspec.json.encode(workload("Deployment", "api")).decode(), "api.yaml")
    steps = read(
        [written(tmp_path, "- {at: 0, apply: more/api.yaml}\n- {at: 1, apply: [more, more/api.yaml]}\n")]
    ).steps
    assert [len(step.items) for step in steps] == [1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "s.yaml: has no actions; expected a list of actions"),
        ("- 5\n", "s.yaml, action 1: is no mapping; expected a time and a verb"),
        ("- {at: 5m, skale: {}}",
         "s.yaml, action 1, field 'skale': is not known; did you mean 'scale'? Expected one of"),
        ("- {at: 5m, scale: {target: deployment/web, replica: 3}}",
         "field 'scale.replica': is not known; did you mean 'replicas'? Expected one of target, kind, name"),
        ("- {at: 5m, load: {target: deploy/web, cpu: {pionts: {}}}}",
         "field 'load.cpu.pionts': is not known; did you mean 'points'?"),
        ("- {random: {betwen: [1, 2]}, pause: deploy/web}",
         "field 'random.betwen': is not known; did you mean 'between'?"),
        ("- {at: 5m, scale: {target: deployment/web}}", "field 'scale.replicas': is missing; expected a value"),
        ("- {at: 5m, scale: {target: deployment/web, replicas: many}}",
         "field 'scale.replicas': is text; expected a whole number"),
        ("- {at: 5m}", "s.yaml, action 1: has no verb; expected exactly one of apply, scale"),
        (f"{ONE}- {{at: 5m, pause: deploy/web, resume: deploy/web}}",
         "s.yaml, action 2: has pause and resume; expected"),
        ("- {pause: deploy/web}", "s.yaml, action 1: has no time; expected one of at, every, random"),
        ("- {at: 1, every: 2, pause: deploy/web}", "has at and every; expected one of at, every, random"),
        ("- {at: soon, pause: deploy/web}", "field 'at': 'soon' is not a duration; expected a duration such as 90s"),
        ("- {at: -5, pause: deploy/web}", "field 'at': '-5' is not a duration"),
        ("- {at: 5, until: 6, pause: deploy/web}", "field 'until': is stated without every"),
        ("- {every: 5, pause: deploy/web}", "field 'every': has no end; expected until or times"),
        ("- {every: 0, times: 2, pause: deploy/web}", "field 'every': is 0; expected a duration above 0"),
        ("- {every: 5, times: 0, pause: deploy/web}", "field 'times': is 0; expected 1 to 100,000 times"),
        ("- {every: 1us, until: 1h, pause: deploy/web}", "field 'every': stands for more than 100,000 times"),
        ("- {every: 5m, from: 1h, until: 5m, pause: deploy/web}", "field 'until': is before the first time"),
        ("- {random: {between: [5m, 1m]}, pause: deploy/web}", "field 'random.between': has its end before its start"),
        ("- {random: {between: [5m]}, pause: deploy/web}", "field 'random.between'"),
        ("- {at: 5, apply: web.yaml}", "s.yaml, action 1, field 'apply': 'web.yaml' does not exist; expected a file"),
        (f"- {{at: 5, apply: {'a' * 300}}}", "aaa' does not exist; expected a file"),
        ("- {at: 5, apply: [5]}", "field 'apply': is no manifest"),
        ("- {at: 5, apply: []}", "field 'apply': is empty"),
        ("- {at: 5, apply: {a: 1}}", "s.yaml, action 1, item 1: has no kind"),
        ("- {at: 5, pause: [", "s.yaml, line 2, column 1: cannot be read as YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text, WEB)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read([tmp_path / "none.yaml"])


SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}  # fmt: skip
ALL = {**KINDS, "Service": controllers.kinds()["Service"]}
SOUND: list[dict[str, Any]] = [
    {"at": "5m", "scale": {"target": "deployment/web", "replicas": 3}},
    {"every": "10m", "from": 0, "until": "1h", "image": {"kind": "Deployment", "name": "web",
     "containers": {"*": "a:2"}}},
    {"random": {"between": ["1m", "2m"], "times": 2}, "restart": "deploy/web"},
    {"at": 90, "rollback": {"target": "deploy/web", "to": 1}},
    {"at": "1h", "apply": [workload("Deployment", "api", 1)]},
    {"at": "2h", "delete": {"pods": "app=web", "grace": 0}},
    {"at": "2h", "delete": {"target": "deployment/api", "cascade": "orphan"}},
    {"at": "2h", "crash": {"target": "deploy/web", "perHour": 0.5, "for": "1h"}},
    {"at": "2h", "registry": {"bandwidth": 0.1, "failing": True, "for": "10m"}},
    {"at": "2h", "load": {"target": "deploy/web", "cpu": {"points": {"0": "1", "5m": 2}, "linear": True},
                          "memory": {"mean": "1Gi", "amplitude": "1Mi", "period": "1h"}}},
    {"at": "2h", "traffic": {"to": "web", "from": "deploy/web", "rate": 5, "duration": {"mean": "1s", "tail": 2}}},
    {"at": "2h", "traffic": {"flows": [{"to": "deploy/web", "rate": {"mean": 2, "amplitude": 1, "period": "1h"}}],
                             "for": "1h"}},
    {"at": "3h", "evict": {"pods": "app=web"}}, {"at": "3h", "evict": "deploy/web"},
    {"at": "4h", "pause": "deploy/web"}, {"at": "5h", "resume": {"target": "deployments.apps/web"}},
]  # fmt: skip


def test_all_verbs_are_planned(tmp_path: Path) -> None:
    path = written(tmp_path, msgspec.json.encode(SOUND).decode())
    actions = plan(read([path]), gathered(WEB, SERVICE, kinds=ALL), ALL, 1)
    assert {next(verb for verb in VERBS if verb in one) for one in SOUND} == set(VERBS)
    assert len(actions) == len(SOUND) + 6 + 1 + 3
    assert [one.at_us for one in actions] == sorted(one.at_us for one in actions)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in _paths(one, (*path, key)))]


def _mutated(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {key: _mutated(one, path[1:], new) if key == path[0] else one for key, one in value.items()}
    return [_mutated(one, path[1:], new) if key == path[0] else one for key, one in enumerate(value)]


VALUES = st.sampled_from([
    None, True, -1, 0, 3, 1.5, 1e300, 1 << 62, "", "web", "deployment/web", "-5m", "5m", "\u0000",
     "é" * 300, [], [None],
    {}, {"a": None}, {"kind": "Pod", "metadata": {"name": "x"}}, {"kind": "Deployment"}, ["5m", "1m"], "*", ".inf",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_end_in_one_line_or_well(tmp_path: Path, data: st.DataObject) -> None:
    found: Any = SOUND
    for _ in range(data.draw(st.integers(1, 3))):
        found = _mutated(found, data.draw(st.sampled_from(_paths(found))), data.draw(VALUES))
    path = written(tmp_path, msgspec.json.encode(found).decode())
    try:
        plan(read([path]), gathered(WEB, SERVICE, kinds=ALL), ALL, 0)
    except InputError as error:
        assert "\n" not in str(error)
        assert error.file is not None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_torn_files_end_in_one_line_or_well(tmp_path: Path, data: st.DataObject) -> None:
    text = f"{ONE}- {{every: 1m, times: 3, restart: deploy/web}}\n---\nat: 7m\ndelete: {{pods: {{app: web}}}}\n"
    place = data.draw(st.integers(0, len(text)))
    torn = text[:place] + data.draw(st.text(max_size=4)) + text[place + data.draw(st.integers(0, 9)) :]
    path = tmp_path / "t.yaml"
    path.write_bytes(torn.encode("utf-8", "surrogatepass"))
    try:
        plan(read([path]), gathered(WEB), KINDS, 0)
    except InputError as error:
        assert error.file is not None
