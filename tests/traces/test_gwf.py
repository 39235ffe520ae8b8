import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common import files
from kscale.traces.gwf import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, assert_same, assert_told_once, mutated

HEADER = "WorkflowID, JobID     , SubmitTime, RunTime   , NProcs    , ReqNProcs , Dependencies\n"
JOBS = (
    "0         , 1         , 1016      , 11        , 1         , 1         ,           \n"
    "0         , 2         , 1040.5    , 12.25     , 6         , -1        , 1         \n"
    "-1        , 3         , 1003      , 11        , 4         , 5         , 1 2       \n"
    "1         , 4         , 1050      , -1        , 1         , 1         , 3         \n"
    "1         , 5         , 1050      , 10        , -1        , 0         ,           \n"
    "1         , 6         , -1        , 10        , 2         , 2         ,           \n"
)
#: What a file of the format begins with.
HEAD = HEADER + "0         , 1         , 16        , 11        , 1         , 1         ,           \n"


def test_jobs_are_mapped(write):
    trace = READER.read(write("log.gwf.gz", HEADER + JOBS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["job-1-0", "job-2-0", "job-3-0"]
    assert trace.pods["owner"].to_list() == ["workflow-0", "workflow-0", None]
    assert trace.pods["arrival_us"].to_list() == [13_000_000, 37_500_000, 0]
    assert trace.pods["duration_us"].to_list() == [11_000_000, 12_250_000, 11_000_000]
    assert trace.pods["end_us"].to_list() == [None, None, None]
    assert trace.specs["cpu_milli"].to_list() == [1000, 6000, 5000]
    assert trace.specs["memory_bytes"].to_list() == [None, None, None]
    assert "3 of 6 jobs are 3 pods" in trace.notes[0]
    assert "1 jobs without processors, 1 without a run time and 1 without a submission" in trace.notes[1]
    assert "first submission, at 1003 s" in trace.notes[2]
    assert "dependencies (3 jobs have some) are not modelled" in trace.notes[3]


def test_the_machine_unit_splits_jobs(write):
    path = write("log.gwf", HEADER + JOBS)
    trace = READER.read(path, Options(machine_unit="4cpu"))
    assert trace.pods["name"].to_list() == ["job-1-0", "job-2-0", "job-2-1", "job-3-0", "job-3-1"]
    assert [trace.specs["cpu_milli"][spec] for spec in trace.pods["spec"]] == [1000, 4000, 2000, 4000, 1000]
    assert "3 of 6 jobs are 5 pods" in trace.notes[0] and "at most 4 (--machine-unit)" in trace.notes[0]
    with pytest.raises(InputError, match="'--machine-unit': is less than one processor"):
        READER.read(path, Options(machine_unit="500mcpu"))


def test_files_without_blanks_say_the_same(write):
    padded = READER.read(write("a.gwf", HEADER + JOBS), Options())
    bare = "".join(",".join(cell.strip() for cell in line.split(",")) + "\n" for line in (HEADER + JOBS).splitlines())
    assert_same(READER.read(write("b.gwf", bare), Options()), padded)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,x,1,1,1,1,", "row 1, field 'JobID': 'x' is not an integer"),
        ("0,1,1,nan,1,1,", "field 'RunTime': 'nan' is not a finite number"),
        ("0,1,-2,1,1,1,", "row 1, field 'SubmitTime': '-2.*' is below -1"),
        ("0,1,1,1,1,99999999,", "field 'ReqNProcs': '99999999' is too large"),
        ("0,1,1,1,,1,", "field 'NProcs': is missing"),
        ("0,1,1,1,1,1,\n0,1,2,1,1,1,", "row 2, field 'JobID': '1' occurs twice"),
        ("0,1,1,1,1,1,,,", "row 1: has 9 fields"),
    ],
)
def test_bad_rows_are_told(write, row, message):
    with pytest.raises(InputError, match=message):
        READER.read(write("t.gwf", HEADER + row + "\n"), Options())


def test_too_many_pods_are_refused(write):
    with pytest.raises(InputError, match="field 'ReqNProcs': comes to 9,000,000 pods; expected at most 10,485"):
        READER.read(write("t.gwf", HEADER + "0,1,1,1,1,9000000,\n"), Options(machine_unit="1cpu", max_input=1 << 20))


def test_a_missing_column_is_told(write):
    with pytest.raises(InputError, match="field 'RunTime': the column is missing"):
        READER.read(write("t.gwf", "WorkflowID,JobID,SubmitTime,Runtime,NProcs,ReqNProcs\n0,1,1,1,1,1\n"), Options())


@pytest.mark.parametrize("size", [90, 200, 333])
def test_portions_cut_anywhere_are_one_trace(write, monkeypatch, size):
    path = write("log.gwf", HEADER + JOBS)
    whole = READER.read(path, Options(machine_unit="4cpu"))
    monkeypatch.setattr(files, "BATCH_BYTES", size)
    assert_same(READER.read(path, Options(machine_unit="4cpu")), whole)


def test_progress_comes_to_the_size_of_the_file(write):
    assert_told_once(READER, write("log.gwf", HEADER + JOBS))


def test_round_trip(write, tmp_path):
    assert_round_trip(READER.read(write("log.gwf", HEADER + JOBS), Options(machine_unit="4cpu")), tmp_path)


_cell = st.one_of(st.integers(-2, 9).map(str), st.sampled_from(["", "x", "1.5", " 3 ", "nan"]))


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.lists(_cell, min_size=7, max_size=7), max_size=8))
def test_lenient_accounts_for_every_row(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("lenient") / "t.gwf"
    path.write_text(HEADER + "".join(",".join(row) + "\n" for row in rows))
    trace = READER.read(path, Options(lenient=True))
    used = trace.pods.height
    left = sum(int(word) for word in trace.notes[1].replace(",", "").split() if word.isdigit())
    assert used + left + sum(trace.dropped.values()) == len(rows)


def plainly(jobs, per_pod):
    """What becomes of jobs (workflow, submission, run, processors, requested), one by one."""
    known = [submitted for _, submitted, *_ in jobs if submitted >= 0]
    origin, pods = min(known, default=0), []
    for number, (workflow, submitted, run, procs, requested) in enumerate(jobs):
        left, place = (requested if requested > 0 else procs), 0
        while left > 0 and run >= 0 and submitted >= 0:
            cores = min(left, per_pod or left)
            owner = f"workflow-{workflow}" if workflow >= 0 else None
            arrival, duration = round((submitted - origin) * 1e6), round(run * 1e6)
            pods.append((f"job-{number}-{place}", owner, arrival, duration, cores * 1000))
            left, place = left - cores, place + 1
    return pods


_time = st.one_of(st.just(-1), st.integers(0, 50), st.integers(0, 400).map(lambda n: n / 8))
_job = st.tuples(st.integers(-1, 3), _time, _time, st.integers(-1, 9), st.integers(-1, 9))


@settings(deadline=None, max_examples=100)
@given(jobs=st.lists(_job, max_size=8), per_pod=st.one_of(st.none(), st.integers(1, 4)), padded=st.booleans())
def test_columns_say_what_a_walk_over_the_jobs_says(tmp_path_factory, jobs, per_pod, padded):
    path = tmp_path_factory.mktemp("plain") / "t.gwf"
    rows = [[workflow, number, *rest, "1 2"] for number, (workflow, *rest) in enumerate(jobs)]
    width = 9 if padded else 0
    path.write_text(HEADER + "".join(", ".join(str(cell).ljust(width) for cell in row) + "\n" for row in rows))
    trace = READER.read(path, Options(machine_unit=f"{per_pod}cpu" if per_pod else None))
    cpu = [trace.specs["cpu_milli"][one] for one in trace.pods["spec"]]
    found = trace.pods.select("name", "owner", "arrival_us", "duration_us").rows()
    assert [(*row, milli) for row, milli in zip(found, cpu, strict=True)] == plainly(jobs, per_pod)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient):
    path = tmp_path_factory.mktemp("mutated") / "t.gwf"
    path.write_bytes(mutated(data, (HEADER + JOBS).encode()))
    assert_read_or_refused(READER, path, lenient)


@pytest.mark.data
def test_the_sample(data, tmp_path):
    trace = READER.read(data / "other" / "formats" / "sample.gwf", Options())
    assert (trace.pods.height, trace.pods["owner"].n_unique(), trace.specs.height) == (70, 10, 1)
    assert trace.pods["duration_us"].median() == 11_000_000
    assert trace.pods["arrival_us"].min() == 0
    assert_round_trip(trace, tmp_path)
