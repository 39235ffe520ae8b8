"""Flows of traffic: how actions state them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kscale import casting
from kscale.engine.flows import Flow
from kscale.engine.load import Constant, Points, Sine
from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import opening
from tests.living.stage import Manifest, read, simulation, workload

WEB = ("Service", "default", "web")
FRONT = ("Deployment", "default", "front")


def service(name: str, app: str | None = None, **spec: Any) -> Manifest:
    selector = {} if app is None else {"selector": {"app": app}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80}], **selector, **spec}}  # fmt: skip


OBJECTS = [
    workload("Deployment", "web", replicas=2), workload("Deployment", "front", replicas=1), service("web", "web"),
    service("bare"), service("names", "front", clusterIP="None"),
]  # fmt: skip


def effects(folder: Path, *traffic: Any) -> dict[Any, Any]:
    """What the first action of each time sets, by key."""
    gathering, script = read(folder, OBJECTS, [{"at": "1m", "traffic": one} for one in traffic])
    nodes = opening.read_nodes("8cpu,32Gi:3", Options())
    made = casting.stage(gathering, None, nodes, limited=True, scenario=script)
    assert made.cast.script is not None
    set_ = [effect for action in made.cast.script.actions for effect in action.effects]
    return {one.key: one.value for one in set_}  # type: ignore[attr-defined]


def test_a_flow_from_a_workload(tmp_path: Path) -> None:
    stated = {"to": "web", "from": "deploy/front", "rate": 2.5, "duration": {"mean": "200ms", "tail": 1.5}}
    assert effects(tmp_path, stated) == {(FRONT, WEB): Flow(Constant(2500), 200_000, 1.5)}


def test_curves_count_from_the_action(tmp_path: Path) -> None:
    points = effects(tmp_path, {"to": "svc/web", "rate": {"points": {"0s": 1, "10s": 2}}})
    assert points == {(None, WEB): Flow(Points(((60_000_000, 1000), (70_000_000, 2000))))}
    sine = effects(tmp_path, {"to": "web", "rate": {"mean": 2, "amplitude": 1, "period": "2m"}})
    assert sine == {(None, WEB): Flow(Sine(2000, 1000, 120_000_000, 60_000_000))}


def test_a_matrix_takes_over_what_the_action_states(tmp_path: Path) -> None:
    flows = [
        {"from": "deploy/front", "to": "deploy/web", "rate": 3},
        {"to": "web", "rate": 1, "duration": "1s"},
    ]
    assert effects(tmp_path, {"duration": "50ms", "flows": flows}) == {
        (FRONT, WEB): Flow(Constant(3000), 50_000), (None, WEB): Flow(Constant(1000), 1_000_000),
    }  # fmt: skip


def test_flows_come_and_go() -> None:
    traffic = {"to": "web", "from": "deploy/front", "rate": 1, "for": "3m"}
    later = {"at": "2m", "delete": "deploy/front"}
    made = simulation(OBJECTS, [{"at": "1m", "traffic": traffic}, later], minutes=10)
    world, seen = made.living.world, {}  # type: ignore[union-attr]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.flows, "version", 0)
        made.run(lambda now_us, _: seen.setdefault(world.flows.version, now_us))
    assert seen[1] == 60_000_000
    # What it ends is known, though its clients have gone.
    assert 240_000_000 <= seen[2] <= 241_000_000
    assert not world.flows


@pytest.mark.parametrize(
    ("traffic", "field", "words"),
    [
        ({"to": "wbe", "rate": 1}, "traffic.to", "'wbe' in the namespace 'default'; did you mean 'web'?"),
        ({"to": "web", "rate": 1, "from": "deploy/frnt"}, "traffic.from", "there is no Deployment 'frnt'"),
        ({"to": "web", "rate": 1, "from": "svc/web"}, "traffic.from", "has no pod template"),
        ({"to": "bare", "rate": 1}, "traffic.to", "Service 'bare' has no selector: no proxy balances it"),
        ({"to": "names", "rate": 1}, "traffic.to", "Service 'names' is headless: no proxy balances it"),
        ({"to": "web"}, "traffic.rate", "is missing"),
        ({"rate": 1}, "traffic.to", "is missing"),
        ({}, "traffic", "states no flow"),
        ({"flows": []}, "traffic.flows", "is empty"),
        ({"flows": [{"to": "web", "rate": 1}], "rate": 1}, "traffic", "states a flow and a list of them"),
        ({"flows": [{"to": "web", "rate": 1}] * 2}, "traffic.flows[1]", "states a flow twice"),
        ({"flows": [{"to": "web", "rat": 1}]}, "traffic.flows[0].rat", "is not known; did you mean 'rate'?"),
        ({"to": "web", "rate": -1}, "traffic.rate", "-1"),
        ({"to": "web", "rate": 1, "duration": "2x"}, "traffic.duration", "2x"),
        ({"to": "web", "rate": 1, "duration": {"mean": "3d"}}, "traffic.duration.mean", "is too long"),
        ({"to": "web", "rate": 1, "duration": {"mean": "1s", "tail": 1}}, "traffic.duration.tail", "is 1"),
        ({"to": "web", "rate": 1, "duration": {"mean": "1s", "tial": 2}}, "traffic.duration.tial", "is not known"),
        ({"to": "web", "rate": {"mean": 1}}, "traffic.rate", "is no whole curve"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(tmp_path: Path, traffic: Any, field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        effects(tmp_path, traffic)
    line = str(caught.value)
    assert "\n" not in line
    assert words in line
    assert caught.value.field == field
    assert "scenario.json, action 1" in line


def test_a_workload_behind_several_services_names_none(tmp_path: Path) -> None:
    gathering, script = read(
        tmp_path, [*OBJECTS, service("other", "web")], [{"at": "1m", "traffic": {"to": "deploy/web", "rate": 1}}]
    )
    nodes = opening.read_nodes("8cpu,32Gi:3", Options())
    with pytest.raises(InputError, match="behind several Services: other, web"):
        casting.stage(gathering, None, nodes, limited=True, scenario=script)
