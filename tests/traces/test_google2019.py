import gzip
import json
import re
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, PODS, Options
from kscale.traces.common import chronological, files
from kscale.traces.common.attributes import label_text
from kscale.traces.common.opening import open_trace, reader_of
from kscale.traces.common.writing import write_trace
from kscale.traces.google2019 import READER
from tests.traces.holding import events_told

#: What a file of the format begins with.
HEAD = (
    '{"time":"0","type":"2","collection_id":"94591244395","scheduling_class":"3","collection_type":"1","priority":"200",'
    '"alloc_collection_id":"0","instance_index":"144","machine_id":"168846390496","alloc_instance_index":"-1",'
    '"resource_request":{"cpus":0.020660400390625,"memory":0.014434814453125},"constraint":[]}\n'
)

S = 10**6
AFTER = (1 << 63) - 1
SUBMIT, QUEUE, ENABLE, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_PENDING, UPDATE_RUNNING = range(11)


def event(time, kind, collection=1, index=0, **more):
    """Return an instance event; integers are texts, as BigQuery writes them."""
    row = {
        "time": time, "type": kind, "collection_id": collection, "scheduling_class": 2, "collection_type": 0,
        "priority": 103, "alloc_collection_id": 0, "instance_index": index, "machine_id": 0, "alloc_instance_index": -1,
    }  # fmt: skip
    row |= {key: value for key, value in more.items() if key in row or key == "missing_type"}
    asked = {"resource_request": {"cpus": 0.25, "memory": 0.125}, "constraint": []}
    asked |= {key: value for key, value in more.items() if key in asked}
    return {key: str(value) for key, value in row.items() if value is not None} | asked


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


CONSTRAINT = [
    {"name": "GK", "value": "5", "relation": "5"},
    {"name": "o/=", "relation": 6},
    {"name": "z", "value": "x", "relation": 3},
]
#: Each gotcha of the format once.
EVENTS = [
    event(0, SUBMIT, 9, priority=360, missing_type=3),  # before the window, made up
    event(0, SCHEDULE, 9, priority=360, missing_type=3),
    event(650 * S, SUBMIT, 2, collection_type=1, alloc_collection_id=None),  # an alloc set
    event(650 * S, ENABLE, 2, collection_type=1, alloc_collection_id=None),
    event(650 * S, SCHEDULE, 2, collection_type=1, alloc_collection_id=None, machine_id=-1),
    event(660 * S, SUBMIT, 3, alloc_collection_id=2, alloc_instance_index=0),  # runs in it
    event(661 * S, SCHEDULE, 3, alloc_collection_id=2, alloc_instance_index=0),
    event(670 * S, FINISH, 3, alloc_collection_id=2, alloc_instance_index=0),
    event(700 * S, SUBMIT, 4, constraint=CONSTRAINT),
    event(700 * S, QUEUE, 4, constraint=CONSTRAINT),
    event(800 * S, ENABLE, 4, constraint=CONSTRAINT),
    event(801 * S, SCHEDULE, 4),
    event(850 * S, UPDATE_RUNNING, 4, resource_request={"cpus": 0.5, "memory": 0.5}),
    event(900 * S, EVICT, 4),
    event(900 * S, SUBMIT, 4),
    event(900 * S, SCHEDULE, 4),  # all at one time
    event(1000 * S, LOST, 4),
    event(1100 * S, SUBMIT, 4),  # again: another pod
    event(1200 * S, KILL, 4),
    event(700 * S, SUBMIT, 5, 1, resource_request=None, priority=None),
    event(700 * S, SCHEDULE, 5, 1, resource_request={}, priority=None),
    event(710 * S, FAIL, 5, 1, priority=None),
    event(710 * S, EVICT, 6),  # never seen
    event(AFTER, KILL, 9, priority=360),
]
MACHINES = [
    {
        "time": "0",
        "machine_id": "5",
        "type": "1",
        "switch_id": "sw/1=",
        "platform_id": "p",
        "capacity": {"cpus": 0.5, "memory": 0.25},
    },
    {
        "time": "0",
        "machine_id": "6",
        "type": "1",
        "switch_id": "a",
        "platform_id": "p",
        "capacity": {},
        "missing_data_reason": "1",
    },
    {"time": str(700 * S), "machine_id": "5", "type": "2", "capacity": None},
    {"time": str(800 * S), "machine_id": "5", "type": "1", "capacity": {"cpus": 0.5, "memory": 0.25}},
    {"time": str(900 * S), "machine_id": "5", "type": "3", "capacity": {"cpus": 0.5, "memory": 0.5}},
    {"time": str(900 * S), "machine_id": "7", "type": "1", "capacity": {"cpus": 1, "memory": 1}},
    {"time": "0", "machine_id": "0", "type": "1"},
    {"time": "0", "machine_id": "-1", "type": "1"},
    {"time": "0", "type": "1"},
]
ATTRIBUTES = [
    {"time": "0", "machine_id": "5", "name": "GK", "value": "5", "deleted": False},
    {"time": str(900 * S), "machine_id": "5", "name": "GK", "value": "6", "deleted": False},
    {"time": "0", "machine_id": "5", "name": "o/=", "deleted": False},
    {"time": "0", "machine_id": "5", "name": "z", "value": "1", "deleted": True},
]
COLLECTIONS = [
    {
        "time": "0",
        "type": "0",
        "collection_id": "1",
        "max_per_machine": "1",
        "scheduler": "1",
        "start_after_collection_ids": ["7"],
    },
    {"time": "0", "type": "0", "collection_id": "2", "max_per_switch": "2", "parent_collection_id": "1"},
    {"time": "9", "type": "6", "collection_id": "2", "max_per_switch": "2"},
]
ALL = {
    "instance_events": EVENTS,
    "machine_events": MACHINES,
    "machine_attributes": ATTRIBUTES,
    "collection_events": COLLECTIONS,
}


@pytest.fixture
def folder(tmp_path):
    """Writes tables as files of JSON lines, packed, and returns their folder."""

    def _folder(name="cell", parts=1, **tables):
        (tmp_path / name).mkdir()
        for table, rows in tables.items():
            size = -(-len(rows) // parts)
            for part in range(parts):
                text = lines(rows[part * size : (part + 1) * size]) or "\n"
                (tmp_path / name / f"{table}-{part:012}.json.gz").write_bytes(gzip.compress(text.encode()))
        return tmp_path / name

    return _folder


def test_instances_become_pods(folder):
    path = folder(**ALL)
    assert reader_of(path).name == "google2019"
    trace = open_trace(path)
    assert dict(trace.pods.schema) == PODS
    found = trace.pods.sort("name").select("name", "owner", "arrival_us", "duration_us", "end_us").rows()
    assert found == [
        ("collection-2-0-650000000", "collection-2", 50 * S, None, None),
        ("collection-4-0-1100000000", "collection-4", 500 * S, 100 * S, 600 * S),
        ("collection-4-0-800000000", "collection-4", 200 * S, 100 * S, 400 * S),
        ("collection-5-1-700000000", "collection-5", 100 * S, 10 * S, 110 * S),
        ("collection-9-0-0", "collection-9", 0, None, None),
    ]
    asked = trace.pods.join(trace.specs.with_row_index("spec"), on="spec").sort("name")
    amounts = asked.select("cpu_milli", "memory_bytes", "priority").rows()
    usual = (32_000, 64 << 30, 103)
    assert amounts == [usual, usual, usual, (32_000, 64 << 30, 0), (32_000, 64 << 30, 360)]
    assert asked["node_affinity"].to_list() == [None, None, f"borg/GK>4,borg/{label_text('o/=')}", None, None]
    assert (trace.timed, trace.dropped) == (True, {})


def test_machines_become_nodes(folder):
    trace = open_trace(folder(**ALL))
    assert trace.nodes.select("name", "cpu_milli", "memory_bytes").rows() == [
        ("machine-5", 64_000, 128 << 30), ("machine-7", 128_000, 512 << 30),
    ]  # fmt: skip
    assert trace.nodes["labels"].to_list() == [
        f"switch={label_text('sw/1=')},platform=p,borg/GK=5,borg/{label_text('o/=')}=", None,
    ]  # fmt: skip
    assert dict(trace.node_events.schema) == NODE_EVENTS
    assert trace.node_events.rows() == [
        (100 * S, "machine-5", "leave", None, None), (200 * S, "machine-5", "join", 64_000, 128 << 30),
        (300 * S, "machine-5", "update", 64_000, 256 << 30), (300 * S, "machine-7", "join", 128_000, 512 << 30),
    ]  # fmt: skip


def test_notes_say_what_became_of_everything(folder):
    notes = "\n".join(open_trace(folder(**ALL)).notes)
    for said in (
        "1.0 of a machine is 128cpu,512Gi (--machine-unit)",
        "and 1 records of what came after it are not used",
        "23 events are 6 pods",
        "2 of them were made up",
        "after an eviction (1) and goes on after a failure (0)",
        "1 changes of running tasks are left out; so are 1 ends of tasks that never began",
        "2 pods never end; 1 ended before they ran",
        "1 pods are alloc instances, which reserve what they ask for; 1 pods that run in alloc sets are left out",
        "9 constraints are required node affinity",
        "3 that compare with what is no number are left out",
        "6 machine events are 2 nodes and 4 events of nodes; 1 machines without a known capacity",
        "3 machine events name no machine; 4 records of attributes are labels",
        "1 later values of an attribute are left out",
        "of 2 submissions of collections 1 bound the instances of a machine and 1 those of a switch",
        "1 went through the batch queue",
    ):
        assert said in notes, said
    for note in notes.splitlines():
        assert re.match(r"google2019: .*\.$", note)


def test_tables_may_be_missing(folder, write):
    trace = open_trace(folder(instance_events=EVENTS))
    assert trace.nodes is None and trace.node_events is None
    assert "no table machine_events: give nodes" in "\n".join(trace.notes)
    assert open_trace(write("some.json", lines(EVENTS))).pods.equals(trace.pods)
    with pytest.raises(InputError, match="has no table instance_events"):
        READER.read(write("x", "").parent, Options())


def same(one, two):
    assert one.pods.equals(two.pods)
    assert one.specs.equals(two.specs)
    assert one.notes == two.notes
    assert one.node_events.equals(two.node_events)


@pytest.mark.parametrize(("size", "gathered"), [(400, 1), (700, 3), (10_000, 100)])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_shards_cut_anywhere_in_any_order_are_the_same_trace(folder, monkeypatch, size, gathered, seed):
    expected = open_trace(folder(**ALL))
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    monkeypatch.setattr(chronological, "GATHERED", gathered)
    monkeypatch.setattr(chronological, "SORTED", gathered)
    mixed = {table: sorted(rows, key=lambda row: int(row["time"])) for table, rows in ALL.items()}
    for rows in mixed.values():
        if seed is not None:
            Random(seed).shuffle(rows)
    same(open_trace(folder(name="mixed", parts=3, **mixed)), expected)


def csv_of(rows, point):
    """Return rows as CSV text with a header; nested columns are joined by ``point``, lists written as JSON."""
    flat = []
    for row in rows:
        flat.append({})
        for key, value in row.items():
            if key in ("resource_request", "capacity"):
                flat[-1] |= {f"{key}{point}{inner}": one for inner, one in (value or {}).items()}
            else:
                flat[-1][key] = json.dumps(value) if isinstance(value, list) else value
    names = list(dict.fromkeys(name for row in flat for name in row))
    return pl.DataFrame([{name: row.get(name) for name in names} for row in flat], infer_schema_length=None).write_csv()


@pytest.mark.parametrize("point", [".", "_"])
@pytest.mark.parametrize("ordered", [True, False])
def test_csv_says_the_same_as_json(folder, tmp_path, monkeypatch, point, ordered):
    expected = open_trace(folder(**ALL))
    monkeypatch.setattr(files, "BATCH_BYTES", 500)
    (tmp_path / "csv").mkdir()
    for table, rows in ALL.items():
        rows = sorted(rows, key=lambda row: int(row["time"])) if ordered else rows
        (tmp_path / "csv" / f"{table}.csv.gz").write_bytes(gzip.compress(csv_of(rows, point).encode()))
    same(open_trace(tmp_path / "csv"), expected)


def test_csv_without_columns_that_may_be_missing(write):
    path = write("i.csv", "time,type,collection_id,instance_index\n700000000,0,1,0\n700000001,3,1,0\n")
    trace = open_trace(path)
    assert trace.pods["name"].to_list() == ["collection-1-0-700000000"]
    assert trace.specs["cpu_milli"].to_list() == [None]
    path = write("j.csv", "time,type,collection_id,instance_index,constraint\n1,0,1,0,[\n")
    with pytest.raises(InputError, match=r"row 1, field 'constraint': .* is no list of constraints"):
        open_trace(path)


def test_parquet_is_told(tmp_path):
    pl.DataFrame({"time": [1]}).write_parquet(tmp_path / "instance_events-0.parquet")
    with pytest.raises(InputError, match=r"instance_events-0\.parquet: is Parquet; expected JSON lines or CSV"):
        open_trace(tmp_path)


def test_round_trip(folder, tmp_path):
    trace = open_trace(folder(**ALL))
    for name in ("t.parquet", "t.csv.gz"):
        write_trace(trace, tmp_path / name)
        again = open_trace(tmp_path / name)
        assert again.pods.equals(trace.pods)
        assert again.specs.equals(trace.specs)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (event("x", 0), "field 'time': 'x' is not an integer"),
        (event((1 << 59) + 1, 0), "field 'time': '576460752303423489' is too large"),
        (event(-5, 0), "field 'time': '-5' is negative"),
        (event(1, 11), "field 'type': '11' is too large"),
        (event(1, None), "field 'type': is missing"),
        (event(1, 0, index=None), "field 'instance_index': is missing"),
        (event(1, 0, collection_type=2), "field 'collection_type': '2' is too large"),
        (event(1, 0, resource_request={"cpus": -0.5}), "field 'resource_request.cpus': '-0.5' is negative"),
        (event(1, 0, resource_request={"memory": "x"}), "field 'resource_request.memory': 'x' is not a number"),
        (event(1, 0, constraint=5), "field 'constraint': '5' is no list of constraints"),
        ([1], "is not a JSON object"),
    ],
)
def test_bad_rows_are_told(folder, row, message):
    path = folder(instance_events=[event(0, 0), row])
    with pytest.raises(InputError, match=f"row 2.*{re.escape(message)}") as found:
        READER.read(path, Options())
    assert "instance_events-000000000000.json.gz" in str(found.value)
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height == 1 and sum(trace.dropped.values()) == 1


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (
            [{"name": "a", "relation": "8"}],
            "has an unknown relation; expected a list of name, value, and relation from 0 to 7",
        ),
        ([{"name": "a", "relation": "x"}], "is no list of constraints"),
        ([{"relation": 1}], "is no list of constraints"),
        ([[]], "is no list of constraints"),
        ({"name": "a", "relation": 1}, "is no list of constraints"),
    ],
)
def test_a_bad_constraint_is_told(folder, constraint, message):
    path = folder(instance_events=[event(0, 0), event(1, 0, 2, constraint=constraint)])
    with pytest.raises(InputError, match=f"row 2, field 'constraint': '.*' {message}"):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height == 1 and sum(trace.dropped.values()) == 1


BYTES = lines(EVENTS).encode()


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(BYTES) - 1), st.sampled_from([b"", b",", b"\n", b"0", b'"', b"-", b"\xff", b"9e9", b"{"])
        )
    ),
    st.booleans(),
)
def test_mutated_files_are_read_or_told(tmp_path_factory, changes, lenient):
    data = bytearray(BYTES)
    for place, change in changes:
        data[place : place + 1] = change
    path = tmp_path_factory.mktemp("mutated") / "t.json"
    path.write_bytes(bytes(data) or b"\n")
    try:
        trace = READER.read(path, Options(lenient=lenient))
    except InputError:
        return
    assert trace.pods["name"].is_unique().all()
    assert events_told(trace) == sum(1 for line in bytes(data).split(b"\n") if line.strip())


@pytest.mark.data
def test_published_shapes_of_cell_a(data, folder):
    shapes = pl.read_csv(data / "other" / "google2019" / "cell_a_machine_shapes.csv")
    rows, number = [], 0
    for cpus, memory, count in shapes.iter_rows():
        for _ in range(count):
            number += 1
            rows.append(
                {"time": "0", "machine_id": str(number), "type": "1", "capacity": {"cpus": cpus, "memory": memory}}
            )
    trace = open_trace(folder(instance_events=EVENTS, machine_events=rows))
    assert number == 10_461
    assert trace.nodes.height == 10_002
    assert "459 machines without a known capacity" in "\n".join(trace.notes)
    largest = trace.nodes.filter(pl.col("cpu_milli") == 128_000)
    assert sorted(largest["memory_bytes"].value_counts().rows()) == [
        (128 << 30, 52),
        (256 << 30, 1672),
        (512 << 30, 643),
    ]
    assert trace.nodes.filter(pl.col("cpu_milli") == 75_751).height == 3346 + 364  # 0.591797 of 128 cpu, rounded up
