"""report.md: the report in short, for a pull request or a step summary; never more than one mebibyte."""

from __future__ import annotations

from collections.abc import Iterable

from kscale.report import parts, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary

ROWS = 15
_CUT = "\n\n*Cut here: a summary may hold 1 MiB. The rest is in report.html.*\n"


def markdown(summary: Summary, figures: Iterable[tuple[Figure, str]], limit: int = text.SUMMARY_LIMIT) -> str:
    """Return the report as Markdown of at most ``limit`` bytes; ``figures`` gives figure and finding."""
    blocks = _top(summary)
    for figure, finding in figures:
        blocks += [
            f"## {text.escape_markdown(figure.question)}",
            f"**{text.escape_markdown(finding)}**",
            f"![{figure.name}](figures/{figure.name}.svg)",
            text.escape_markdown(figure.reading(summary), 900),
            figure.table(summary).markdown(ROWS),
        ]
    return text.cut("\n\n".join([*blocks, *_trust(summary)]) + "\n", limit, _CUT)


def top(summary: Summary) -> str:
    """Return the beginning of the report: verdict, checks, key figures; no picture, so that it may stand elsewhere."""
    return "\n\n".join(_top(summary)) + "\n"


def _top(summary: Summary) -> list[str]:
    tiles = [f"| {text.escape_markdown(t.name)} | {text.escape_markdown(t.value)} | {text.escape_markdown(t.more)} |"
             for t in parts.tiles(summary)]  # fmt: skip
    checks = parts.checks(summary)
    return [
        "# Capacity report",
        f"**{parts.mark(summary)} {text.escape_markdown(summary.verdict.headline)}**",
        text.escape_markdown(summary.verdict.sentence, 900),
        *([checks.markdown()] if checks.rows else []),
        "## Key figures",
        "\n".join(["| what | value | |", "| --- | ---: | --- |", *tiles]),
    ]


def _trust(summary: Summary) -> list[str]:
    finding, _ = parts.speed(summary)
    blocks = []
    for _, heading, table in parts.sections(summary):
        blocks += [f"## {heading}", table.markdown(ROWS)]
    blocks += ["## The run's own speed", text.escape_markdown(finding)]
    rows = [f"| {name} | {text.escape_markdown(value, 2000)} |" for name, value in parts.facts(summary)]
    blocks += [
        "## Can this be trusted, and repeated?",
        _fenced(summary.run.command),
        "\n".join(["| what | value |", "| --- | --- |", *rows]),
        parts.inputs(summary).markdown(ROWS),
        "\n".join(f"- {text.escape_markdown(note)}" for note in parts.notes(summary)) or "Nothing was noted.",
    ]
    dropped = parts.dropped(summary)
    return [*blocks, *([dropped.markdown()] if dropped else [])]


def _fenced(command: str) -> str:
    """Return a command in a fence that no run of backticks in it can close."""
    words = text.clean(command, 4000)
    fence = "```"
    while fence in words:
        fence += "`"
    return f"{fence}sh\n{words}\n{fence}"
