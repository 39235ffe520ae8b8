"""A replay that is killed, and two of one name: what the commands say."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPLAY = ("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run")
#: A replay as plain Python that tells when it simulates, and then waits for its standard input.
WAITS = """
import functools, sys
from kscale import replay
from kscale.__main__ import main
from kscale.simulation import Settings, Simulation
replay.Settings = functools.partial(Settings, compiled=False)
run = Simulation.run
def waits(*arguments):
    print("simulating", file=sys.stderr, flush=True)
    sys.stdin.read()
    return run(*arguments)
Simulation.run = waits
main()
"""


@contextlib.contextmanager
def replaying(world: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WAITS, *REPLAY, "--quiet"]
    pipe = subprocess.PIPE
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    with subprocess.Popen(
        command, cwd=world, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "simulating\n"
        try:
            yield running
        finally:
            running.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


READERS = [
    ("report", "run"),
    ("report", "run", "-o", "markdown"),
    ("report", "run", "-o", "json"),
    ("check", "run", "--budget", "budget.toml"),
    ("check", "run", "--budget", "new.toml", "--init"),
    ("check", "whole", "--budget", "budget.toml", "--against", "run"),
    ("compare", "run", "whole"),
    ("compare", "whole", "run"),
]


def test_every_reader_refuses_a_killed_run(cli, world):
    assert cli(*REPLAY[:-1], "whole").code == 0
    assert cli("check", "whole", "--budget", "budget.toml", "--init").code == 0
    with replaying(world) as running:
        assert names(world / "run") == ["incomplete.json"]
        during = [cli(*words) for words in READERS]
        running.kill()
        running.wait()
    for done in (*during, *(cli(*words) for words in READERS)):
        assert done.code == 2
        assert done.line.startswith("kscale: run: is incomplete: its run, begun 20"), done.line
        assert f" as process {running.pid}, goes on or was killed; expected " in done.line
    assert names(world / "run") == ["incomplete.json"] and not (world / "new.toml").exists()
    assert cli(*REPLAY).code == 0
    assert cli("report", "run").code == 0 and cli("compare", "run", "whole").code == 0
    assert [name for name in names(world) if "partial" in name] == []


@pytest.mark.parametrize("older", [False, True])
def test_a_second_run_to_the_same_name_is_refused_while_the_first_lives(cli, world, older):
    if older:
        assert cli(*REPLAY).code == 0
    with replaying(world) as running:
        held = names(world / "run")
        done = cli(*REPLAY, "--quiet")
        assert done.code == 2
        assert done.line.startswith("kscale: run, field '--out': is being written by another run"), done.line
        assert names(world / "run") == held and ("run.json" in held) == older
        _, err = running.communicate(timeout=120)
        assert running.returncode == 0, err
    assert cli("report", "run").code == 0
    assert names(world) == ["nodes.csv", "pods.csv", "run"]


def test_wrong_input_leaves_no_mark(cli, world):
    (world / "pods.csv").write_text("name,owner\na,b\n")
    assert cli(*REPLAY, "--quiet").code == 2
    assert names(world) == ["nodes.csv", "pods.csv"]
