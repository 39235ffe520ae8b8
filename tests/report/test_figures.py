"""Every figure: declared, drawn where it has data, safe, bounded, the same each time."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ElementTree

import pytest

from kscale.report import style
from kscale.report.figures import all_figures
from kscale.report.tables import spaced
from tests.report.stories import ALL, NASTY

EXPECTED = {
    "busy": ["demand", "headroom", "waiting", "unplaced", "placing", "stranded", "fragmentation", "nodes", "cost"],
    "fits": ["demand", "headroom", "stranded", "nodes", "cost"],
    "inflate": ["demand", "headroom", "unplaced", "stranded", "fragmentation", "nodes", "cost"],
    "empty": [],
    "no_nodes": ["waiting", "unplaced"],
    "living": [
        "demand",
        "headroom",
        "rollouts",
        "autoscaling",
        "startup",
        "disruptions",
        "restarts",
        "programming",
        "traffic",
        "stranded",
        "nodes",
        "cost",
    ],
}


def drawn(summary):
    with style.style():
        for figure in all_figures():
            if figure.finding(summary) is not None:
                for wide in (True, False):
                    yield figure, wide, style.to_svg(figure.draw(summary, wide), f"{figure.name}-{wide}")


def test_figures_stand_in_order():
    figures = all_figures()
    assert [f.order for f in figures] == sorted(f.order for f in figures)
    assert len({f.name for f in figures}) == len(figures)


@pytest.mark.parametrize("name", EXPECTED)
def test_figures_without_data_are_left_out(summaries, folders, name):
    found = [f.name for f in all_figures() if f.finding(summaries[name]) is not None]
    assert found == EXPECTED[name]
    assert sorted(p.stem for p in (folders[name] / "figures").iterdir()) == sorted(found)


@pytest.mark.parametrize("name", ALL)
def test_drawings_are_bounded_and_well_formed(summaries, name):
    for figure, wide, svg in drawn(summaries[name]):
        tree = ElementTree.fromstring(svg)
        marks = [e for e in tree.iter() if e.tag.rpartition("}")[2] in ("path", "use", "text", "image", "rect")]
        assert len(marks) <= 5000, figure.name
        assert len(svg) < 200_000, (figure.name, wide)
        links = {v for e in tree.iter() for k, v in e.attrib.items() if k.endswith("href")}
        assert all(link.startswith(("#", "data:image/png")) for link in links)


@pytest.mark.parametrize("name", ALL)
def test_texts_stay_inside_their_drawing(summaries, name):
    """No label begins left of the drawing or ends right of it, by the widths of the font it was laid out with."""
    with style.style():
        for figure in all_figures():
            if figure.finding(summaries[name]) is None:
                continue
            for wide in (True, False):
                drawing = figure.draw(summaries[name], wide)
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
                    drawing.draw_without_rendering()
                size = drawing.get_size_inches() * 72
                for label in drawing.findobj(lambda a: hasattr(a, "get_text") and a.get_text() and a.get_visible()):
                    if not label.get_text().isascii():
                        continue
                    box = label.get_window_extent()
                    inside = box.x0 >= -1 and box.x1 <= size[0] + 1 and box.y0 >= -1 and box.y1 <= size[1] + 1
                    assert inside, (figure.name, wide, label.get_text(), box)


def test_the_same_run_gives_the_same_bytes(summaries):
    first, second = ([svg for _, _, svg in drawn(summaries["busy"])] for _ in range(2))
    assert first == second


def test_ids_do_not_clash(folders):
    page = (folders["busy"] / "report.html").read_text(encoding="utf-8")
    ids = re.findall(r'<[^>]* id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_dollar_names_are_not_mathematics(folders):
    svg = (folders["hostile"] / "figures" / "headroom.svg").read_text(encoding="utf-8")
    assert "$x^2$" in svg


def test_standing_alone_figures_hold_their_finding(folders, summaries):
    for figure in all_figures():
        path = folders["hostile"] / "figures" / f"{figure.name}.svg"
        finding = figure.finding(summaries["hostile"])
        if finding is None:
            continue
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        words = "".join(root.itertext())
        assert finding.split()[0] in words
        assert not [e for e in root.iter() if e.tag.rpartition("}")[2] in ("script", "img", "foreignObject")]


@pytest.mark.parametrize("name", ALL)
def test_tables_fit_their_headings(summaries, name):
    for figure in all_figures():
        if figure.finding(summaries[name]) is not None:
            table = figure.table(summaries[name])
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert len(table.rows) <= 40
            assert len(figure.reading(summaries[name])) > 60


def test_spaced():
    assert spaced(3, 10) == [0, 1, 2]
    assert spaced(100, 5) == [0, 25, 50, 74, 99]


def test_nasty_names_are_in_the_story(summaries):
    assert len(summaries["hostile"].pools.hours) == len(NASTY)
