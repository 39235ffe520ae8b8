"""The reader of Alibaba 2018."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, NODES, PODS, Options
from kscale.traces.alibaba2018 import READER
from kscale.traces.common import files
from kscale.traces.common.opening import open_trace, read_nodes, reader_of

#: What a file of the format begins with.
HEAD = "M1,1,j_1,1,Terminated,100,200,100.0,0.39\n"
GIB = 1 << 30
#: Half a percent of the memory of a machine, rounded up.
HALF_PERCENT = -(-384 * GIB * 5 // 1000)

TASKS = (
    "M1,2,j_1,1,Terminated,100,200,100.0,0.5\n"
    "R2_1,1,j_1,1,Terminated,200,250,50.0,100\n"
    "task_LTg=,3,j_2,1,Running,300,0,,\n"  # runs, and plans nothing
    "task_x,1,j_3,1,Waiting,0,0,100.0,1\n"  # never began
    "M1,0,j_4,1,Terminated,400,300,-1,101\n"  # ends before it starts
    "M9,1,j_4,1,Terminated,400,410,-1,101\n"  # marks of invalid values
    "M1,7,j_1,1,Terminated,100,200,900.0,9\n"  # names a task again
)
INSTANCES = (
    "ins_1,M1,j_1,1,Terminated,100,180,m_1,1,1,10.0,20.0,0.1,0.2\n"
    "ins_2,M1,j_1,1,Failed,110,130,m_2,1,2,10.0,20.0,0.1,0.2\n"
    "ins_2,M1,j_1,1,Terminated,130,200,m_3,2,2,10.0,20.0,0.1,0.2\n"  # the same instance, tried again
    "ins_3,R2_1,j_1,1,Failed,210,0,m_1,1,1,,,,\n"  # ended nobody knows when
    "ins_4,task_LTg=,j_2,1,Running,310,0,m_1,1,1,,,,\n"
    "ins_5,M9,j_4,1,Terminated,405,403,m_1,1,1,,,,\n"  # ends before it starts
    "ins_5,M9,j_4,1,Terminated,400,410,m_1,1,1,,,,\n"
    "ins_6,M9,j_9,1,Terminated,420,430,m_1,1,1,,,,\n"  # of no task that is known
    "ins_7,M9,j_9,1,Ready,0,0,,,,,,,\n"
    "ins_8,M9,j_4,1,Terminated,0,50,m_1,1,1,,,,\n"  # began before the trace
)
MACHINES = (
    "m_1,0,219,17,96,100,USING\n"
    "m_1,5000,219,17,96,100,USING\n"  # a sign of life
    "m_3,700,6,b,96,100,IMPORT_INSTALLING\n"  # joins, and is not ready
    "m_3,800,6,b,96,100,USING\n"
    "m_2,300,,,96,-1,USING\n"  # joins; its memory is not valid yet
    "m_2,400,,,96,50,USING\n"
    "m_2,500,,,48,50,USING\n"
    "m_2,600,,,-1,101,USING\n"
    "m_4,0,1,1,,,\n"  # never says what it has
)
CONTAINERS = (
    "c_1,m_1,0,app_1,started,400,800,1.5\n"
    "c_2,m_1,0,app_1,started,400,800,1.5\n"
    "c_1,m_2,900,app_1,started,800,800,1.5\n"
    "c_2,m_1,100,app_1,stopped,400,800,1.5\n"
    "c_2,m_1,200,app_1,started,400,800,1.5\n"  # stopped for a while only
    "c_2,m_1,300,app_1,stopped,400,800,1.5\n"
    "c_2,m_1,400,app_1,stopped,400,800,1.5\n"
    "c_3,m_1,50,,allocated,101,800,101\n"
    "c_3,m_1,70,,started,200,800,50\n"  # says later what is invalid at first
    "c_4,m_1,60,app_2,stopped,100,100,1\n"  # only seen stopped
)


@pytest.fixture
def folder(write):
    write("machine_meta.csv", MACHINES)
    write("batch_task.csv", TASKS)
    write("batch_instance.csv.gz", INSTANCES)
    return write("container_meta.csv", CONTAINERS).parent


def said(trace, *parts):
    """Whether a note holds all parts."""
    return any(all(part in note for part in parts) for note in trace.notes)


def flat(pods, specs):
    return pods.join(specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_instances_ask_for_what_their_tasks_plan(folder):
    trace = open_trace(folder)
    assert trace.format == "alibaba2018"
    assert dict(trace.pods.schema) == PODS
    batch = trace.pods.filter(pl.col("namespace") == "batch").pipe(flat, trace.specs)
    assert batch.select("name", "owner", "arrival_us", "duration_us", "end_us", "cpu_milli", "memory_bytes").rows() == [
        ("j_1-M1-1", "j_1", 100_000_000, 80_000_000, 180_000_000, 1000, HALF_PERCENT),
        ("j_1-M1-2", "j_1", 110_000_000, 20_000_000, 130_000_000, 1000, HALF_PERCENT),
        ("j_1-M1-3", "j_1", 130_000_000, 70_000_000, 200_000_000, 1000, HALF_PERCENT),
        ("j_2-task_LTg=-5", "j_2", 310_000_000, None, None, None, None),
        ("j_4-M9-7", "j_4", 400_000_000, 10_000_000, 410_000_000, None, None),
        ("j_9-M9-8", "j_9", 420_000_000, 10_000_000, 430_000_000, None, None),
        ("j_4-M9-10", "j_4", 0, 50_000_000, 50_000_000, None, None),
    ]
    assert said(trace, "batch_instance: 10 rows, of which 7 ran")
    assert said(trace, "1 rows that never began, 1 that began or ended at a time that is not said, 1 that end before")
    assert said(trace, "1 rows began before the trace")
    assert said(trace, "1 rows still run")
    assert said(trace, "6 tasks, 3 of them without pods, and 1 rows that name a task again")
    assert said(trace, "1 pods are of no known task")
    assert trace.dropped == {}


def test_containers_run_until_they_stop_for_good(folder):
    trace = open_trace(folder)
    pods = trace.pods.filter(pl.col("namespace") == "containers").pipe(flat, trace.specs)
    assert pods.select("name", "owner", "arrival_us", "duration_us", "cpu_milli", "memory_bytes").rows() == [
        ("c_1", "app_1", 0, None, 4000, -(-384 * GIB * 15 // 1000)),
        ("c_2", "app_1", 0, 300_000_000, 4000, -(-384 * GIB * 15 // 1000)),
        ("c_3", None, 50_000_000, None, 1010, 192 * GIB),  # 101 is a mark where it is percent, and 1.01 cores here
    ]
    assert said(trace, "10 rows are 3 containers", "2 were there at 0", "1 end where")
    assert said(trace, "1 containers are only seen stopped", "2 ask for something")


def test_machines_join_and_change(folder):
    trace = open_trace(folder)
    assert dict(trace.nodes.schema) == NODES
    assert trace.nodes.select("name", "cpu_milli", "memory_bytes", "labels", "unschedulable").rows() == [
        ("m_1", 96_000, 384 * GIB, "failure-domain-1=219,failure-domain-2=17", False),
        ("m_3", 96_000, 384 * GIB, "failure-domain-1=6,failure-domain-2=b", True),
        ("m_2", 96_000, 192 * GIB, None, False),
        ("m_4", 96_000, 384 * GIB, "failure-domain-1=1,failure-domain-2=1", False),
    ]
    assert dict(trace.node_events.schema) == NODE_EVENTS
    assert trace.node_events.rows() == [
        (300_000_000, "m_2", "join", 96_000, 192 * GIB),
        (500_000_000, "m_2", "update", 48_000, 192 * GIB),
        (700_000_000, "m_3", "join", 96_000, 384 * GIB),
        (800_000_000, "m_3", "uncordon", None, None),
    ]
    assert said(trace, "9 rows are 4 machines", "2 join at")
    assert said(trace, "1 machines begin with a status other than USING")
    assert said(trace, "1 machines never say what they have")


def test_without_instances_tasks_are_repeated(write):
    path = write("batch_task.csv", TASKS)
    trace = open_trace(path)
    assert trace.pods["name"].to_list() == [
        "j_1-M1-1-0", "j_1-M1-1-1", "j_1-R2_1-2-0", "j_2-task_LTg=-3-0", "j_2-task_LTg=-3-1", "j_2-task_LTg=-3-2",
        "j_4-M9-6-0", *(f"j_1-M1-7-{i}" for i in range(7)),
    ]  # fmt: skip
    assert trace.pods["duration_us"].to_list() == [10**8] * 2 + [5 * 10**7] + [None] * 3 + [10**7] + [10**8] * 7
    assert trace.specs["memory_bytes"].to_list() == [HALF_PERCENT, 384 * GIB, None, -(-384 * GIB * 9 // 100)]
    assert trace.specs["cpu_milli"].to_list() == [1000, 500, None, 9000]
    assert said(trace, "there is no batch_instance", "14 pods; 0 tasks have no instances")
    assert (trace.nodes, trace.node_events) == (None, None)


def test_machine_unit_sets_memory(folder):
    trace = open_trace(folder, options=Options(machine_unit="96cpu,100Gi"))
    assert trace.nodes["memory_bytes"].to_list() == [100 * GIB, 100 * GIB, 50 * GIB, 100 * GIB]
    assert said(trace, "1.0 of a machine is 96cpu,100Gi")
    with pytest.raises(InputError, match="'--machine-unit': '96cpu' states no memory"):
        open_trace(folder, options=Options(machine_unit="96cpu"))


def test_a_table_by_itself_is_a_trace_or_a_node_list(write):
    for name, text, pods in (("i", INSTANCES, 7), ("c", CONTAINERS, 3)):
        path = write(name, text)
        assert reader_of(path).name == "alibaba2018"
        assert open_trace(path).pods.height == pods
    path = write("m.csv", MACHINES)
    assert read_nodes(path)["name"].to_list() == ["m_1", "m_3", "m_2", "m_4"]
    with pytest.raises(InputError, match="it looks like a node list of the format alibaba2018"):
        open_trace(path)


def test_folders(write, tmp_path):
    table = write("batch_task.csv", TASKS)
    write("batch_task.csv.gz", TASKS)  # the same, packed
    write("batch_task.tar.gz", b"not read")
    assert open_trace(tmp_path).pods.height == 14
    table.unlink()
    (tmp_path / "batch_task.csv.gz").unlink()
    with pytest.raises(InputError, match=r"batch_task.tar.gz: is a tar archive; expected the table"):
        open_trace(tmp_path, "alibaba2018")
    (tmp_path / "batch_task.tar.gz").unlink()
    with pytest.raises(InputError, match="holds no table of the format; expected one of container_meta, batch_task"):
        open_trace(tmp_path, "alibaba2018")
    write("machine_meta.csv", MACHINES)
    with pytest.raises(InputError, match="has machines and no work; expected container_meta"):
        open_trace(tmp_path, "alibaba2018")


def test_tables_in_parts(tmp_path, write):
    whole = open_trace(write("batch_task.csv", TASKS))
    folder = tmp_path / "parts" / "batch_task"
    folder.mkdir(parents=True)
    rows = TASKS.splitlines(keepends=True)
    (folder / "part-0.csv").write_text("".join(rows[:3]))
    (folder / "part-1.csv").write_text("".join(rows[3:]))
    trace = open_trace(folder.parent)
    assert trace.pods.equals(whole.pods)
    assert trace.specs.equals(whole.specs)


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("batch_task", "M1,x,j_1,1,Terminated,100,200,1,1", "row 1, field 'instance_num': 'x' is not an integer"),
        ("batch_task", "M1,1,j_1,1,Terminated,1e3,z,1,1", "row 1, field 'end_time': 'z' is not an integer"),
        ("batch_task", "M1,1,j_1,1,Terminated,100,200,nan,1", "field 'plan_cpu': '.*' is not a finite number"),
        ("batch_task", "M1,1,j_1,1,Terminated,100,200,-2,1", "field 'plan_cpu': '-2' is below -1"),
        ("batch_task", "M1,99999999,j_1,1,Terminated,1,2,1,1", "field 'instance_num': '99999999' is too large"),
        ("batch_task", "M1,1,j_1,1,Terminated,100,200,1,1,7", "row 1: has 10 fields; expected 9 fields"),
        ("machine_meta", "m_1,0,a=b,1,96,100,USING", "row 1, field 'failure_domain_1': '.*' is not a label value"),
        ("container_meta", ",m_1,0,app,started,1,1,1", "row 1, field 'container_id': is missing"),
    ],
)
def test_bad_rows_are_told(write, table, row, message):
    write("batch_instance.csv", INSTANCES)
    path = write(f"{table}.csv", row + "\n")
    with pytest.raises(InputError, match=message) as found:
        READER.read(path.parent, Options())
    assert str(path) in str(found.value)
    trace = READER.read(path.parent, Options(lenient=True))
    assert sum(trace.dropped.values()) == 1


def containers_of(rows):
    """The containers, one after the other: name, owner, start, end, milli."""
    found = []
    for name in dict.fromkeys(row[0] for row in rows):
        mine = sorted((row for row in rows if row[0] == name), key=lambda row: row[1])
        lives = [i for i, row in enumerate(mine) if row[3] != "stopped"]
        if lives:
            first, last = mine[lives[0]], lives[-1]
            end = mine[last + 1][1] * 10**6 if last + 1 < len(mine) else None
            owner = next((row[2] for row in mine if row[2]), None)
            found.append((name, owner, first[1] * 10**6, end, first[4] * 10))
    return found


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["c_1", "c_2"]), st.integers(0, 9), st.sampled_from(["", "app"]),
            st.sampled_from(["started", "allocated", "stopped", ""]), st.integers(0, 3),
        ),
        min_size=1,
        max_size=10,
    )
)  # fmt: skip
def test_containers_are_a_walk(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "container_meta.csv")
        path.write_text("".join(f"{name},m_1,{time},{app},{status},{cpu},,\n" for name, time, app, status, cpu in rows))
        trace = READER.read(path, Options())
    found = trace.pods.pipe(flat, trace.specs).select("name", "owner", "arrival_us", "end_us", "cpu_milli").rows()
    assert found == containers_of(rows)


@pytest.mark.parametrize("size", [120, 300, 1000])
def test_where_portions_are_cut_changes_nothing(folder, monkeypatch, size):
    whole = open_trace(folder)
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    trace = open_trace(folder)
    assert trace.pods.equals(whole.pods)
    assert trace.specs.equals(whole.specs)
    assert trace.notes == whole.notes


@pytest.mark.data
def test_published_machines(data):
    path = data / "other" / "alibaba2018" / "machine_meta.csv"
    nodes = read_nodes(path)
    assert (nodes.height, nodes["cpu_milli"].sum()) == (4034, 4034 * 96_000)
    assert nodes["memory_bytes"].unique().to_list() == [384 * GIB]
    assert nodes.filter("unschedulable")["name"].to_list() == ["m_2739"]


@pytest.mark.data
def test_published_machines_join(data, write):
    (write("batch_task.csv", HEAD).parent / "machine_meta.csv").symlink_to(
        data / "other" / "alibaba2018" / "machine_meta.csv"
    )
    trace = open_trace(write("batch_task.csv", HEAD).parent)
    assert trace.node_events["event"].unique().to_list() == ["join"]
    assert trace.nodes.height - trace.node_events.height == 3887
    assert said(trace, "17,592 rows are 4,034 machines", "147 join")
