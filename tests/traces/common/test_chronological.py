"""Events in the order of time, in batches of whole instants."""

from itertools import chain, pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces.common import chronological, files
from kscale.traces.common.chronological import in_order, instants

JSON = r'"time"\s*:\s*"?(\d+)'


@pytest.mark.parametrize("piece", [4, 7, 1 << 20])
def test_order_of_lines(write, monkeypatch, piece):
    monkeypatch.setattr(chronological, "_PIECE", piece)
    one, two = write("a.csv", "1,x\n1,y\n5,z"), write("b.csv.gz", '"4",x\n\n9,"x,\n7\n')
    assert in_order([one]) and in_order([one, one.parent / "a.csv"][:1])
    assert not in_order([one, two])  # 7 stands at the beginning of a line, though within quotes
    assert not in_order([two, one])
    assert in_order([write("c.csv", "time,x\n1,x\n2,\xff\n")])
    assert in_order([])
    assert in_order([write("d.json", '{"x": 9, "time": "1"}\n{"time":2}\n{}\n')], JSON)
    assert not in_order([write("e.json", '{"time":"10"}\n{"time":"9"}\n')], JSON)


def test_a_damaged_file_is_told(write):
    path = write("a.csv.gz", "1,x\n" * 1000)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="cannot be read as gzip"):
        in_order([path])


@given(
    st.lists(st.lists(st.integers(0, 30).map(str) | st.sampled_from(["", "x", "-3", '"7"']), max_size=9), max_size=3),
    st.integers(1, 40),
)
@settings(max_examples=150, deadline=None)
def test_the_order_is_that_of_the_numbers(tmp_path_factory, parts, piece):
    folder = tmp_path_factory.mktemp("parts")
    paths = [folder / f"{number}.csv" for number in range(len(parts))]
    for path, fields in zip(paths, parts, strict=True):
        path.write_text("a,b\n" + "".join(f"{field},z\n" for field in fields))
    times = [int(field) for field in chain(*parts) if field.isdigit() or field == "-3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chronological, "_PIECE", piece)
        assert in_order(paths) == ([0, *times] == sorted([0, *times]))


def batches_of(times, cuts):
    rows = pl.DataFrame({"time": times, "row": range(len(times))}, schema={"time": pl.Int64, "row": pl.Int64})
    bounds = [0, *sorted(min(cut, len(times)) for cut in cuts), len(times)]
    return rows, [rows[first:last] for first, last in pairwise(bounds)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 12), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(1, 20),
    st.booleans(),
)
def test_rows_come_sorted_and_instants_whole(times, cuts, gathered, sort):
    times = times if sort else sorted(times)
    rows, batches = batches_of(times, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chronological, "GATHERED", gathered)
        patch.setattr(chronological, "SORTED", gathered)
        patch.setattr(chronological, "_SAMPLE", 3)
        found = list(instants(iter(batches), "time", sort=sort, path=files.Path("f")))
    assert all(frame.height for frame in found)
    together = pl.concat([rows.clear(), *found])
    assert together.equals(rows.sort("time", maintain_order=True))
    for one, two in pairwise(found):
        assert one["time"][-1] < two["time"][0]


def test_sorting_holds_a_window_at_a_time(monkeypatch):
    monkeypatch.setattr(chronological, "SORTED", 1000)
    monkeypatch.setattr(chronological, "_SAMPLE", 10)
    rows = pl.DataFrame({"time": pl.Series(range(50_000)).shuffle(seed=1)})
    sizes = [frame.height for frame in instants(rows.iter_slices(700), "time", sort=True, path=files.Path("f"))]
    assert sum(sizes) == 50_000 and max(sizes) < 2500 and len(sizes) > 30


def test_the_scratch_folder_goes(monkeypatch, tmp_path):
    monkeypatch.setattr(chronological, "SORTED", 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frames = instants(pl.DataFrame({"time": [3, 1, 2, 0]}).iter_slices(2), "time", sort=True, path=files.Path("f"))
    next(frames)
    assert list(tmp_path.iterdir())
    frames.close()
    assert not list(tmp_path.iterdir())


def test_rows_that_are_not_in_order_after_all():
    frame = pl.DataFrame({"time": [2, 1]})
    with pytest.raises(InputError, match="f, field 'time': times are not in order"):
        list(instants([frame], "time", sort=False, path=files.Path("f")))
