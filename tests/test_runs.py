"""The two runs of the tests leave none out: what is for the plain run alone lies where that run looks."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import LEFT_OUT, PLAIN

ROOT = Path(__file__).parents[1]
COMMANDS = re.split(r"\ntest-plain:.*\n", (ROOT / "Makefile").read_text().replace("\\\n", " "))
COMPILED, RUN = (part.partition("\n\n")[0] for part in (COMMANDS[0].rpartition("test-compiled:")[2], COMMANDS[1]))


def test_the_compiled_run_leaves_out_what_is_plain_and_nothing_else() -> None:
    assert re.findall(r'-m "(.*?)"', COMPILED) == ["not plain"] and "tests/" not in COMPILED


def test_the_plain_run_leaves_out_what_the_compiled_one_has() -> None:
    (marks,) = re.findall(r'-m "(.*?)"', RUN)
    assert sorted(marks.split(" and ")) == sorted(f"not {name}" for name in LEFT_OUT)


def test_the_plain_run_looks_where_tests_are_for_it_alone() -> None:
    places = [ROOT / path for path in re.findall(r"tests/\S+", RUN)]
    assert len(places) > 5 and all(path.exists() for path in places)
    mark = "pytest.mark." + "plain"
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if mark in path.read_text()]
    files += [path for folder in PLAIN for path in (ROOT / "tests" / folder).rglob("test_*.py")]
    assert len(files) > 100
    missed = [path for path in files if not any(path == place or place in path.parents for place in places)]
    assert not missed, missed
