"""Calico's selectors: read, and tried on labels of many endpoints at once.

The syntax is that of projectcalico.org/v3: ``key == "value"``, ``!=``, ``in {…}``, ``not in {…}``, ``contains``,
``starts with``, ``ends with``, ``has(key)``, ``all()``, ``global()``, ``!``, ``&&``, ``||`` and parentheses; ``&&``
binds closer than ``||``. ``!=`` and ``not in`` hold where there is no such label. An empty selector is ``all()``.
(projectcalico/calico, libcalico-go/lib/selector.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError

Bools = npt.NDArray[np.bool_]

#: A key may be this long (libcalico-go, tokenizer: LabelKeyMatcher).
_LONGEST_KEY = 512
#: Parentheses in parentheses; Calico has no limit, a person has.
_DEEPEST = 50
_TOKEN = re.compile(
    r"""[ \t]*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<call>has\(|all\(|global\()
      | (?P<sign>==|!=|&&|\|\||[!(){},])
      | (?P<key>[A-Za-z0-9_./-]+)
    )""",
    re.VERBOSE,
)
_OPERATOR = re.compile(r"[ \t]*(?:(contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)|(==|!=))")
_EXPECTED = "a selector of Calico's, such as app == 'web' && has(tier)"


class Expression:
    """A selector, or a part of one."""


@dataclass(frozen=True)
class Always(Expression):
    """``all()`` or, among namespaces, ``global()``: endpoints without a namespace."""

    namespaced: bool = True


@dataclass(frozen=True)
class Has(Expression):
    """``has(key)``."""

    key: str


@dataclass(frozen=True)
class Compare(Expression):
    """A label against values; ``operator`` is ``in``, ``not in``, ``contains``, ``starts with`` or ``ends with``."""

    key: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Negation(Expression):
    """``!part``."""

    part: Expression


@dataclass(frozen=True)
class Both(Expression):
    """Parts joined by ``&&``."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Either(Expression):
    """Parts joined by ``||``."""

    parts: tuple[Expression, ...]


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str, field: str | None = None) -> Expression:
    """Return a selector; an empty one is ``all()``. Raises InputError that says what is wrong, and where."""
    return _Parser(text, field).whole()


class _Parser:
    """Reads one selector, token by token."""

    def __init__(self, text: str, field: str | None) -> None:
        self._text, self._field = text, field
        self._tokens = list(self._tokenised())
        self._place = self._depth = 0

    def _refuse(self, problem: str, at: int) -> InputError:
        return InputError(
            f"'{self._text[:200]}': {problem} at character {at + 1}", field=self._field, expected=_EXPECTED
        )

    def _tokenised(self) -> Iterator[_Token]:
        at, end = 0, len(self._text.rstrip(" \t"))
        last = ""
        while at < end:
            operator = _OPERATOR.match(self._text, at) if last == "key" else None
            found = operator or _TOKEN.match(self._text, at)
            if found is None:
                rest = self._text[at:].lstrip(" \t")
                start = len(self._text) - len(rest)
                open_text = rest[0] in "\"'"
                raise self._refuse("a text without its end" if open_text else f"unexpected '{rest[:1]}'", start)
            if operator is not None:
                last, text = "operator", "".join((operator[1] or operator[2]).split())
            else:
                last, text = found.lastgroup or "", found[found.lastgroup or 0]
            if last == "key" and len(text) > _LONGEST_KEY:
                raise self._refuse(f"a key of more than {_LONGEST_KEY} characters", found.start(last))
            yield _Token(last, text, found.end() - len(text))
            at = found.end()
        yield _Token("end", "", end)

    def whole(self) -> Expression:
        """Return the whole selector."""
        if len(self._tokens) == 1:
            return Always()
        result = self._either()
        if self._now.kind != "end":
            raise self._refuse(f"unexpected '{self._now.text}'", self._now.at)
        return result

    @property
    def _now(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *texts: str, kind: str = "sign") -> bool:
        if self._now.kind != kind or self._now.text not in texts:
            return False
        self._place += 1
        return True

    def _joined(self, sign: str, part: Callable[[], Expression]) -> list[Expression]:
        parts = [part()]
        while self._take(sign):
            parts.append(part())
        return parts

    def _either(self) -> Expression:
        parts = self._joined("||", self._both)
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Expression:
        parts = self._joined("&&", self._operation)
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _operation(self) -> Expression:
        negated = False
        while self._take("!"):
            negated = not negated
        result = self._positive()
        return Negation(result) if negated else result

    def _positive(self) -> Expression:
        token = self._now
        if token.kind == "call":
            self._place += 1
            return self._call(token)
        if token.kind == "key":
            self._place += 1
            return self._compared(token)
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._refuse(f"more than {_DEEPEST} parentheses in each other", token.at)
            result = self._either()
            self._close()
            self._depth -= 1
            return result
        raise self._refuse("something is missing" if token.kind == "end" else f"unexpected '{token.text}'", token.at)

    def _close(self) -> None:
        if not self._take(")"):
            raise self._refuse("expected ')'", self._now.at)

    def _call(self, token: _Token) -> Expression:
        key = self._now
        if token.text == "has(":
            if key.kind != "key":
                raise self._refuse("expected a label's key", key.at)
            self._place += 1
        self._close()
        return Has(key.text) if token.text == "has(" else Always(token.text == "all(")

    def _compared(self, key: _Token) -> Expression:
        operator = self._now
        if operator.kind != "operator":
            raise self._refuse(f"expected an operator after '{key.text[:80]}'", operator.at)
        self._place += 1
        name = _NAMES[operator.text]
        if operator.text in ("in", "notin"):
            return Compare(key.text, name, self._set())
        value = self._value("expected a text in quotation marks")
        return Compare(key.text, name, (value,))

    def _value(self, problem: str) -> str:
        token = self._now
        if token.kind != "text":
            raise self._refuse(problem, token.at)
        self._place += 1
        return token.text[1:-1]

    def _set(self) -> tuple[str, ...]:
        if not self._take("{"):
            raise self._refuse("expected '{'", self._now.at)
        found = set()
        while self._now.kind == "text":
            found.add(self._value(""))
            if not self._take(","):
                break
        if not self._take("}"):
            raise self._refuse("expected '}'", self._now.at)
        return tuple(sorted(found))


_NAMES = {
    "==": "in", "!=": "not in", "in": "in", "notin": "not in",
    "contains": "contains", "startswith": "starts with", "endswith": "ends with",
}  # fmt: skip
_TRIED: Mapping[str, Callable[[str, str], bool]] = {
    "contains": str.__contains__, "starts with": str.startswith, "ends with": str.endswith,
}  # fmt: skip


class LabelColumns:
    """Labels of many endpoints by key: what each distinct value is, and which of them an endpoint has (-1: none).

    Attributes:
        rows: how many endpoints there are.
    """

    def __init__(self, labels: Sequence[Mapping[str, str]]) -> None:
        self.rows = len(labels)
        self._values: dict[str, dict[str, int]] = {}
        self._codes: dict[str, npt.NDArray[np.int32]] = {}
        for row, own in enumerate(labels):
            for key, value in own.items():
                known = self._values.setdefault(key, {})
                if key not in self._codes:
                    self._codes[key] = np.full(self.rows, -1, np.int32)
                self._codes[key][row] = known.setdefault(value, len(known))

    def matches(self, expression: Expression, namespaced: Bools | None = None) -> Bools:
        """Return which endpoints a selector holds for, bool of shape (rows,).

        Args:
            expression: the selector.
            namespaced: which endpoints have a namespace, where ``all()`` and ``global()`` are to tell them apart (a
                ``namespaceSelector``); without it both hold for all.
        """
        if isinstance(expression, Always):
            if namespaced is None:
                return np.ones(self.rows, bool)
            return namespaced.copy() if expression.namespaced else ~namespaced
        if isinstance(expression, Negation):
            return ~self.matches(expression.part, namespaced)
        if isinstance(expression, (Both, Either)):
            join = np.logical_and if isinstance(expression, Both) else np.logical_or
            result = self.matches(expression.parts[0], namespaced)
            for part in expression.parts[1:]:
                join(result, self.matches(part, namespaced), out=result)
            return result
        if isinstance(expression, Has):
            codes = self._codes.get(expression.key)
            return np.zeros(self.rows, bool) if codes is None else codes >= 0
        assert isinstance(expression, Compare)
        return self._compared(expression)

    def _compared(self, expression: Compare) -> Bools:
        codes = self._codes.get(expression.key)
        negative = expression.operator == "not in"
        if codes is None:
            return np.full(self.rows, negative)
        known = self._values[expression.key]
        # One more than there are values: the last stands for a label that is missing.
        table = np.zeros(len(known) + 1, bool)
        if expression.operator in _TRIED:
            tried = _TRIED[expression.operator]
            for value, code in known.items():
                table[code] = tried(value, expression.values[0])
        else:
            table[[known[value] for value in expression.values if value in known]] = True
        return ~table[codes] if negative else table[codes]
