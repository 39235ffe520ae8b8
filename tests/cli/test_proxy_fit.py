"""``kscale proxy fit`` and ``kscale proxy measure`` at the door: tables, the file of parameters, faults in one line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from kscale.network import parameters, proxies
from kscale.network.measuring import run

pytestmark = pytest.mark.plain
HEAD = "kind,backend,services,endpoints,position,value\n"
#: A list of 8 ns a rule, and a base of 25 us.
ROWS = HEAD + "".join(
    f"latency,iptables-legacy,{s},1,{place},{25 + 0.008 * (place or s + 1)}\n"
    for s in (10, 100, 1000)
    for place in (0, 1, s // 2, s)
)


@pytest.fixture
def measured(tmp_path):
    (tmp_path / "m.csv").write_text(ROWS)
    return tmp_path


def test_it_tells_what_it_found(cli, measured):
    done = cli("proxy", "fit", "m.csv")
    assert done.code == 0 and done.err == ""
    for word in ("standard error", "R2", "median error", "largest error", "iptables-legacy, connect", "0.008"):
        assert word in " ".join(done.out.split()), word
    data = json.loads(cli("proxy", "fit", "m.csv", "-o", "json").out)
    (series,) = data["series"]
    assert series["points"] == 12 and series["R2"] > 0.999
    by_name = {row["parameter"]: row for row in data["parameters"]}
    row = by_name["iptables_legacy_warm_rule_us"]
    assert row["value"] == pytest.approx(0.008, rel=0.02) and row["model"] == 0.00583 and row["unit"] == "us"
    assert 0 < row["standard error"] < 0.001
    assert by_name["iptables_endpoint_rule_us"]["value"] is None, "kept"


@pytest.mark.parametrize("name", ["parameters.json", "parameters.yaml"])
def test_the_file_is_what_the_curve_takes(cli, measured, name):
    assert cli("proxy", "fit", "m.csv", "--out", name).code == 0
    taken = parameters.read(measured / name, proxies.parameters())
    assert len(taken) == len(proxies.parameters())
    row = taken.row("iptables_legacy_warm_rule_us")
    assert row.value == pytest.approx(0.008, rel=0.02) and row.kind == "measured" and "12 figures" in row.source
    assert taken["nftables_hit_us"] == proxies.parameters()["nftables_hit_us"]
    curve = ("proxy", "curve", "--mode", "iptables", "--cache", "warm", "--backend", "legacy", "--services", "10000")
    plain, fitted = (
        json.loads(cli(*curve, "-o", "json", *more).out)["curve"][0]["first_us_p99"]
        for more in ((), ("--parameters", name))
    )
    assert fitted > plain * 1.2
    if name.endswith("yaml"):
        assert isinstance(yaml.safe_load((measured / name).read_text()), dict)
    assert sorted(path.name for path in measured.iterdir()) == sorted(["m.csv", name])


def test_what_is_left_out_is_a_note(cli, measured):
    with (measured / "m.csv").open("a") as file:
        file.write("load,nftables,10,1,,1\n")
    told = "note: nftables, CPU of full is left out: there are too few figures: 1\n"
    assert cli("proxy", "fit", "m.csv").err == told
    assert cli("proxy", "fit", "m.csv", "-q").err == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "m.csv, field 'kind': is missing; expected the columns kind, backend, services, endpoints"),
        (HEAD + "latency,nft,1,1,1,nan\n", "m.csv, row 1, field 'value': is 'nan'; expected a number of 0 or more"),
        (HEAD + "latency,legacy,10,1,5,21\n", "iptables-legacy, connect: there are too few figures: 1"),
        (HEAD + "latency,legacy,10,1,5,21\n" * 9, "iptables-legacy, connect: position is constant"),
        (HEAD + "load,nft,10,1,,1\n" * 9, "nftables, CPU of full: services is constant"),
        (HEAD, "m.csv: has no rows"),
        ("\0\xff\n", "m.csv"),
    ],
)
def test_bad_tables_are_one_line(cli, measured, text, told):
    (measured / "m.csv").write_text(text, encoding="latin-1")
    done = cli("proxy", "fit", "m.csv", "--out", "p.json")
    assert done.code == 2 and told in done.line
    assert [path.name for path in measured.iterdir()] == ["m.csv"], "nothing half-written"


def test_bad_usage_is_one_line(cli, measured):
    assert "FILES is missing" in cli("proxy", "fit").line
    assert "absent.csv: does not exist" in cli("proxy", "fit", "absent.csv").line
    assert "cannot be a file" in cli("proxy", "fit", "m.csv", "--out", "nowhere/p.json").line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--services", "1"), "field '--services': are 1 to 1; expected 2 to 30,000"),
        (("--services", "10,x"), "field '--services': cannot be '10,x'"),
        (("--services", "30001"), "field '--services': are 30,001 to 30,001"),
        (("--endpoints", "0"), "field '--endpoints'"),
        (("--services", "30000", "--endpoints", "11"), "field '--endpoints': are 330,000 in all"),
        (("--seconds", "0"), "field '--seconds': is 0; expected 1 to 3,600"),
        (("--seconds", "nan"), "field '--seconds': is nan"),
        (("--mode", "iptable"), "field '--mode': there is no 'iptable'; did you mean 'iptables'?"),
        (("--out", "nowhere/m.csv"), "field '--out': cannot be a file"),
    ],
)
def test_what_cannot_be_measured_is_one_line(cli, tmp_path, words, told):
    done = cli("proxy", "measure", *(() if "--out" in words else ("--out", "m.csv")), *words)
    assert done.code == 2 and told in done.line
    assert list(tmp_path.iterdir()) == []


def fake_machine(monkeypatch, *programs):
    """A machine of root's with these programs and no others."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in programs else None)


def test_what_the_machine_lacks_is_one_line(cli, tmp_path, monkeypatch):
    def line(*words):
        done = cli("proxy", "measure", "--out", "m.csv", *words)
        assert done.code == 2
        return done.line

    fake_machine(monkeypatch)
    assert "there is no program 'ip'" in line()
    fake_machine(monkeypatch, "ip")
    assert "there is no program 'iptables-legacy-restore'" in line()
    assert "field '--mode': there is no program 'nft'" in line("--mode", "nftables")
    fake_machine(monkeypatch, "ip", "nft", "ipvsadm", "ipset", "iptables-restore")
    if not Path("/proc/net/ip_vs").exists():
        assert "the kernel has no ipvs: there is no /proc/net/ip_vs" in line("--mode", "nftables,ipvs")
    assert run.chosen([]) == ["nftables"] or Path("/proc/net/ip_vs").exists()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "cannot be measured by this user; expected root" in line()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "expected Linux" in line()
    assert list(tmp_path.iterdir()) == []


def test_what_was_measured_is_written_and_what_was_not_is_told(cli, tmp_path, monkeypatch):
    fake_machine(monkeypatch, "ip", "nft", "iptables-legacy", "iptables-legacy-restore")
    row = dict.fromkeys(run.COLUMNS) | {"kind": "load", "backend": "nftables", "services": 10, "value": 0.5}
    found = run.Found([row], ["nftables, 20 Services with 1 each"], {"iptables-legacy": "refused"})
    monkeypatch.setattr(run, "measure", lambda *_: found)
    done = cli("proxy", "measure", "--out", "m.csv")
    assert done.code == 0 and done.out == "1 figures in m.csv\n"
    assert done.err.splitlines() == [
        "note: iptables-legacy is left out: refused", "note: nftables, 20 Services with 1 each: there was no time"
    ]  # fmt: skip
    assert (tmp_path / "m.csv").read_text().splitlines() == [",".join(run.COLUMNS), "load,,nftables,10,,,,0.5,,"]
    (tmp_path / "m.csv").unlink()
    assert (
        "iptables-legacy cannot be measured here: refused"
        in cli("proxy", "measure", "--out", "m.csv", "--mode", "iptables,nftables").line
    )
    monkeypatch.setattr(run, "measure", lambda *_: run.Found([], ["all"], {}))
    assert "field '--seconds': are too few to measure anything" in cli("proxy", "measure", "--out", "m.csv").line
    assert list(tmp_path.iterdir()) == []
