"""Names are cleaned and escaped for each medium; numbers are short and do not round to a lie."""

from __future__ import annotations

import pytest

from kscale.report import text
from tests.report.stories import NASTY


@pytest.mark.parametrize("name", NASTY)
def test_clean_leaves_one_printable_line(name):
    words = text.clean(name)
    assert words.isprintable() and len(words) <= 120


def test_html_has_no_marks_left():
    assert text.escape_html("</script>\"'&") == "&lt;/script&gt;&quot;&#x27;&amp;"
    assert text.escape_html("12 % of") == "12&#160;% of"


def test_markdown_has_no_marks_left():
    assert text.escape_markdown("a|b`c`<i>*x*_y_$z$") == r"a\|b\`c\`&lt;i&gt;\*x\*\_y\_\$z\$"
    assert text.escape_markdown("line\nbreak") == "line break"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 %"),
        (100, "100 %"),
        (99.999, "99.9 %"),
        (0.04, "< 0.1 %"),
        (12.345, "12.3 %"),
        (None, "–"),
        (1234.5, "1,234 %"),
    ],
)
def test_percent(value, words):
    assert text.percent(value) == words


def test_numbers_and_amounts():
    assert [text.number(v) for v in (1234, 0.1234, 123.4, None)] == ["1,234", "0.123", "123", "–"]
    assert text.amount(96_000, "cpu") == "96 cores"
    assert text.amount(1000, "gpu") == "1 GPU"
    assert text.amount(512 << 30, "memory") == "512Gi"
    assert text.amount(1 << 40, "ephemeral_storage") == "1Ti"
    assert text.plural(1, "node") == "1 node" and text.plural(0, "node") == "0 nodes"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
