import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options, Trace
from kscale.traces.common import specs
from kscale.traces.common.opening import read_nodes
from kscale.traces.common.transform import (
    by_arrival,
    compress,
    order_nodes,
    order_pods,
    read_order,
    scale_load,
    untimed,
)


def _trace(names="abcd", arrivals=(0, 10, 10, 30), timed=True) -> Trace:
    frame = pl.DataFrame({"name": list(names), "arrival_us": list(arrivals), "cpu_milli": range(len(names))})
    frame = frame.with_columns(duration_us=5, end_us=pl.col("arrival_us") + 7, namespace=pl.lit("default"))
    trace = specs.build("own", frame, timed=timed)
    return trace if timed else untimed(trace)


def test_more_load_adds_clones_behind_their_originals():
    trace = _trace()
    more = scale_load(trace, 3, np.random.default_rng(1))
    assert more.pods.height == 12
    assert more.pods["name"].n_unique() == 12
    originals = [name.split("~")[0] for name in more.pods["name"]]
    assert originals == sorted(originals)
    assert more.pods["arrival_us"].is_sorted()
    for name, arrival, spec in more.pods.select("name", "arrival_us", "spec").iter_rows():
        row = "abcd".index(name[0])
        assert (arrival, spec) == (trace.pods["arrival_us"][row], trace.pods["spec"][row])
    assert more.specs is trace.specs


def test_less_load_thins():
    less = scale_load(_trace(), 0.5, np.random.default_rng(1))
    assert less.pods.height == 2
    assert set(less.pods["name"]) < set("abcd")
    assert less.pods["arrival_us"].is_sorted()


@given(factor=st.floats(0.01, 5), seed=st.integers(0, 1 << 32))
@settings(deadline=None, max_examples=30)
def test_load_is_repeatable(factor, seed):
    first, second = (scale_load(_trace(), factor, np.random.default_rng(seed)) for _ in range(2))
    assert first.pods.equals(second.pods)
    assert first.pods.height == round(4 * factor)
    assert first.pods["name"].n_unique() == first.pods.height


def test_clones_of_clones_have_new_names():
    trace = _trace(("a", "a~1", "a~x", "b~7"))
    assert order_pods(trace, np.array([0, 0, 1, 1, 0, 2, 2])).pods["name"].to_list() == [
        "a", "a~2", "a~1", "a~1~1", "a~3", "a~x", "a~x~1",
    ]  # fmt: skip


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e7])
def test_bad_factors(factor):
    with pytest.raises(InputError, match=r"field '--load': .* is out of range"):
        scale_load(_trace(), factor, np.random.default_rng(1))
    with pytest.raises(InputError, match=r"field '--compress': .* is out of range"):
        compress(_trace(), factor)


def test_too_many_pods():
    trace = _trace()
    big = Trace("own", pl.concat([trace.pods] * 100), trace.specs)
    with pytest.raises(InputError, match="400,000,000 pods; expected a load of at most 100,000,000"):
        scale_load(big, 1e6, np.random.default_rng(1))


def test_no_pods():
    trace = _trace("", ())
    for changed in (
        scale_load(trace, 2, np.random.default_rng(1)),
        compress(trace, 2),
        by_arrival(trace),
        untimed(trace),
    ):
        assert changed.pods.height == 0
    assert order_pods(trace, np.array([], np.int64)).pods.height == 0


def test_compress_moves_arrivals_and_recorded_ends():
    trace = compress(_trace(arrivals=(100, 110, 111, 130)), 2)
    assert trace.pods["arrival_us"].to_list() == [100, 105, 106, 115]
    assert trace.pods["duration_us"].to_list() == [5] * 4
    assert trace.pods["end_us"].to_list() == [107, 112, 113, 122]
    assert compress(_trace(), 0.5).pods["arrival_us"].to_list() == [0, 20, 20, 60]
    with pytest.raises(InputError, match="leads past the end of time"):
        compress(_trace(arrivals=(0, 1, 2, 1 << 58)), 0.1)


def test_orders_of_arrival():
    trace = by_arrival(_trace(arrivals=(30, 10, 10, 0)))
    assert trace.pods["name"].to_list() == ["d", "b", "c", "a"]
    bare = untimed(trace)
    assert not bare.timed
    assert bare.pods["arrival_us"].to_list() == [0, 1, 2, 3]
    assert bare.pods["end_us"].null_count() == bare.pods["duration_us"].null_count() == 4


def test_a_published_order_of_pods():
    trace = order_pods(_trace(), np.array([3, 0, 3, 3, 1]))
    assert trace.pods["name"].to_list() == ["d", "a", "d~1", "d~2", "b"]
    assert trace.pods["arrival_us"].to_list() == [30, 0, 30, 30, 10]
    bare = order_pods(_trace(timed=False), np.array([3, 0, 3]))
    assert bare.pods["arrival_us"].to_list() == [0, 1, 2]
    assert compress(bare, 2) is bare


def test_orders_out_of_range(tmp_path):
    with pytest.raises(
        InputError, match=r"order.txt, row 2, field 'index': 4 is out of range; expected a row of the 4 pods"
    ):
        order_pods(_trace(), np.array([0, 4]), file=tmp_path / "order.txt")
    with pytest.raises(InputError, match="row 1, field 'index': -1 is out of range"):
        order_pods(_trace(), np.array([-1]))
    nodes = read_nodes("1cpu,1Gi:3")
    assert order_nodes(nodes, np.array([2, 0]))["name"].to_list() == ["node-000002", "node-000000"]
    with pytest.raises(InputError, match="row 3: 2 occurs twice"):
        order_nodes(nodes, np.array([2, 0, 2]))
    with pytest.raises(InputError, match="3 is out of range; expected a row of the 3 nodes, 0 to 2"):
        order_nodes(nodes, np.array([3]))


def test_order_files(tmp_path, write):
    assert read_order(write("o.txt", "3\n 1 \n2\n\n"), "pods").tolist() == [3, 1, 2]
    assert read_order(write("o.txt.gz", "3\r\n1\r\n"), "pods").tolist() == [3, 1]
    for dtype in (np.uint16, np.int32, np.int64, np.uint64):
        np.save(tmp_path / "o.npy", np.array([3, 1], dtype))
        found = read_order(tmp_path / "o.npy", "pods")
        assert found.tolist() == [3, 1]
        assert found.dtype == np.int64


def test_bad_order_files(tmp_path, write):
    for text, message in (
        ("1\nx\n", "row 2, field 'index': 'x' is not an integer"),
        ("1\n-1\n", "row 2, field 'index': '-1' is negative"),
        ("1\n\n2\n", "row 2, field 'index': "),
        ("1.5\n", "row 1, field 'index': '1.5' is not an integer"),
    ):
        with pytest.raises(InputError, match=message):
            read_order(write("o.txt", text), "pods")
        with pytest.raises(InputError, match=message):
            read_order(write("o.txt", text), "pods", Options(lenient=True))
    for array in (np.zeros((2, 2), np.int64), np.zeros(2), np.array(["a"]), np.int64(3)):
        np.save(tmp_path / "o.npy", array)
        with pytest.raises(InputError, match="is another kind of array; expected a one-dimensional array of integers"):
            read_order(tmp_path / "o.npy", "pods")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot be read as .npy"):
        read_order(tmp_path / "o.npy", "pods")
    np.save(tmp_path / "o.npy", np.arange(100))
    raw = (tmp_path / "o.npy").read_bytes()
    (tmp_path / "o.npy").write_bytes(raw.replace(b"(100,)", b"(999999999999,)"[: len(b"(100,)")]))
    with pytest.raises(InputError):
        read_order(tmp_path / "o.npy", "pods")
    (tmp_path / "o.npy").write_bytes(raw[:-8])
    with pytest.raises(InputError, match=r"cannot be read as .npy"):
        read_order(tmp_path / "o.npy", "pods")
    np.save(tmp_path / "o.npy", np.array([1 << 63], np.uint64))
    with pytest.raises(InputError, match="is out of range"):
        order_pods(_trace(), read_order(tmp_path / "o.npy", "pods"))


@pytest.mark.data
def test_the_published_orders(data):
    from kscale.traces.common.opening import open_trace

    order = np.load(data / "openb" / "fgd" / "openb_default.npz")
    trace = open_trace(data / "openb" / "openb_pod_list_default.csv")
    ordered = untimed(order_pods(trace, order["pods_42"].astype(np.int64)))
    assert ordered.pods.height == len(order["pods_42"])
    assert ordered.pods["name"].n_unique() == ordered.pods.height
    assert ordered.pods["name"].str.contains("~", literal=True).any()
