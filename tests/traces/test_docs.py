"""The page on traces says what the code does."""

from pathlib import Path

from kscale.traces.common.generators import GENERATORS
from kscale.traces.common.node_events import EVENT_FIELDS
from kscale.traces.common.opening import read_nodes, readers
from kscale.traces.common.presets import PRESETS
from kscale.traces.own import NODE_FIELDS, POD_FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()


def test_every_column_is_documented():
    for field in (*POD_FIELDS, *NODE_FIELDS, *EVENT_FIELDS):
        doc = field.doc.replace("|", "\\|")
        assert any(line.startswith(f"| `{field.name}` |") and doc in line for line in PAGE.splitlines()), field.name


def test_every_format_and_preset_is_documented():
    for name in (*readers(), *PRESETS, *GENERATORS):
        assert f"| `{name}` |" in PAGE


def test_the_parts_of_shapes_are_read():
    parts = PAGE.split("## Nodes as shapes")[1].split("## More")[0]
    shapes = [line.split("`")[1] for line in parts.splitlines() if line.startswith("| `") and ":4000" not in line]
    assert len(shapes) == 8
    for part in shapes:
        assert read_nodes(f"1cpu,1Gi,{part}:2").height == 2
