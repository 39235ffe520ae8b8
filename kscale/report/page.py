"""report.html: one page that stands alone. No script, no request; names from the input are text and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kscale.report import parts, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def html(summary: Summary, figures: Iterable[tuple[Figure, str, str, str]]) -> str:
    """Return the page; ``figures`` gives figure, finding, wide SVG and narrow SVG in the order of the page."""
    body = [
        _head(summary),
        _tiles(summary),
        *(_figure(summary, figure, finding, wide, narrow) for figure, finding, wide, narrow in figures),
        *(_section(name, heading, table) for name, heading, table in parts.sections(summary)),
        _speed(summary),
        _trust(summary),
    ]
    return document(f"Capacity report: {summary.verdict.headline}", body)


def document(title: str, body: Iterable[str]) -> str:
    """Return a page with this title, which is escaped here, and these parts, which are HTML already."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{text.escape_html(title, 140)}</title>\n"
        f"<style>\n{css}</style>\n</head>\n<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n"
    )


def _details(label: str, inside: str) -> str:
    return f"<details><summary>{label}</summary>{inside}</details>\n"


def _head(summary: Summary) -> str:
    run = summary.run
    names = [Path(i.path).name for i in run.inputs if i.role in ("trace", "nodes")] or ["run"]
    span = "arrivals only" if summary.inflate else f"{text.duration(run.horizon_us)} of virtual time"
    policy = run.configuration.get("policy")
    facts = [*names, text.plural(summary.pools.nodes, "node"), text.plural(summary.arrived, "pod"), span]
    meta = " · ".join(text.escape_html(f, 60) for f in [*facts, *([f"policy {policy}"] if policy else [])])
    table = parts.checks(summary)
    return (
        f'<header><p class="eyebrow">Capacity report</p><p class="meta">{meta}</p></header>\n'
        f'<h1 class="{parts.mood(summary)}">{parts.mark(summary)} {text.escape_html(summary.verdict.headline)}</h1>\n'
        f'<p class="lead">{text.escape_html(summary.verdict.sentence, 900)}</p>\n'
        + (f'<section class="close"><h2>Checks</h2>{_checked(table)}</section>\n' if table.rows else "")
    )


def _checked(table: Table) -> str:
    marked = table.html()
    marked = marked.replace("<td>✓ held</td>", '<td class="good">✓ held</td>')
    return marked.replace("<td>✗ not held</td>", '<td class="bad">✗ not held</td>')


def _tiles(summary: Summary) -> str:
    tiles = "".join(
        f'<div class="tile"><div class="name">{text.escape_html(t.name, 60)}</div><b>{text.escape_html(t.value)}</b>'
        f'<div class="more">{text.escape_html(t.more)}</div>{_spark(t.series)}</div>'
        for t in parts.tiles(summary)
    )
    return f'<section><h2>Key figures</h2><div class="tiles" style="margin-top:14px">{tiles}</div></section>\n'


def _spark(series: tuple[float, ...]) -> str:
    if not series:
        return ""
    top = max(series) or 1
    step = 200 / (len(series) - 1)
    points = " ".join(f"{k * step:.1f},{29 - 27 * v / top:.1f}" for k, v in enumerate(series))
    return (
        '<svg viewBox="0 0 200 30" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon points="0,30 {points} 200,30" style="fill:var(--accent);opacity:.14"/>'
        f'<polyline points="{points}" style="fill:none;stroke:var(--accent);stroke-width:1.5" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def _figure(summary: Summary, figure: Figure, finding: str, wide: str, narrow: str) -> str:
    title = text.escape_html(finding)
    drawn = "".join(
        f'<div class="{kind}" role="img" aria-label="{title}">{svg}</div>'
        for kind, svg in (("wide", wide), ("narrow", narrow))
    )
    return (
        f'<section id="{figure.name}"><h2>{text.escape_html(figure.question)}</h2><h3>{title}</h3>\n'
        f"<figure>{drawn}</figure>\n"
        f'<p class="reading">{text.escape_html(figure.reading(summary), 900)}</p>\n'
        f"{_details('Show the data', figure.table(summary).html())}</section>\n"
    )


def _section(name: str, heading: str, table: Table) -> str:
    return f'<section id="{name}"><h2>{heading}</h2>{table.html()}</section>\n'


def _speed(summary: Summary) -> str:
    finding, stages = parts.speed(summary)
    most = max((s for _, s in stages), default=0) or 1
    rows = "".join(
        f'<tr><td>{text.escape_html(name, 60)}</td><td class="n">{text.duration(round(1e6 * s))}</td>'
        f'<td class="bars"><span class="bar" style="width:{100 * s / most:.1f}%"></span></td></tr>'
        for name, s in stages
    )
    table = f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>' if rows else ""
    reading = "Wall time of the simulator itself, by stage; it says nothing about the cluster."
    return (
        f'<section id="speed"><h2>The run\'s own speed</h2><h3>{text.escape_html(finding)}</h3>{table}'
        f'<p class="reading">{reading}</p></section>\n'
    )


def _trust(summary: Summary) -> str:
    run = summary.run
    facts = "".join(
        f'<tr><th scope="row">{name}</th><td class="{"hash" if "fingerprint" in name else "fact"}" '
        f'style="max-width:none">{text.escape_html(value, 2000)}</td></tr>'
        for name, value in parts.facts(summary)
    )
    notes = "".join(f"<li>{text.escape_html(note)}</li>" for note in parts.notes(summary))
    dropped = parts.dropped(summary)
    inputs = parts.inputs(summary)
    return (
        '<section id="trust"><h2>Can this be trusted, and repeated?</h2>'
        "<h3>Same inputs and seed give the same fingerprint</h3>"
        f"<h4>Repeat it</h4><pre><code>{text.escape_html(run.command, 4000)}</code></pre>"
        f'<h4>The run</h4><div class="scroll"><table><tbody>{facts}</tbody></table></div>'
        f"<h4>Inputs</h4>{inputs.html() if inputs.rows else '<p>None.</p>'}"
        f"<h4>Assumed, mapped, not modelled</h4>{f'<ul>{notes}</ul>' if notes else '<p>Nothing was noted.</p>'}"
        f"{f'<h4>Rows left out (--lenient)</h4>{dropped.html()}' if dropped else ''}"
        f"{_details('Show every option of the run', parts.configuration(summary).html())}"
        "</section>\n<footer>All times are virtual unless they are called wall time. Data behind this page: "
        "the Parquet tables beside it.</footer>\n"
    )
