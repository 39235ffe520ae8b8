"""JSON lines as frames: the fast way, and line by line."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import files, jsonlines
from kscale.traces.common.checks import Checker, Field

FIELDS = (
    Field("time"),
    Field("who", pl.String, nullable=True),
    Field("big.cpus", pl.Float64, nullable=True),
    Field("gone", pl.Boolean, nullable=True),
    Field("some", pl.String, nullable=True),
)


def read(path, *, lenient=False):
    check = Checker(path, Options(lenient=lenient))
    return pl.concat(list(jsonlines.batches(check, FIELDS))), check.dropped


def test_lines_become_rows(write):
    lines = [
        '{"time": "12", "who": "a", "big": {"cpus": 0.5, "o": 1}, "gone": true, "some": [{"name": "x", "value": 1}]}',
        "",
        '{"big": {}, "time": 9223372, "more": [[{}]], "some": []}\r',
        '{"time":"3","big":null,"gone":"false"}',
    ]
    frame, dropped = read(write("t.json.gz", "\n".join(lines)))
    assert frame.select("#row", "time", "who", "big.cpus", "gone").rows() == [
        (1, 12, "a", 0.5, True),
        (2, 9223372, None, None, None),
        (3, 3, None, None, False),
    ]
    assert json.loads(frame["some"][0]) == [{"name": "x", "value": 1}]
    assert frame["some"].to_list()[1:] == ["[]", None]
    assert dropped == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nothing", "row 2: is not a JSON object; expected an object a line"),
        ("[1]", "row 2: is not a JSON object"),
        ('{"time": 1} {"time": 2}', "row 2: is not a JSON object"),
        ('{"time": ' + "[" * 100_000, "row 2: is not a JSON object"),
        ('{"time": "1.5"}', "row 2, field 'time': '1.5' is not an integer"),
        ('{"time": true}', "row 2, field 'time': 'true' is not an integer"),
        ('{"time": [1]}', r"row 2, field 'time': '\[1\]' is not an integer"),
        ('{"time": -1}', "row 2, field 'time': '-1' is negative"),
        ('{"who": "x"}', "row 2, field 'time': is missing"),
        ('{"time": 1, "big": 5}', "row 2, field 'big': is not an object"),
        ('{"time": 1, "big": {"cpus": "x"}}', "row 2, field 'big.cpus': 'x' is not a number"),
    ],
)
def test_bad_lines_are_told(write, line, message):
    path = write("t.json", f'{{"time": 1}}\n{line}\n{{"time": 3}}\n')
    with pytest.raises(InputError, match=message) as found:
        read(path)
    assert str(found.value).startswith(str(path))
    frame, dropped = read(path, lenient=True)
    assert frame["time"].to_list() == [1, 3]
    assert frame["#row"].to_list() == [1, 3]
    assert sum(dropped.values()) == 1


def test_not_utf8(write):
    with pytest.raises(InputError, match="row 1: is not a JSON object"):
        read(write("t.json", b'{"time": 1, "who": "\xff"}\n'))


@pytest.mark.parametrize("value", ["o/=", 'a"b\\\\n', "\\u003d", "\n", "é\x01"])
@pytest.mark.parametrize("escape", [lambda text: text, lambda text: text.replace("/", "\\/").replace("=", "\\u003D")])
def test_texts_within_lists_keep_their_characters(write, value, escape):
    line = escape(json.dumps({"time": 1, "some": [{"name": value}]}))
    frame, _ = read(write("t.json", line))
    assert json.loads(frame["some"][0]) == [{"name": value}]


def test_numbers_as_texts(write):
    frame, _ = read(write("t.json", '{"time":"1","big":{"cpus":"0.25"}}\n{"time":"2","big":{"cpus":0.125}}\n'))
    assert frame["big.cpus"].to_list() == [0.25, 0.125]


def test_a_line_without_end(write, monkeypatch):
    monkeypatch.setattr(files, "BATCH_BYTES", 1 << 10)
    with pytest.raises(InputError, match="has a line of more than"):
        read(write("t.json", '{"time":1}\n{"time":' + " " * 5000))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1 << 62),
    st.floats(0, 1e6),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=1),
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "time": st.one_of(st.integers(0, 1 << 59), st.integers(0, 9).map(str), VALUES),
        "who": st.one_of(st.none(), st.text(max_size=3)),
        "big": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"cpus": VALUES}), VALUES),
        "some": st.one_of(
            st.none(), st.lists(st.fixed_dictionaries({}, optional={"name": st.text(max_size=3)})), VALUES
        ),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OBJECTS, max_size=8), st.sampled_from([40, 1 << 20]))
def test_no_line_is_lost_and_both_ways_are_the_same(tmp_path_factory, rows, size):
    path = tmp_path_factory.mktemp("json") / "t.json"
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) or " ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", max(size, *(len(line) + 1 for line in [*lines, ""])))
        frame, dropped = read(path, lenient=True)
        patch.setattr(jsonlines, "_read", lambda *_: None)
        slow, slowly = read(path, lenient=True)
    assert frame.height + sum(dropped.values()) == len(rows)
    assert frame.drop("some").equals(slow.drop("some"))
    for one, two in zip(frame["some"], slow["some"], strict=True):
        assert one == two or json.loads(one) == json.loads(two)
    assert dropped == slowly
