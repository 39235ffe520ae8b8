"""Scenarios carried out whole against a plain account of what each action does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.scenario import Script
from tests.scenario.stage import Stage, workload

NAMES = ("a", "b")


class Account:
    """What objects are by now: replicas, images, how often their specs were written."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {"a": self._made(2, "nginx:1")}

    @staticmethod
    def _made(replicas: int, image: str) -> dict[str, Any]:
        return {"replicas": replicas, "images": [image, "side:1"], "generation": 1, "paused": 0}

    def do(self, verb: str, name: str, number: int) -> bool:
        """Do something; False where it cannot be done."""
        if verb == "apply" and name not in self.objects:
            self.objects[name] = self._made(number, f"nginx:{number}")
            return True
        if name not in self.objects:
            return False
        one = self.objects[name]
        before = dict(one)
        if verb == "delete":
            del self.objects[name]
        elif verb == "scale":
            one["replicas"] = number
        elif verb == "image":
            one["images"] = [f"nginx:{number}", one["images"][1]]
        elif verb == "pause":
            one["paused"] = 1
        elif verb == "resume":
            one["paused"] = 0
        elif verb == "restart":
            if one["paused"]:
                return False
            one["generation"] += 1
        elif verb == "apply":
            one["replicas"], one["images"] = number, [f"nginx:{number}", "side:1"]
        if verb != "restart" and one != before:
            one["generation"] += 1
        return True


def entry(verb: str, name: str, number: int) -> dict[str, Any]:
    target = f"deploy/{name}"
    return {
        verb: {
            "scale": {"target": target, "replicas": number},
            "image": {"target": target, "containers": {"web": f"nginx:{number}"}},
            "apply": workload("Deployment", name, number, image=f"nginx:{number}"),
        }.get(verb, target)
    }


VERBS = st.sampled_from(["scale", "image", "apply", "pause", "resume", "restart", "delete"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(VERBS, st.sampled_from(NAMES), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_world_comes_to_what_the_account_says(tmp_path: Path, acts: list[tuple[str, str, int]]) -> None:
    account, stage = Account(), Stage(workload("Deployment", "a"))
    done = [account.do(*act) for act in acts]
    # Restarts of one instant would be one: each action has a time of its own.
    text = msgspec.json.encode([{"at": n, **entry(*act)} for n, act in enumerate(acts)]).decode()
    if not all(done):
        with pytest.raises(InputError, match=f"s.yaml, action {done.index(False) + 1}, field"):
            stage.plan(tmp_path, text)
        return
    script = Script(stage.plan(tmp_path, text), stage.wanted)
    assert len(script.apply_due(stage.world, 1 << 50)) == len(acts)
    inventory = stage.gathering.inventory()
    for name in NAMES:
        assert (stage.world.find("Deployment", "default", name) >= 0) == (name in account.objects)
    for name, one in account.objects.items():
        found = {column: stage.read("Deployment", name, column) for column in ("replicas", "paused", "template")}
        template = inventory.templates[inventory.wanted[found.pop("template") - 10]]
        assert found == {"replicas": one["replicas"], "paused": one["paused"]}
        assert list(template.description.images) == one["images"]
        assert stage.read("Deployment", name, "object_generation") == one["generation"]
