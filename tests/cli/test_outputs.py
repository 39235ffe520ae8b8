"""What commands print: every form of ``-o`` parses back to the same data; names are shown as text; help."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
from typing import Any

import pytest

from kscale import living
from kscale.cli import COMMANDS, overview
from kscale.engine.outputs import LIVING_OUTPUTS, OUTPUTS
from kscale.scheduler import plugins
from kscale.state.schema import load

SHOWN = (
    ("report", "run"),
    ("trace", "info", "pods.csv"),
    ("trace", "info", "pods.csv", "--nodes", "nodes.csv"),
    ("schema",),
    ("schema", "--outputs"),
)
#: Markup, colour, a bell, a right-to-left override, a title sequence, HTML, a cell's end.
HOSTILE = "[/oops][bold]\x1b[31m\x07\u202e\x1b]0;x\x9b<script>|`"


def from_yaml(text: str) -> Any:
    """The data of a YAML text: by PyYAML where it is there, else line by line."""
    if importlib.util.find_spec("yaml") is not None:
        import yaml

        return yaml.safe_load(text)
    tables: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        if not line.startswith(" "):
            name = json.loads(line.removesuffix(" []").removesuffix(":"))
            tables[name] = []
            continue
        if line.startswith("  - "):
            tables[name].append({})
        tables[name][-1] |= json.loads("{" + line[4:] + "}")
    return tables


def from_csv(text: str) -> list[list[dict[str, str]]]:
    """The tables of a CSV text: an empty line parts them."""
    return [list(csv.DictReader(io.StringIO(part))) for part in text.split("\n\n")]


def same(written: str, value: Any) -> bool:
    if isinstance(value, float):
        return math.isclose(float(written), value)
    return written == ("" if value is None else str(value).lower() if isinstance(value, bool) else str(value))


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_every_form_parses_back_to_the_same_data(cli, play, words):
    if words[0] == "report":
        play()
    texts = {}
    for form in ("json", "yaml", "csv", "markdown", "table", "wide"):
        done = cli(*words, "-o", form)
        assert done.code == 0 and done.out, done.err
        texts[form] = done.out
    data = json.loads(texts["json"])
    assert from_yaml(texts["yaml"]) == data
    tables = from_csv(texts["csv"])
    assert len(tables) == len(data)
    for rows, expected in zip(tables, data.values(), strict=True):
        assert len(rows) == len(expected)
        for row, known in zip(rows, expected, strict=True):
            assert row.keys() == known.keys()
            assert all(same(row[name], value) for name, value in known.items()), (row, known)
    if words[0] != "report":
        for title, rows in data.items():
            assert f"### {title}\n" in texts["markdown"]
            assert texts["markdown"].count("\n| ") >= len(rows)
            assert title in texts["table"] and title in texts["wide"]
    assert max(map(len, texts["table"].splitlines())) <= 80
    assert cli(*words).out == texts["table"]


def test_the_markdown_of_a_report_is_its_page(cli, play, world):
    play()
    assert cli("report", "run", "-o", "markdown").out == (world / "run" / "report.md").read_text()


def test_the_headline_is_the_same_in_the_file_and_in_the_terminal(cli, play, world):
    run = play()
    rows = {row["metric"]: row["value"] for row in json.loads(cli("report", "run", "-o", "json").out)["headline"]}
    assert rows["pods_arrived"] == run["counts"]["arrived"]
    assert "report.html" in cli("report", "run").out


def test_schema_lists_every_column(cli):
    shown = json.loads(cli("schema", "--outputs", "-o", "json").out)
    assert shown.keys() == {f"{table}.parquet" for table in OUTPUTS | LIVING_OUTPUTS}
    for table, columns in (OUTPUTS | LIVING_OUTPUTS).items():
        rows = shown[f"{table}.parquet"]
        assert [row["column"] for row in rows] == [column.name for column in columns]
        assert all(row["type"] and row["meaning"] for row in rows)
        assert all(row["unit"] for row in rows if row["column"].endswith(("_us", "_milli", "*")))
    state = json.loads(cli("schema", "-o", "json").out)
    tables = load([*plugins.columns(), *living.columns()])
    assert state.keys() == tables.keys()
    for name, table in tables.items():
        assert [row["column"] for row in state[name]] == [f"{name}_{column}" for column in table.columns]
        assert all(row["type"] and row["shape"] and row["meaning"] for row in state[name])
    wide = cli("schema", "-o", "wide").out
    assert all(row["column"] in wide and row["meaning"] in wide for rows in state.values() for row in rows)


def test_hostile_names_are_harmless_in_every_form(cli, world):
    pod, owner, node, label = (f'"{HOSTILE}{word}"' for word in ("p", "o", "n", "l"))
    (world / "pods.csv").write_text(
        f"name,namespace,owner,arrival,duration,cpu,resource.x[/oops]\x1b[31m\n{pod},{label},{owner},0,5,1,1\nbig,,,0,5,99,1\n"
    )
    (world / "nodes.csv").write_text(f"name,cpu,memory,resource.x[/oops]\x1b[31m\n{node},4,16Gi,9\n")
    done = cli("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run")
    assert done.code == 0, done.err
    printed = [done.out, done.err]
    for form in ("table", "wide", "json", "yaml", "csv", "markdown"):
        for words in (("report", "run"), ("trace", "info", "pods.csv", "--nodes", "nodes.csv")):
            done = cli(*words, "-o", form)
            assert done.code == 0, done.err
            printed += [done.out, done.err]
            if form == "json":
                assert json.loads(done.out) == from_yaml(cli(*words, "-o", "yaml").out)
    for text in printed:
        assert not set(text) & set("\x1b\x07\x9b\u202e"), text
    page = (world / "run" / "report.html").read_text()
    assert "<script>|`" not in page and "\x1b" not in page


def test_a_hostile_option_is_told_in_one_harmless_line(cli, world):
    for words in (
        ("replay", HOSTILE, "--nodes", "nodes.csv", "--out", "run"),
        ("replay", "pods.csv", "--nodes", HOSTILE, "--out", "run"),
        ("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run", "--policy", HOSTILE),
        ("report", HOSTILE),
        (HOSTILE,),
        ("trace", HOSTILE),
        ("report", "run", f"--{HOSTILE}"),
    ):
        done = cli(*words)
        assert done.code == 2
        assert not set(done.line) & set("\x1b\x07\x9b\u202e")
        assert "[/oops]" in done.line


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_command_has_a_page_of_help_with_examples(cli, command):
    done = cli(*command.words.split(), "--help")
    assert done.code == 0 and done.err == ""
    assert done.out.startswith("Usage: kscale " + command.words)
    for example in command.examples:
        assert f"\n  {example}\n" in done.out
        assert example.startswith(f"kscale {command.words}")
    assert cli(*command.words.split(), "-h").out == done.out


def test_the_overview_lists_every_command(cli):
    text = cli("--help").out
    assert text == overview() == cli().out
    for command in COMMANDS:
        assert f"  {command.words} " in text and command.help in text


def test_a_group_lists_its_commands(cli):
    done = cli("trace", "--help")
    assert done.code == 0
    assert all(word in done.out for word in ("info", "convert", "synth", "template"))


def test_examples_of_the_help_run(cli, world):
    """The examples of ``trace`` and ``schema``, and the first of ``replay`` and ``report``, are commands that work."""
    assert cli("trace", "template", "pods.csv").code == 0
    assert cli("trace", "template", "nodes.csv", "--kind", "nodes").code == 0
    assert cli("trace", "info", "pods.csv").code == 0
    done = cli("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run")
    assert done.code == 0, done.err
    assert cli("report", "run").code == 0
    done = cli(
        "trace", "synth", "borg", "--nodes", 20, "--pods", 500, "--days", 2, "--seed", 1, "--out", "pods.parquet"
    )
    assert done.code == 0 and done.out == "pods.parquet: 500 pods, " + done.out.split(", ")[1]
    again = cli("trace", "convert", "pods.parquet", "again.csv.gz", "--nodes", "96cpu,512Gi:2", "--nodes-out", "n.csv")
    assert again.code == 0 and (world / "n.csv").read_text().count("\n") == 3
    one, two = (json.loads(cli("trace", "info", name, "-o", "json").out) for name in ("pods.parquet", "again.csv.gz"))
    one.pop("trace", None), two.pop("trace", None)
    assert one == two
