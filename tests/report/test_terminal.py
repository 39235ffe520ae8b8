"""The end summary: 25 lines of 80 columns, the verdict last, then what to try next."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from kscale.report import terminal
from tests.report.stories import ALL


@pytest.mark.parametrize("name", ALL)
def test_it_fits_a_terminal(summaries, name):
    lines = terminal.lines(summaries[name], Path("out/run"))
    shown = [line for line in lines if not line.startswith(("report: ", "next: "))]
    assert all(terminal._cells(line) <= 80 and line.isprintable() for line in shown)
    assert sum(max(1, -(-len(line) // 80)) for line in lines) <= 25
    mark = {"fits": "✓", "waits": "✓", "fails": "✗", "nothing": "–"}[summaries[name].verdict.kind]
    start = max(k for k, line in enumerate(lines) if line.startswith(mark))
    assert all(not line.startswith("  ") for line in lines[start:])


@pytest.mark.parametrize("name", ["hostile", "busy"])
def test_rich_prints_it_as_it_is(summaries, name):
    lines = terminal.lines(summaries[name], Path("out/[/oops]"))
    out = io.StringIO()
    console = Console(file=out, width=400, color_system=None)
    for line in lines:
        console.print(Text(line))
    assert out.getvalue().splitlines() == [line.rstrip() for line in lines]


def test_next_command_raises_the_load_where_it_fits(summaries):
    words = shlex.split(terminal.next_command(summaries["fits"]))
    assert words[:3] == ["kscale", "replay", "trace.csv"]
    assert float(words[words.index("--load") + 1]) > 1
    assert words[words.index("--out") + 1] != "run"


def test_next_command_lowers_the_load_where_it_does_not(summaries):
    words = shlex.split(terminal.next_command(summaries["inflate"]))
    assert float(words[words.index("--load") + 1]) < 1


@pytest.mark.parametrize("name", ["empty", "nothing_placed", "no_nodes"])
def test_no_command_where_none_helps(summaries, name):
    assert terminal.next_command(summaries[name]) is None


def test_pods_that_controllers_make_are_no_load(summaries):
    run = summaries["fits"].run
    before = run.configuration
    try:
        for trace, known in (("trace.csv", True), (None, False)):
            run.configuration = {**before, "trace": trace}
            assert (terminal.next_command(summaries["fits"]) is not None) == known
    finally:
        run.configuration = before


def test_next_command_replaces_options(summaries):
    run = summaries["fits"].run
    before = run.command
    try:
        run.command = "kscale replay 'my trace' --load=0.5 --out a --seed 3"
        words = shlex.split(terminal.next_command(summaries["fits"]))
        assert words.count("--load") == 1 and "--load=0.5" not in words
        assert "my trace" in words and words[words.index("--out") + 1].startswith("a-load-")
        run.command = "kscale replay 'open"
        assert terminal.next_command(summaries["fits"]) is None
    finally:
        run.command = before
