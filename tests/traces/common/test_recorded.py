import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, Options
from kscale.traces.common.recorded import Events, Recorded, at, merged, whole

SPEC = {"containers": [{"name": "a"}]}


def recorded(tmp_path, **options):
    found = Recorded(tmp_path / "f", Options(**options), "event")
    return found, found.specs.number(SPEC)


def test_a_pod_lasts_from_its_start_to_its_end(tmp_path):
    found, spec = recorded(tmp_path)
    rows = [found.comes(name, "n", None, 10, spec) for name in "abcdef"]
    found.starts(rows[1], 15)
    found.starts(rows[1], 99)  # the first time counts
    found.ends(rows[1], 20)
    found.ends(rows[1], 99)
    found.ends(rows[2], 30)
    found.starts(rows[3], 5)  # not before it came
    found.ends(rows[3], 7)
    found.ends(rows[4], 12)
    found.lived(rows[4], 11, 40)  # a recorded life says more
    found.ends(rows[5], 12)
    found.lived(rows[5], 14, None)
    trace = found.trace("x", ("said",), None, None)
    assert trace.pods.select("name", "arrival_us", "duration_us", "end_us").rows() == [
        ("a", 10, None, None), ("b", 10, 5, 20), ("c", 10, 20, 30), ("d", 10, 0, 10),
        ("e", 10, 29, 40), ("f", 10, 0, 14),
    ]  # fmt: skip
    assert trace.notes == ("said",)


def test_no_pods_are_an_empty_trace(tmp_path):
    found, _ = recorded(tmp_path)
    trace = found.trace("x", (), None, Events())
    assert trace.pods.height == 0 and trace.node_events is None


@given(names=st.lists(st.sampled_from(["p", "p.2", "p.3", "p.2.2"]), max_size=12))
def test_names_are_distinct_whatever_comes(tmp_path_factory, names):
    found, spec = recorded(tmp_path_factory.getbasetemp())
    for name in names:
        found.comes(name, "n", None, 0, spec)
    called = found.trace("x", (), None, None).pods["name"].to_list()
    assert len(set(called)) == len(names)
    assert all(one.startswith(name) for one, name in zip(called, names, strict=True))
    firsts = [name for i, name in enumerate(names) if name not in names[:i] and name == called[i]]
    assert not names or names[0] in firsts


def test_what_is_bad_is_told_or_counted(tmp_path):
    strict, _ = recorded(tmp_path)
    with pytest.raises(InputError, match=r"f, event 3 \(x\), field 'a': 'v' is odd; expected even"):
        strict.bad(InputError("'v' is odd", field="a", expected="even"), 3, "x")
    with pytest.raises(InputError, match=r"^elsewhere: is odd"):
        strict.bad(InputError("is odd", file="elsewhere"), 3)
    lenient, spec = recorded(tmp_path, lenient=True, max_input=200)
    for value in "vw":
        lenient.bad(InputError(f"'{value}' is odd", field="a"), 1)
    lenient.bad(InputError("is odd"), 1)
    assert lenient.dropped == {"a: '{value}' is odd": 2, "event: is odd": 1}
    lenient.comes("a", "n", None, 0, spec)
    lenient.comes("b", "n", None, 0, spec)
    with pytest.raises(InputError, match="comes to too many pods; expected at most 2; see --max-input") as error:
        lenient.comes("c", "n", None, 0, spec)
    with pytest.raises(InputError, match="comes to too many pods"):
        lenient.bad(error.value, 1)


def test_events_stand_in_the_order_of_time():
    events = Events()
    events.add(5, "n", "leave")
    events.add(3, "n", "join", 1000, 2)
    events.add(5, "m", "cordon")
    assert len(events) == 3
    assert dict(events.frame().schema) == NODE_EVENTS
    assert [row[:3] for row in events.frame().rows()] == [(3, "n", "join"), (5, "n", "leave"), (5, "m", "cordon")]


_json = st.recursive(
    st.one_of(st.none(), st.integers(0, 3)), lambda inner: st.dictionaries(st.sampled_from("abc"), inner)
)


@given(value=_json, patch=_json)
def test_a_merge_patch_says_what_stands_where(value, patch):
    """RFC 7386: every path of the patch holds afterwards, and nothing else has changed."""
    found = merged(value, patch)
    if not isinstance(patch, dict):
        assert found == patch
        return
    before = value if isinstance(value, dict) else {}
    assert set(found) == {k for k in {*before, *patch} if not (k in patch and patch[k] is None)}
    for key in found:
        assert found[key] == (merged(before.get(key), patch[key]) if key in patch else before[key])


def test_looking_into_nested_values():
    assert at({"a": {"b": 5}}, "a", "b") == 5
    assert at({"a": [1]}, "a", "b") is None
    assert at(None, "a") is None
    assert whole(3, "x", 5) == 3
    assert whole(None, "x", 5, 2) == 2
    for value in (True, 1.0, "1", -1, 6, None):
        with pytest.raises(InputError, match=r"field 'x': .*; expected a whole number from 0 to 5"):
            whole(value, "x", 5)
