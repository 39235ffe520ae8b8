"""The command line in this process, in an empty folder; small worlds as files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kscale import __main__ as door
from kscale import replay
from kscale.simulation import Settings

PODS = """\
name,owner,arrival,duration,cpu,memory,gpu_count,gpu_milli,gpu_models
web-0,web,0,,500m,1Gi,0,0,
web-1,web,1,,500m,1Gi,0,0,
train-0,train,2,60,2,4Gi,1,500,T4|V100
train-1,train,2,60,2,4Gi,1,500,
batch-0,,3,30,3500m,2Gi,0,0,
batch-1,,4,30,3500m,2Gi,0,0,
batch-2,,5,30,3500m,2Gi,0,0,
big-0,,6,10,64,1Gi,0,0,
"""
NODES = """\
name,cpu,memory,gpu_count,gpu_model,labels
a,4,16Gi,2,T4,zone=a
b,4,16Gi,0,,zone=b
"""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line of a fault: nothing else was printed."""
        assert self.out == ""
        assert self.err.count("\n") == 1 and self.err.startswith("kscale: "), self.err
        assert "Traceback" not in self.err
        return self.err.strip()


Cli = Callable[..., Done]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in the test's folder. The loop runs as plain Python: small worlds need no compiler."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(replay, "Settings", functools.partial(Settings, compiled=False))

    def _run(*arguments: object) -> Done:
        capsys.readouterr()
        with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
            code = door.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return _run


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with ``pods.csv`` and ``nodes.csv``: eight pods, one of which fits nowhere, on two nodes."""
    (tmp_path / "pods.csv").write_text(PODS)
    (tmp_path / "nodes.csv").write_text(NODES)
    return tmp_path


@pytest.fixture
def play(cli: Cli, world: Path) -> Callable[..., Any]:
    """Replays the world with more options; returns run.json as objects. The run folder is ``run``."""

    def _play(*options: object, pods: str = "pods.csv", nodes: str = "nodes.csv", out: str = "run") -> Any:
        done = cli("replay", pods, "--nodes", nodes, "--out", out, *options)
        assert done.code == 0, done.err
        return json.loads((world / out / "run.json").read_text())

    return _play
