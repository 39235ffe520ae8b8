"""Names, label keys and label values, as the API server takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kscale.errors import InputError

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?", re.ASCII)
_KEY = re.compile(r"(?:([^/]*)/)?([A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)", re.ASCII)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_LONGEST = 253
# What has been found good: the same keys and values come with thousands of objects.
_MOST = 1 << 16
_good_keys: set[str] = set()
_good_values: set[str] = set()


def check_name(name: str, field: str = "metadata.name", what: str = "name") -> str:
    """Return a name (a DNS subdomain). Raises InputError."""
    if len(name) > _LONGEST or _NAME.fullmatch(name) is None:
        raise InputError(
            f"'{name[:80]}' is not a {what}",
            field=field,
            expected="at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends",
        )
    return name


def check_key(key: str, field: str) -> str:
    """Return a label key. Raises InputError."""
    if key in _good_keys:
        return key
    found = _KEY.fullmatch(key) if len(key) <= _LONGEST + 64 else None
    prefix = found[1] if found else ""
    if found is None or (prefix is not None and (len(prefix) > _LONGEST or _NAME.fullmatch(prefix) is None)):
        raise InputError(f"'{key[:80]}' is not a label key", field=field, expected="a Kubernetes label key")
    if len(_good_keys) < _MOST:
        _good_keys.add(key)
    return key


def check_value(value: str, field: str) -> str:
    """Return a label value. Raises InputError."""
    if value in _good_values:
        return value
    if len(value) > 63 or _VALUE.fullmatch(value) is None:
        raise InputError(
            f"'{value[:80]}' is not a label value",
            field=field,
            expected="at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        )
    if len(_good_values) < _MOST:
        _good_values.add(value)
    return value


def check_labels(labels: Mapping[str, str], field: str = "metadata.labels") -> None:
    """Check labels. Raises InputError."""
    if _good_keys.issuperset(labels) and _good_values.issuperset(labels.values()):
        return
    for key, value in labels.items():
        check_key(key, field)
        check_value(value, f"{field}.{key}")
