"""Wrong input and wrong usage: one line, exit code 2, nothing on standard output, nothing left behind."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.cli.conftest import NODES, PODS, Cli

REPLAY = ("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def refused(cli: Cli, world: Path):
    """Runs a command that must be refused, and returns its line; nothing may be left behind."""

    def _refused(*arguments: object) -> str:
        before = files(world)
        done = cli(*(arguments or REPLAY))
        line = done.line
        assert done.code == 2, line
        assert files(world) == before
        return line

    return _refused


def pods_with(**columns: object) -> str:
    """The text of a pod file of two rows: the first is good, the second has these values."""
    good = {"name": "a", "arrival": "0", "duration": "5", "cpu": "1", "memory": "1Gi"}
    good |= {name: {"gpu_count": "1", "gpu_milli": "500"}.get(name, "") for name in columns if name not in good}
    bad = {**good, "name": "b", **columns}
    return "\n".join(",".join(str(v) for v in row) for row in (list(good), good.values(), bad.values())) + "\n"


@pytest.mark.parametrize(
    ("columns", "field", "said"),
    [
        ({"cpu": "lots"}, "cpu", "'lots' is not a quantity; expected a Kubernetes quantity"),
        ({"cpu": "-1"}, "cpu", "'-1' is negative"),
        ({"memory": "-1Gi"}, "memory", "'-1Gi' is negative"),
        ({"memory": "9000000Ti"}, "memory", "is out of range; expected an amount of at most 2^59"),
        ({"cpu_milli": "-5", "cpu": ""}, "cpu", "stands beside 'cpu_milli'"),
        ({"arrival": "NaN"}, "arrival", "'NaN' is not a finite number"),
        ({"arrival": "soon"}, "arrival", "'soon' is not a number"),
        ({"duration": "-3"}, "duration", "'-3' is negative"),
        ({"duration": "inf"}, "duration", "'inf' is not a finite number"),
        ({"arrival": "9", "end": "8"}, "end_us", "is before the arrival; expected a later time"),
        ({"name": "a"}, "name", "'a' occurs twice"),
        ({"name": ""}, "name", "is missing"),
        ({"gpu_count": "2", "gpu_milli": "500"}, "gpu_milli", "'500' is a share of several GPUs; expected 1000"),
        ({"gpu_count": "1.5"}, "gpu_count", "'1.5' is not an integer"),
        ({"gpu_milli": "2000"}, "gpu_milli", "'2000' is too large"),
        ({"gpu_models": "X9", "gpu_count": "1"}, "gpu_models", "no node has the GPU model 'X9'"),
        ({"priority": "high"}, "priority", "'high' is not an integer"),
        ({"node_selector": "=x"}, "node_selector", ""),
        ({"tolerations": "a:Sometimes"}, "tolerations", ""),
    ],
)
def test_a_bad_value_is_named_with_file_row_and_field(refused, world, columns, field, said):
    (world / "pods.csv").write_text(pods_with(**columns))
    line = refused()
    where = f"pods.csv, row 2, field '{field}'" if "beside" not in said else f"pods.csv, field '{field}'"
    assert line.startswith(f"kscale: {where}: "), line
    assert said in line and "expected" in line, line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arrival,cpu\n0,1\n", "field 'name': the column is missing"),
        ("name,arrival,cpus\na,0,1\n", "field 'cpus': is not a column of the format; did you mean 'cpu'?"),
        ("name,arrival,arrival\na,0,1\n", "field 'arrival': occurs twice in the header"),
        ("name,arrival,cpu\na,0,1,9\n", "row 1: has 4 fields; expected 3 fields"),
        ("", "is empty; expected a file with rows"),
        ("hello\nworld\n", "is of no known format"),
        (NODES, "it looks like a node list"),
    ],
)
def test_a_bad_pod_file_is_named(refused, world, text, said):
    (world / "pods.csv").write_text(text)
    line = refused()
    assert line.startswith("kscale: pods.csv") and said in line, line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,cpu,memory\na,4\n", "row 1, field 'memory_bytes': is missing"),
        ("name,cpu,labels\na,4,x=y\n", "field 'memory_bytes': the column is missing"),
        ("name,cpu,memory,taints\na,4,1Gi,\na,4,1Gi,\n", "row 2, field 'name': 'a' occurs twice"),
        ("name,cpu,memory,taints\na,-4,1Gi,\n", "row 1, field 'cpu': '-4' is negative"),
        ("name,cpu,memory,taints\na,4,1Gi,x:Never\n", "row 1, field 'taints'"),
        ("name,cpu,memory,gpu_count,gpu_model\na,4,1Gi,2,\n", "row 1, field 'gpu_model': is missing"),
        ("name,cpu,memory,gpu_count,gpu_model\na,4,1Gi,65,T4\n", "row 1, field 'gpu_count': '65' is too large"),
        ("name,cpu,memory,unschedulable\na,4,1Gi,perhaps\n", "row 1, field 'unschedulable': 'perhaps' is not true"),
        ("name,cpu,memory,taints\n", "has no nodes; expected a row a node"),
        ("", "is empty"),
    ],
)
def test_a_bad_node_file_is_named(refused, world, text, said):
    (world / "nodes.csv").write_text(text)
    line = refused()
    assert line.startswith("kscale: nodes.csv") and said in line, line


def test_files_that_cannot_be_read(refused, world):
    frame = pl.read_csv(PODS.encode())
    frame.write_parquet(world / "whole.parquet")
    raw = (world / "whole.parquet").read_bytes()
    (world / "half.parquet").write_bytes(raw[: len(raw) // 2])
    (world / "noise.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    (world / "latin.csv").write_bytes(PODS.replace("web-1", "wéb").encode("latin-1"))
    (world / "half.csv.gz").write_bytes(gzip.compress(PODS.encode() * 100)[:200])
    (world / "folder").mkdir()
    for name, said in {
        "half.parquet": "cannot be read as Parquet",
        "noise.parquet": "cannot be read as Parquet",
        "latin.csv": "row 2: is not UTF-8 text",
        "half.csv.gz": "cannot be read as gzip",
        "folder": "is a directory; expected a file",
        "absent.csv": "does not exist; expected a file",
        "whole.parquet/x.csv": "does not exist",
        "/dev/null": "is not a regular file",
    }.items():
        line = refused("replay", name, "--nodes", "nodes.csv", "--out", "run")
        assert line.startswith(f"kscale: {name}") and said in line, line
        if not name.startswith(("latin", "half.csv")):
            line = refused("replay", "pods.csv", "--nodes", name, "--out", "run")
            assert line.startswith(f"kscale: {name}"), line


def test_files_that_claim_too_much(refused, world):
    (world / "openb.csv.gz").write_bytes(
        gzip.compress(b"name,cpu_milli,memory_mib,num_gpu,gpu_milli\n" + b"0" * (64 << 20))
    )
    line = refused("replay", "openb.csv.gz", "--nodes", "nodes.csv", "--out", "run")
    assert line.startswith("kscale: openb.csv.gz: unpacks to more than 1000 times its size")
    (world / "openb.csv").write_text("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n" + "a,1,1,0,0\n" * 200)
    line = refused("replay", "openb.csv", "--nodes", "nodes.csv", "--out", "run", "--max-input", "1Ki")
    assert line.startswith("kscale: openb.csv: is larger than 1,024 bytes")
    frame = pl.select(name=pl.lit("a").repeat_by(1).explode(), cpu_milli=pl.lit(1, pl.Int64))
    frame.select(pl.all().repeat_by(3_000_000).explode()).write_parquet(world / "big.parquet")
    line = refused("replay", "big.parquet", "--nodes", "nodes.csv", "--out", "run", "--max-input", "1Mi")
    assert line.startswith("kscale: big.parquet: claims 3,000,000 rows in ")


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--pod-order", "0\n8\n", "row 2, field 'index': 8 is out of range; expected a row of the 8 pods, 0 to 7"),
        ("--pod-order", "0\n-1\n", "row 2, field 'index': '-1' is negative"),
        ("--pod-order", "0\nx\n", "row 2, field 'index': 'x' is not an integer"),
        ("--pod-order", "0\n\n1\n", "row 2, field 'index'"),
        ("--pod-order", "0.5\n", "row 1, field 'index': '0.5' is not an integer"),
        ("--pod-order", "", "is empty"),
        ("--node-order", "0\n2\n", "row 2, field 'index': 2 is out of range; expected a row of the 2 nodes, 0 to 1"),
        ("--node-order", "1\n1\n", "row 2: 1 occurs twice; expected each node at most once"),
    ],
)
def test_a_bad_order_file_is_named(refused, world, option, text, said):
    (world / "order.txt").write_text(text)
    line = refused(*REPLAY, option, "order.txt")
    assert line.startswith("kscale: order.txt") and said in line, line


def test_a_bad_order_array_is_named(refused, world):
    class Evil:
        def __reduce__(self):
            return (open, ("touched", "w"))

    np.save(world / "pickled.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    np.save(world / "floats.npy", np.array([0.0, 1.0]))
    np.save(world / "square.npy", np.zeros((2, 2), np.int64))
    np.save(world / "far.npy", np.array([0, 2**63], np.uint64))
    (world / "cut.npy").write_bytes((world / "square.npy").read_bytes()[:-8])
    (world / "head.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00garbage")
    for name, said in {
        "pickled.npy": "cannot be read as .npy",
        "floats.npy": "is another kind of array; expected a one-dimensional array of integers",
        "square.npy": "is another kind of array",
        "far.npy": "is out of range",
        "cut.npy": "cannot be read as .npy",
        "head.npy": "cannot be read as .npy",
        "absent.npy": "does not exist",
    }.items():
        line = refused(*REPLAY, "--pod-order", name)
        assert line.startswith(f"kscale: {name}") and said in line, line
    assert not (world / "touched").exists()


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ("96cpu,512Gi:0", "0 nodes; expected 1 to 10,000,000 nodes"),
        ("96cpu,512Gi:-3", "'-3' is not a number of nodes"),
        ("96cpu,512Gi:99999999999", "99,999,999,999 nodes"),
        ("96cpu:4", "'96cpu:4' states no memory"),
        ("512Gi:4cpu", "field '--nodes'"),
        ("96cpu,512Gi,0xA100:4", "0 GPUs on a node; expected 1 to 64"),
        ("96cpu,512Gi,65xA100:4", "65 GPUs on a node; expected 1 to 64"),
        ("96cpu,big:4", "'big' is not part of a shape"),
        (":cpu;;", "field '--nodes'"),
        ("nowhere.csv", "nowhere.csv: does not exist"),
        ("", ".: is a directory; expected a file"),
    ],
)
def test_bad_shapes_are_named(refused, nodes, said):
    line = refused("replay", "pods.csv", "--nodes", nodes, "--out", "run")
    assert said in line, line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--until", "soon"], "field '--until': 'soon' is not a duration; expected a duration such as 90s"),
        (["--until=-5s"], "'-5s' is not a duration"),
        (["--until", "1e9w"], "'1e9w' is not a duration"),
        (["--until", "99999999w"], "'99999999w' is too long"),
        (["--sample", "0"], "field '--sample': is 0; expected a duration above 0"),
        (["--sample", "x"], "field '--sample': 'x' is not a duration"),
        (["--scheduler-rate", "fast"], "field '--scheduler-rate': 'fast' is no rate"),
        (["--scheduler-rate", "0"], "'0' is no rate"),
        (["--scheduler-rate", "nan"], "'nan' is no rate"),
        (["--scheduler-rate", "-1"], "'-1' is no rate"),
        (["--policy", "FDG"], "there is no policy 'FDG'; did you mean 'FGD'?"),
        (["--policy", "NodeName"], "there is no policy 'NodeName'"),
        (["--format", "openbee"], "'openbee' is not a format; did you mean 'openb'?"),
        (["--load", "-1"], "field '--load': -1.0 is out of range; expected above 0"),
        (["--load", "0"], "field '--load': 0.0 is out of range"),
        (["--load", "nan"], "field '--load': nan is out of range"),
        (["--load", "inf"], "field '--load': inf is out of range"),
        (["--load", "abc"], "field '--load': cannot be 'abc'; expected a number"),
        (["--compress", "0"], "field '--compress': 0.0 is out of range"),
        (["--compress", "nan"], "field '--compress': nan is out of range"),
        (["--seed", "-1"], "field '--seed': is out of range; expected 0 to 2^63 - 1"),
        (["--seed", str(2**63)], "field '--seed': is out of range"),
        (["--seed", "1.5"], "field '--seed': cannot be '1.5'; expected a whole number"),
        (["--ends", "never"], "field '--ends': there is no 'never'; expected one of service, recorded"),
        (["--max-input", "much"], "field '--max-input': 'much' is not a quantity"),
        (["--inflate", "--until", "1h"], "--until says nothing with --inflate"),
        (["--inflate", "--sample", "1h"], "--sample says nothing with --inflate"),
        (["--inflate", "--scheduler-rate", "real"], "--scheduler-rate says nothing with --inflate"),
        (["--inflate", "--ends", "recorded"], "--ends says nothing with --inflate"),
        (["--inflate", "--compress", "2"], "--compress says nothing with --inflate"),
        (["--polcy", "FGD"], "there is no option '--polcy'; did you mean '--policy'?"),
        (["--check=maybe"], "field '--check': cannot be 'maybe'"),
        (["--seed"], "field '--seed': has no value; expected --seed VALUE"),
        (["--seed", "1", "--seed", "2"], "field '--seed': is given twice"),
        (["more.csv"], "'more.csv' is one argument too many"),
    ],
)
def test_a_bad_option_is_named(refused, options, said):
    line = refused(*REPLAY, *options)
    assert said in line and "xpected" in line, line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replya"], "there is no command 'replya'; did you mean 'replay'? Expected one of replay, demo"),
        (["trace", "inof"], "there is no command 'trace inof'; did you mean 'info'?"),
        (["trace", "--verbose"], "there is no command 'trace --verbose'"),
        (["--verison"], "there is no option '--verison'; did you mean '--version'?"),
        (["replay"], "--out is missing; expected kscale replay --out …"),
        (["replay", "--out", "x"], "there is nothing to replay; expected a trace file, -f with Kubernetes objects"),
        (["replay", "pods.csv", "--out", "x"], "field '--nodes': is missing, and the trace has no nodes of its own"),
        (["report"], "RUN is missing; expected kscale report RUN"),
        (["report", "run", "-o", "jsn"], "field '-o': there is no 'jsn'; did you mean 'json'?"),
        (["report", "absent"], "absent: is not a run folder"),
        (["report", "pods.csv"], "pods.csv: is not a run folder"),
        (["schema", "more"], "'more' is one argument too many"),
        (["trace", "info", "absent.csv"], "absent.csv: does not exist"),
        (["trace", "convert", "pods.csv", "pods.txt"], "pods.txt: has no ending of a format"),
        (["trace", "convert", "pods.csv", "none/pods.csv"], "none: is no directory"),
        (["trace", "convert", "pods.csv", "x.csv", "--nodes", "nodes.csv"], "--nodes and --nodes-out go together"),
        (["trace", "synth", "brog", "--out", "x.csv"], "there is no preset 'brog'; did you mean 'borg'?"),
        (["trace", "synth", "borg", "--out", "x.csv", "--specs", "1.5"], "cannot be '1.5'; expected a whole number"),
        (["trace", "synth", "borg", "--out", "x.csv", "--seed", "-1"], "field '--seed': is negative"),
        (["trace", "synth", "borg", "--out", "x.csv", "--pods", "-1"], "field '--pods'"),
        (["trace", "synth", "borg", "--out", "x.csv", "--nodes-out", "./x.csv"], "is the file for the pods too"),
        (["trace", "synth", "borg", "--out", "x.csv", "--days", "nan"], "field '--days': nan is out of range"),
        (["trace", "template", "x.csv", "--kind", "pod"], "there is no 'pod'; did you mean 'pods'?"),
        (["trace", "template", "x.txt"], "x.txt: has no ending of a format"),
    ],
)
def test_wrong_usage_is_one_line_with_the_nearest_word(refused, arguments, said):
    line = refused(*arguments)
    assert said in line, line


def test_a_policy_for_gpus_needs_gpus(refused, world):
    (world / "plain.csv").write_text("name,arrival,cpu,duration\na,0,1,5\n")
    line = refused("replay", "plain.csv", "--nodes", "4cpu,8Gi:2", "--policy", "FGD", "--out", "run")
    assert "FGD" in line and "GPUs" in line


def test_a_trace_without_times_needs_inflation(refused, world):
    (world / "untimed.csv").write_text("name,cpu\na,1\nb,1\n")
    line = refused("replay", "untimed.csv", "--nodes", "nodes.csv", "--out", "run")
    assert (
        line == "kscale: untimed.csv: has no times, so it cannot be replayed in time; expected --inflate for this trace"
    )


def test_only_a_run_folder_is_replaced(refused, cli, world):
    (world / "file").write_text("precious")
    (world / "foreign").mkdir()
    (world / "foreign" / "thesis.txt").write_text("precious")
    for name in ("file", "foreign"):
        line = refused("replay", "pods.csv", "--nodes", "nodes.csv", "--out", name)
        assert line.startswith(f"kscale: {name}: is there already and is not a run folder")
    for name in (".", "..", world):
        line = refused("replay", "pods.csv", "--nodes", "nodes.csv", "--out", name)
        assert "--out" in line or "not a run folder" in line
    assert cli(*REPLAY).code == 0
    (world / "run" / "pods.csv").write_text(PODS)
    line = refused("replay", "run/pods.csv", "--nodes", "nodes.csv", "--out", "run")
    assert "holds an input, which would be lost" in line


def test_a_refused_run_leaves_an_older_run_and_no_parents(refused, cli, world):
    assert cli(*REPLAY).code == 0
    before = (world / "run" / "run.json").read_bytes()
    (world / "pods.csv").write_text(pods_with(cpu="-1"))
    refused()
    assert (world / "run" / "run.json").read_bytes() == before
    refused("replay", "pods.csv", "--nodes", "nodes.csv", "--out", "deep/er/run")


def test_lenient_leaves_bad_rows_out_and_counts_them(cli, world):
    bad = "n1,,7,,-1,1Gi,0,0,\nn2,,NaN,,1,1Gi,0,0,\nn3,,7,,1,1Gi,1,500,X9\nweb-0,,7,,1,1Gi,0,0,\nn4,,7,,-2,1Gi,0,0,\n"
    (world / "pods.csv").write_text(PODS + bad + "n5,,7,,1,1Gi,0,0,,,,\n")
    done = cli(*REPLAY, "--lenient")
    assert done.code == 0
    run = json.loads((world / "run" / "run.json").read_text())
    assert sum(run["dropped"].values()) == run["counts"]["rows_dropped"] == 6
    assert run["counts"]["arrived"] == 8
    expected = {
        "cpu: is negative": 2, "arrival: is not a finite number": 1, "gpu_models: no node has the model": 1,
        "name: occurs twice": 1, "row: too many fields": 1,
    }  # fmt: skip
    assert sorted(run["dropped"].values()) == sorted(expected.values())
    page = (world / "run" / "report.md").read_text()
    for reason, count in run["dropped"].items():
        assert f"left out: {count} {'row' if count == 1 else 'rows'}: {reason}" in done.err
        assert reason.replace("_", "\\_") in page
    assert run["dropped"] == expected


def test_hostile_names_are_shown_as_text(cli, world):
    (world / "pods.csv").write_text('name,arrival,cpu,duration\n"[/oops]\x1b[31m",0,99,5\n"<b>x</b>",0,1,5\n')
    assert cli(*REPLAY).code == 0
    done = cli("report", "run")
    assert done.code == 0 and "\x1b" not in done.out
    (world / "pods.csv").write_text('name,arrival,cpu\n"\x1b[31mred",0,-1\n"\x1b[31mred",0,-1\n')
    assert "\x1b" not in cli(*REPLAY).err
