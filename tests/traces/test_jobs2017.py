import pytest

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.jobs2017 import READER

#: What a file of the format begins with.
HEAD = ",submit_time,duration,cpu,memory,job_id,task_id,instances_num,disk\n0,1,1,1,0.1,1,1,1,0\n"

HEADER = ",submit_time,duration,cpu,memory,job_id,task_id,instances_num,disk\n"
ROWS = "0,539,116.3816254,1.0,0.005,1,1,3,0\n1,7448,73.5,0.57,0.01,9,23,1,0\n2,10,1,1.0,0.005,9,24,0,0\n"


def test_a_task_becomes_its_instances(write):
    trace = READER.read(write("jobs.csv.gz", HEADER + ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["job-1-task-1-0", "job-1-task-1-1", "job-1-task-1-2", "job-9-task-23-0"]
    assert trace.pods["owner"].to_list() == ["job-1"] * 3 + ["job-9"]
    assert trace.pods["arrival_us"].to_list() == [539_000_000] * 3 + [7_448_000_000]
    assert trace.pods["duration_us"].to_list() == [116_381_625] * 3 + [73_500_000]
    assert trace.pods["end_us"].null_count() == 4
    assert trace.specs["cpu_milli"].to_list() == [1000, 570]
    assert trace.specs["memory_bytes"].to_list() == [-(-(256 << 30) * 5 // 1000), -(-(256 << 30) // 100)]
    assert "64cpu,256Gi" in trace.notes[0]


def test_machine_unit_sets_memory(write):
    path = write("jobs.csv", HEADER + ROWS)
    trace = READER.read(path, Options(machine_unit="96cpu,100Gi"))
    assert trace.specs["memory_bytes"][1] == 1 << 30
    assert "96cpu,100Gi" in trace.notes[0]
    with pytest.raises(InputError, match="'--machine-unit': '96cpu' states no memory"):
        READER.read(path, Options(machine_unit="96cpu"))
    with pytest.raises(InputError, match="'--machine-unit': 'what' is not part of a shape"):
        READER.read(path, Options(machine_unit="what"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,1,1,1,0.1,1,1,-1,0", "row 1, field 'instances_num': '-1' is negative"),
        ("0,1,nan,1,0.1,1,1,1,0", "field 'duration': 'nan' is not a finite number"),
        ("0,1,-2,1,0.1,1,1,1,0", "field 'duration': '-2' is negative"),
        ("0,1,1,1,inf,1,1,1,0", "field 'memory': 'inf' is not a finite number"),
        ("0,1,1,1,0.1,1,1.5,1,0", "field 'task_id': '1.5' is not an integer"),
        ("0,1,1,1,0.1,1,1,100000000000,0", "field 'instances_num': comes to 100,000,000,000 pods; expected at most"),
        ("0,1,1,1,0.1,1,1,1,0\n1,1,1,1,0.1,1,1,1,0", "row 2, field 'task_id': '1' occurs twice"),
    ],
)
def test_bad_rows_are_told(write, row, message):
    with pytest.raises(InputError, match=message):
        READER.read(write("jobs.csv", HEADER + row + "\n"), Options())


def test_max_input_bounds_the_instances(write):
    path = write("jobs.csv", HEADER + "0,1,1,1,0.1,1,1,1000,0\n")
    assert READER.read(path, Options(max_input=100_000)).pods.height == 1000
    with pytest.raises(InputError, match="comes to 1,000 pods; expected at most 999; see --max-input"):
        READER.read(path, Options(max_input=99_999))


@pytest.mark.data
def test_published_counts(data):
    trace = READER.read(data / "other" / "alibaba2017_derived" / "jobs.csv.gz", Options())
    assert trace.pods.height == 2_551_075
    assert trace.pods["name"].n_unique() == 2_551_075
    assert "31,756 tasks" in trace.notes[1]
    assert trace.pods["arrival_us"].max() == 59_829_000_000
    seconds = trace.pods["duration_us"] / 1e6
    assert seconds.median() == pytest.approx(33, abs=1)
    assert trace.pods["owner"].n_unique() == 5216
