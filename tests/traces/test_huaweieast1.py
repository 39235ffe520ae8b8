import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common import files
from kscale.traces.common.opening import reader_of
from kscale.traces.huaweieast1 import READER
from tests.traces.mutation import converts, pieces_alike, survives

#: What a file of the format begins with.
HEAD = "vmid,cpu,memory,time,type\n1,2,4,100,0\n"

ROWS = HEAD + "2,1,1,150,0\n1,2,4,300,1\n3,8,32,300,0\n3,8,32,300,1\n9,1,1,310,1\n4,1,2,400,0\n1,2,4,500,1\n"


def test_a_vm_lives_from_creation_to_deletion(write):
    trace = READER.read(write("east.csv.gz", ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["1", "3", "2", "4"]
    assert trace.pods["arrival_us"].to_list() == [100_000_000, 300_000_000, 150_000_000, 400_000_000]
    assert trace.pods["duration_us"].to_list() == [200_000_000, 0, None, None]
    assert trace.pods["end_us"].to_list() == [300_000_000, 300_000_000, None, None]
    assert trace.specs["cpu_milli"].to_list() == [2000, 8000, 1000, 1000]
    assert (trace.specs["memory_bytes"] // (1 << 30)).to_list() == [4, 32, 1, 2]
    notes = "\n".join(trace.notes)
    assert "4 creations and 2 deletions" in notes
    assert "2 VMs are not deleted: they never end" in notes
    assert "2 deletions of a VM that is not there are left out" in notes
    assert reader_of(write("e.csv", ROWS)).name == "huaweieast1"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,1,1,160,0", "row 9, field 'vmid': '2' occurs twice"),
        ("2,1,1,100,1", "row 9, field 'time': '100.0' is before the creation"),
        ("5,1,1,100,2", "row 9, field 'type': '2' is too large; expected an integer from 0 to 1"),
        ("5,1,1,,0", "row 9, field 'time': is missing"),
        ("5,-1,1,500,0", "row 9, field 'cpu': '-1' is negative"),
        ("5,1,1", "row 9, field 'time': is missing"),
    ],
)
def test_bad_rows_are_told_or_counted(write, row, message):
    path = write("e.csv", ROWS + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (4, 1)


def plainly(rows):
    """The pods of events, one after the other: those that end as they end, then those that do not."""
    alive, seen, done = {}, set(), []
    unknown = bad = 0
    for vm, time, kind in rows:
        if kind == 0 and vm in seen:
            bad += 1
        elif kind == 0:
            seen.add(vm)
            alive[vm] = time
        elif vm not in alive:
            unknown += 1
        elif time < alive[vm]:
            bad += 1
        else:
            done.append((str(vm), alive[vm] * 10**6, (time - alive.pop(vm)) * 10**6))
    return done + [(str(vm), time * 10**6, None) for vm, time in alive.items()], unknown, bad


@settings(max_examples=400, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30), st.integers(0, 1)), max_size=40),
    size=st.integers(26, 200),
)
@example(rows=[(0, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)], size=26)
def test_any_events_cut_anywhere_are_as_one_by_one(tmp_path_factory, rows, size):
    path = tmp_path_factory.mktemp("east") / "e.csv"
    path.write_text("vmid,cpu,memory,time,type\n" + "".join(f"{vm},1,1,{time},{kind}\n" for vm, time, kind in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", size)
        trace = READER.read(path, Options(lenient=True))
    pods, unknown, bad = plainly(rows)
    assert list(trace.pods.select("name", "arrival_us", "duration_us").iter_rows()) == pods
    assert f"{unknown:,} deletions of a VM" in trace.notes[2]
    assert sum(trace.dropped.values()) == bad
    ended = sum(duration is not None for _, _, duration in pods)
    assert len(rows) == len(pods) + ended + unknown + bad


def test_batches_conversion_and_damage(write, tmp_path, monkeypatch):
    events = sorted((t, vm, kind) for vm in range(100) for t, kind in ((vm, 0), (vm * 2 + 5, 1)) if kind == 0 or vm % 3)
    rows = "".join(f"{vm},{vm % 4 + 1},{vm % 8},{t},{kind}\n" for t, vm, kind in events)
    trace = pieces_alike(monkeypatch, READER, write("e.csv", "vmid,cpu,memory,time,type\n" + rows))
    assert trace.pods.height == 100
    converts(trace, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.csv", ROWS.encode())
