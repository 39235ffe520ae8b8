"""The same input gives the same run: twice, compiled or plain, on one thread or two; checks change nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale.entries import Entries
from kscale.simulation import Simulation
from tests.living.stage import Manifest, live, play, simulation, workload
from tests.living.worlds import AUTOSCALER, BUDGET, CRON, SERVICE


def mixed() -> tuple[list[Manifest], list[Manifest]]:
    """Return a workload of every kind, and something of every verb."""
    objects = [
        workload("Deployment", "web", replicas=5), workload("Deployment", "api", replicas=2),
        workload("StatefulSet", "db", replicas=3), workload("DaemonSet", "agent"),
        workload("Job", "batch", {"kscale.dev/run-time": "20s"}, completions=4, parallelism=2),
        SERVICE, BUDGET, AUTOSCALER, CRON,
    ]  # fmt: skip
    new = {"containers": {"web": "web:2"}}
    actions = [
        {"at": 20, "load": {"target": "deployment/api", "cpu": {"mean": "300m", "amplitude": "250m", "period": "5m"}}},
        {"at": 40, "crash": {"target": "deployment/web", "perStart": 0.4, "perHour": 20, "for": "3m"}},
        {"at": 60, "image": {"target": "deployment/web", **new}},
        {"at": 61, "image": {"target": "statefulset/db", **new}},
        {"at": 62, "restart": "daemonset/agent"},
        {"at": 70, "evict": "deployment/web"},
        {"at": 90, "scale": {"target": "statefulset/db", "replicas": 1}},
        {"random": {"between": ["2m", "6m"], "times": 3}, "delete": {"pods": "app=api"}},
        {"at": 300, "rollback": "deployment/web"},
        {"at": 400, "delete": {"target": "daemonset/agent", "cascade": "foreground"}},
    ]
    return objects, actions


def told(made: Simulation) -> dict[str, pl.DataFrame]:
    return {"pods": made.pods(), **made.living.tables()}


def fingerprint(made: Simulation) -> dict[str, str]:
    return {name: hashlib.sha256(frame.write_json().encode()).hexdigest() for name, frame in told(made).items()}


def test_two_runs_are_the_same_and_checks_change_nothing() -> None:
    objects, actions = mixed()
    first = told(play(objects, actions, minutes=8))
    for check in (False, True):
        second = told(play(objects, actions, minutes=8, check=check))
        for name, frame in first.items():
            assert frame.equals(second[name]), name
    # Something of everything happened.
    assert first["objects"]["restarts"].sum() > 0 and first["actions"].height == 14
    assert set(first["pods"]["status"].unique()) >= {"running", "succeeded", "deleted"}


def test_another_seed_draws_other_times() -> None:
    objects, actions = mixed()
    one, other = (play(objects, actions, minutes=6, seed=seed, check=False) for seed in (0, 1))
    assert not one.living.tables()["actions"]["time_us"].equals(other.living.tables()["actions"]["time_us"])


def test_the_length_of_a_call_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    objects, actions = mixed()
    whole, call = fingerprint(play(objects, actions, minutes=6, check=False)), Entries.call
    for budget in (1, 1 << 40):

        def bounded(self: Entries, entry: str, *arguments: Any, budget: int = budget) -> Any:
            return call(self, entry, arguments[0], budget) if entry == "run" else call(self, entry, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(Entries, "call", bounded)
            assert fingerprint(play(objects, actions, minutes=6, check=False)) == whole


PLAIN = """
import json, os, sys
from tests.living.test_same import fingerprint, mixed
from tests.living.stage import live, simulation
objects, actions = mixed()
print(json.dumps(fingerprint(live(simulation(objects, actions, minutes=8, compiled=sys.argv[1] == "compiled")))))
"""


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_and_plain_are_the_same_on_any_number_of_threads() -> None:
    objects, actions = mixed()
    compiled = fingerprint(live(simulation(objects, actions, minutes=8, compiled=True)))
    # Another process reads the code from its cache.
    for how, threads, seed in (("plain", "1", "1"), ("compiled", "1", "2"), ("compiled", "2", "1")):
        environment = {
            **os.environ, "NUMBA_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(p for p in sys.path if p)]),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PLAIN, how], env=environment, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == compiled, (how, threads, seed)
