"""``kscale proxy``: tables for people and for programs, the folder, notes on what is deprecated, faults in one line."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest

from kscale.cli import proxy_figures
from kscale.network import curve, parameters, proxies

FEW = ("proxy", "curve", "--services", "10:1000", "--points", "3", "--endpoints", "2")


def test_the_table_fits_and_says_what_it_leaves_out(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    done = cli("proxy", "curve")
    assert done.code == 0 and done.err == ""
    assert max(map(len, done.out.splitlines())) <= 100
    assert "more column" not in done.out
    assert "(13 more points with -o wide; all columns with -o csv)" in done.out
    for word in ("iptables nft", "ipvs resizable", "nftables table old", "userspace", "100,000"):
        assert word in done.out


def test_every_form_has_the_same_rows(cli):
    data = json.loads(cli(*FEW, "-o", "json").out)["curve"]
    assert len(data) == 3 * 11
    assert {row["services"] for row in data} == {10, 100, 1000}
    rows = list(csv.DictReader(io.StringIO(cli(*FEW, "-o", "csv").out)))
    assert [row["variant"] for row in rows] == [row["variant"] for row in data]
    assert float(rows[0]["first_us_p99"]) == pytest.approx(data[0]["first_us_p99"])
    assert cli(*FEW, "-o", "markdown").out.count("\n| ") == 2 + len(data)
    assert "first_us_mean" in cli(*FEW, "-o", "yaml").out
    wide = cli("proxy", "curve", "--points", "9", "-o", "wide").out
    assert "31,623" in wide and "more points" not in wide


def test_several_numbers_of_endpoints_are_several_tables(cli):
    out = cli("proxy", "curve", "--services", "10,100", "--endpoints", "1,7", "--mode", "nftables").out
    out = " ".join(out.split())  # a title above a narrow table is folded
    assert "median, us; 1 endpoint each" in out and "median, us; 7 endpoints each" in out


def test_what_is_on_its_way_out_is_told_only_when_it_is_asked_for(cli):
    assert cli(*FEW).err == ""
    told = cli(*FEW, "--mode", "ipvs").err
    assert told == (
        "note: Kubernetes' mode ipvs: deprecated since 1.35, behind a gate from 1.37, off by default from 1.40, "
        "removed in 1.43; kubernetes/enhancements, keps/sig-network/5495\n"
    )
    assert "userspace: removed in 1.26" in cli(*FEW, "--mode", "userspace").err
    assert cli(*FEW, "--mode", "nftables").err == "" and cli(*FEW, "--mode", "ipvs", "-q").err == ""


def test_options_choose_variants(cli):
    out = cli(*FEW, "--mode", "ipvs", "--option", "scheduler=lc", "--cache", "cold", "-o", "json", "-q").out
    assert {row["variant"] for row in json.loads(out)["curve"]} == {"ipvs cold lc", "ipvs cold resizable lc"}
    out = cli(*FEW, "--backend", "nft", "--mode", "iptables", "--node-ports", "--affinity", "-o", "json").out
    assert all(row["node_port_us_mean"] > row["first_us_mean"] for row in json.loads(out)["curve"])
    plain, busy = (
        json.loads(cli(*FEW, "--mode", "nftables", "--connections-rate", rate, "-o", "json").out)["curve"][0]
        for rate in ("1000", "3000")
    )  # fmt: skip
    assert busy["cores_first"] == pytest.approx(3 * plain["cores_first"])


def test_the_folder_has_the_table_the_parameters_and_figures(cli, tmp_path):
    done = cli(*FEW, "--out", "made")
    assert done.code == 0, done.err
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    figures = ["cores.svg", "first-packet.svg", "memory.svg", "syncs.svg"]
    assert names == sorted(["curve.csv", "curve.parquet", "parameters.json", *figures])
    assert (tmp_path / "made" / "parameters.json").read_text() == parameters.text(proxies.parameters())
    frame = pl.read_parquet(tmp_path / "made" / "curve.parquet")
    assert frame.height == 33 and pl.read_csv(tmp_path / "made" / "curve.csv").columns == frame.columns
    for name in figures:
        text = (tmp_path / "made" / name).read_text()
        assert text.startswith("<?xml") and "service ports" in text and "userspace" in text
        # Variants that nothing in a figure tells apart are one line there.
        assert ("nftables cold" in text) == (name in ("cores.svg", "first-packet.svg"))
    before = {name: (tmp_path / "made" / name).read_bytes() for name in figures}
    assert cli(*FEW, "--out", "made").code == 0  # again: the same files
    assert before == {name: (tmp_path / "made" / name).read_bytes() for name in figures}
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == names


def test_one_figure_of_the_modes_has_two_panels_and_no_mark():
    modes = [proxies.found()[name] for name in ("iptables", "nftables")]
    frame = curve.curve([10, 1_000, 100_000], [10], modes).filter(pl.col("variant") == pl.col("mode"))
    text = proxy_figures.overview(frame)
    for words in ("first packet: median, and 1 to 99 of 100", "to write everything, CPU", ">nftables<", "1 ms", "10 s"):
        assert words in text
    assert text.count(">service ports<") == 2 and " now<" not in text and "userspace" not in text
    assert proxy_figures.overview(frame) == text


def test_parameters_are_read(cli, tmp_path):
    (tmp_path / "all.json").write_text(parameters.text(proxies.parameters()))
    (tmp_path / "fit.yaml").write_text("iptables_legacy_typical_rule_us: 0.2\n")
    means = [
        json.loads(cli(*FEW, "--mode", "iptables", *more, "-o", "json").out)["curve"][-4]["first_us_mean"]
        for more in ((), ("--parameters", "all.json"), ("--parameters", "fit.yaml"))
    ]
    assert means[0] == means[1]
    assert means[2] - means[0] == pytest.approx(0.18 * 1001 / 2)


def test_what_a_packet_passes(cli):
    data = json.loads(
        cli("proxy", "path", "--mode", "iptables", "--services", "500", "--packet", "node-port", "-o", "json").out
    )
    steps = data["a packet (node-port), iptables"]
    assert [row["step"] for row in steps][3:5] == ["KUBE-SERVICES, to the end", "KUBE-NODEPORTS, to the port"]
    assert steps[-1]["mean us"] == pytest.approx(sum(row["mean us"] for row in steps[:-1]))
    assert {"what": "rules", "where": "nat", "count": 5 + 500 * 35} in data["written"]
    for mode in proxies.found():
        for packet in (*proxies.PACKETS, "later"):
            done = cli("proxy", "path", "--mode", mode, "--packet", packet, "-q")
            assert done.code == 0 and "in all" in done.out, done.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--mode", "iptable"), "field '--mode': there is no 'iptable'; did you mean 'iptables'?"),
        (("--services", "many"), "field '--services': cannot be 'many'; expected numbers with commas, or LEAST:MOST"),
        (("--services", "9:3"), "field '--services': are 9 to 3"),
        (("--services", "0"), "field '--services': are 0 to 0"),
        (("--endpoints", "x"), "field '--endpoints': cannot be 'x'"),
        (("--endpoints", "0"), "field '--endpoints': are 0"),
        (("--points", "0"), "field '--points': is 0"),
        (("--backend", "new"), "field '--backend': there is no 'new'; expected one of legacy, nft"),
        (("--mode", "ipvs", "--backend", "nft"), "field '--backend': none of these modes has it: ipvs"),
        (("--option", "table"), "field '--option': cannot be 'table'; expected NAME=CHOICE"),
        (("--option", "cache=warm", "--cache", "warm"), "field '--option': states cache twice"),
        (("--connections-rate", "-1"), "field '--connections-rate': is -1"),
        (("--changes-rate", "nan"), "field '--changes-rate': is nan"),
        (("--connections", "-1"), "field 'connections': is -1"),
        (("--connections", "200000"), "field 'connections': is 200,000; expected 131,072 at most with 4 processors"),
        (("--cpus", "0"), "field '--cpus': is 0"),
        (("--parameters", "no.json"), "no.json: does not exist"),
        (("--endpoints", ",".join(map(str, range(1, 102))),), "are 2,020 points; expected 2,000 at most"),
    ],
)  # fmt: skip
def test_faults_are_told_in_one_line(cli, words, line):
    done = cli("proxy", "curve", *words)
    assert done.code == 2 and line in done.line


def test_faults_of_paths_and_of_folders(cli, tmp_path):
    done = cli("proxy", "path", "--mode", "ipvs", "--packet", "hits")
    assert done.code == 2 and "field '--packet': there is no 'hits'; did you mean 'hit'?" in done.line
    done = cli("proxy", "path", "--mode", "ipvs", "--services", "0")
    assert done.code == 2 and "field '--services': is 0" in done.line
    (tmp_path / "file").write_text("")
    done = cli(*FEW, "--out", "file")
    assert done.code == 2 and "is a file" in done.line
