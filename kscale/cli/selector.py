"""Label selectors as kubectl's ``-l`` takes them: ``app=web,tier!=db,zone in (a,b),!old``."""

from __future__ import annotations

import re

from kscale.errors import InputError
from kscale.state.descriptions import Selector
from kscale.state.labels import Requirement
from kscale.state.manifests.names import check_key, check_value
from kscale.state.manifests.selectors import selector_of

_OPTION = "--selector"
_FORMS = "key=value, key!=value, key in (a,b), key notin (a,b), key or !key, separated by commas"
_KEY = r"([^\s!=,()<>]+)"
#: One requirement, up to the comma or the end: a set, an equality, or a key that is there or not.
_SET = re.compile(rf"\s*{_KEY}\s+(in|notin)\s*\(([^()]*)\)\s*(?:,|\Z)")
_EQUAL = re.compile(rf"\s*{_KEY}\s*(==|=|!=)\s*([^\s!=,()<>]*)\s*(?:,|\Z)")
_THERE = re.compile(rf"\s*(!?)\s*{_KEY}\s*(?:,|\Z)")


def parse_selector(text: str) -> Selector:
    """Return the selector that a text states; an empty one selects everything. Raises InputError."""
    found: list[Requirement] = []
    position = 0
    while position < len(text) and text.strip():
        if match := _SET.match(text, position):
            values = tuple(sorted({value.strip() for value in match[3].split(",")}))
            found.append(Requirement(match[1], "In" if match[2] == "in" else "NotIn", values))
        elif match := _EQUAL.match(text, position):
            found.append(Requirement(match[1], "NotIn" if match[2] == "!=" else "In", (match[3],)))
        elif match := _THERE.match(text, position):
            found.append(Requirement(match[2], "DoesNotExist" if match[1] else "Exists", ()))
        else:
            raise InputError(f"cannot be read at '{text[position:][:80].strip()}'", field=_OPTION, expected=_FORMS)
        position = match.end()
        if position == len(text) and text.rstrip().endswith(","):
            raise InputError("ends with a comma", field=_OPTION, expected=_FORMS)
    for requirement in found:
        check_key(requirement.key, _OPTION)
        for value in requirement.values:
            check_value(value, _OPTION)
    return selector_of(found)
