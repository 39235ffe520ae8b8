"""A small table of words, and how each medium writes it; cells are cleaned and escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kscale.report import text


@dataclass(frozen=True)
class Table:
    """Rows of words, already formatted but not escaped.

    Attributes:
        columns: headings.
        rows: as many cells each as there are headings.
        numbers: indices of the columns that hold numbers.
        note: a line below it, for example what was left out.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numbers: tuple[int, ...] = ()
    note: str = ""

    def html(self) -> str:
        """Return it as an HTML table in a box that scrolls."""
        kinds = [' class="n"' if k in self.numbers else "" for k in range(len(self.columns))]
        head = "".join(
            f'<th scope="col"{kind}>{text.escape_html(name)}</th>'
            for kind, name in zip(kinds, self.columns, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(f"<td{k}>{text.escape_html(cell, 160)}</td>" for k, cell in zip(kinds, row, strict=True))
            + "</tr>"
            for row in self.rows
        )
        note = f'<p class="note">{text.escape_html(self.note)}</p>' if self.note else ""
        box = (
            f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )
        return box + note

    def markdown(self, limit: int = 1000) -> str:
        """Return it as a Markdown table of at most ``limit`` rows; what is cut is said."""
        head = " | ".join(text.escape_markdown(name) for name in self.columns)
        rule = " | ".join("---:" if k in self.numbers else "---" for k in range(len(self.columns)))
        lines = [f"| {head} |", f"| {rule} |"]
        for row in self.rows[:limit]:
            lines.append(f"| {' | '.join(text.escape_markdown(cell, 160) for cell in row)} |")
        if len(self.rows) > limit:
            lines += ["", f"*{limit} of {len(self.rows)} rows.*"]
        if self.note:
            lines += ["", f"*{text.escape_markdown(self.note)}*"]
        return "\n".join(lines)


def spaced(count: int, most: int) -> list[int]:
    """Return at most ``most`` row indices out of ``count``, evenly spaced, first and last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})
