"""report.html and report.md as files: what is in them, how large they are, what they may never hold."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser

import pytest

from kscale import report
from kscale.errors import MachineError
from kscale.report import markdown, parts, text
from tests.report import make_run
from tests.report.stories import ALL, busy

_PAGE = """html head meta title style link body main header section figure div p h1 h2 h3 h4 b span code pre ul li table
thead tbody tr th td details summary footer"""
_DRAWING = "svg g path use defs clippath text image rect polygon polyline"
ALLOWED = {*_PAGE.split(), *_DRAWING.split()}


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def read(folder):
    reader = Reader()
    reader.feed((folder / "report.html").read_text(encoding="utf-8"))
    return reader


@pytest.mark.parametrize("name", ALL)
def test_page_holds_only_what_it_may(folders, name):
    reader = read(folders[name])
    assert reader.tags <= ALLOWED
    assert not [k for k, _ in reader.attributes if k.startswith("on")]
    links = [v for k, v in reader.attributes if k in ("href", "src", "xlink:href")]
    assert all(v.startswith(("#", "data:")) for v in links)


@pytest.mark.parametrize("name", ALL)
def test_sizes(folders, name):
    assert (folders[name] / "report.html").stat().st_size <= 1_500_000
    assert (folders[name] / "report.md").stat().st_size <= 1 << 20
    page = (folders[name] / "report.html").read_text(encoding="utf-8")
    # Verdict, key figures and the first figure are there before most of the page has come.
    assert page.find("<h3>", page.find("Key figures")) < 300_000


def test_hostile_names_are_words(folders):
    words = "".join(read(folders["hostile"]).words)
    assert "</script><img src=x onerror=alert(1)>" in words
    assert "[/oops][bold red]" in words
    assert "\u202e" not in words and "\x1b" not in words


@pytest.mark.parametrize("name", ["busy", "fits"])
def test_waits_name_the_scheduler_speed(folders, name):
    page = "".join(read(folders[name]).words)
    assert page.count("scheduler 0 us/pod") == 2
    text = (folders[name] / "report.md").read_text(encoding="utf-8")
    assert "scheduler 0 us/pod" in text


def test_trust_box_is_always_there(folders):
    for folder in folders.values():
        page = "".join(read(folder).words)
        for words in ("5f" * 32, "Repeat it", "kscale replay", "seed", "checked 120 times, 0 violated"):
            assert words in page


def test_rows_left_out_are_counted(folders):
    assert "Rows left out (--lenient)" in "".join(read(folders["hostile"]).words)
    assert "Rows left out" not in "".join(read(folders["busy"]).words)


def test_the_same_folder_gives_the_same_files(tmp_path):
    for out in ("a", "b"):
        report.write(tmp_path / out, make_run.make(tmp_path / out, busy(200), seal=False))
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(names) > 10
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_writing_again_replaces_figures(tmp_path):
    run = make_run.make(tmp_path, busy(200), seal=False)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.svg").write_text("old")
    numbers = report.write(tmp_path, run)
    assert not (tmp_path / "figures" / "old.svg").exists()
    assert numbers == report.headline(run, tmp_path)


def test_a_refusing_machine_is_told(tmp_path, monkeypatch):
    run = make_run.make(tmp_path, busy(50), seal=False)

    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    with pytest.raises(MachineError, match="No space left"):
        report.write(tmp_path, run)


def test_markdown_is_cut_at_a_line_and_says_so(summaries):
    words = markdown.markdown(summaries["busy"], [], limit=2000)
    assert len(words.encode()) <= 2000
    assert words.endswith("The rest is in report.html.*\n")
    assert text.cut("é" * 10, 20, "cut") == "é" * 10


def test_markdown_holds_no_html_and_no_open_cell(folders):
    text = (folders["hostile"] / "report.md").read_text(encoding="utf-8")
    outside = [line for k, part in enumerate(text.split("```")) if k % 2 == 0 for line in part.splitlines()]
    assert not [line for line in outside if "<" in line]
    for line in outside:
        if line.startswith("|"):
            assert line.endswith("|")


def test_many_notes_and_inputs_are_bounded(tmp_path):
    story = busy(100)
    story.notes = [f"note {k} " + "x" * 1000 for k in range(5000)]
    story.inputs = story.inputs * 500
    story.dropped = {f"reason {k}": k for k in range(1, 5000)}
    run = make_run.make(tmp_path, story, seal=False)
    report.write(tmp_path, run)
    assert (tmp_path / "report.html").stat().st_size < 700_000
    summary = report.summarize(tmp_path, run)
    assert len(parts.notes(summary)) == parts.NOTES + 1


def test_importing_the_room_is_cheap():
    code = "import sys, kscale.report; print([m for m in ('matplotlib', 'polars', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
