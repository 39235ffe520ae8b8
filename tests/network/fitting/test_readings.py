"""Tables of measurements: the shapes that are read, units, and each fault in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kscale.errors import InputError
from kscale.network.fitting import readings

HEAD = "kind,backend,services,endpoints,position,value"


def read(folder: Path, text: str) -> list[tuple[object, ...]]:
    (folder / "m.csv").write_text(text)
    return readings.read([folder / "m.csv"]).rows()


def test_what_is_left_out_has_its_usual_meaning(tmp_path: Path) -> None:
    rows = read(tmp_path, HEAD + "\nmemory,nft,10,1,,4096\nlatency,legacy,10,2,0,21.5\nload,iptables-nft,10,1,, 0.5\n")
    assert rows == [
        ("memory", "kernel", "nftables", 10, 1, None, "warm", 4096.0, 1.0),
        ("latency", "connect", "iptables-legacy", 10, 2, 0, "warm", 21.5, 1.0),
        ("load", "full", "iptables-nft", 10, 1, None, "warm", 0.5, 1.0),
    ]


def test_units_become_one(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        HEAD + ",unit,what,cache,weight\nlatency,ipvs,5,1,5,900,ns,later,cold,2\n"
        "load,nft,5,1,,7,ms,list-table,,1\nmemory,nft,5,1,,3,MiB,client,,1\n",
    )
    assert [row[7] for row in rows] == pytest.approx([0.9, 0.007, 3 * 2**20])
    assert rows[0][1] == "later" and rows[0][6] == "cold" and rows[0][8] == 2.0


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(HEAD + f"\nload,nft,1{name == 'b':d},1,,1\n")
    assert readings.read([tmp_path / "a", tmp_path / "b"])["services"].to_list() == [10, 11]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no CSV"),
        (HEAD + "\n", "has no rows"),
        ("a,b\n1,2\n", "field 'kind': is missing"),
        ("kind,backend,services,endpoints,value\nlatency,nft,1,1,3\n", "field 'position': is missing"),
        (HEAD + "\nspeed,nft,1,1,1,3\n", "row 1, field 'kind': is 'speed'; expected one of latency, load, memory"),
        (HEAD + "\nlatency,ebpf,1,1,1,3\n", "row 1, field 'backend': is 'ebpf'"),
        (HEAD + "\nlatency,nft,1,1,1,NaN\n", "row 1, field 'value': is 'NaN'; expected a number of 0 or more"),
        (HEAD + "\nlatency,nft,1,1,1,3\nlatency,nft,1,1,1,\n", "row 2, field 'value': is empty"),
        (HEAD + "\nlatency,nft,1,1,1,inf\n", "row 1, field 'value': is 'inf'"),
        (HEAD + "\nlatency,nft,1,1,1,-3\n", "row 1, field 'value': is '-3'"),
        (HEAD + "\nlatency,nft,1,1,1,0\n", "row 1, field 'value': is 0; expected a number above 0"),
        (HEAD + "\nlatency,nft,1.5,1,1,3\n", "row 1, field 'services': is '1.5'; expected a whole number"),
        (HEAD + "\nload,nft,1,1,,3\nlatency,nft,1,1,,3\n", "row 2, field 'position': is empty"),
        (HEAD + "\nlatency,nft,1,1,2,3\n", "row 1, field 'position': is 2; expected a place in the list"),
        (HEAD + ",unit\nlatency,nft,1,1,1,3,MB\n", "row 1, field 'unit': is 'MB'; expected one of us, ns"),
        (HEAD + ",what\nload,nft,1,1,1,3,connect\n", "row 1, field 'what': is 'connect'"),
    ],
)
def test_a_fault_is_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert str(tmp_path / "m.csv") in str(caught.value)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "absent", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=told):
            readings.read([path])


def test_times_by_target_are_read_as_they_are(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "backend,S,E,proto,cold,mode,target,position,n,p50_ns\n"
        "legacy,10,1,tcp,0,tcp,first,0,4000,22113\nnft,10,1,tcp,1,udp_new,direct,-1,150,7000\n"
        "ipt-nft,10,1,tcp,0,tcp_est,last,9,1,14450\n",
    )
    assert rows == [
        ("latency", "connect", "iptables-legacy", 10, 1, 1, "warm", 22.113, 1.0),
        ("latency", "first", "nftables", 10, 1, 0, "cold", 7.0, 1.0),
        ("latency", "round-trip", "iptables-nft", 10, 1, 10, "warm", pytest.approx(14.45), 1.0),
    ]


def test_cpu_by_operation_is_the_median_of_what_ended_well(tmp_path: Path) -> None:
    head = "backend,S,E,op,rep,user_s,sys_s,rc\n"
    rows = read(
        tmp_path,
        head + "".join(f"legacy,1000,1,partial_1svc,{k},{cpu},0.01,0\n" for k, cpu in enumerate((0.3, 0.1, 0.2)))
        + "nft,9,1,full_initial,0,300,1,timeout\nlegacy,10,1,full_initial,0,0.003,0,0\nipset,9,1,full,0,1,1,0\n",
    )  # fmt: skip
    assert rows == [("load", "change", "iptables-legacy", 1000, 1, None, "warm", pytest.approx(0.21), 1.0)]


def test_memory_is_whole_pages_or_slabs(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "backend,S,E,SUnreclaim,VmallocUsed,MemAvailable\nlegacy,5000,1,0.52,11.99,\nnft,5000,1,15.37,0.08,\n"
        "legacy,10,1,0,-0.5,\nipset_hash_ip_port,100,0,4680,bytes,\n",
    )
    assert [(row[2], row[7]) for row in rows] == [("iptables-legacy", 11.99e6), ("nftables", 15.37e6)]
