"""The cluster's tables: allocated from the schema, grown, handed out by name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.state import schema
from kscale.state.intake import grow_pods
from kscale.state.schema import Column, NewTable
from kscale.state.tables import Cluster

SIZES = {
    **{dimension: 2 for _, column in schema.full_names(schema.load()).values() for dimension in column.dims},
    **dict.fromkeys(schema.load(), 2),
    "one": 1,
    "resource": 5,
    "node": 3,
    "pod": 4,
    "key": 1,
    "tag": 3,
    "queues": 5,
    "arrival": 3,
    "ledger": 3,
    "reason": 7,
    "memo": 1,
    "log": 8,
}


def test_columns_have_the_shape_dtype_and_default_of_their_rows() -> None:
    cluster = Cluster(SIZES)
    assert cluster.node_allocatable.shape == (5, 3)
    assert cluster.template_request.shape == (2, 5)
    assert cluster.pod_node.tolist() == [-1] * 4
    assert cluster.cluster_now_us.shape == (1,)
    assert cluster.node_device_free.tolist() == [[-1, -1]] * 3
    assert cluster.columns.keys() == schema.full_names(schema.load()).keys()
    for name, (_, column) in schema.full_names(schema.load()).items():
        assert cluster.columns[name].dtype == column.numpy_dtype
        assert (cluster.columns[name] == column.default).all()


def test_a_dimension_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the dimension 'node' has no size"):
        Cluster({name: size for name, size in SIZES.items() if name != "node"})


def test_leaves_add_columns() -> None:
    cluster = Cluster(SIZES, [{"node": (Column("mine", "int16", "Mine.", default=7, dims=("node", "tag")),)}])
    assert cluster.node_mine.tolist() == [[7, 7, 7]] * 3


def test_leaves_add_tables() -> None:
    table = NewTable(
        "A disk.",
        (Column("size", "int64", "Its size.", default=-1), Column("on", "uint8", "On.", dims=("disk", "node"))),
    )
    cluster = Cluster({**SIZES, "disk": 4}, [{"disk": table}])
    assert cluster.disk_size.tolist() == [-1] * 4
    assert cluster.disk_on.shape == (4, 3)
    with pytest.raises(ValueError, match="the dimension 'disk' has no size"):
        Cluster(SIZES, [{"disk": table}])


def test_columns_are_attributes_and_arguments() -> None:
    cluster = Cluster(SIZES)
    assert cluster.node_requested is cluster.columns["node_requested"]
    given_ = cluster.arguments(["pod_node", "node_label"])
    assert given_[0] is cluster.pod_node
    assert given_[1] is cluster.node_label
    with pytest.raises(AttributeError, match="no column 'node_requestd'"):
        _ = cluster.node_requestd
    assert cluster.nbytes() == sum(a.size * a.itemsize for a in cluster.columns.values())


def test_pods_lie_row_by_row() -> None:
    """A row begins with a cache line, its columns do not overlap, and rows are written without touching others."""
    cluster = Cluster(SIZES)
    members = [name for name, (table, _) in schema.full_names(schema.load()).items() if table.name == "pod"]
    strides = {cluster.columns[name].strides for name in members}
    (width,) = next(iter(strides))
    assert len(strides) == 1
    assert width % 64 == 0
    starts = sorted((cluster.columns[name].ctypes.data, cluster.columns[name].itemsize) for name in members)
    assert starts[0][0] % 64 == 0
    assert all(start % size == 0 for start, size in starts)
    assert all(start + size <= after for (start, size), (after, _) in pairwise(starts))
    assert starts[-1][0] + starts[-1][1] <= starts[0][0] + width
    for number, name in enumerate(members):
        cluster.columns[name][2] = number
    assert [int(cluster.columns[name][2]) for name in members] == list(range(len(members)))
    for name in members:
        default = schema.full_names(schema.load())[name][1].default
        assert cluster.columns[name][[0, 1, 3]].tolist() == [default] * 3


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_kind_tells_the_bytes_from_row_to_row(size: int) -> None:
    """Whatever the number of rows: what is compiled for one must read another."""
    kinds = {name: rest for name, *rest in Cluster({**SIZES, "pod": size}).kinds()}
    assert kinds["pod_node"][2] == kinds["pod_state"][2] > 64
    assert kinds["pod_node"][:2] == ["int64", 1]
    assert kinds["node_requested"] == ["int64", 2, 0]
    assert kinds["queue_free"] == ["int64", 1, 0]


@given(st.sampled_from(sorted(SIZES)), st.integers(0, 5))
def test_growing_keeps_what_is_there(dimension: str, more: int) -> None:
    cluster = Cluster(SIZES)
    rng = np.random.default_rng(1)
    for array in cluster.columns.values():
        array[...] = rng.integers(1, 100, array.shape)
    before = {name: array.copy() for name, array in cluster.columns.items()}
    cluster.resize(dimension, SIZES[dimension] + more)
    assert cluster.sizes[dimension] == SIZES[dimension] + more
    for name, (table, column) in schema.full_names(schema.load()).items():
        array, old = cluster.columns[name], before[name]
        dims = column.dims or (("one",) if table.name == "cluster" else (table.name,))
        assert array.shape == tuple(cluster.sizes[d] for d in dims)
        new = np.ones(array.shape, bool)
        new[tuple(slice(0, length) for length in old.shape)] = False
        assert np.array_equal(array[~new], old.reshape(-1))
        assert (array[new] == column.default).all()


def test_shrinking_is_refused() -> None:
    cluster = Cluster(SIZES)
    with pytest.raises(ValueError, match="'pod' cannot shrink from 4 to 3"):
        cluster.resize("pod", 3)
    assert cluster.sizes["pod"] == 4
    assert cluster.pod_node.shape == (4,)


def test_more_rows_for_pods_are_free_rows() -> None:
    cluster = Cluster(SIZES)
    # Rows 0 and 2 live; 3 and 1 are free, and 1 is the next to be taken.
    cluster.queue_free[:2] = [3, 1]
    cluster.queue_size[3] = 2
    cluster.pod_trace_row[0], cluster.pod_trace_row[2] = 70, 72
    grow_pods(cluster)
    assert cluster.sizes["pod"] == 8
    assert cluster.queue_size[3] == 6
    assert sorted(cluster.queue_free[:6]) == [1, 3, 4, 5, 6, 7]
    assert cluster.pod_trace_row.tolist() == [70, -1, 72, -1, -1, -1, -1, -1]
    assert cluster.queue_active.shape == (8,)
