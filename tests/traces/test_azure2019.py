import pytest

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.azure2019 import READER
from kscale.traces.common.opening import reader_of
from kscale.traces.common.vmtable import CORES, MEMORY
from tests.traces.mutation import converts, pieces_alike, survives

#: What a file of the format begins with.
HEAD = "vm1,sub1,dep1,558300,1673700,91.776885,0.728879,20.75963,Delay-insensitive,8,32\n"

ROWS = (
    HEAD + "vm2,sub2,dep2,0,2591400,98.6,30.3,98.2,Interactive,2,4\n"
    "vm3,sub2,dep2,424500,425400,37.9,3.3,37.9,Unknown,>24,>64\n"
    "vm4,sub2,dep2,300,2591700,37.9,3.3,37.9,Unkown,24,64\n"
    "vm5,sub2,dep3,300,300,,,,Unknown,4,2\n"
    "vm6,sub2,dep3,900,1200,,,,Unknown,2,8\n"
)


def test_buckets_count_as_their_upper_ends(write):
    trace = READER.read(write("vmtable.csv.gz", ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.specs["cpu_milli"].to_list() == [8000, 2000, 30_000, 24_000, 4000, 2000]
    assert (trace.specs["memory_bytes"] // (1 << 30)).to_list() == [32, 4, 70, 64, 2, 8]
    assert [None if us is None else us // 10**6 for us in trace.pods["duration_us"]] == [
        1_115_400, None, 900, None, 300, 300,
    ]  # fmt: skip
    assert ">24 cores count as 30, >64 GiB as 70" in trace.notes[0]


def test_every_bucket_is_read(write):
    rows = [f"vm{cores}{memory},s,d,0,300,1,1,1,Unknown,{cores},{memory}\n" for cores in CORES for memory in MEMORY]
    path = write("v.csv", "".join(rows))
    assert reader_of(path).name == "azure2019"
    trace = READER.read(path, Options())
    assert trace.specs["cpu_milli"].to_list() == [c * 1000 for c in CORES.values() for _ in MEMORY]
    assert trace.specs["memory_bytes"].to_list() == [m << 30 for _ in CORES for m in MEMORY.values()]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,s,d,5,6,1,1,1,Unknown,3,4", "row 7, field 'vmcorecount': '3' is no bucket; expected 2, 4, 8, 24, >24"),
        ("v,s,d,5,6,1,1,1,Unknown,2,1.75", "row 7, field 'vmmemory': '1.75' is no bucket"),
        ("v,s,d,5,6,1,1,1,,2,2", "row 7, field 'vmcategory': is missing"),
        ("v,s,d,7,6,1,1,1,Unknown,2,2", "row 7, field 'vmdeleted': '6' is before vmcreated"),
    ],
)
def test_bad_rows_are_told_or_counted(write, row, message):
    path = write("v.csv", ROWS + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (6, 1)


def test_batches_conversion_and_damage(write, tmp_path, monkeypatch):
    cores, memory = list(CORES), list(MEMORY)
    rows = "".join(
        f"v{i},s,d{i % 5},{i * 300},{(i + i % 4) * 300},1,1,1,Interactive,{cores[i % 5]},{memory[i % 6]}\n"
        for i in range(200)
    )
    trace = pieces_alike(monkeypatch, READER, write("v.csv", rows))
    assert trace.pods.height == 200
    converts(trace, tmp_path / "own.csv.gz")
    survives(READER, tmp_path / "damaged.csv", ROWS.encode())
