import gzip
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, PODS, Options
from kscale.traces.common import chronological, files
from kscale.traces.common.attributes import label_text
from kscale.traces.common.opening import open_trace, reader_of
from kscale.traces.common.writing import write_trace
from kscale.traces.google2011 import READER
from tests.traces.holding import events_told

#: What a file of the format begins with.
HEAD = "0,2,3418309,0,4155527081,0,70s3v5qRyCO/1PCdI6fVXnrW8FU/w+5CKRSa72xgcIo=,3,9,0.125,0.07446,0.0004244,0\n"

S = 10**6
AFTER = (1 << 63) - 1
SUBMIT, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_PENDING, UPDATE_RUNNING = range(9)


def task(time, event, job=1, index=0, cpu="0.25", memory="0.5", priority=2, missing="", apart=0):
    return f"{time},{missing},{job},{index},,{event},u/=,1,{priority},{cpu},{memory},0.0001,{apart}\n"


#: Each gotcha of the format once.
TASKS = "".join(
    [
        task(0, SUBMIT, 7, 0, priority=9, missing=2),  # before the window, made up
        task(0, SCHEDULE, 7, 0, priority=9, missing=2),
        task(700 * S, SUBMIT, memory=""),  # memory is said later
        task(701 * S, SCHEDULE),
        task(702 * S, UPDATE_RUNNING, cpu="0.75"),
        task(800 * S, EVICT),
        task(800 * S, SUBMIT),  # at once: the same pod
        task(810 * S, SCHEDULE),
        task(900 * S, FINISH),
        task(1000 * S, SUBMIT, index=1, apart=1),
        task(1001 * S, UPDATE_PENDING, index=1, cpu="0.125", apart=1),
        task(1002 * S, SCHEDULE, index=1, cpu="0.125", apart=1),
        task(1100 * S, FAIL, index=1, apart=1),
        task(1100 * S, SUBMIT, index=1, apart=1),
        task(1110 * S, SCHEDULE, index=1, apart=1),
        task(1200 * S, KILL, index=1, apart=1),
        task(1300 * S, SUBMIT, index=1, cpu="", memory="", priority=0),  # again after its end: another pod
        task(1400 * S, KILL, index=1, cpu="", memory="", priority=0),  # without a run
        task(1500 * S, SUBMIT, index=2),
        task(1500 * S, SCHEDULE, index=2),
        task(1600 * S, FAIL, index=2),  # for good
        task(1650 * S, LOST, index=99),  # never seen
        task(AFTER, FINISH, 7, 0),
    ]
)
CONSTRAINTS = (
    f"{700 * S},1,0,1,o/ab+=,x=\n{700 * S},1,0,2,GK,5\n{700 * S},1,0,3,GK,1\n{700 * S},1,0,0,5d,\n"
    f"{701 * S},1,5,0,GK,1\n{1000 * S},1,1,2,GK,high\n"
)
MACHINES = (
    f"0,5,0,HofL/=,0.5,0.25\n0,6,0,HofL/=,,\n0,8,0,,0,0\n{700 * S},5,1,HofL/=,0.5,0.25\n{800 * S},5,0,HofL/=,0.5,0.25\n"
    f"{900 * S},7,0,p,1,1\n{950 * S},7,2,p,0.5,1\n{AFTER},7,1,p,,\n"
)
ATTRIBUTES = f"0,5,o/ab+=,7,0\n0,5,GK,3,0\n{800 * S},5,GK,4,0\n0,7,5d,,0\n0,7,GK,9,1\n"


@pytest.fixture
def folder(tmp_path):
    """Writes tables as the trace has them: a folder of packed parts each. Returns the folder."""

    def _folder(tasks=TASKS, name="trace", parts=1, **tables):
        lines = tasks.splitlines(keepends=True)
        size = -(-len(lines) // parts) or 1
        for part in range(parts):
            put(tmp_path / name, "task_events", "".join(lines[part * size : (part + 1) * size]) or "\n", part, parts)
        for table, text in tables.items():
            put(tmp_path / name, table, text)
        return tmp_path / name

    return _folder


def put(folder, table, text, part=0, parts=1):
    (folder / table).mkdir(parents=True, exist_ok=True)
    (folder / table / f"part-{part:05}-of-{parts:05}.csv.gz").write_bytes(gzip.compress(text.encode()))


ALL = {"task_constraints": CONSTRAINTS, "machine_events": MACHINES, "machine_attributes": ATTRIBUTES}


def test_tasks_become_pods(folder):
    path = folder(**ALL)
    assert reader_of(path).name == "google2011"
    trace = open_trace(path)
    assert dict(trace.pods.schema) == PODS
    found = trace.pods.sort("name").select("name", "owner", "arrival_us", "duration_us", "end_us").rows()
    assert found == [
        ("job-1-0-700000000", "job-1", 100 * S, 90 * S, 300 * S),
        ("job-1-1-1000000000", "job-1", 400 * S, 198 * S, 600 * S),
        ("job-1-1-1300000000", "job-1", 700 * S, 100 * S, 800 * S),
        ("job-1-2-1500000000", "job-1", 900 * S, 100 * S, 1000 * S),
        ("job-7-0-0", "job-7", 0, None, None),
    ]
    asked = trace.pods.join(trace.specs.with_row_index("spec"), on="spec").sort("name")
    gib = 1 << 30
    assert asked.select("cpu_milli", "memory_bytes", "priority").rows() == [
        (8000, 64 * gib, 2), (4000, 64 * gib, 2), (None, None, 0), (8000, 64 * gib, 2), (8000, 64 * gib, 9),
    ]  # fmt: skip
    key = f"borg/{label_text('o/ab+=')}"
    assert asked["node_affinity"].to_list() == [
        f"borg/5d=,borg/GK<5,borg/GK>1,{key}!={label_text('x=')}", None, None, None, None,
    ]  # fmt: skip
    assert (trace.timed, trace.dropped) == (True, {})


def test_machines_become_nodes(folder):
    trace = open_trace(folder(**ALL))
    assert trace.nodes.select("name", "cpu_milli", "memory_bytes").rows() == [
        ("machine-5", 16_000, 32 << 30), ("machine-7", 32_000, 128 << 30), ("machine-8", 0, 0),
    ]  # fmt: skip
    key = f"borg/{label_text('o/ab+=')}"
    assert trace.nodes["labels"].to_list() == [
        f"platform={label_text('HofL/=')},borg/GK=3,{key}=7", "platform=p,borg/5d=", None,
    ]  # fmt: skip
    assert dict(trace.node_events.schema) == NODE_EVENTS
    assert trace.node_events.rows() == [
        (100 * S, "machine-5", "leave", None, None), (200 * S, "machine-5", "join", 16_000, 32 << 30),
        (300 * S, "machine-7", "join", 32_000, 128 << 30), (350 * S, "machine-7", "update", 16_000, 128 << 30),
    ]  # fmt: skip


def test_notes_say_what_became_of_everything(folder):
    notes = "\n".join(open_trace(folder(**ALL)).notes)
    for said in (
        "1.0 of a machine is 32cpu,128Gi (--machine-unit)",
        "and 2 records of what came after it are not used",
        "22 events are 5 pods",
        "2 of them were made up",
        "after an eviction (1) and goes on after a failure (1); 0 submissions of what was running",
        "1 changes of running tasks are left out; so are 1 ends of tasks that never began",
        "1 pods never end; 1 ended before they ran",
        "7 machine events are 3 nodes and 4 events of nodes; 1 machines without a known capacity",
        "5 records of attributes are labels",
        "1 later values of an attribute are left out",
        "6 constraints are required node affinity",
        "1 stand beside no event of their task and are left out, and 1 that compare with what is no number",
        "1 pods want a machine of their own within their job",
    ):
        assert said in notes
    for note in notes.splitlines():
        assert re.match(r"google2011: .*\.$", note)


def test_tables_may_be_missing(folder, write):
    trace = open_trace(folder())
    assert trace.nodes is None and trace.node_events is None
    notes = "\n".join(trace.notes)
    assert "no table machine_events: give nodes" in notes and "no table task_constraints" in notes
    alone = open_trace(write("part-00000.csv.gz", TASKS))
    assert alone.pods.equals(trace.pods)
    with pytest.raises(InputError, match="has no table task_events"):
        READER.read(write("x", "").parent, Options())


def test_machines_without_a_capacity_are_no_nodes(folder):
    trace = open_trace(folder(machine_events="0,6,0,HofL/=,,\n"))
    assert trace.nodes is None and trace.node_events is None
    assert "1 machine events are 0 nodes" in "\n".join(trace.notes)


def test_machine_unit(folder):
    path = folder(**ALL)
    trace = READER.read(path, Options(machine_unit="16cpu,64Gi"))
    assert trace.nodes["cpu_milli"].to_list() == [8000, 16_000, 0]
    with pytest.raises(InputError, match="'--machine-unit': '96cpu' states no memory"):
        READER.read(path, Options(machine_unit="96cpu"))


def same(one, two):
    assert one.pods.equals(two.pods)
    assert one.specs.equals(two.specs)
    assert one.notes == two.notes
    assert one.node_events.equals(two.node_events)


@pytest.mark.parametrize("size", [100, 130, 300, 10_000])
@pytest.mark.parametrize("gathered", [1, 3, 100])
def test_portions_cut_anywhere_are_the_same_trace(folder, monkeypatch, size, gathered):
    expected = open_trace(folder(**ALL))
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    monkeypatch.setattr(chronological, "GATHERED", gathered)
    monkeypatch.setattr(chronological, "SORTED", gathered)
    same(open_trace(folder(name="cut", parts=4, **ALL)), expected)


@pytest.mark.parametrize("seed", range(4))
def test_rows_in_any_order_are_the_same_trace(folder, monkeypatch, seed):
    expected = open_trace(folder(**ALL))
    monkeypatch.setattr(chronological, "SORTED", 4)
    mixed = {}
    for table, text in {"tasks": TASKS, **ALL}.items():
        lines = text.splitlines(keepends=True)
        Random(seed).shuffle(lines)
        mixed[table] = "".join(lines)
    same(open_trace(folder(name="mixed", parts=3, **mixed)), expected)


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
        (task("x", 0), "field 'timestamp': 'x' is not an integer"),
        (task((1 << 59) + 1, 0), "field 'timestamp': '576460752303423489' is too large"),
        (task(1 << 63, 0), "field 'timestamp': '9223372036854775808' is not an integer"),
        (task(-1, 0), "field 'timestamp': '-1' is negative"),
        (task(1, 9), "field 'event type': '9' is too large"),
        (task(1, ""), "field 'event type': is missing"),
        (task(1, 0, job=""), "field 'job ID': is missing"),
        (task(1, 0, index=-1), "field 'task index': '-1' is negative"),
        (task(1, 0, cpu="nan"), "field 'CPU request': 'nan' is not a finite number"),
        (task(1, 0, memory="-0.5"), "field 'memory request': '-0.5' is negative"),
        (task(1, 0, apart=2), "field 'different machines restriction': '2' is too large"),
        (task(1, 0).strip() + ",7\n", "has 14 fields; expected 13 fields"),
    ],
)
def test_bad_rows_are_told(folder, row, message):
    path = folder(task(0, 0) + row)
    with pytest.raises(InputError, match=f"row 2.*{re.escape(message)}") as found:
        READER.read(path, Options())
    assert "part-00000-of-00001.csv.gz" in str(found.value)
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height == 1 and sum(trace.dropped.values()) == 1


BYTES = TASKS.encode()


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(BYTES) - 1), st.sampled_from([b"", b",", b"\n", b"0", b'"', b"-", b"\xff", b"9e9"])
        )
    ),
    st.booleans(),
)
def test_mutated_files_are_read_or_told(tmp_path_factory, changes, lenient):
    data = bytearray(BYTES)
    for place, change in changes:
        data[place : place + 1] = change
    path = tmp_path_factory.mktemp("mutated") / "t.csv"
    path.write_bytes(bytes(data) or b"\n")
    try:
        trace = READER.read(path, Options(lenient=lenient))
    except InputError:
        return
    assert trace.pods["name"].is_unique().all()
    if b'"' not in data:
        lines = bytes(data).rstrip(b"\r\n").count(b"\n") + 1  # a line that is empty is a row without a time
        assert events_told(trace) == lines


def test_no_other_rows_are_taken_for_it(write):
    made_up = HEAD.replace("0.125,0.07446,0.0004244,0", ",,,")  # what the trace says of tasks that were there before
    assert READER.detects(files.Path("t"), made_up.encode())
    assert open_trace(write("t.csv", made_up)).specs["cpu_milli"].to_list() == [None]
    for text in ("1,2,3\n", "a,b,c,d,e,f,g,h,i,j,k,l,m\n", ",".join("1" * 12) + "\n", HEAD.replace(",2,", ",x,")):
        assert not READER.detects(files.Path("t"), text.encode())
