import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODES, PODS, Options
from kscale.traces.common import jsonarray
from kscale.traces.common.opening import open_trace, read_nodes, reader_of
from kscale.traces.philly import READER
from tests.traces.mutation import converts, pieces_alike, survives

MACHINES = "machineId, number of GPUs, single GPU mem\nm31,8, 24GB\nm2,2, 12GB\nm3,0,\n"


def machine(ip, gpus):
    return {"ip": ip, "gpus": [f"gpu{i}" for i in range(gpus)]}


def attempt(start, end, *gpus):
    return {"start_time": start, "end_time": end, "detail": [machine(f"m{i}", n) for i, n in enumerate(gpus)]}


def job(number, submitted, *attempts, vc="ee9e8c", status="Pass"):
    return {
        "status": status, "vc": vc, "jobid": f"application_{number}", "attempts": list(attempts),
        "submitted_time": submitted, "user": "ce2f4c",
    }  # fmt: skip


def at(clock, day=7):
    return f"2017-10-{day:02} {clock}"


JOBS = [
    job(1, at("01:11:39"), attempt(at("01:12:09"), at("01:13:23"), 8), attempt(at("01:13:30"), at("06:53:12"), 8, 4)),
    job(2, at("01:11:40"), status="Killed"),
    job(3, at("01:11:41"), attempt(None, at("01:13:23"), 1), attempt("None", "", 2), status="Failed"),
    job(4, at("01:12:00"), attempt(at("01:12:30"), None, 1), attempt(at("01:13:00"), None, 1), vc=None),
    job(5, None, attempt(at("01:11:00"), at("01:11:10"), 2), attempt(at("01:12:00"), at("01:12:01"))),
    job(6, at("01:20:00"), attempt(at("01:19:00"), at("01:21:00"), 0)),
]
#: What a file of the format begins with.
HEAD = json.dumps([job(1, at("01:11:39"), attempt(at("01:12:09"), at("01:13:23"), 8))])


def sized(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_an_attempt_is_a_pod_a_machine(write):
    path = write("cluster_job_log.gz", json.dumps(JOBS))
    assert reader_of(path).name == "philly"
    trace = READER.read(path, Options())
    assert dict(trace.pods.schema) == PODS
    rows = sized(trace).select("name", "arrival_us", "duration_us", "end_us", "gpu_count", "gpu_milli").iter_rows()
    seconds = [(n, a // 10**6, d and d // 10**6, e and e // 10**6, g, m) for n, a, d, e, g, m in rows]
    assert seconds == [  # counted from 01:11:39
        ("application_1-1-0", 0, 74, 104, 8, 1000),
        ("application_1-2-0", 104, 20_382, 20_493, 8, 1000),
        ("application_1-2-1", 104, 20_382, 20_493, 4, 1000),
        ("application_4-1-0", 21, 30, 81, 1, 1000),
        ("application_4-2-0", 81, None, None, 1, 1000),
        ("application_5-1-0", 0, 10, 0, 2, 1000),
        ("application_6-1-0", 441, 120, 561, 0, 0),
    ]
    assert trace.pods["owner"].unique(maintain_order=True).to_list() == [f"application_{i}" for i in (1, 4, 5, 6)]
    assert trace.pods["namespace"].to_list() == ["ee9e8c"] * 3 + ["default"] * 2 + ["ee9e8c"] * 2
    assert trace.specs["cpu_milli"].null_count() == trace.specs["memory_bytes"].null_count() == trace.specs.height
    notes = "\n".join(trace.notes)
    assert "counted from the first submission, 2017-10-07 01:11:39" in notes
    assert "6 jobs, of which 2 have no attempt" in notes
    assert "9 attempts, of which 3 are left out: 2 without a start, 1 without machines; the others are 7 pods" in notes
    assert "1 attempts have no end though others follow" in notes and "1 last ones have none" in notes


def test_a_folder_has_the_machines(tmp_path):
    (tmp_path / "cluster_job_log").write_text(json.dumps(JOBS))
    (tmp_path / "cluster_machine_list").write_text(MACHINES)
    assert reader_of(tmp_path).name == "philly"
    trace = open_trace(tmp_path, options=Options(machine_unit="24cpu,100Gi"))
    assert trace.nodes is not None and list(trace.nodes.columns) == list(NODES)
    assert trace.nodes["name"].to_list() == ["m31", "m2", "m3"]
    assert trace.nodes["gpu_count"].to_list() == [8, 2, 0]
    assert trace.nodes["gpu_model"].to_list() == ["gpu-24GB", "gpu-12GB", None]
    assert trace.nodes["labels"].to_list() == ["gpu-model=gpu-24GB", "gpu-model=gpu-12GB", None]
    assert trace.nodes["memory_bytes"].to_list() == [100 << 30] * 3
    assert "24cpu,100Gi" in trace.notes[-1]
    nodes = read_nodes(tmp_path / "cluster_machine_list")
    assert nodes["memory_bytes"].to_list() == [504 << 30] * 3
    assert open_trace(tmp_path / "cluster_job_log").nodes is None
    (tmp_path / "cluster_machine_list").unlink()
    with pytest.raises(InputError, match="holds 0 files of the table cluster_machine_list; expected one"):
        open_trace(tmp_path, "philly")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machineId,number of GPUs,single GPU mem\n", "has no nodes"),
        ("machineId,number of GPUs\nm,65\n", "row 1, field 'number of GPUs': '65' is too large"),
        ("machineId,number of GPUs\nm,1\nm,1\n", "row 2, field 'machineId': 'm' occurs twice"),
        ("machineId,number of GPUs,single GPU mem\nm,1,big\n", "field 'single GPU mem': 'big' is no amount of memory"),
    ],
)
def test_bad_machines_are_told(write, text, message):
    with pytest.raises(InputError, match=message):
        read_nodes(write("cluster_machine_list", text))


def test_machines_without_their_memory(write):
    assert read_nodes(write("m.csv", "machineId,number of GPUs\nm,1\n"))["gpu_model"].to_list() == ["gpu-unknown"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (job(1, at("02:00:00")), "row 7, field 'jobid': 'application_1' occurs twice"),
        (job(7, "noon"), "row 7, field 'submitted_time': 'noon' is no date and time"),
        (job(7, at("02:00:00"), attempt(at("02:00:00"), "x", 1)), "row 7, field 'end_time': 'x' is no date and time"),
        (job(7, at("02:00:00"), attempt(at("02:00:00"), at("01:00:00"), 1)), "field 'end_time': is before the start"),
        (
            job(7, at("02:00:00"), attempt(at("02:00:00"), at("03:00:00"), 65)),
            "field 'gpus': are too many on a machine",
        ),
        (job("x" * 600, at("02:00:00")), "field 'jobid': is longer than 512 bytes"),
        ({"jobid": 7}, "row 7: is not as it should be: Expected `str`, got `int`"),
        ({"jobid": "7"}, "row 7: is not as it should be: Object missing required field `attempts`"),
    ],
)
def test_bad_jobs_are_told_or_counted(write, bad, message):
    path = write("log.json", json.dumps([*JOBS, bad]))
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (7, 1)


def test_pieces_conversion_and_damage(write, tmp_path, monkeypatch):
    jobs = [
        job(
            i, at(f"{i // 60:02}:{i % 60:02}:00"),
            *(attempt(at("01:00:00", 8 + k), at("02:00:00", 8 + k), *[k + 1] * (i % 3 + 1)) for k in range(i % 4)),
        )
        for i in range(200)
    ]  # fmt: skip
    trace = pieces_alike(monkeypatch, READER, write("log.json", json.dumps(jobs)), least=2000)
    assert trace.pods["owner"].n_unique() == 150
    converts(trace, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.json", json.dumps(JOBS[:3]).encode())


moments = st.one_of(st.integers(0, 50).map(lambda s: at(f"01:00:{s:02}")), st.sampled_from([None, "None", ""]))
attempts = st.lists(st.tuples(moments, moments, st.lists(st.integers(0, 3), max_size=2)), max_size=4)
logs = st.lists(st.tuples(st.integers(0, 8), moments, attempts), max_size=8)


def second(text):
    return int(text[-2:]) if text and text != "None" else None


def plainly(jobs):
    """The pods of a log, job by job, as the notes tell it; and how many rows of jobs or attempts are bad."""
    first = min((second(submitted) for _, submitted, _ in jobs if second(submitted) is not None), default=None)
    pods, seen, bad = [], set(), 0
    for number, submitted, tried in jobs:
        late = [
            second(start) is not None and second(end) is not None and second(end) < second(start)
            for start, end, _ in tried
        ]
        bad += sum(late)
        if number in seen:
            bad += 1
            continue
        seen.add(number)
        kept = [
            (index, second(start), second(end), gpus)
            for index, (start, end, gpus) in enumerate(tried, 1)
            if not late[index - 1] and second(start) is not None and gpus
        ]
        before = second(submitted)
        for place, (index, start, end, gpus) in enumerate(kept):
            if end is None and place + 1 < len(kept):
                end = kept[place + 1][1]
            arrival = start if before is None else min(before, start)
            ran = None if end is None else end - start
            for machine, count in enumerate(gpus):
                pods.append((f"application_{number}-{index}-{machine}", arrival, ran, end, count))
            before = end
    return pods, first, bad


@settings(max_examples=250, deadline=None)
@given(logs, st.integers(400, 2000))
def test_any_log_is_read_as_job_by_job(tmp_path_factory, jobs, size):
    path = tmp_path_factory.mktemp("philly") / "log.json"
    path.write_text(
        json.dumps([job(n, submitted, *(attempt(a, b, *g) for a, b, g in tried)) for n, submitted, tried in jobs])
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonarray, "PIECE", size)
        trace = READER.read(path, Options(lenient=True))
    pods, first, bad = plainly(jobs)
    counts = trace.specs["gpu_count"].to_list()
    columns = trace.pods.select("name", "arrival_us", "duration_us", "end_us", "spec")
    found = [(name, arrival, ran, end, counts[spec]) for name, arrival, ran, end, spec in columns.iter_rows()]
    if first is None:  # nothing tells where the trace starts: times are since 1970
        first = -int(datetime(2017, 10, 7, 1, tzinfo=UTC).timestamp())

    def since(moment):
        return None if moment is None else max(moment - first, 0) * 10**6

    assert found == [(name, since(a), ran and ran * 10**6, since(e), count) for name, a, ran, e, count in pods]
    assert sum(trace.dropped.values()) == bad


@pytest.mark.data
def test_published_run_times(data, write):
    """The run times of the published jobs, each as a job that is tried once, come out as they went in."""
    seconds = pl.read_csv(data / "other" / "philly" / "philly_runtime.csv")["runtime"].round().cast(pl.Int64)
    assert seconds.len() == 83_154
    ends = (pl.lit(pl.Series(["2017-08-07 00:00:00"])).str.to_datetime() + pl.duration(seconds=seconds)).dt.strftime(
        "%Y-%m-%d %H:%M:%S"
    )
    start = "2017-08-07 00:00:00"
    jobs = [job(i, start, attempt(start, end, 1)) for i, end in enumerate(pl.select(ends).to_series())]
    trace = READER.read(write("cluster_job_log", json.dumps(jobs)), Options())
    found = trace.pods["duration_us"] / 1e6
    assert found.len() == 83_154
    assert [found.quantile(q) for q in (0.5, 0.9, 0.95, 0.99)] == pytest.approx(
        [1186, 12_860, 49_950, 287_300], rel=2e-3
    )
    assert found.var() / found.mean() ** 2 == pytest.approx(38.9, rel=2e-3)
