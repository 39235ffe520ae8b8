import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import files, parquets


def test_parts_of_a_table(tmp_path):
    assert parquets.parts(tmp_path, "tasks") == []
    assert parquets.parts(tmp_path, "tasks", "schema-1.0") == []
    inner = tmp_path / "tasks" / "schema-1.0"
    inner.mkdir(parents=True)
    for name in ("part.10.parquet", "part.2.parquet", "a.parquet", "_SUCCESS", ".part.2.parquet.crc"):
        (inner / name).write_bytes(b"x")
    found = parquets.parts(tmp_path, "tasks", "schema-1.0")
    assert [path.name for path in found] == ["a.parquet", "part.2.parquet", "part.10.parquet"]
    assert parquets.parts(inner / "a.parquet", "tasks") == [inner / "a.parquet"]
    (tmp_path / "jobs.parquet").write_bytes(b"x")
    assert parquets.parts(tmp_path, "jobs") == [tmp_path / "jobs.parquet"]


def test_columns_are_those_of_all_parts(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pl.DataFrame({"x": [1], "y": ["a"]}).write_parquet(first)
    pl.DataFrame({"y": ["b"], "z": [1.0]}).write_parquet(second)
    assert parquets.columns([first, second]) == {"y": pl.String}


def test_batches_say_of_which_part_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 2)
    for name, rows in (("a", 3), ("b", 1)):
        pl.DataFrame({"x": range(rows)}).write_parquet(tmp_path / f"{name}.parquet")
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    found = [(path.stem, frame[files.ROW].to_list()) for path, frame in parquets.batches(paths, ["x"], Options())]
    assert found == [("a", [1, 2]), ("a", [3]), ("b", [1])]


@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.lists(st.one_of(st.none(), st.integers(-5, 40)), max_size=4), min_size=1, max_size=3))
def test_the_least_value_of_all_parts(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("least")
    paths = []
    for number, values in enumerate(parts):
        paths.append(folder / f"{number}.parquet")
        pl.DataFrame({"x": values}, schema={"x": pl.Int64}).write_parquet(paths[-1])
    known = [value for values in parts for value in values if value is not None and 0 <= value <= 30]
    assert parquets.least(paths, "x", 30) == min(known, default=0)


def test_a_damaged_part_is_told(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 20)
    for read in (lambda: parquets.columns([path]), lambda: parquets.least([path], "x", 9)):
        with pytest.raises(InputError, match=r"a\.parquet: cannot be read as Parquet"):
            read()
    assert parquets.is_parquet(b"PAR1...") and not parquets.is_parquet(b"a,b")
