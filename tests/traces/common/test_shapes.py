import pytest

from kscale.errors import InputError
from kscale.traces import NODES
from kscale.traces.common.shapes import parse_shapes, parse_unit


def test_one_shape():
    nodes = parse_shapes("96cpu,512Gi:3")
    assert dict(nodes.schema) == NODES
    assert nodes["name"].to_list() == ["node-000000", "node-000001", "node-000002"]
    assert nodes.row(2)[1:] == (96_000, 512 << 30, None, 110, 0, None, None, None, False)


def test_everything_a_shape_may_say():
    nodes = parse_shapes(
        " 500mcpu, 1.5Gi ,8xA100,1Tidisk,250pods,2xexample.com/nic,zone=a,team.io/x=y,dedicated=gpu:NoSchedule,"
        "old:PreferNoSchedule : 2 ; 1cpu,1000000 "
    )
    assert nodes["name"].to_list() == ["pool1-node-000000", "pool1-node-000001", "pool2-node-000000"]
    assert nodes.row(0, named=True) == {
        "name": "pool1-node-000000", "cpu_milli": 500, "memory_bytes": 3 << 29, "ephemeral_storage_bytes": 1 << 40,
        "pods": 250, "gpu_count": 8, "gpu_model": "A100", "labels": "gpu-model=A100,zone=a,team.io/x=y",
        "taints": "dedicated=gpu:NoSchedule,old:PreferNoSchedule", "unschedulable": False,
        "resource.example.com/nic": 2,
    }  # fmt: skip
    assert nodes["memory_bytes"][2] == 1_000_000
    assert nodes["resource.example.com/nic"][2] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "states no shape"),
        (";;", "states no shape"),
        ("96cpu:4", "'96cpu:4' states no memory"),
        ("512Gi", "'512Gi' states no cpu"),
        ("96cpu,512Gi:0", "0 nodes; expected 1 to 10,000,000 nodes"),
        ("96cpu,512Gi:-4", "'-4' is not a number of nodes"),
        ("96cpu,512Gi:4.5", "'4.5' is not a number of nodes"),
        ("96cpu,512Gi:10000000;1cpu,1Gi", "10000001|1 nodes"),
        ("96cpu,512Gi:99999999999", "99,999,999,999 nodes"),
        ("96cpus,512Gi", "'96cpus' is not part of a shape"),
        ("xcpu,512Gi", "'x' is not a quantity"),
        ("96cpu,512Qi", "'512Qi' is not part of a shape"),
        ("96cpu,512Gi,65xA", "65 GPUs on a node; expected 1 to 64"),
        ("96cpu,512Gi,0xA", "0 GPUs on a node"),
        ("96cpu,512Gi,8xA 100", "is not part of a shape"),
        ("96cpu,512Gi,zone=a b", "is not a label value"),
        ("96cpu,512Gi,k=v:Never", "'k=v:Never' is not a taint"),
    ],
)
def test_bad_shapes_are_told(text, message):
    with pytest.raises(InputError, match=message) as found:
        parse_shapes(text)
    assert str(found.value).startswith("field '--nodes': ")


def test_machine_units():
    assert parse_unit("64cpu,256Gi", "memory_bytes").memory_bytes == 256 << 30
    assert parse_unit("512Gi", "memory_bytes").cpu_milli is None
    with pytest.raises(InputError, match="'512Gi' states no cpu"):
        parse_unit("512Gi", "cpu_milli")
