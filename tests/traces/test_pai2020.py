"""The reader of Alibaba GPU 2020 (PAI)."""

import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import NODES, PODS, Options
from kscale.traces.common import files
from kscale.traces.common.opening import open_trace, read_nodes, reader_of
from kscale.traces.pai2020 import READER

#: What a file of the format begins with.
HEAD = "jobA,worker,1.0,Terminated,1100.0,1900.0,600.0,29.296875,50.0,T4\n"
GIB = 1 << 30

JOBS = (
    "jobA,idA,u1,Terminated,1000.0,2000.0\n"
    "jobB,idB,u2,Running,1500.5,\n"
    "jobC,idC,u2,Waiting,1600.0,\n"
    "jobA,idA,u1,Terminated,1.0,2000.0\n"  # names a job again
    "jobD,idD,u1,Failed,,\n"
    "jobF,idF,u1,Terminated,-5.0,30.0\n"  # began before the trace
)
TASKS = (
    "jobA,worker,2.0,Terminated,1100.0,1900.0,600.0,29.296875,50.0,T4\n"  # runs on a T4, which it did not ask for
    "jobA,ps,1.0,Terminated,1100.0,1900.0,600.0,29.296875,,CPU\n"
    "jobB,tensorflow,1.0,Running,1550.0,,1200.0,10,250.0,V100\n"
    "jobC,evaluator,3.0,Waiting,,,600.0,,100.0,\n"
    "jobD,xgb,,Failed,1700.0,1710.0,,,100.0,MISC\n"
)
INSTANCES = (
    "jobA,worker,i1,w1,idA,Terminated,1150.0,1800.0,m1\n"
    "jobA,worker,i2,w2,idA,Failed,1150.0,,m1\n"
    "jobA,ps,i3,w3,idA,Terminated,1100.0,1850.25,m1\n"
    "jobB,tensorflow,i4,w4,idB,Running,1560.0,,m1\n"
    "jobC,evaluator,i5,w5,idC,Waiting,,,\n"
    "jobD,xgb,i6,w6,idD,Terminated,1700.0,1710.0,m2\n"
    "jobE,,i7,w7,idE,Terminated,1800.0,1900.0,m2\n"
    "jobA,worker,i8,w8,idA,Terminated,1900.0,1800.0,m1\n"
    "jobF,worker,i9,w9,idF,Running,,,m1\n"  # runs since nobody knows when
    "jobF,worker,i9,w9,idF,Terminated,10.0,25.0,m1\n"
)
TAGS = "idA,u1,V100M32,g1,bert\nidB,u2,,g2,\nidD,u1,MISC,,\n"
MACHINES = "m1,CPU,96,512,0\nm2,T4,96.0,512.0,2.0\n"


@pytest.fixture
def folder(write):
    write("pai_job_table.csv", JOBS)
    write("pai_job_table.header", "job_name,inst_id,user,status,start_time,end_time\n")
    write("pai_task_table.csv", TASKS)
    write("pai_group_tag_table.csv.gz", TAGS)
    write("pai_machine_spec.csv", MACHINES)
    return write("pai_instance_table.csv", INSTANCES).parent


def said(trace, *parts):
    """Whether a note holds all parts."""
    return any(all(part in note for part in parts) for note in trace.notes)


def flat(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_instances_are_joined_with_tasks_jobs_and_tags(folder):
    trace = open_trace(folder)
    assert trace.format == "pai2020"
    assert dict(trace.pods.schema) == PODS
    pods = flat(trace)
    assert pods.select("name", "owner", "arrival_us", "duration_us", "end_us").rows() == [
        ("jobA-worker-1", "jobA", 1_000_000_000, 650_000_000, 1_800_000_000),
        ("jobA-ps-3", "jobA", 1_000_000_000, 750_250_000, 1_850_250_000),
        ("jobB-tensorflow-4", "jobB", 1_500_500_000, None, None),
        ("jobD-xgb-6", "jobD", 1_700_000_000, 10_000_000, 1_710_000_000),  # its job does not say when
        ("jobE-unknown-7", "jobE", 1_800_000_000, 100_000_000, 1_900_000_000),
        ("jobF-worker-10", "jobF", 0, 15_000_000, 25_000_000),
    ]
    assert pods.select("cpu_milli", "memory_bytes", "gpu_count", "gpu_milli", "gpu_models").rows() == [
        (6000, 30_000 << 20, 1, 500, "V100M32"),  # what is asked for, not what it got
        (6000, 30_000 << 20, 0, 0, None),
        (12_000, 10 * GIB, 3, 1000, None),
        (None, None, 1, 1000, "MISC"),
        (None, None, 0, 0, None),
        (None, None, 0, 0, None),
    ]
    assert pods["namespace"].unique().to_list() == ["default"]
    assert said(trace, "pai_instance_table: 10 rows, of which 6 ran")
    assert said(trace, "1 rows that never began, 2 that began or ended at a time that is not said, 1 that end before")
    assert said(trace, "2 pods are of no known task")
    assert said(trace, "5 jobs; 1 rows name a job again")
    assert said(trace, "given for 3 pods, of which 2 ask for GPUs")
    assert trace.dropped == {}


def test_machines(folder):
    nodes = open_trace(folder).nodes
    assert dict(nodes.schema) == NODES
    assert nodes.select("name", "cpu_milli", "memory_bytes", "gpu_count", "gpu_model", "labels").rows() == [
        ("m1", 96_000, 512 * GIB, 0, None, None),
        ("m2", 96_000, 512 * GIB, 2, "T4", "gpu-model=T4"),
    ]
    assert nodes.equals(read_nodes(folder / "pai_machine_spec.csv"))


def test_without_instances_tasks_are_repeated(folder):
    (folder / "pai_instance_table.csv").unlink()
    trace = open_trace(folder)
    assert flat(trace).select("name", "arrival_us", "duration_us", "gpu_models").rows() == [
        ("jobA-worker-1-0", 1_000_000_000, 800_000_000, "V100M32"),
        ("jobA-worker-1-1", 1_000_000_000, 800_000_000, "V100M32"),
        ("jobA-ps-2-0", 1_000_000_000, 800_000_000, None),
        ("jobB-tensorflow-3-0", 1_500_500_000, None, None),
    ]
    assert said(trace, "there is no pai_instance_table", "4 pods; 1 tasks have no instances")


def test_a_table_by_itself(write):
    trace = open_trace(write("t", TASKS))
    assert trace.pods["arrival_us"].to_list() == [1_100_000_000] * 3 + [1_550_000_000]
    assert said(trace, "there is no pai_job_table")
    trace = open_trace(write("i", INSTANCES))
    assert trace.pods.height == 6
    assert trace.specs["cpu_milli"].to_list() == [None]
    assert trace.nodes is None
    path = write("m", MACHINES)
    with pytest.raises(InputError, match="it looks like a node list of the format pai2020"):
        open_trace(path)
    assert reader_of(write("t", TASKS)).name == "pai2020"


def test_a_folder_without_work(write):
    path = write("pai_machine_spec.csv", MACHINES)
    with pytest.raises(InputError, match="has no tasks and no instances; expected pai_task_table, pai_instance_table"):
        open_trace(path.parent, "pai2020")


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("pai_task_table", "a,b,1.0,Terminated,1.0,2.0,x,1,1,T4", "row 1, field 'plan_cpu': 'x' is not a number"),
        ("pai_task_table", "a,b,1.0,Terminated,1.0,2.0,-1,1,1,T4", "row 1, field 'plan_cpu': '-1' is negative"),
        ("pai_task_table", "a,b,1e9,Terminated,1.0,2.0,1,1,1,T4", "field 'inst_num': '1e9' is too large"),
        ("pai_task_table", "a,b,1.5,Terminated,1.0,2.0,1,1,1,T4", "'inst_num': '1.5' is not a whole number"),
        ("pai_job_table", ",id,u,Terminated,1.0,2.0", "row 1, field 'job_name': is missing"),
        ("pai_group_tag_table", "id,u,a=b,g,w", "row 1, field 'gpu_type_spec': '.*' is not a label value"),
        ("pai_machine_spec", "m,,96,512,2", "row 1, field 'gpu_type': is missing; expected the model"),
        ("pai_machine_spec", "m,T4,96,512,65", "row 1, field 'cap_gpu': '65' is too large"),
        ("pai_machine_spec", "m,T4,96,512,1.5", "row 1, field 'cap_gpu': '1.5' is not an integer"),
    ],
)
def test_bad_rows_are_told(write, table, row, message):
    write("pai_instance_table.csv", INSTANCES)
    good = "z,T4,96,512,2\n" if table == "pai_machine_spec" else ""
    path = write(f"{table}.csv", row + "\n" + good)
    with pytest.raises(InputError, match=message) as found:
        READER.read(path.parent, Options())
    assert str(path) in str(found.value)
    assert sum(READER.read(path.parent, Options(lenient=True)).dropped.values()) == 1


@pytest.mark.parametrize("size", [120, 300])
def test_where_portions_are_cut_changes_nothing(folder, monkeypatch, size):
    whole = open_trace(folder)
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    trace = open_trace(folder)
    assert trace.pods.equals(whole.pods)
    assert trace.specs.equals(whole.specs)
    assert trace.notes == whole.notes


@pytest.mark.data
def test_published_machines(data):
    nodes = read_nodes(data / "other" / "pai2020" / "pai_machine_spec.csv")
    assert (nodes.height, nodes["gpu_count"].sum(), nodes["cpu_milli"].sum()) == (1897, 6742, 156_576_000)
    models = nodes.group_by("gpu_model", "gpu_count").len().sort("gpu_model", nulls_last=False)
    assert models.rows() == [
        (None, 0, 83), ("MISC", 8, 280), ("P100", 2, 798), ("T4", 2, 497), ("V100", 8, 104), ("V100M32", 8, 135),
    ]  # fmt: skip
    assert nodes.filter(pl.col("gpu_count") == 0)["memory_bytes"].unique().to_list() == [512 * GIB]
