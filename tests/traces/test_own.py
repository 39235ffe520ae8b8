import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import NODES, PODS, SPECS, Options, Trace
from kscale.traces.common import specs
from kscale.traces.common.opening import open_trace, read_nodes
from kscale.traces.common.writing import template, write_nodes, write_trace
from kscale.traces.own import READER
from tests.traces.holding import mutated

CSV = (
    "name,namespace,owner,arrival_us,duration_us,end_us,cpu_milli,memory_bytes,gpu_count,gpu_milli,gpu_models,priority,"
    "node_selector,node_affinity,preferred_node_affinity,tolerations,node_name,resource.example.com/nic\n"
    'a,prod,web,0,5,9,500,1024,0,0,,-7,"disk=ssd,zone=a","zone in (a,b),!x | big=yes",10: z=a,"k=v:NoSchedule,*",,2\n'
    "a,test,,7,,,,,,,,,,,,,n1,\n"
    "b,,web,3,0,,0,0,2,,A|B,5,,,,,,0\n"
)

#: What a file of the format begins with.
HEAD = "name,arrival_us,cpu\na,1,2\n"


def test_every_column_of_csv(write):
    trace = READER.read(write("t.csv", CSV), Options())
    assert dict(trace.pods.schema) == PODS
    assert dict(trace.specs.schema) == SPECS | {"resource.example.com/nic": pl.Int64}
    assert trace.pods.rows() == [
        ("a", "prod", "web", 0, 5, 9, 0),
        ("a", "test", None, 7, None, None, 1),
        ("b", "default", "web", 3, 0, None, 2),
    ]
    assert trace.specs.rows() == [
        (500, 1024, None, 0, 0, None, -7, "disk=ssd,zone=a", "zone in (a,b),!x | big=yes", "10: z=a",
         "k=v:NoSchedule,*", None, 2),
        (None, None, None, 0, 0, None, 0, None, None, None, None, "n1", None),
        (0, 0, None, 2, 1000, "A|B", 5, None, None, None, None, None, 0),
    ]  # fmt: skip


def test_only_the_name_is_required(write):
    trace = READER.read(write("t.csv", "name\na\nb\n"), Options())
    assert not trace.timed
    assert trace.pods["arrival_us"].to_list() == [0, 1]
    assert trace.specs.height == 1


def test_short_names_take_quantities_and_seconds(write):
    header = "name,arrival,duration,end,cpu,memory,ephemeral_storage\n"
    text = header + "a,0.5,1e3,2000,500m,16Gi,1G\nb,1,,4.5,2,,\nc,1,,,.1,,\n"
    trace = READER.read(write("t.csv", text), Options())
    assert trace.pods["arrival_us"].to_list() == [500_000, 1_000_000, 1_000_000]
    assert trace.pods["duration_us"].to_list() == [10**9, 3_500_000, None]
    assert trace.pods["end_us"].to_list() == [2 * 10**9, 4_500_000, None]
    assert trace.specs["cpu_milli"].to_list() == [500, 2000, 100]
    assert trace.specs["memory_bytes"].to_list() == [16 << 30, None, None]
    assert trace.specs["ephemeral_storage_bytes"].to_list() == [10**9, None, None]


def test_numbers_as_people_write_them(write):
    trace = READER.read(write("t.csv", "name,arrival_us,cpu_milli\na, 5 ,1500.0\nb,6,1e3\n"), Options())
    assert trace.pods["arrival_us"].to_list() == [5, 6]
    assert trace.specs["cpu_milli"].to_list() == [1500, 1000]


BAD = {
    "type": ("a,x,1,,,,", "row 1, field 'arrival_us': 'x' is not an integer; expected an integer from 0 to 2^59"),
    "null": ("a,,1,,,,", "row 1, field 'arrival_us': is missing"),
    "end": ("a,5,1,4,,,", "row 1, field 'end_us': '4' is before the arrival"),
    "quantity": ("a,5,1,,1Q,,", "row 1, field 'cpu': '1Q' is not a quantity; expected a Kubernetes quantity"),
    "negative quantity": ("a,5,1,,-1,,", "field 'cpu': '-1' is negative"),
    "too much": ("a,5,1,,1e60,,", "field 'cpu': '1e60' is out of range"),
    "share": ("a,5,1,,1,1001,", "field 'gpu_milli': '1001' is too large"),
    "toleration": ("a,5,1,,1,,k:Never", "field 'tolerations': 'k:Never' is not a toleration"),
    "two rows": ("a,1,1,,1,,\nb,1,1,,1,,\nc,-1,1,,1,,", "row 3, field 'arrival_us': '-1' is negative"),
    "twice": ("a,1,1,,1,,\nb,1,1,,1,,\na,2,1,,1,,", "row 3, field 'name': 'a' occurs twice"),
    "name": (",1,1,,1,,", "row 1, field 'name': is missing"),
    "long name": (f"{'x' * 513},1,1,,1,,", "field 'name': is longer than 512 bytes"),
    "ragged": ("a,1,1,,1,,,,", "row 1: has 9 fields; expected 7 fields"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_told_or_counted(write, case):
    rows, message = BAD[case]
    header = "name,arrival_us,duration_us,end_us,cpu,gpu_milli,tolerations\n"
    if case == "share":
        header = header.replace("duration_us", "gpu_count")
    path = write("t.csv", header + rows + "\n")
    with pytest.raises(InputError) as found:
        READER.read(path, Options())
    assert message in str(found.value)
    assert str(found.value).startswith(str(path))
    trace = READER.read(path, Options(lenient=True))
    assert sum(trace.dropped.values()) == 1
    assert trace.pods.height == rows.count("\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,arival_us\na,1\n", "field 'arival_us': is not a column of the format; did you mean 'arrival_us'?"),
        ("arrival_us,cpu\n1,1\n", "field 'name': the column is missing"),
        ("name,cpu,cpu_milli\na,1,1\n", "field 'cpu': stands beside 'cpu_milli'"),
        ("name,arrival_us,name\na,1,b\n", "field 'name': occurs twice in the header"),
        ("name,resource.\na,1\n", "field 'resource.': is not a column"),
        ("name,arrival_us,resource.x/y\na,1,-1\n", "field 'resource.x/y': '-1' is negative"),
        ('name,arrival_us\n"a,1\n', "row 1: is not CSV"),
    ],
)
def test_bad_columns_are_told(write, text, message):
    with pytest.raises(InputError) as found:
        READER.read(write("t.csv", text), Options())
    assert message in str(found.value)


def test_unknown_columns_are_left_out_when_lenient(write):
    trace = READER.read(write("t.csv", "name,arrival_us,what\na,1,z\n"), Options(lenient=True))
    assert trace.pods["name"].to_list() == ["a"]


def test_parquet_types(tmp_path):
    path = tmp_path / "t.parquet"
    pl.DataFrame(
        {"name": [1, 2], "arrival_us": [0.0, 5.0], "cpu_milli": pl.Series([1, 2], dtype=pl.UInt8)}
    ).write_parquet(path)
    trace = open_trace(path)
    assert trace.pods["name"].to_list() == ["1", "2"]
    assert trace.pods["arrival_us"].to_list() == [0, 5]
    for bad, message in (
        (pl.Series([0.5, 1.0]), "row 1, field 'arrival_us': '0.5' is not an integer"),
        (pl.Series([float("nan"), 1.0]), "row 1, field 'arrival_us': 'nan' is not an integer"),
        (pl.Series([1, (1 << 64) - 1], dtype=pl.UInt64), "row 2, field 'arrival_us': '18446744073709551615' is not"),
        (pl.Series([[1], [2]]), r"field 'arrival_us': is List\(Int64\) in the file; expected an integer"),
        (pl.Series([True, False]), "field 'arrival_us': is Boolean in the file"),
    ):
        pl.DataFrame({"name": ["a", "b"], "arrival_us": bad}).write_parquet(path)
        with pytest.raises(InputError, match=message):
            open_trace(path)


def test_damaged_files(tmp_path):
    good = tmp_path / "good.parquet"
    template("pods").write_parquet(good)
    for name, content in (
        ("cut.parquet", good.read_bytes()[:-7]),
        ("head.parquet", good.read_bytes()[:4]),
        ("cut.csv.gz", gzip.compress(CSV.encode())[:-9]),
        ("text.csv", b"name,arrival_us\n\xff\xfe,1\n"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError) as found:
            READER.read(path, Options())
        assert str(found.value).startswith(str(path))


def test_a_parquet_that_claims_absurd_sizes(tmp_path):
    path = tmp_path / "t.parquet"
    rows = 3_000_000
    pl.DataFrame(
        {"name": pl.repeat("a", rows, eager=True), "arrival_us": pl.repeat(0, rows, eager=True)}
    ).write_parquet(path)
    with pytest.raises(InputError, match="claims 3,000,000 rows in "):
        READER.read(path, Options(max_input=1 << 20))


def test_batches_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr("kscale.traces.common.files.BATCH_BYTES", 100)
    monkeypatch.setattr("kscale.traces.common.files.BATCH_ROWS", 7)
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "name": [f"p{i}" for i in range(200)],
            "arrival_us": np.arange(200),
            "cpu_milli": rng.integers(0, 9, 200),
            "node_selector": [["x=1,y=2", None, "z=\n3".replace("\n", "")][i] for i in rng.integers(0, 3, 200)],
        }
    )
    expected = specs.build("own", frame.with_columns(namespace=pl.lit("default")))
    for ending in ("csv", "csv.gz", "parquet"):
        path = tmp_path / f"t.{ending}"
        write_trace(expected, path)
        found = open_trace(path)
        assert_frame_equal(found.pods, expected.pods)
        assert_frame_equal(found.specs, expected.specs)
    bad = frame.with_columns(arrival_us=pl.when(pl.col("name") == "p150").then(-1).otherwise("arrival_us"))
    for ending, write in (("csv", pl.DataFrame.write_csv), ("parquet", pl.DataFrame.write_parquet)):
        write(bad, tmp_path / f"bad.{ending}")
        with pytest.raises(InputError, match="row 151, field 'arrival_us'"):
            open_trace(tmp_path / f"bad.{ending}")


def test_nodes(write):
    text = (
        "name,cpu,memory,gpu_count,gpu_model,labels,taints,unschedulable,resource.x/y\n"
        'n0,96,512Gi,8,A100,"zone=a,disk=ssd",k=v:NoSchedule,true,4\nn1,500m,1Gi,,,,,,\n'
    )
    nodes = read_nodes(write("n.csv", text))
    assert dict(nodes.schema) == NODES | {"resource.x/y": pl.Int64}
    assert nodes.rows() == [
        ("n0", 96_000, 512 << 30, None, 110, 8, "A100", "zone=a,disk=ssd", "k=v:NoSchedule", True, 4),
        ("n1", 500, 1 << 30, None, 110, 0, None, None, None, False, 0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,cpu\nn,1\n", "field 'memory_bytes': the column is missing; expected memory_bytes, or memory"),
        ("name,cpu,memory\nn,,1\n", "row 1, field 'cpu_milli': is missing"),
        ("name,cpu,memory,gpu_count,gpu_model\nn,1,1,2,\n", "field 'gpu_model': is missing"),
        ("name,cpu,memory\nn,1,1\nn,1,1\n", "row 2, field 'name': 'n' occurs twice"),
        ("name,cpu,memory,taints\nn,1,1,x:Never\n", "field 'taints': 'x:Never' is not a taint"),
        ("name,cpu,memory,unschedulable\nn,1,1,perhaps\n", "field 'unschedulable': 'perhaps' is not true or false"),
        ("name,cpu,memory\n", "has no nodes"),
    ],
)
def test_bad_nodes_are_told(write, text, message):
    with pytest.raises(InputError) as found:
        read_nodes(write("n.csv", text))
    assert message in str(found.value)


def test_templates_are_read(tmp_path):
    path = tmp_path / "t.csv"
    template("pods").write_csv(path)
    assert open_trace(path).pods.height == 4
    template("nodes").write_csv(path)
    assert read_nodes(path).height == 2


_amounts = st.one_of(st.none(), st.integers(0, 1 << 59))
_pod = st.fixed_dictionaries(
    {
        "owner": st.one_of(st.none(), st.text('aé,"\n ~|\r', min_size=1, max_size=8)),
        "arrival_us": st.integers(0, 1 << 50),
        "duration_us": _amounts,
        "cpu_milli": _amounts,
        "memory_bytes": _amounts,
        "gpu": st.sampled_from([(0, 0), (1, 1), (1, 999), (8, 1000)]),
        "gpu_models": st.sampled_from([None, "A", "A|B|B"]),
        "priority": st.integers(-(1 << 31), (1 << 31) - 1),
        "node_affinity": st.sampled_from([None, "zone in (a,b),!gpu | x>5", "a=b"]),
        "tolerations": st.sampled_from([None, "*", "k=v:NoSchedule,j"]),
    }
)


def _trace(pods: list[dict]) -> Trace:
    schema = {"owner": pl.String, "gpu_models": pl.String, "node_affinity": pl.String, "tolerations": pl.String}
    numbers = dict.fromkeys(("arrival_us", "duration_us", "cpu_milli", "memory_bytes", "priority"), pl.Int64)
    rows = [{k: v for k, v in pod.items() if k != "gpu"} for pod in pods]
    frame = pl.DataFrame(rows, schema=schema | numbers).with_columns(
        pl.Series("gpu_count", [pod["gpu"][0] for pod in pods], pl.Int64),
        pl.Series("gpu_milli", [pod["gpu"][1] for pod in pods], pl.Int64),
        pl.Series("name", [f"pod ,\"'{i}" for i in range(len(pods))], pl.String),
        end_us=pl.when(pl.col("duration_us").is_not_null()).then(pl.col("arrival_us") + 3),
        namespace=pl.lit("default"),
    )
    return specs.build("own", frame)


@settings(deadline=None)
@given(pods=st.lists(_pod, max_size=12), ending=st.sampled_from(["csv", "csv.gz", "parquet"]))
def test_round_trip(tmp_path_factory, pods, ending):
    trace = _trace(pods)
    path = tmp_path_factory.mktemp("trip") / f"t.{ending}"
    write_trace(trace, path)
    found = READER.read(path, Options())
    assert_frame_equal(found.pods, trace.pods)
    assert_frame_equal(found.specs, trace.specs)


@settings(deadline=None)
@given(count=st.integers(1, 5))
def test_nodes_round_trip(tmp_path_factory, count):
    nodes = read_nodes(f"96cpu,512Gi,8xA100,zone=a,k=v:NoSchedule,3xx/y:{count};1cpu,1Gi,1Tidisk:2")
    for ending in ("csv", "parquet"):
        path = tmp_path_factory.mktemp("trip") / f"n.{ending}"
        write_nodes(nodes, path)
        assert_frame_equal(read_nodes(path), nodes)


@settings(deadline=None)
@given(data=st.data(), ending=st.sampled_from(["csv", "csv.gz", "parquet"]), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, ending, lenient):
    folder: Path = tmp_path_factory.mktemp("mutated")
    path = folder / f"t.{ending}"
    frame = template("pods")
    if ending == "parquet":
        frame.write_parquet(path)
        raw = path.read_bytes()
    else:
        raw = frame.write_csv().encode()
        raw = gzip.compress(raw) if ending == "csv.gz" else raw
    path.write_bytes(mutated(data, raw))
    try:
        trace = READER.read(path, Options(lenient=lenient, max_input=1 << 24))
    except InputError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert dict(trace.pods.schema) == PODS
        assert trace.pods["spec"].null_count() == 0


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.text('ab,"\n1', max_size=4), st.text("-1.9ex", max_size=4)), max_size=8))
def test_lenient_accounts_for_every_row(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("lenient") / "t.csv"
    frame = pl.DataFrame(rows, schema={"name": pl.String, "cpu_milli": pl.String}, orient="row")
    frame.write_csv(path, quote_style="always")
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height + sum(trace.dropped.values()) == len(rows)
