"""``kscale proxy advise``: what people and programs are told, the folder, faults in one line."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest

from kscale.network import advice, parameters

ASK = ("proxy", "advise", "--services", "4000", "--endpoints", "10")


def service(name, **spec):
    return {
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }  # fmt: skip


def objects(path, *found):
    path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": list(found)}))
    return path.name


def test_people_are_told_what_suits_and_why_and_until_when(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli(*ASK)
    assert done.code == 0
    assert done.err.splitlines() == [
        "note: assumed: Kubernetes 1.34 (--kubernetes), a kernel of 6.8 (--kernel)",
        "note: nftables is taken with kernel=old (kubernetes/kubernetes PR 130119), list=chains (kubernetes/kubernetes "
        "issue 135639), as these versions have it",
    ]
    assert cli(*ASK, "-q").err == "" and cli(*ASK, "--kernel", "6.12").err.count("(--kernel)") == 0
    none = cli(*ASK, "--kernel", "6.12", "--kubernetes", "1.34", "--option", "list=none", "--option", "kernel=new")
    assert none.err == ""
    lines = done.out.splitlines()
    assert lines[0] == "nftables, for 4,000 Services (4,000 ports, 10 endpoints each)"
    assert lines[1] == "it holds all limits, and iptables is over: CPU"
    assert max(map(len, lines)) <= 80 and "more column" not in done.out
    for words in ("the next 1,000 Services cost", "shares of the limits", "by number of Services", "removed in Kubern",
                  "ipvs       available  1.11    1.35        1.37  1.40  1.43"):  # fmt: skip
        assert words in done.out
    assert "least bad" not in done.out
    wide = cli(*ASK, "-o", "wide").out
    assert "100 us (assumed)" in wide and "least bad" in wide and "Only IPVS has a choice of algorithms." in wide


def test_every_form_says_the_same(cli):
    data = json.loads(cli(*ASK, "-o", "json", "--next", "500").out)
    assert (data["mode"], data["mode_now"], data["services"], data["endpoints"]) == (
        "nftables",
        "nftables",
        4000,
        40000,
    )
    modes = {row["mode"]: row for row in data["modes"]}
    assert modes["userspace"]["refused"] == "removed in Kubernetes 1.26" and "cores" not in modes["userspace"]
    assert modes["iptables"]["over"] == ["CPU"] and modes["iptables"]["shares"]["CPU"] > 1
    rows = {row["mode"]: row for row in csv.DictReader(io.StringIO(cli(*ASK, "-o", "csv").out))}
    assert set(rows) == {"iptables", "ipvs", "nftables chains old"}
    assert float(rows["iptables"]["cores"]) == pytest.approx(modes["iptables"]["cores"])
    assert data["next"]["services"] == 500
    # Half of 500 rules more are passed on the average, 20 ns each.
    assert data["next"]["modes"][0]["first_us_p50"] == pytest.approx(250 * 0.02, rel=0.01)
    assert [one["mode"] for one in data["ranges"]] == ["iptables", "nftables", "nftables", "iptables"]
    assert {row["mode"] for row in data["calendar"]} >= {"ipvs", "nftables"}
    assert len(data["rules"]) == len(advice.RULES)
    assert "first_us_p99" in cli(*ASK, "-o", "yaml").out
    markdown = cli(*ASK, "-o", "markdown").out
    assert "### modes" in markdown and "### calendar" in markdown


def test_a_dump_tells_its_versions_and_notes_go_to_standard_error(cli, tmp_path):
    info = {"kernelVersion": "5.4.0-150-generic", "kubeletVersion": "v1.35.2"}
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "a"}, "status": {"nodeInfo": info}}
    name = objects(tmp_path / "dump.json", node, *(service(f"s{number}") for number in range(20)))
    done = cli("proxy", "advise", "-f", name)
    assert "needs a kernel of" in done.out and "in 1.35" in done.out
    # No packet goes anywhere: there is no time of one.
    modes = json.loads(cli("proxy", "advise", "-f", name, "-o", "json").out)["modes"]
    assert modes[0]["first_us_p50"] is None and modes[0]["cores"] > 0
    assert done.err == "note: Services without endpoints: 20\n"
    assert cli("proxy", "advise", "-f", name, "-q").err == ""
    data = json.loads(cli("proxy", "advise", "-f", name, "--kernel", "6.12", "--kubernetes", "1.33", "-o", "json").out)
    assert (data["kernel"], data["kubernetes"]) == ("6.12", "1.33")
    assert data["notes"][0] == "Services without endpoints: 20" and len(data["notes"]) == 2


def test_growth_and_algorithms(cli):
    done = cli("proxy", "advise", "--services", "1000", "--growth", "4")
    assert "1,000 Services (1,000 ports, 10 endpoints each) that become 4,000" in done.out
    assert "as it is, iptables suits" in done.out
    done = cli(*ASK, "--need-scheduler", "lc")
    assert done.out.startswith("ipvs, for ") and "note: ipvs is deprecated from 1.35" in done.err


def test_a_trace_gives_services_and_changes(cli, tmp_path):
    rows = "".join(f"w-{number},web-{number % 3},{number},3600,1\n" for number in range(9))
    (tmp_path / "pods.csv").write_text("name,owner,arrival,duration,cpu\n" + rows)
    data = json.loads(cli("proxy", "advise", "-f", "pods.csv", "-o", "json").out)
    assert (data["services"], data["endpoints"]) == (3, 3)
    assert data["rates"]["changes"] == pytest.approx(18 / 3608)
    assert any("each owner of 3 is taken for a Service" in note for note in data["notes"])


def test_the_folder(cli, tmp_path):
    done = cli(*ASK, "--out", "made", "-q")
    assert done.code == 0, done.err
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    figures = ["cores.svg", "first-packet.svg", "memory.svg", "syncs.svg"]
    assert names == sorted(["advice.json", "curve.csv", "curve.parquet", "parameters.json", *figures])
    assert json.loads((tmp_path / "made" / "advice.json").read_text()) == json.loads(cli(*ASK, "-o", "json").out)
    assert (tmp_path / "made" / "parameters.json").read_text() == parameters.text(advice.known())
    frame = pl.read_parquet(tmp_path / "made" / "curve.parquet")
    assert set(frame["mode"]) == {"iptables", "ipvs", "nftables"} and 4000 in frame["services"]
    for name in figures:
        text = (tmp_path / "made" / name).read_text()
        assert "4,000 now" in text and ">Services<" in text and "service ports" not in text
    # What --out wrote can be read back, and says the same.
    assert cli(*ASK, "--parameters", "made/parameters.json").out == cli(*ASK).out


def test_limits_are_read(cli, tmp_path):
    (tmp_path / "limits.yaml").write_text("advise_cores: 8\nadvise_saving_cores: 8\n")
    assert cli(*ASK, "--parameters", "limits.yaml").out.startswith("iptables, for ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--mode", "nftable"), "field '--mode': there is no 'nftable'; did you mean 'nftables'?"),
        (("--need-scheduler", "wlcc"), "field '--need-scheduler': there is no 'wlcc'; did you mean 'wlc'?"),
        (("--need-scheduler", "lc", "--kubernetes", "1.43"), "no mode of kube-proxy is left (iptables: has no lc;"),
        (("--mode", "userspace"), "no mode of kube-proxy is left (userspace: removed in Kubernetes 1.26)"),
        (("--connections-rate", "-1"), "field '--connections-rate': is -1; expected 0 or more, per second"),
        (("--packets-rate", "nan"), "field '--packets-rate': is nan"),
        (("--changes-rate", "-0.5"), "field '--changes-rate': is -0.5"),
        (("--kubernetes", "2.1"), "field '--kubernetes': '2.1' is no version of Kubernetes; expected one like 1.34"),
        (("--kubernetes", "new"), "field '--kubernetes': 'new' is no version"),
        (("--kernel", "1.34"), "field '--kernel': '1.34' is no kernel that has netfilter; expected one like 6.8"),
        (("--kernel", "6"), "field '--kernel': '6' is no version"),
        (("--growth", "0"), "field '--growth': is 0"),
        (("--growth", "nan"), "field '--growth': is nan"),
        (("--growth", "1000"), "field '--growth': makes 4,000,000 Services"),
        (("--next", "0"), "field '--next': is 0; expected 1 to 100,000"),
        (("--services", "1"), "field '--services': is given twice"),
        (("--cpus", "0"), "field '--cpus': is 0"),
        (("--option", "scheduler"), "field '--option': cannot be 'scheduler'"),
        (("--option", "tables=fixed"), "field '--option': no mode has 'tables'"),
        (("--connections", "999999999"), "field 'connections': is 999,999,999"),
        (("--parameters", "no.json"), "no.json: does not exist"),
        (("-f", "dump.json"), "field '--services': is stated with -f"),
    ],
)
def test_faults_are_one_line_and_nothing_is_written(cli, tmp_path, words, line):
    done = cli(*ASK, *words, "--out", "made")
    assert done.code == 2 and done.out == ""
    assert done.err.startswith(f"kscale: {line}") and done.err.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_what_no_services_can_be_read_from(cli, tmp_path):
    none = cli("proxy", "advise")
    assert none.code == 2 and none.err.startswith("kscale: field '--services': is missing, and -f too; expected a file")
    for words, line in (
        (("0",), "field '--services': is 0"), (("10000000",), "field '--services': is 10,000,000"),
        (("10", "--endpoints", "-3"), "field '--endpoints': is -3"),
    ):  # fmt: skip
        done = cli("proxy", "advise", "--services", *words)
        assert done.code == 2 and done.err.startswith(f"kscale: {line}") and done.err.count("\n") == 1
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {}}
    for found, line in (
        (pod, "dump.json: has no Service with an address; expected of kubectl get services,endpointslices -A"),
        (service("a", clusterIP="None"), "dump.json: has no Service with an address (1 headless)"),
        (service("a", type="Balancer"), "dump.json, item 1 (Service default/a), field 'spec.type': 'Balancer' is not"),
    ):
        done = cli("proxy", "advise", "-f", objects(tmp_path / "dump.json", found))
        assert done.code == 2 and done.err.startswith(f"kscale: {line}") and done.err.count("\n") == 1
    (tmp_path / "pods.csv").write_text("name,arrival,duration,cpu\na,0,3600,1\n")
    done = cli("proxy", "advise", "-f", "pods.csv")
    assert done.code == 2 and "field 'owner': has no owners of pods" in done.err
    done = cli("proxy", "advise", "-f", "gone.json")
    assert done.code == 2 and done.err.startswith("kscale: gone.json: does not exist")
