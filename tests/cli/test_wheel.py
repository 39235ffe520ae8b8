"""The demo from a wheel, in an empty folder, where the sources are not."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """The wheel, built with the hatchling at hand, or with one that pip fetches."""
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--quiet", "--wheel-dir", str(folder)]
    at_hand = importlib.util.find_spec("hatchling") is not None
    done = subprocess.run(
        [*command, "--no-build-isolation"] if at_hand else command, capture_output=True, text=True, timeout=300
    )
    if done.returncode and not at_hand:
        pytest.skip("hatchling is neither here nor can pip fetch it")
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("kscale-*.whl")
    return wheel


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(build(tmp_path)) as wheel:
        names = wheel.namelist()
        wheel.extractall(installed)
    assert {"kscale/bundled/day.parquet", "kscale/bundled/day-nodes.parquet"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/")) or "__pycache__" in name]
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    environment = {**os.environ, "PYTHONPATH": str(installed), "KSCALE_CACHE": str(tmp_path / "cache")}

    def run(*words: str) -> str:
        command = [
            sys.executable,
            "-c",
            "import sys, kscale.__main__ as m; print(m.__file__, file=sys.stderr); m.main()",
        ]
        done = subprocess.run(
            [*command, *words], cwd=empty, env=environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(str(installed)), "another kscale was run"
        return done.stdout

    out = run("demo")
    assert "kscale-demo/report.html" in out
    assert [path.name for path in empty.iterdir()] == ["kscale-demo"]
    kept = json.loads((empty / "kscale-demo" / "run.json").read_text())
    assert kept["counts"]["arrived"] == 4000 and kept["counts"]["nodes"] == 40
    assert (empty / "kscale-demo" / "report.html").stat().st_size > 100_000
    assert run("report", "kscale-demo").splitlines()[0] == out.splitlines()[0]
    assert run("trace", "info", str(installed / "kscale" / "bundled" / "day.parquet"))
