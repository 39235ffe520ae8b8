import gzip
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.azure2020 import READER
from kscale.traces.common import sqlite
from kscale.traces.common.opening import open_trace, read_nodes, reader_of
from tests.traces.mutation import converts, survives

VM = (
    "CREATE TABLE vm (vmId INTEGER, tenantId INTEGER, vmTypeId INTEGER, priority INTEGER, starttime REAL, endtime REAL)"
)
VM_TYPE = (
    "CREATE TABLE vmType (id INTEGER PRIMARY KEY, vmTypeId INTEGER, machineId INTEGER, core REAL, memory REAL, "
    "hdd REAL, ssd REAL, nic REAL)"
)
#: Type 7 on both machines, of which 1 is twice as large (and as large in disks); type 8 on machine 0, 9 on 1.
TYPES = (
    (1, 7, 0, 0.5, 0.25, None, 0.1, 0.5),
    (2, 8, 0, 0.125, 0.125, None, None, 0.0625),
    (3, 7, 1, 0.25, 0.125, 0.5, 0.1, 0.25),
    (4, 9, 1, 1, 1, None, 1.0, 1),
    (5, 6, 0, 0.25, 0.25, None, 0.2, 0.25),
)
VMS = (
    (0, 100, 7, 0, -3.5, 1.5),
    (1, 100, 8, 1, 0.25, None),
    (2, 101, 9, 0, 2, 2.000001),
    (3, 101, 7, 1, -10, -1),
    (4, None, 6, 0, -1, 0),
    (5, 102, 6, 0, 13.9, 89.75),
)


def database(vms=VMS, types=TYPES):
    base = sqlite3.connect(":memory:")
    base.execute(VM)
    base.execute(VM_TYPE)
    base.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?)", vms)
    base.executemany("INSERT INTO vmType VALUES (?, ?, ?, ?, ?, ?, ?, ?)", types)
    base.commit()
    return base.serialize()


#: What a file of the format begins with.
HEAD = database(VMS[:1])


def sized(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_fractions_become_amounts(write):
    path = write("packing_trace_zone_a_v1.sqlite", database())
    assert reader_of(path).name == "azure2020"
    trace = open_trace(path)
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["vm-0", "vm-1", "vm-2", "vm-4", "vm-5"]
    assert trace.pods["owner"].to_list() == ["tenant-100", "tenant-100", "tenant-101", None, "tenant-102"]
    day = 86_400 * 10**6
    assert trace.pods["arrival_us"].to_list() == [0, day // 4, 2 * day, 0, 139 * day // 10]
    assert trace.pods["duration_us"].to_list() == [3 * day // 2, None, 86_400, 0, 7585 * day // 100]
    assert trace.pods["end_us"].to_list() == [3 * day // 2, None, 2 * day + 86_400, 0, 8975 * day // 100]
    pods = sized(trace)
    assert pods["cpu_milli"].to_list() == [32_000, 8000, 128_000, 16_000, 16_000]
    assert (pods["memory_bytes"] // (1 << 30)).to_list() == [128, 64, 1024, 128, 128]
    assert pods["resource.azure.com/hdd"].to_list() == [50_000, 0, 0, 0, 0]
    assert pods["resource.azure.com/ssd"].to_list() == [10_000, 0, 100_000, 20_000, 20_000]
    assert pods["resource.azure.com/nic"].to_list() == [50_000, 6250, 200_000, 25_000, 25_000]
    assert pods["priority"].to_list() == [1, 0, 1, 1, 1]
    assert pods["node_affinity"].to_list() == [
        None, "machine-id in (0)", "machine-id in (1)", "machine-id in (0)", "machine-id in (0)",
    ]  # fmt: skip


def test_the_notes_count_and_offer_the_machines(write):
    notes = READER.read(write("t.sqlite", database()), Options(machine_unit="100cpu,1Ti")).notes
    text = "\n".join(notes)
    assert "6 VMs, of which 1 ended before the start and are left out; 2 were there at the start" in text
    assert "1 have no end: they never end" in text
    assert "100cpu,1Ti (--machine-unit), and 100,000 of azure.com/hdd, azure.com/ssd, azure.com/nic" in text
    assert "(by up to 0.0%)" in text
    shapes = text.split("behind a colon: ")[1]
    nodes = read_nodes(";".join(f"{shape}:2" for shape in shapes.split("; ")))
    assert nodes["labels"].to_list() == ["machine-id=0"] * 2 + ["machine-id=1"] * 2
    assert nodes["cpu_milli"].to_list() == [100_000] * 2 + [200_000] * 2
    assert (nodes["memory_bytes"] // (1 << 40)).to_list() == [1, 1, 2, 2]
    assert nodes["resource.azure.com/nic"].to_list() == [100_000] * 2 + [200_000] * 2


def test_as_many_fit_as_fractions_say(write):
    """A type that takes 1/n of a machine fits n times, also where that is no whole number of milli."""
    counts = [n for n in range(1, 97) if 96_000 % n == 0 or n < 20]
    types = [(n, n, 0, round(1 / n, 9), round(1 / n, 9), None, None, 1 / n) for n in counts]
    trace = READER.read(
        write("t.sqlite", database([(n, 0, n, 0, 0, 1) for n in counts], types)), Options(machine_unit="96cpu,96Gi")
    )
    amounts = sized(trace)
    assert [round(96_000 / milli) for milli in amounts["cpu_milli"]] == counts
    for n, milli in zip(counts, amounts["cpu_milli"], strict=True):
        assert milli == -(-96_000 // n)


@pytest.mark.parametrize(
    ("vms", "types", "message"),
    [
        (VMS[:1] * 2, TYPES, "row 2, field 'vmId': '0' occurs twice"),
        ([(1, 1, 77, 0, 0, 1)], TYPES, "row 1, field 'vmTypeId': '77' is no type of the table vmType"),
        ([(1, 1, 7, 2, 0, 1)], TYPES, "row 1, field 'priority': '2' is too large"),
        ([(1, 1, 7, 0, 2, 1)], TYPES, "row 1, field 'endtime': '1.0' is before starttime"),
        ([(1, 1, 7, 0, None, 1)], TYPES, "row 1, field 'starttime': is missing"),
        ([(1, 1, 7, 0, "noon", 1)], TYPES, "row 1, field 'starttime': 'noon' is not a number"),
        ([(1, 1, 7, 0, 1e300, None)], TYPES, "row 1, field 'starttime': '1e\\+300' is too large"),
    ],
)
def test_bad_rows_are_told_or_counted(write, vms, types, message):
    path = write("t.sqlite", database(vms, types))
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height + sum(trace.dropped.values()) == len(vms)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((*TYPES, (6, 7, 1, 0.1, 0.1, 0, 0, 0)), "row 6, field 'machineId': '1' occurs twice for a type"),
        ((*TYPES, (6, 5, "a b", 0.1, 0.1, 0, 0, 0)), "row 6, field 'machineId': 'a b' is no value of a label"),
        ((*TYPES, (6, 5, 1, None, 0.1, 0, 0, 0)), "row 6, field 'core': is missing"),
        ((*TYPES, (6, 5, 1, -0.1, 0.1, 0, 0, 0)), "row 6, field 'core': '-0.1' is negative"),
        ([(1, 7, 0, 0.5, 0.1, 0, 0, 0), (2, 7, 1, 1e-300, 0.1, 0, 0, 0)], "field 'core': comes to 3.2e\\+304 of what"),
        ([(n, n, n, 0.1, 0.1, 0, 0, 0) for n in range(1001)], "has 1,001 types and 1,001 kinds of machines"),
    ],
)
def test_bad_types_are_told(write, types, message):
    path = write("t.sqlite", database(types=types))
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    if message.startswith("row"):
        trace = READER.read(path, Options(lenient=True))
        assert (trace.pods.height, sum(trace.dropped.values())) == (5, 1)


days = st.one_of(st.integers(-8, 20).map(lambda n: n / 4), st.none())
vm = st.tuples(st.integers(0, 8), st.integers(0, 3), st.integers(5, 9), st.integers(0, 2), days, days)


def plainly(vms, types):
    """The pods of VMs, one by one; how many rows are bad, and how many VMs ended before the start."""
    machines = {machine for _, _, machine, *_ in types}
    known = {}
    for _, kind, machine, *_ in types:
        known.setdefault(kind, []).append(machine)
    pods, seen, bad, before = [], set(), 0, 0
    for number, tenant, kind, priority, start, end in vms:
        late = start is not None and end is not None and end < start
        if start is None or late or priority > 1 or kind not in known or number in seen:
            bad += 1
            continue
        seen.add(number)
        if end is not None and end < 0:
            before += 1
            continue
        arrival = round(max(start, 0) * 86_400) * 10**6
        ends = None if end is None else round(end * 86_400) * 10**6
        allowed = None if set(known[kind]) == machines else f"machine-id in ({','.join(map(str, known[kind]))})"
        ran = None if ends is None else ends - arrival
        pods.append((f"vm-{number}", f"tenant-{tenant}", arrival, ran, ends, 1 - priority, allowed))
    return pods, bad, before


@settings(max_examples=150, deadline=None)
@given(st.lists(vm, max_size=15), st.integers(1, 16))
def test_any_vms_are_read_as_one_by_one(tmp_path_factory, vms, size):
    path = tmp_path_factory.mktemp("azure") / "t.sqlite"
    path.write_bytes(database(vms))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "BATCH_ROWS", size)
        trace = READER.read(path, Options(lenient=True))
    pods, bad, before = plainly(vms, TYPES)
    columns = ("name", "owner", "arrival_us", "duration_us", "end_us", "priority", "node_affinity")
    assert sized(trace).select(columns).rows() == pods
    assert sum(trace.dropped.values()) == bad and len(pods) + bad + before == len(vms)
    assert f": {len(vms) - bad:,} VMs, of which {before:,} ended before the start" in trace.notes[0]


def test_no_rows_are_an_empty_trace(write):
    trace = READER.read(write("t.sqlite", database([], [])), Options())
    assert trace.pods.height == 0 and dict(trace.pods.schema) == PODS
    assert "its 0 kinds" in trace.notes[-1]


def test_batches_conversion_and_damage(write, tmp_path, monkeypatch):
    vms = [(i, i % 5, 6 + i % 4, i % 2, i / 7 - 3, i / 7 + i % 3 if i % 6 else None) for i in range(300)]
    path = write("t.sqlite", database(vms))
    whole = READER.read(path, Options())
    for size in (1, 7, 299, 300):
        monkeypatch.setattr(sqlite, "BATCH_ROWS", size)
        cut = READER.read(path, Options())
        assert cut.pods.equals(whole.pods) and cut.specs.equals(whole.specs) and cut.notes == whole.notes
    packed = tmp_path / "t.sqlite.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert open_trace(packed).pods.equals(whole.pods)
    converts(whole, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.sqlite", database())
