"""Batch work of two tables is what a walk from row to row makes of them, wherever portions are cut."""

import random
import re
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options, alibaba2017, alibaba2018, pai2020, spot2026
from kscale.traces.common import files, tables
from kscale.traces.common.opening import open_trace, portions, read_nodes
from kscale.traces.common.writing import write_nodes, write_portions
from tests.traces import test_alibaba2017, test_alibaba2018, test_pai2020, test_spot2026

jobs = st.sampled_from(["j_1", "j_2", ""])
names = st.sampled_from(["M1", "R2_1", ""])
states = st.sampled_from(["Ready", "Waiting", "Running", "Terminated", "Failed", "Cancelled", ""])
times = st.sampled_from(["", "0", "5", "9", "-3"])
plans = st.sampled_from(["", "-1", "101", "50"])
tasks = st.tuples(names, st.sampled_from(["", "0", "1", "3"]), jobs, st.just("1"), states, times, times, plans, plans)
instances = st.tuples(st.just("i"), names, jobs, st.just("1"), states, times, times, *[st.just("")] * 7)


def lived(state, start, end):
    """When a row started and ended, or how it is told in the notes."""
    begun = start not in ("", "0", "-3")
    if int(end or 0) <= 0:
        if state in ("Ready", "Waiting") or (not begun and state != "Running"):
            return "never"
        return (max(int(start), 0) * 10**6, None) if state == "Running" and start else "unknown"
    if not start:
        return "unknown"
    return "backwards" if int(end) < int(start) else (max(int(start), 0) * 10**6, int(end) * 10**6)


def asked(cpu, memory):
    """Milli and bytes of a plan."""
    milli = None if cpu in ("", "-1") else int(cpu) * 10
    return milli, None if memory in ("", "-1", "101") else (384 << 30) * int(memory) // 100


def pods_of(tasks, instances):
    """The pods, and what becomes of the rows, one after the other."""
    plans, pods, counts = {}, [], dict.fromkeys(("ran", "never", "unknown", "backwards"), 0)
    for name, _, job, _, _, _, _, cpu, memory in tasks:
        if name and job:
            plans.setdefault((job, name), asked(cpu, memory))
    rows = tasks if instances is None else instances
    for number, row in enumerate(rows, 1):
        job, name = (row[2], row[0]) if instances is None else (row[2], row[1])
        life = lived(row[4], row[5], row[6])
        counts["ran" if isinstance(life, tuple) else life] += 1
        if not isinstance(life, tuple):
            continue
        start, end = life
        called = f"{job or 'unknown'}-{name or 'unknown'}-{number}"
        rest = (job or None, start, None if end is None else end - start, end)
        if instances is None:
            pods += [(f"{called}-{i}", *rest, *asked(*row[7:])) for i in range(int(row[1] or 0))]
        else:
            pods.append((called, *rest, *plans.get((job, name), (None, None))))
    return pods, counts


@settings(deadline=None, max_examples=100)
@given(st.lists(tasks, max_size=8), st.none() | st.lists(instances, min_size=1, max_size=8), st.integers(120, 400))
def test_work_is_a_walk(tasks, instances, size):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        if tasks or instances is None:
            tasks = tasks or [("M1", "1", "j_1", "1", "Running", "5", "", "50", "50")]
            (folder / "batch_task.csv").write_text("".join(",".join(row) + "\n" for row in tasks))
        if instances is not None:
            (folder / "batch_instance.csv").write_text("".join(",".join(row) + "\n" for row in instances))
        patch.setattr(files, "BATCH_BYTES", size)
        patch.setattr(tables, "PORTION", 2)
        trace = alibaba2018.READER.read(folder, Options())
    pods, counts = pods_of(tasks, instances)
    flat = trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")
    columns = ("name", "owner", "arrival_us", "duration_us", "end_us", "cpu_milli", "memory_bytes")
    assert flat.select(columns).rows() == pods
    table, rows = ("batch_task", len(tasks)) if instances is None else ("batch_instance", len(instances))
    notes = " ".join(trace.notes)
    assert f"{table}: {rows:,} rows, of which {counts['ran']:,} ran" in notes
    assert (counts["ran"] == rows) or (
        f"{counts['never']} rows that never began, {counts['unknown']} that began or ended at a time that is not said, "
        f"{counts['backwards']} that end before they start" in notes
    )


#: The tables of each reader's own test, by the names of their files.
TABLES = {
    "alibaba2017": (alibaba2017.READER, {
        "server_event": test_alibaba2017.SERVERS, "container_event": test_alibaba2017.CONTAINERS,
        "batch_task": test_alibaba2017.TASKS, "batch_instance": test_alibaba2017.INSTANCES,
    }),
    "alibaba2018": (alibaba2018.READER, {
        "machine_meta": test_alibaba2018.MACHINES, "container_meta": test_alibaba2018.CONTAINERS,
        "batch_task": test_alibaba2018.TASKS, "batch_instance": test_alibaba2018.INSTANCES,
    }),
    "pai2020": (pai2020.READER, {
        "pai_job_table": test_pai2020.JOBS, "pai_task_table": test_pai2020.TASKS,
        "pai_instance_table": test_pai2020.INSTANCES, "pai_group_tag_table": test_pai2020.TAGS,
        "pai_machine_spec": test_pai2020.MACHINES,
    }),
    "spot2026": (spot2026.READER, {
        "job_info_df.csv": test_spot2026.HEADER + test_spot2026.ROWS,
        "node_info_df.csv": test_spot2026.NODE_HEADER + test_spot2026.NODE_ROWS,
    }),
}  # fmt: skip


@pytest.fixture(params=TABLES)
def folder(request, tmp_path):
    for table, text in TABLES[request.param][1].items():
        (tmp_path / table).write_text(text)
    return tmp_path, TABLES[request.param][0]


def test_portions_have_the_same_columns(folder, monkeypatch):
    path, reader = folder
    monkeypatch.setattr(files, "BATCH_BYTES", 120)
    monkeypatch.setattr(tables, "PORTION", 1)
    frames = list(reader.portions(path, Options()))
    assert len(frames) > 1
    assert all(frame.schema == frames[0].schema for frame in frames)
    assert pl.concat(frames).drop("name").height == reader.read(path, Options()).pods.height


@pytest.mark.parametrize("name", ["pods.parquet", "pods.csv.gz"])
def test_what_is_written_is_read_again(folder, name, tmp_path_factory, monkeypatch):
    path, reader = folder
    trace = reader.read(path, Options())
    monkeypatch.setattr(files, "BATCH_BYTES", 120)
    monkeypatch.setattr(tables, "PORTION", 1)
    out = tmp_path_factory.mktemp("out")
    rest = write_portions(portions(path), out / name)
    monkeypatch.undo()
    assert rest.notes == trace.notes
    again = open_trace(out / name)
    assert again.format == "own"
    assert again.pods.equals(trace.pods)
    assert again.specs.equals(trace.specs)
    if trace.nodes is not None:
        write_nodes(trace.nodes, out / "nodes.csv")
        assert read_nodes(out / "nodes.csv").equals(trace.nodes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "start"), [("alibaba2017", 0), ("alibaba2018", 5), ("pai2020", 6)])
def test_every_row_is_used_or_told(name, start, seed, tmp_path):
    """Of the instances, the rows that the notes count and those that are dropped are all rows of the file."""
    reader, texts = TABLES[name]
    table = next(table for table in texts if "instance" in table)
    rng = random.Random(seed)
    good = rng.choices(texts[table].splitlines(), k=40)
    more = [row + ",more" for row in good[:5]]
    wrong = [row.split(",") for row in good[5:9]]
    for row in wrong:
        row[start] = "x"
    lines = good + more + [",".join(row) for row in wrong]
    rng.shuffle(lines)
    (tmp_path / table).write_text("\n".join(lines) + "\n")
    trace = reader.read(tmp_path, Options(lenient=True))
    assert sum(trace.dropped.values()) == 9
    notes = " ".join(trace.notes)
    (rows, ran), *_ = re.findall(r"(\d+) rows, of which (\d+) ran", notes)
    left_out = re.findall(r"(\d+) (?:rows that never began|that began or ended|that end before)", notes)
    assert int(rows) == len(good)
    assert int(ran) == trace.pods.height
    assert int(rows) == int(ran) + sum(map(int, left_out))


PIECES = [
    b"",
    b",",
    b"\n",
    b'"',
    b"\x00",
    b"\xff",
    b"-1",
    b"nan",
    b"inf",
    b"9" * 30,
    b"1e400",
    b"Running",
    b"a=b",
    b"0.5",
]


def mutated(rng, data):
    """``data`` with one to three bytes or pieces changed."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(PIECES) + data[min(len(data), at + rng.randint(0, 6)) :]
    return data


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_mutated_tables_are_read_or_told(name, lenient, tmp_path):
    reader, texts = TABLES[name]
    rng = random.Random(7)
    for table, text in texts.items():
        (tmp_path / table).write_text(text)
    read = told = 0
    for _ in range(100):
        table = rng.choice(list(texts))
        path = tmp_path / table
        path.write_bytes(mutated(rng, texts[table].encode()))
        try:
            trace = reader.read(tmp_path, Options(lenient=lenient))
            assert trace.pods.select("namespace", "name").is_unique().all()
            assert trace.pods.filter(pl.col("arrival_us").is_null() | (pl.col("duration_us") < 0)).height == 0
            read += 1
        except InputError as error:
            assert str(tmp_path) in str(error)
            told += 1
        path.write_text(texts[table])
    assert read > 4
    assert lenient or told > 20
