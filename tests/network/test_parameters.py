"""Parameters: every row says where it is from; other values are read from a file, and faults are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from kscale.errors import InputError
from kscale.network import advice, conntrack, parameters, proxies
from kscale.network.balancing.common import parameters as balancing
from kscale.network.calico import parameters as calico
from kscale.network.parameters import GIVEN, KINDS, MEASURED, Parameter, Parameters, read, text
from kscale.network.policy import carried

SMALL = Parameters([
    Parameter("one_us", 1.0, "us", MEASURED, "a bench"), Parameter("two_s", 2.0, "s", "assumed", "nobody", "note"),
])  # fmt: skip


def test_every_row_says_what_it_is_and_where_it_is_from() -> None:
    rows = list(proxies.parameters())
    assert len(rows) > 80
    for row in rows:
        assert row.kind in KINDS and row.source and row.unit and row.name
        assert row.kind != GIVEN
        assert row.unit in ("1", "us", "s", "bytes")
        assert row.unit == "1" or row.name.endswith(f"_{row.unit}")
        assert row.value >= 0
    for mode in proxies.found().values():
        assert mode.parameters
        assert {mode.min_sync, mode.resync} <= {row.name for row in rows}


def rows_of(module: ModuleType) -> list[Parameter]:
    """All rows that a module declares: alone, or in a table or tuple of them."""
    found: list[Parameter] = []
    for value in vars(module).values():
        if isinstance(value, Parameter):
            found.append(value)
        elif isinstance(value, Parameters | tuple):
            found += [row for row in value if isinstance(row, Parameter)]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("module", "least"),
    [(advice, 6), (balancing, 16), (calico, 40), (carried, 7), (conntrack, 9)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_every_other_model_declares_its_numbers_in_the_same_rows(module: ModuleType, least: int) -> None:
    rows = rows_of(module)
    assert len({row.name for row in rows}) == len(rows) >= least
    for row in rows:
        assert row.kind in KINDS and row.kind != GIVEN
        assert row.source and row.unit and row.value >= 0


def test_whole_numbers() -> None:
    assert SMALL.wholes({"two_s": 7}) == {"one_us": 1, "two_s": 7}
    assert all(isinstance(value, int) for value in SMALL.wholes({}).values())
    for given, field, line in (
        ({"one_s": 1}, "one_s", "is no parameter; did you mean 'one_us'?"),
        ({"one_us": 1.5}, "one_us", "is 1.5; expected a whole number of us, 0 or more"),
        ({"one_us": True}, "one_us", "is True"),
        ({"one_us": -1}, "one_us", "is -1"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            SMALL.wholes(given)
        assert caught.value.field == field and line in str(caught.value)
    with pytest.raises(ValueError, match=r"'half_us' is 0\.5"):
        Parameters([Parameter("half_us", 0.5, "us", MEASURED, "a bench")]).wholes({})


def test_a_name_that_is_there_twice_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="'one_us' is declared twice"):
        Parameters([*SMALL, *SMALL])


def test_other_values_keep_the_rest_and_say_that_they_are_given() -> None:
    found = SMALL.replaced({"one_us": 5})
    assert (found["one_us"], found["two_s"], SMALL["one_us"]) == (5.0, 2.0, 1.0)
    assert found.row("one_us") == replace(SMALL.row("one_us"), value=5.0, kind=GIVEN, source="given")
    assert found != SMALL and found.replaced({}) == found and hash(SMALL) == hash(SMALL.replaced({}))


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
def test_what_is_written_reads_back(tmp_path: Path, ending: str) -> None:
    changed = proxies.parameters().replaced({"path_us": 3.25, "ipvs_buckets": 4096}, "a fit", MEASURED)
    path = tmp_path / f"fit.{ending}"
    path.write_text(text(changed, yaml=ending != "json"))
    found = read(path, proxies.parameters())
    assert found == changed and found.row("path_us").source == "a fit"


@pytest.mark.parametrize("written", ['{"one_us": 7}', '{"parameters": [{"name": "one_us", "value": 7}]}'])
def test_a_few_values_are_enough(tmp_path: Path, written: str) -> None:
    path = tmp_path / "few.json"
    path.write_text(written)
    found = read(path, SMALL)
    assert (found["one_us"], found["two_s"]) == (7.0, 2.0)
    assert found.row("one_us").source == "few.json"


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("{", "few.json: is not JSON; expected names of parameters with values"),
        ("\xff", "few.json: is not JSON"),
        ("3", "few.json: is no mapping of names"),
        ('{"parameters": 3}', "few.json: is no mapping of names"),
        ('{"one": 3}', "field 'one': is no parameter; did you mean 'one_us'?"),
        ('{"one_us": -1}', "field 'one_us': is -1; expected a number of 0 or more"),
        ('{"one_us": true}', "field 'one_us': is True"),
        ('{"one_us": "much"}', "field 'one_us': is 'much'"),
        ('{"one_us": 1e999}', "few.json"),
        ('{"parameters": [{"name": "one_us"}]}', "row 1: is no parameter; expected a mapping with name and value"),
        ('{"parameters": [{"name": "one_us", "value": 1, "kind": "true"}]}', "row 1, field 'kind': is 'true'"),
        ('{"parameters": [{"name": "one_us", "value": 1}, {"name": "one_us", "value": 2}]}', "row 2, field 'name'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, written: str, line: str) -> None:
    path = tmp_path / "few.json"
    path.write_bytes(written.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read(path, SMALL)
    assert str(caught.value).find(line) >= 0, str(caught.value)
    assert "\n" not in str(caught.value) and "few.json" in str(caught.value)


def test_yaml_that_is_none_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "numbers.yaml").write_text("1: 2")
    for name, line in (
        ("bad.yaml", "is not YAML"), ("numbers.yaml", "a name that is no text"), ("none.json", "does not exist"),
        (".", "is a folder"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=line):
            read(tmp_path / name, SMALL)
    (tmp_path / "large.json").write_bytes(b" " * (parameters._LARGEST + 1))
    with pytest.raises(InputError, match="is too large"):
        read(tmp_path / "large.json", SMALL)
