"""The page on scenarios says what the code does."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kscale.scenario import plan, read
from kscale.scenario.models import TIMES, VERBS, Aimed, Curve
from tests.scenario.stage import KINDS, gathered, workload, written

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()


def test_the_example_is_planned_whole(tmp_path: Path) -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    gathering = gathered(workload("Deployment", "web", metadata={"namespace": "shop"}))
    actions = plan(read([written(tmp_path, example)]), gathering, KINDS, 7)
    assert {one.number for one in actions} == set(range(1, 12))
    assert not gathering.ignored


def test_every_verb_time_and_field_is_documented() -> None:
    aimed = {field.encode_name for field in msgspec.structs.fields(Aimed)}
    for name in (*TIMES, *VERBS):
        assert f"| `{name}` |" in PAGE, name
    for verb, struct in VERBS.items():
        rows = "".join(line for line in PAGE.splitlines() if line.startswith(f"| `{verb}` |"))
        for field in msgspec.structs.fields(struct) if struct is not None else ():
            assert field.encode_name in aimed or f"`{field.encode_name}`" in rows, (verb, field.encode_name)
    for name in (*aimed, *(field.encode_name for field in msgspec.structs.fields(Curve))):
        assert f"`{name}`" in PAGE, name
