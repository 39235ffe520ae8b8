"""Versions of Kubernetes and of kernels, as they are written."""

from __future__ import annotations

import re

from kscale.errors import InputError

#: (major, minor): what follows decides nothing here.
Version = tuple[int, int]
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?![\d])")
#: The highest major version, and the highest minor one, that is taken for a version at all.
_MOST = 99


def version_of(text: str, field: str) -> Version:
    """Return a version: ``1.34``, ``v1.34.1`` or ``6.8.0-45-generic``. Raises InputError."""
    found = _VERSION.match(text)
    version = (int(found[1]), int(found[2])) if found else None
    if version is None or max(version) > _MOST:
        raise InputError(f"'{text[:80]}' is no version", field=field, expected="one like 1.34 or 6.8")
    return version


def kubernetes_version(text: str, field: str) -> Version:
    """Return a version of Kubernetes. Raises InputError."""
    version = version_of(text, field)
    if version[0] != 1:
        raise InputError(f"'{text[:80]}' is no version of Kubernetes", field=field, expected="one like 1.34")
    return version


def kernel_version(text: str, field: str) -> Version:
    """Return a version of Linux since 2.0. Raises InputError."""
    version = version_of(text, field)
    if version < (2, 0):
        raise InputError(f"'{text[:80]}' is no kernel that has netfilter", field=field, expected="one like 6.8")
    return version


def written(version: Version) -> str:
    """Return a version as it is written: ``1.34``."""
    return f"{version[0]}.{version[1]}"
