import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces.common.gotemplates import render

VALUES = {"Index": 7, "Count": 10, "name": "web", "half": 0.5, "on": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no action", "no action"),
        ("a-{{.Index}}-{{ .name }}", "a-7-web"),
        ("{{Mod .Index 3}} {{DivideInt .Index 2}} {{DivideFloat .Index 2}}", "1 3 3.5"),
        ("{{AddInt 1 2 3}} {{SubtractInt .Count .Index}}", "6 3"),
        ("{{MultiplyInt 2 3 4}} {{MultiplyFloat .half 3}}", "24 1.5"),
        ("{{AddInt (Mod .Index 3) (MultiplyInt 2 .Count)}}", "21"),
        ("{{Mod -7 3}} {{AddFloat .half .half}} {{.on}} {{.half}}", "-1 1 true 0.5"),
        ("a {{- .Index -}} b", "a7b"),
        ('{{"text"}}', "text"),
    ],
)  # fmt: skip
def test_what_templates_come_to(text, expected):
    assert render(text, VALUES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{if .Index}}", "'if' is not understood in a template"),
        ("{{.Other}}", "'.Other' is not given; expected .Index, .Count"),
        ("{{Mod .Index 0}}", "'Mod' cannot be worked out"),
        ("{{Mod .Index}}", "'Mod' cannot be worked out"),
        ("{{AddInt .name 1}}", "'AddInt' cannot be worked out"),
        ("{{.Index | printf}}", "is not understood"),
        ("{{.Index .Count}}", "'.Index .Count' is not understood"),
        ("{{(Mod 1 2}}", "is not understood"),
        ("{{}}", "'' is not understood"),
    ],
)
def test_what_is_not_understood_is_told(text, message):
    with pytest.raises(InputError, match=message):
        render(text, VALUES)


@given(st.integers(0, 10**6), st.integers(1, 1000), st.integers(0, 1000))
def test_arithmetic_is_that_of_whole_numbers(index, divisor, added):
    text = "{{AddInt (Mod .Index .d) .a}} {{DivideInt .Index .d}}"
    assert render(text, {"Index": index, "d": divisor, "a": added}) == f"{index % divisor + added} {index // divisor}"


@given(st.text('{}.(Mod Index)1 -"', max_size=20))
def test_any_text_is_rendered_or_refused(text):
    try:
        assert isinstance(render(text, VALUES), str)
    except InputError as error:
        assert "\n" not in str(error)
