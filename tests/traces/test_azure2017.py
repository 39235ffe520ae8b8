import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.azure2017 import READER
from kscale.traces.common import files
from kscale.traces.common.opening import reader_of
from tests.traces.mutation import converts, pieces_alike, survives

#: What a file of the format begins with.
HEAD = "vm+/a==,sub/1,dep/1==,0,2591700,99.4,3.42,10.2,Delay-insensitive,1,1.75\n"

ROWS = (
    HEAD + "vm2,sub/1,dep/1==,0,1539300,100,6.18178366757598,33.98136,Interactive,1,0.75\n"
    "vm3,sub/2,dep/2==,2188800,2591700,99.5,3.57,7.9,Unknown,8,56\n"
    "vm4,sub/2,dep/2==,2290500,2292300,94.1,32.4,94.1,Unkown,1,1.75\n"
    "vm5,sub/3,dep/3==,600,600,1,1,1,Interactive,16,112\n"
)


def test_a_vm_becomes_a_pod(write):
    trace = READER.read(write("vmtable.csv.gz", ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["vm+/a==", "vm2", "vm3", "vm4", "vm5"]
    assert trace.pods["owner"].to_list() == ["dep/1=="] * 2 + ["dep/2=="] * 2 + ["dep/3=="]
    assert (trace.pods["arrival_us"] // 10**6).to_list() == [0, 0, 2_188_800, 2_290_500, 600]
    assert [None if us is None else us // 10**6 for us in trace.pods["duration_us"]] == [
        None, 1_539_300, None, 1800, 300,
    ]  # fmt: skip
    assert trace.pods["end_us"].to_list() == [None, 1_539_300_000_000, None, 2_292_300_000_000, 900_000_000]
    assert trace.pods["spec"].to_list() == [0, 1, 2, 0, 3]
    assert trace.specs["cpu_milli"].to_list() == [1000, 1000, 8000, 16000]
    assert trace.specs["memory_bytes"].to_list() == [7 << 28, 3 << 28, 56 << 30, 112 << 30]
    assert trace.nodes is None and trace.timed


def test_the_notes_count_what_is_assumed(write):
    notes = "\n".join(READER.read(write("v.csv", ROWS), Options()).notes)
    assert "2 VMs were there before the start: they arrive at 0" in notes
    assert "2 VMs are there at the last instant (2,591,700 s or later): they never end" in notes
    assert "1 VMs have one instant for both times: they run 300 s" in notes
    assert "1 Delay-insensitive, 2 Interactive, 2 Unknown" in notes


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("v,s,d,5,4,1,1,1,Unknown,1,1", "row 6, field 'vmdeleted': '4' is before vmcreated"),
        ("v,s,d,5,x,1,1,1,Unknown,1,1", "row 6, field 'vmdeleted': 'x' is not an integer"),
        ("v,s,d,-5,5,1,1,1,Unknown,1,1", "row 6, field 'vmcreated': '-5' is negative"),
        ("v,s,d,5,6,1,1,1,Idle,1,1", "row 6, field 'vmcategory': 'Idle' is no category; expected Delay-insensitive"),
        ("v,s,d,5,6,1,1,1,Unknown,>24,1", "row 6, field 'vmcorecount': '>24' is not a number"),
        ("v,s,d,5,6,1,1,1,Unknown,1,nan", "row 6, field 'vmmemory': 'nan' is not a finite number"),
        ("v,s,d,5,6,1,1,1,Unknown,1", "row 6, field 'vmmemory': is missing"),
        ("v,s,d,5,6,1,1,1,Unknown,1,1,1", "row 6: has 12 fields; expected 11 fields"),
        ("vm2,s,d,5,6,1,1,1,Unknown,1,1", "row 6, field 'vmid': 'vm2' occurs twice"),
        (",s,d,5,6,1,1,1,Unknown,1,1", "row 6, field 'vmid': is missing"),
    ],
)
def test_bad_rows_are_told_or_counted(write, row, message):
    path = write("v.csv", ROWS + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (5, 1)


def test_it_is_told_from_the_table_of_2019(write):
    assert reader_of(write("a.csv", ROWS)).name == "azure2017"
    assert reader_of(write("b.csv", "v,s,d,0,300,1,1,1,Unknown,2,4\n")).name == "azure2019"
    cut = (ROWS * 200).encode()[: 64 << 10]
    assert READER.detects(write("c.csv", "x"), cut)


def test_batches_conversion_and_damage(write, tmp_path, monkeypatch):
    rows = "".join(
        f"v{i},s,d{i % 5},{i * 300},{(i + i % 4) * 300},1,1,1,{'Unkown' if i % 7 else 'Unknown'},{i % 8 + 1},1.75\n"
        for i in range(200)
    )
    path = write("v.csv", rows)
    trace = pieces_alike(monkeypatch, READER, path)
    assert trace.pods.height == 200
    converts(trace, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.csv", ROWS.encode())


seconds = st.one_of(st.integers(0, 9).map(lambda n: n * 300), st.sampled_from([2_591_400, 2_591_700, 2_592_000, -300]))
row = st.tuples(
    st.integers(0, 8), seconds, seconds,
    st.sampled_from(["Interactive", "Unkown", "Unknown", "Delay-insensitive", "x"]),
    st.sampled_from(["1", "2", "16", "0.5", "?"]), st.sampled_from(["0.75", "1.75", "56", ""]),
)  # fmt: skip


def plainly(rows):
    """The pods of a table, row by row, and how many rows are bad."""
    pods, seen, bad = [], set(), 0
    for vm, created, deleted, category, cores, memory in rows:
        if created < 0 or deleted < created or category == "x" or cores == "?" or memory == "" or vm in seen:
            bad += 1
            continue
        seen.add(vm)
        lived = None if deleted >= 2_591_700 else max(deleted - created, 300) * 10**6
        end = None if lived is None else created * 10**6 + lived
        pods.append((str(vm), created * 10**6, lived, end, int(float(cores) * 1000), int(float(memory) * (1 << 30))))
    return pods, bad


@settings(max_examples=200, deadline=None)
@given(st.lists(row, max_size=15), st.integers(60, 400))
def test_any_table_is_read_as_row_by_row(tmp_path_factory, rows, size):
    path = tmp_path_factory.mktemp("vm") / "v.csv"
    path.write_text("".join(f"{v},s,d,{a},{b},1,1,1,{c},{n},{m}\n" for v, a, b, c, n, m in rows) or "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", size)
        trace = READER.read(path, Options(lenient=True))
    specs = trace.specs.select("cpu_milli", "memory_bytes").rows()
    columns = trace.pods.select("name", "arrival_us", "duration_us", "end_us", "spec")
    pods, bad = plainly(rows)
    assert [(*told, *specs[spec]) for *told, spec in columns.iter_rows()] == pods
    assert sum(trace.dropped.values()) == bad and len(pods) + bad == len(rows)


@pytest.mark.data
def test_the_published_sample(data):
    path = data / "other" / "formats" / "azure2017_vmtable_sample.csv.gz"
    assert reader_of(path).name == "azure2017"
    trace = READER.read(path, Options())
    assert trace.pods.height == 10
    assert trace.pods["name"].str.len_chars().to_list() == [64] * 10
    assert trace.pods["owner"].n_unique() == 5
    assert trace.pods["duration_us"].null_count() == 6
    assert (trace.pods["duration_us"].drop_nulls() // 10**6).to_list() == [1_539_300, 2_188_500, 1800, 18_900]
    sized = trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")
    assert sized["cpu_milli"].to_list() == [1000, 1000, 1000, 8000, 1000, 8000, 1000, 8000, 1000, 8000]
    assert (sized["memory_bytes"] / (1 << 30)).to_list() == [1.75, 0.75, 1.75, 56, 1.75, 56, 1.75, 56, 1.75, 56]
    assert "6 Delay-insensitive, 2 Interactive, 2 Unknown" in trace.notes[4]
    assert trace.pods.filter(pl.col("arrival_us") == 0).height == 7
