"""Files, folders and stdin: what is read, and what is refused in one line."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from kscale.errors import InputError, MachineError
from kscale.state.manifests import ReadOptions, inventory_of, read_objects, take_inventory
from tests.state.manifests.making import node, objects, pod, same, thing


def kinds(path: Path | list[Path], **options: Any) -> list[tuple[int, str, str]]:
    paths = path if isinstance(path, list) else [path]
    return [(item.number, item.kind, item.api_version) for item in read_objects(paths, ReadOptions(**options))]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


A, B = '{"kind": "Pod", "apiVersion": "v1"}', '{"apiVersion": "v1", "kind": "Node"}'
OTHER = '{"kind": "Odd"}'
BOTH = [(1, "Pod", "v1"), (2, "Node", "v1")]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}{B}",
        f"{A}\n{B}\n",
        f"\n\n  {A}\r\n\t{B}  ",
        f"{A}\n---\n{B}\n---\n",
        f"[{A}, {B}]",
        f"[{A}]\n[{B}]",
        f'{{"kind": "List", "items": [{A}, {B}]}}',
        f'{{"items": [{A}, {{"kind": "List", "items": [{B}]}}], "apiVersion": "v1", "kind": "List"}}',
        f'{{"items": [{A}, {B}]}}',
        f'{{"kind": "List", "items": [{A}]}}{{"kind": "List", "items": null}}{{"kind": "List", "items": [{B}]}}',
        '{"kind":"PodList","apiVersion":"v1","items":[{}]}{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{}}]}',
        f"---\n{A}\n---\n{B}\n",
        "kind: Pod\napiVersion: v1\n---\n# nothing\n---\n---\nkind: Node\napiVersion: v1\n...\n",
        f"# a comment\n--- {A}\n--- {B}",
        "kind: List\nitems:\n- {kind: Pod, apiVersion: v1}\n- kind: Node\n  apiVersion: v1\n",
        "- {kind: Pod, apiVersion: v1}\n- {kind: Node, apiVersion: v1}\n",
        "kind: PodList\napiVersion: v1\nitems: [{}]\n---\napiVersion: v1\nitems:\n- {}\nkind: NodeList\n",
    ],
)
def test_ways_to_write_two_objects(tmp_path: Path, text: str) -> None:
    assert kinds(write(tmp_path / "a", text)) == BOTH
    assert kinds(write(tmp_path / "b", gzip.compress(text.encode()))) == BOTH
    assert kinds(write(tmp_path / "c", b"\xef\xbb\xbf" + text.encode())) == BOTH
    assert kinds(write(tmp_path / "d", text.encode("utf-16"))) == BOTH
    assert kinds(write(tmp_path / "e", b"\xfe\xff" + text.encode("utf-16-be"))) == BOTH


def test_msgspec_says_where_a_text_ends() -> None:
    # Texts one after another are taken apart by what this message says.
    with pytest.raises(msgspec.DecodeError, match=r"trailing characters \(byte 9\)"):
        msgspec.json.decode(b'{"a":1} {')


def test_folders_are_read_by_name_and_recursively(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "b.json", A)
    write(tmp_path / "a.yaml", "kind: Node")
    write(tmp_path / "sub" / "c.yml.gz", gzip.compress(b"kind: Service", mtime=0))
    write(tmp_path / "README.md", "kind: Secret")
    write(tmp_path / "z.json", "")
    assert [kind for _, kind, _ in kinds(tmp_path)] == ["Node", "Pod", "Service"]
    inputs: list[str] = []
    list(read_objects([str(tmp_path)], ReadOptions(), inputs))
    assert [Path(i).name for i in inputs] == ["a.yaml", "b.json", "c.yml.gz", "z.json"]


def test_stdin_and_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(A.encode()))))
    assert kinds([Path("-")]) == [(1, "Pod", "v1")]
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(B.encode())
    assert kinds(Path(f"/dev/fd/{reading}")) == [(1, "Node", "v1")]
    os.close(reading)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"kind": "Pod"', "cannot be read as JSON: input data was truncated"),
        ('{"kind": "Pod",}', r"cannot be read as JSON: .*\(byte 15\)"),
        (f"{OTHER} {{,", r"cannot be read as JSON: .*\(byte 17\)"),
        (f"{OTHER} x", r"cannot be read as JSON: .*\(byte 16\)"),
        ('{"kind": "List", "items": [null]}', "item 1: is nothing; expected a mapping"),
        (f'{{"kind": "List", "items": [{OTHER}, 3]}}', "item 2: is a whole number; expected a mapping"),
        ('{"kind": "List", "items": {}}', "item 1, field 'items': is a mapping; expected a list"),
        ('{"kind": 3}', "item 1, field 'kind': is a whole number; expected text"),
        ("{}", "item 1: has no kind"),
        ('{"kind": "List", "items": [{}]}', "item 1: has no kind"),
        ('{"kind":"List","items":[' * 9 + "]}" * 9, "is a list in a list"),
        ('{"kind": "Pod", "x": ' + "[" * 100_000, "is nested too deeply"),
        ('{"kind": "Pod", "x": ' + '{"a":' * 100_000 + "1" + "}" * 100_001, "is nested too deeply"),
        ('{"items": [{"x":' + "[" * 5000 + "]" * 5000 + "}]}", "is nested too deeply"),
        ("kind: Pod\nkind: Node", "line 2.*has the key 'kind' twice"),
        ("kind: [", "cannot be read as YAML"),
        ("kind: Pod\n\tx: 1", "line 2, column 1: cannot be read as YAML"),
        ("just text", "item 1: is text; expected a mapping"),
        ("- " * 100_000 + "a", "is nested more than 200 levels deep"),
        ("a: " + "[" * 100_000, "nest"),
        ("x: &a [*a]", "the anchor 'a' contains itself"),
        ("x: *b", "the anchor 'b' is not there|undefined"),
        ("? [a]\n: b", "has a mapping or list as a key"),
        ("~: b", "has a key that is no text"),
        ("x: !!python/object/apply:os.system [ls]", "has the unknown tag"),
        ("x: !!set {a}", "has the unknown tag"),
        ("x: !!int a", "is not of the kind that its tag says"),
        ("x: !!binary _", "is not base64"),
        ("<<: 3", "merges something that is no mapping"),
        (b'{"kind": "P\xff"}', "is not UTF-8 text"),
        (b"kind: P\xff", "is not UTF-8 text"),
        (b"kind: \xc3", "is not UTF-8 text"),
        (b"\xff\xfe\x00\x00" + "{}".encode("utf-32-le"), "is UTF-32 text"),
        (b"\xff\xfea", "is not UTF-16 text"),
        (b"kind: \x00", "cannot be read as YAML|is not YAML"),
        (b"\x1f\x8b\x08", "cannot be read as gzip"),
        (gzip.compress(A.encode(), mtime=0)[:-9], "cannot be read as gzip"),
        (gzip.compress(A.encode(), mtime=0)[:20] + b"aaaaaaaaaaaaaaaaaaaaa", "cannot be read as gzip"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as told:
        take_inventory([write(tmp_path / "in.x", text)])
    assert "in.x" in str(told.value) and "\n" not in str(told.value)


def test_aliases_that_stand_for_far_too_much(tmp_path: Path) -> None:
    lines = ["a0: &a0 " + "x" * 1000] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(InputError, match=r"line \d+, column \d+: has aliases that stand for far too much"):
        kinds(write(tmp_path / "a.yaml", "\n".join(lines)))
    merges = ["a0: &a0 {x: y}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    with pytest.raises(InputError, match="far too much"):
        kinds(write(tmp_path / "b.yaml", "\n".join(merges)))


def test_limits_of_size(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.json", A + " " * 1000)
    with pytest.raises(InputError, match=r"is larger than 100 bytes; expected less, or a larger --max-input"):
        kinds(plain, max_input=100)
    with pytest.raises(InputError, match="is larger than 100 bytes"):
        kinds(write(tmp_path / "b.json", gzip.compress(plain.read_bytes())), max_input=100)
    bomb = gzip.compress(gzip.compress(b" " * (1 << 27)))
    with pytest.raises(InputError, match=r"unpacks to more than|is not UTF-8"):
        kinds(write(tmp_path / "c.json", bomb))
    with pytest.raises(InputError, match="unpacks to more than 1000 times its size"):
        kinds(write(tmp_path / "d.json", gzip.compress(b" " * (1 << 24))))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        kinds(tmp_path / "gone")
    with pytest.raises(InputError, match=r"does not exist|cannot be opened"):
        kinds(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="cannot be opened"):
        kinds(Path("a\x00b"))
    with pytest.raises(InputError, match="has no files of objects"):
        kinds(tmp_path)
    with pytest.raises(InputError, match="is neither a file nor a pipe"):
        kinds(Path("/dev/null"))
    with pytest.raises(InputError, match="has no objects"):
        take_inventory([write(tmp_path / "empty", "# nothing\n")])
    if os.geteuid():
        secret = write(tmp_path / "secret.json", A)
        secret.chmod(0)
        with pytest.raises(MachineError, match="Permission denied"):
            kinds(secret)


def test_what_the_machine_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json", A)

    def refuse(self: Path, *more: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MachineError, match=r"a\.json: Permission denied"):
        kinds(path)


def test_objects_are_there_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps(pod()) + json.dumps(pod()))
    with pytest.raises(
        InputError, match=r"a\.json, item 2 \(Pod default/p\): is there twice; expected each object once"
    ):
        take_inventory([path])
    other = pod(meta={"namespace": "other"})
    assert len(take_inventory([write(path, json.dumps(pod()) + json.dumps(other))]).pods) == 2


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a" * 254, None])
def test_names_are_names(tmp_path: Path, name: str | None) -> None:
    for found in (thing("Namespace", "x", meta={"name": name}), pod(meta={"namespace": name or "A"})):
        with pytest.raises(InputError, match=r"is not a name|is not a namespace|is missing"):
            take_inventory([write(tmp_path / "a.json", json.dumps(found))])


@pytest.mark.parametrize(
    "labels", [{"a b": "c"}, {"a": "b c"}, {"a": "x" * 64}, {"a/b/c": ""}, {"A_/b": ""}, {"é": ""}]
)
def test_labels_are_labels(labels: dict[str, str]) -> None:
    for found in (pod(meta={"labels": labels}), node(metadata={"name": "n1", "labels": labels})):
        with pytest.raises(InputError, match="is not a label"):
            inventory_of([found])


def test_kinds_that_are_not_known_are_counted(tmp_path: Path) -> None:
    found = [
        thing("Secret", "s"),
        thing("Secret", "s"),
        thing("Service", "k", "serving.knative.dev/v1"),
        thing("Deployment", "d", "apps/v1"),
        node(apiVersion="v2"),
    ]
    inventory = inventory_of(found)
    assert inventory.ignored == {"Secret": 2, "Service.serving.knative.dev": 1, "Deployment: makes no pods here": 1}
    assert inventory.read == {"Deployment": 1, "Node": 1}


def test_all_ways_of_writing_give_the_same_inventory(tmp_path: Path) -> None:
    found = objects()
    expected = inventory_of(found[:-2], [])
    ways = {
        "list.json": json.dumps({"kind": "List", "items": found}),
        "lines.json": "\n".join(json.dumps(one) for one in found),
        "pretty.json": "\n".join(json.dumps(one, indent=4) for one in found),
        "many.yaml": yaml.safe_dump_all(found),
        "list.yaml": yaml.safe_dump({"kind": "List", "items": found}, sort_keys=False),
    }
    taken = [take_inventory([write(tmp_path / name, text)]) for name, text in ways.items()]
    assert all(same(taken[0], other) for other in taken[1:])
    assert taken[0].nodes == expected.nodes
    decoded = inventory_of(found)
    assert decoded.templates == taken[0].templates
    # What comes back out of a pending pod reads as the same pod.
    again = inventory_of(found[:-1], [taken[0].source(i) for i in range(len(taken[0].pending))])
    assert again.templates == taken[0].templates
