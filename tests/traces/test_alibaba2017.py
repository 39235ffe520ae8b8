"""The reader of Alibaba 2017."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, PODS, Options
from kscale.traces.alibaba2017 import READER
from kscale.traces.common import files
from kscale.traces.common.opening import open_trace, read_nodes, reader_of

#: What a file of the format begins with.
HEAD = "100,200,1,1,1,Terminated,0.5,0.01\n"
GIB = 1 << 30

SERVERS = (
    "0,1,add,,64,0.5,1\n"
    "0,2,add,,64,0.5,0.5\n"
    "4000,1,softerror,agent,,,\n"
    "4500,1,harderror,links,,,\n"  # there is an error already
    "5000,1,add,,64,0.5,1\n"
    "6000,2,harderror,links,,,\n"
    "6000,3,harderror,links,,,\n"  # never added
    "7000,4,add,,32,0.25,1\n"
    "8000,4,add,,64,0.25,1\n"
)
CONTAINERS = (
    "0,Create,1,10,4,0.5,0.25,1|2|3|4\n"
    "-5,Create,2,10,8,0.25,0.25,1|2\n"
    "100,Create,3,10,8,0.25,0.25,1|2\n"
    "300,Create,3,10,8,0.25,0.25,1|2\n"
    "200,Remove,3,10,8,0.25,0.25,1|2\n"  # not in the order of time
    "400,Create,3,10,8,0.25,0.25,1|2\n"  # there already
    "300,Remove,9,10,8,0.25,0.25,1|2\n"  # never created
)
TASKS = (
    "100,200,1,1,2,Terminated,0.5,0.125\n"
    "0,0,1,2,2,Waiting,1,0.02\n"
    "150,0,2,3,3,Running,1,\n"
    "-10,50,2,4,1,Terminated,1,0.5\n"
    "60000,60010,,,1,Terminated,7,0.7\n"  # without ids: found by none
)
INSTANCES = (
    "110,180,1,1,1,Terminated,1,1,0.5,0.1,0.01,0.01\n"
    "120,0,1,1,1,Failed,1,2,,,,\n"  # ended nobody knows when
    "0,0,1,2,,Waiting,,,,,,\n"
    "160,0,2,3,1,Running,1,1,,,,\n"
    "61000,62000,,,1,Terminated,1,1,,,,\n"
    "-20,50,2,4,1,Terminated,1,1,,,,\n"
    "90,80,2,4,1,Terminated,1,1,,,,\n"  # ends before it starts
    "95,99,1,1,1,Terminated,1,1,,,,\n"  # before its task was created
)


@pytest.fixture
def folder(write):
    write("server_event.csv", SERVERS)
    write("batch_task.csv", TASKS)
    write("batch_instance.csv", INSTANCES)
    return write("container_event.csv", CONTAINERS).parent


def said(trace, *parts):
    """Whether a note holds all parts."""
    return any(all(part in note for part in parts) for note in trace.notes)


def flat(pods, specs):
    return pods.join(specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_instances_arrive_with_their_tasks(folder):
    trace = open_trace(folder)
    assert trace.format == "alibaba2017"
    assert dict(trace.pods.schema) == PODS
    batch = trace.pods.filter(pl.col("namespace") == "batch").pipe(flat, trace.specs)
    assert batch.select("name", "owner", "arrival_us", "duration_us", "end_us", "cpu_milli", "memory_bytes").rows() == [
        ("job-1-task-1-1", "job-1", 100_000_000, 70_000_000, 180_000_000, 500, 32 * GIB),
        ("job-2-task-3-4", "job-2", 150_000_000, None, None, 1000, None),
        ("unknown-unknown-5", None, 61_000_000_000, 1_000_000_000, 62_000_000_000, None, None),
        ("job-2-task-4-6", "job-2", 0, 50_000_000, 50_000_000, 1000, 128 * GIB),
        ("job-1-task-1-8", "job-1", 95_000_000, 4_000_000, 99_000_000, 500, 32 * GIB),
    ]
    assert said(trace, "batch_instance: 8 rows, of which 5 ran")
    assert said(trace, "1 rows that never began, 1 that began or ended at a time that is not said, 1 that end before")
    assert said(trace, "1 pods are of no known task")
    assert said(trace, "4 tasks, 1 of them without pods")
    assert trace.dropped == {}


def test_containers_run_until_they_are_removed(folder):
    trace = open_trace(folder)
    pods = trace.pods.filter(pl.col("namespace") == "containers").pipe(flat, trace.specs)
    assert pods.select("name", "arrival_us", "duration_us", "cpu_milli", "memory_bytes").rows() == [
        ("container-1-1", 0, None, 4000, 128 * GIB),
        ("container-2-1", 0, None, 8000, 64 * GIB),
        ("container-3-1", 100_000_000, 100_000_000, 8000, 64 * GIB),
        ("container-3-2", 300_000_000, None, 8000, 64 * GIB),
    ]
    assert pods["owner"].null_count() == pods["ephemeral_storage_bytes"].null_count() == 4
    assert said(trace, "7 rows are 4 containers", "2 were there at 0; 1 are removed", "2 rows create what is there")


def test_errors_are_cordons(folder):
    trace = open_trace(folder)
    assert trace.nodes.select("name", "cpu_milli", "memory_bytes", "unschedulable").rows() == [
        ("machine-1", 64_000, 128 * GIB, False),
        ("machine-2", 64_000, 128 * GIB, False),
        ("machine-4", 32_000, 64 * GIB, False),
    ]
    assert dict(trace.node_events.schema) == NODE_EVENTS
    assert trace.node_events.rows() == [
        (4_000_000_000, "machine-1", "cordon", None, None),
        (5_000_000_000, "machine-1", "uncordon", None, None),
        (6_000_000_000, "machine-2", "cordon", None, None),
        (7_000_000_000, "machine-4", "join", 32_000, 64 * GIB),
        (8_000_000_000, "machine-4", "update", 64_000, 64 * GIB),
    ]
    assert said(trace, "9 rows are 3 machines; 1 join later, and 1 rows of errors are about machines")
    assert said(trace, "2 cordons")


def test_disk_counts_where_the_machine_unit_says_how_large_it_is(folder):
    trace = open_trace(folder, options=Options(machine_unit="64cpu,256Gi,4Tidisk"))
    assert trace.nodes["ephemeral_storage_bytes"].to_list() == [4096 * GIB, 2048 * GIB, 4096 * GIB]
    disk = trace.specs["ephemeral_storage_bytes"].to_list()
    assert disk == [1024 * GIB, 1024 * GIB] + [None] * (len(disk) - 2)
    assert said(trace, "memory and disk are fractions")
    assert said(open_trace(folder), "disk is not used")


def test_without_instances_tasks_are_repeated(write):
    trace = open_trace(write("t", TASKS))
    assert trace.pods.select("name", "owner", "arrival_us", "duration_us").rows() == [
        ("job-1-task-1-1-0", "job-1", 100_000_000, 100_000_000),
        ("job-1-task-1-1-1", "job-1", 100_000_000, 100_000_000),
        *((f"job-2-task-3-3-{i}", "job-2", 150_000_000, None) for i in range(3)),
        ("job-2-task-4-4-0", "job-2", 0, 50_000_000),
        ("unknown-unknown-5-0", None, 60_000_000_000, 10_000_000),
    ]
    assert said(trace, "batch_task: 5 rows, of which 4 ran")


def test_a_table_by_itself_is_a_trace_or_a_node_list(write):
    for name, text, pods in (("i", INSTANCES, 5), ("c", CONTAINERS, 4), ("t", TASKS, 7)):
        path = write(name, text)
        assert reader_of(path).name == "alibaba2017"
        assert open_trace(path).pods.height == pods
    path = write("s", SERVERS)
    assert read_nodes(path)["name"].to_list() == ["machine-1", "machine-2", "machine-4"]
    with pytest.raises(InputError, match="it looks like a node list of the format alibaba2017"):
        open_trace(path)
    with pytest.raises(InputError, match="has no nodes"):
        read_nodes(write("s", "6000,3,harderror,links,,,\n"))


def test_a_folder_of_2018_is_not_one_of_2017(write, tmp_path):
    write("batch_task.csv", "M1,1,j_1,1,Terminated,100,200,100.0,0.39\n")
    assert reader_of(tmp_path).name == "alibaba2018"
    write("batch_task.csv", HEAD)
    assert reader_of(tmp_path).name == "alibaba2017"


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("batch_task", "100,200,1,1,x,Terminated,0.5,0.01", "row 1, field 'instance_num': 'x' is not an integer"),
        ("batch_task", "100,200,1,1,1,Terminated,-1,0.01", "row 1, field 'plan_cpu': '-1' is negative"),
        ("batch_task", "100,200,1,1,1,Terminated,1,inf", "field 'plan_mem': 'inf' is not a finite number"),
        (
            "server_event",
            "1,1,explode,,64,1,1",
            "row 1, field 'event_type': 'explode' is no event of the table; expected",
        ),
        ("server_event", "1,,add,,64,1,1", "row 1, field 'machine_id': is missing"),
        ("container_event", "1,Pause,1,1,1,1,1,", "field 'event_type': 'Pause' is no event of the table"),
        ("container_event", "1,Create,1,1,1,1,1,1|2,9", "row 1: has 9 fields; expected 8 fields"),
    ],
)
def test_bad_rows_are_told(write, table, row, message):
    write("batch_instance.csv", INSTANCES)
    path = write(f"{table}.csv", row + "\n")
    with pytest.raises(InputError, match=message) as found:
        READER.read(path.parent, Options())
    assert str(path) in str(found.value)
    assert sum(READER.read(path.parent, Options(lenient=True)).dropped.values()) == 1


def containers_of(rows):
    """The containers, event by event: name, start, end; and how many events are of no use."""
    found, lives, useless = {}, {}, 0
    for place, (time, event, name) in sorted(enumerate(rows), key=lambda row: (row[1][0], row[0])):
        alive = name in lives and found[lives[name][0]][2] is None
        if event == "Create" and not alive:
            number = lives[name][1] + 1 if name in lives else 1
            lives[name] = (place, number)
            found[place] = (f"container-{name}-{number}", time * 10**6, None)
        elif event == "Remove" and alive:
            at = lives[name][0]
            found[at] = (*found[at][:2], time * 10**6)
        else:
            useless += 1
    return [found[place] for place in sorted(found)], useless


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["Create", "Remove"]), st.sampled_from("12")),
        min_size=1,
        max_size=12,
    )
)
def test_containers_are_a_walk(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "container_event.csv")
        path.write_text("".join(f"{time},{event},{name},1,4,0.5,0.25,1|2\n" for time, event, name in rows))
        trace = READER.read(path, Options())
    found, useless = containers_of(rows)
    assert trace.pods.select("name", "arrival_us", "end_us").rows() == found
    assert said(trace, f"{useless} rows create what is there")


@pytest.mark.parametrize("size", [120, 300])
def test_where_portions_are_cut_changes_nothing(folder, monkeypatch, size):
    whole = open_trace(folder)
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    trace = open_trace(folder)
    assert trace.pods.equals(whole.pods)
    assert trace.specs.equals(whole.specs)
    assert trace.notes == whole.notes
