import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import files, jsonarray
from kscale.traces.common.checks import Checker

texts = st.text(st.sampled_from('ab"\\{}[],: \n€'), max_size=6)
values = st.recursive(
    st.one_of(st.none(), st.integers(-5, 5), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


class One(msgspec.Struct):
    name: str
    count: int = 0


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=12), st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_pieces_are_the_document(tmp_path_factory, document, size, indent, ascii_only):
    path = tmp_path_factory.mktemp("json") / "t.json"
    path.write_text(f" {json.dumps(document, indent=indent, ensure_ascii=ascii_only)}\n ", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonarray, "PIECE", max(size, 2))
        found = [element for piece in jsonarray.pieces(path) for element in json.loads(piece)]
    assert found == document


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=6), st.integers(2, 40), st.integers(0, 200), st.sampled_from('"\\,[]{}x'))
def test_a_damaged_document_is_never_read_as_another(tmp_path_factory, document, size, at, put):
    text = json.dumps(document)
    text = text[: at % (len(text) + 1)] + put + text[at % (len(text) + 1) :]
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    path = tmp_path_factory.mktemp("json") / "t.json"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonarray, "PIECE", size)
        try:
            found = [element for piece in jsonarray.pieces(path) for element in json.loads(piece)]
        except (InputError, ValueError):
            found = None
    assert found == (expected if isinstance(expected, list) else None)


def test_an_element_with_many_commas(tmp_path, monkeypatch):
    document = [{"a": 'b", ["'}, {"long": list(range(2000))}, list(range(3000)), "c\\"]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document))
    for size in (9000, 20_000, 24_000):
        monkeypatch.setattr(jsonarray, "PIECE", size)
        assert [element for piece in jsonarray.pieces(path) for element in json.loads(piece)] == document


def elements(path, *, lenient=False):
    check = Checker(path, Options(lenient=lenient))
    return [pair for rows, found in jsonarray.elements(check, One) for pair in zip(rows, found, strict=True)], check


@pytest.mark.parametrize("size", [10, 35, 1000])
def test_elements_have_their_rows(write, monkeypatch, size):
    monkeypatch.setattr(jsonarray, "PIECE", size)
    path = write("t.json.gz", '[{"name":"a"},\n{"name":5},{"name":"c","count":3,"more":[1]}]')
    with pytest.raises(InputError, match=r"row 2: is not as it should be: Expected `str`, got `int` - at `\$.name`"):
        elements(path)
    found, check = elements(path, lenient=True)
    assert found == [(1, One("a")), (3, One("c", 3))]
    assert check.dropped == {"element: not as it should be": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name":"a"}', "is no JSON array"),
        ("[", "is cut off"),
        ('[{"name":"a"}', "is cut off"),
        ('[{"name":"a"},]', "cannot be read as JSON|is cut off"),
        ('[{"name":"a"}] x', "is cut off"),
        ('[{"name":"a"},' + " " * 200 + ',{"name":"b"}]', "has a comma without an element"),
        ('[{"name":"a"}],[1]', "cannot be read as JSON"),
        ('[{"name" "a"}]', "cannot be read as JSON"),
        ('[{"name":"' + "a" * 5000 + '"}]', "has an element of more than"),
        ('[{"name":"a","x":' + "[" * 900 + "]" * 900 + "}]", "has an element of more than|cannot be read as JSON"),
    ],
)
def test_what_is_no_array_of_elements(write, monkeypatch, text, message):
    monkeypatch.setattr(files, "BATCH_BYTES", 1 << 10)
    monkeypatch.setattr(jsonarray, "PIECE", 64)
    with pytest.raises(InputError, match=message):
        elements(write("t.json", text))


def test_brackets_that_nest_too_deeply(write):
    with pytest.raises(InputError, match="cannot be read as JSON"):
        elements(write("t.json", '[{"name":"a","x":' + "[" * 10**5 + "]" * 10**5 + "}]"))


def test_an_empty_array(write):
    assert elements(write("t.json", " [ ]\n"))[0] == []
