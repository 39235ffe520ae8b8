"""The page in a real browser: no error, no request, no dialog, readable at 1280 and 360 pixels."""

from __future__ import annotations

import shutil

import pytest

from tests.report.stories import ALL, NASTY

FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens a page and returns (page, troubles)."""
    opened = []

    def go(folder, width):
        page = browser.new_page(viewport={"width": width, "height": 900})
        opened.append(page)
        troubles = []
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        address = (folder / "report.html").as_uri()
        page.on(
            "request",
            lambda r: None if r.url == address or r.url.startswith("data:") else troubles.append(f"request: {r.url}"),
        )
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        return page, troubles

    yield go
    for page in opened:
        page.close()


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", ALL)
def test_page_is_quiet_and_fits(visit, folders, name, width):
    page, troubles = visit(folders[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.readyState") == "complete"
    assert troubles == []


@pytest.mark.parametrize("width", [1280, 360])
def test_figures_are_seen_once_and_text_is_readable(visit, folders, width):
    page, _ = visit(folders["busy"], width)
    counted = page.evaluate(
        "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg')]"
        ".filter(s => s.getBoundingClientRect().width > 0).length)"
    )
    assert counted and set(counted) == {1}
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0)"
        ".flatMap(s => [...s.querySelectorAll('text')].map(t => t.getBoundingClientRect().height)))"
    )
    assert smallest >= 7


def test_hostile_names_stay_text(visit, folders):
    page, troubles = visit(folders["hostile"], 1280)
    for tag in ("img", "script", "iframe", "object", "embed", "form", "a"):
        assert page.locator(tag).count() == 0
    assert page.evaluate("[...document.querySelectorAll('*')].filter(e => e.onload || e.onerror).length") == 0
    shown = page.evaluate("document.body.textContent")
    assert NASTY[0] in shown and NASTY[1] in shown and "$x^2$" in shown
    assert troubles == []


def test_tables_scroll_in_their_box(visit, folders):
    page, _ = visit(folders["hostile"], 360)
    boxes = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(b => [b.getBoundingClientRect().right, b.scrollWidth])"
    )
    assert all(right <= 360 for right, _ in boxes)
    assert any(inside > 360 for _, inside in boxes)
