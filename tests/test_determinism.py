"""The same inputs and seed give the same results, whatever the machine, the folder and the pace of the calls."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale import __main__ as door
from kscale import replay, report, simulation
from kscale.engine.outputs import OUTPUTS
from kscale.engine.runfolder import Run
from kscale.entries import Entries
from kscale.replay import Plan
from kscale.simulation import Settings
from kscale.traces.common import writing
from kscale.traces.common.synth import synth

#: Threads, hash seed, and working folder of each run in a process of its own; the first is what others are held to.
MACHINES = (("1", "1", "one"), ("2", "1", "one"), ("1", "2", "one"), ("2", "2", "two"))
Play = Callable[..., Run]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 300 pods on four nodes that share GPUs; some wait."""
    folder = tmp_path_factory.mktemp("inputs")
    made = synth("openb", np.random.default_rng(3), nodes=4, pods=300, days=1.0, load=2.0)
    assert made.nodes is not None
    writing.write_trace(made, folder / "pods.parquet")
    writing.write_nodes(made.nodes, folder / "nodes.csv")
    return folder


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in OUTPUTS}


@pytest.mark.compiled
def test_threads_hash_seeds_and_folders_change_nothing(inputs: Path, tmp_path: Path) -> None:
    found: list[tuple[str, dict[str, pl.DataFrame], Any]] = []
    for number, (threads, seed, where) in enumerate(MACHINES):
        folder = tmp_path / where
        if not folder.exists():
            shutil.copytree(inputs, folder)
        command = [sys.executable, *shlex.split("-m kscale replay pods.parquet --nodes nodes.csv --out run --quiet")]
        settings = {"POLARS_MAX_THREADS": threads, "NUMBA_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode, done.stderr) == (0, ""), number
        run = json.loads((folder / "run" / "run.json").read_text())
        for measured in ("timing", "files", "digest"):
            del run[measured]
        found.append((re.sub(r"[\d,.]+ pods/s", "", done.stdout), tables(folder / "run"), run))
    first = found[0]
    assert first[2]["counts"]["attempts"] > 300, "no pod waits"
    for (out, read, run), machine in zip(found[1:], MACHINES[1:], strict=True):
        assert run == first[2], machine
        for name, frame in read.items():
            assert frame.equals(first[1][name]) and frame.schema == first[1][name].schema, (name, machine)
        assert out == first[0], machine


@pytest.fixture
def play(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Replays the inputs with some fields of the plan set. Nothing is drawn; inflations run as plain Python."""

    def _settings(policy: str, inflate: bool, *more: Any, **named: Any) -> Settings:
        return Settings(policy, inflate, *more, **named, compiled=not inflate)

    monkeypatch.setattr(replay, "Settings", _settings)
    monkeypatch.setattr(report, "write", lambda folder, run, summary: {})

    def _play(**fields: Any) -> Run:
        plan = Plan(inputs / "pods.parquet", str(inputs / "nodes.csv"), tmp_path / "run", **fields)
        with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
            return replay.replay(plan)[0]

    return _play


def test_checks_and_samples_change_no_pod(play: Play) -> None:
    plain = play()
    assert plain.counts["attempts"] > 300
    assert play(check=True).fingerprint == plain.fingerprint
    hour = 3600 * 10**6
    fine, coarse = play(sample_us=hour // 4), play(sample_us=1000 * hour)
    assert fine.fingerprint == coarse.fingerprint == plain.fingerprint
    assert fine.sample_us != coarse.sample_us


@pytest.mark.parametrize("fields", [{}, {"inflate": True}, {"scheduler_rate": "0.01", "ends": "recorded"}])
def test_the_length_of_a_call_changes_nothing(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    whole, call = play(**fields), Entries.call
    known, calls = tables(tmp_path / "run"), 0

    for budget in (1, 7, 1 << 40):

        def bounded(self: Entries, entry: str, *arguments: Any, budget: int = budget) -> Any:
            nonlocal calls
            calls += 1
            return call(self, entry, arguments[0], budget) if entry == "run" else call(self, entry, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(Entries, "call", bounded)
            assert play(**fields).fingerprint == whole.fingerprint
        assert calls > 300 or budget > 1
        for name, frame in tables(tmp_path / "run").items():
            assert frame.equals(known[name]), (name, budget)


@pytest.mark.parametrize("seconds", [1e-9, 1e9])
def test_the_wall_time_of_a_call_changes_nothing(play: Play, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    whole = play()
    monkeypatch.setattr(simulation, "_CALL_SECONDS", seconds)
    assert play().fingerprint == whole.fingerprint


def test_another_seed_draws_otherwise(play: Play) -> None:
    for fields in ({"policy": "Random", "inflate": True}, {"load": 1.5}, {"load": 0.5}):
        runs = [play(**fields, seed=seed) for seed in (0, 0, 1, 2**63 - 1)]
        prints = [run.fingerprint for run in runs]
        assert prints[0] == prints[1]
        assert len(set(prints)) == 3, fields


def test_other_inputs_give_another_fingerprint(play: Play, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "order.txt").write_text("".join(f"{3 - i}\n" for i in range(4)))
    runs = [play(), play(node_order=tmp_path / "order.txt"), play(compress=2.0), play(scheduler_rate="10")]
    assert len({run.fingerprint for run in runs}) == 4


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--load", "1.5", "--seed", "9", "--compress", "2", "--ends", "recorded", "--scheduler-rate", "10"],
        ["--inflate", "--policy", "Random", "--seed", "4", "--pod-order", "the order.npy", "--node-order", "o.txt"],
        ["--until", "31h7m", "--sample", "90500ms", "--check", "--lenient", "--max-input", "1Gi", "--format", "own"],
        ["--scheduler-rate", "real", "--machine-unit", "96cpu,512Gi"],
    ],
    ids=lambda options: " ".join(options) or "no options",
)
def test_the_command_of_a_run_repeats_it(
    play: Play, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(inputs / "pods.parquet", "the pods' list.parquet")
    np.save("the order.npy", np.arange(200) // 2)
    Path("o.txt").write_text("2\n0\n1\n")
    shape = "96cpu,512Gi,8xG2,zone=a:3;32cpu,256Gi,4xG3:1"
    command = ["replay", "the pods' list.parquet", "--nodes", shape, "--out", "a run", "-q", *options]
    runs = []
    for _ in range(2):
        with np.errstate(over="ignore"):
            assert door.run(command) == 0
        runs.append(json.loads(Path("a run", "run.json").read_text()))
        words = shlex.split(runs[-1]["command"])
        assert words[0] == "kscale"
        command = [*words[1:], "-q"]
    first, second = runs
    for name in ("fingerprint", "command", "configuration", "counts", "inputs", "horizon_us", "sample_us"):
        assert first[name] == second[name], name
