import pytest

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.swf import READER

#                          submit wait run  procs         req  time mem
JOBS = (
    "; a comment\n"
    "  1   0.5   10   100   6  -1 -1   6  500  2048 1 9 -1 3 1 -1 -1 -1\n"
    "\n"
    "  2   7     -1   50    3  -1 -1  -1  500    -1 1 9 -1 3 1 -1 -1 -1\n"
    "; another\n"
    "  3   8      0   -1    4  -1 -1   4  500    -1 5 9 -1 3 1 -1 -1 -1\n"
    "  4   9      0   20    0  -1 -1  -1  500    -1 5 9 -1 3 1 -1 -1 -1\n"
)

#: What a file of the format begins with.
HEAD = "1 0 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1\n"


def test_a_job_is_one_pod_where_the_header_says_nothing(write):
    trace = READER.read(write("log.swf", JOBS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["job-1-0", "job-2-0"]
    assert trace.pods["owner"].to_list() == ["job-1", "job-2"]
    assert trace.pods["arrival_us"].to_list() == [500_000, 7_000_000]
    assert trace.pods["duration_us"].to_list() == [100_000_000, 50_000_000]
    assert trace.pods["end_us"].to_list() == [110_500_000, None]
    assert trace.specs["cpu_milli"].to_list() == [6000, 3000]
    assert trace.specs["memory_bytes"].to_list() == [6 * 2048 * 1024, None]
    assert "a job is one pod" in trace.notes[0]
    assert "1 jobs without processors and 1 without a run time" in trace.notes[2]
    assert "gangs are not modelled" in trace.notes[3]


def test_the_header_says_how_large_a_node_is(write):
    trace = READER.read(write("log.swf.gz", "; MaxNodes: 25\n; MaxProcs: 100\n" + JOBS), Options())
    assert trace.pods["name"].to_list() == ["job-1-0", "job-1-1", "job-2-0"]
    assert trace.pods["spec"].to_list() == [0, 1, 2]
    assert trace.specs["cpu_milli"].to_list() == [4000, 2000, 3000]
    assert trace.specs["memory_bytes"].to_list() == [4 * 2048 * 1024, 2 * 2048 * 1024, None]
    assert "MaxProcs 100 / MaxNodes 25" in trace.notes[0]


def test_the_machine_unit_comes_first(write):
    path = write("log.swf", "; MaxNodes: 25\n; MaxProcs: 100\n" + JOBS)
    trace = READER.read(path, Options(machine_unit="5cpu"))
    assert trace.specs["cpu_milli"].to_list() == [5000, 1000, 3000]
    with pytest.raises(InputError, match="'--machine-unit': is less than one processor"):
        READER.read(path, Options(machine_unit="500mcpu"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", "row 1, field 'line': does not have 18 fields; expected 18 fields"),
        ("x 0 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1", "row 1, field 'job': 'x' is not an integer"),
        ("1 -5 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1", "row 1, field 'submit': '-5' is negative"),
        ("1 nan 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1", "field 'submit': 'nan' is not a finite number"),
        ("1 0 0 -2 1 0 0 1 1 1 1 1 1 1 1 1 1 1", "field 'run': '-2' is below -1"),
        ("1 0 0 1 1 0 0 9000000 1 500000000000 1 1 1 1 1 1 1 1", "field 'requested_memory_kb': '.*' is too large"),
    ],
)
def test_bad_lines_are_told(write, line, message):
    with pytest.raises(InputError, match=message):
        READER.read(write("log.swf", line + "\n"), Options())


def test_a_job_that_repeats(write):
    line = "1 0 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1\n"
    with pytest.raises(InputError, match="row 2, field 'job': '1' occurs twice"):
        READER.read(write("log.swf", line * 2), Options())
    trace = READER.read(write("log.swf", line * 2 + "1 2\n"), Options(lenient=True))
    assert trace.pods.height == 1
    assert trace.dropped == {"line: does not have 18 fields": 1, "job: occurs twice": 1}


def test_detection_by_content(write):
    assert READER.detects(write("x.txt", ""), JOBS.encode())
    assert not READER.detects(write("x.txt", ""), b"a,b,c\n1,2,3\n")
    assert READER.detects(write("x.swf", ""), b"; only comments\n")


@pytest.mark.data
def test_the_excerpt(data):
    trace = READER.read(data / "other" / "formats" / "ctc_sp2_excerpt.swf", Options())
    assert trace.pods["duration_us"].to_list() == [s * 10**6 for s in (937, 75, 35_268, 29_493, 29_063)]
    assert trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")[
        "cpu_milli"
    ].to_list() == [n * 1000 for n in (306, 17, 306, 64, 64)]
