"""Versions as they are written."""

from __future__ import annotations

import pytest

from kscale.errors import InputError
from kscale.network.versions import kernel_version, kubernetes_version, version_of, written


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.34", (1, 34)), ("v1.34.1", (1, 34)), ("v1.31.0-eks-a5ec690", (1, 31)), ("6.8.0-45-generic", (6, 8)),
        ("5.15.167.4-microsoft-standard-WSL2", (5, 15)), ("6.1.0", (6, 1)), ("99.99", (99, 99)),
    ],
)  # fmt: skip
def test_what_follows_the_minor_version_is_let_be(text, version):
    assert version_of(text, "x") == version
    assert written(version) == f"{version[0]}.{version[1]}"


@pytest.mark.parametrize("text", ["", "1", "one.two", "1.x", "v.1", "-1.34", "1.34000", "100.1", "1.100", " 1.34"])
def test_what_is_no_version_is_told(text):
    with pytest.raises(InputError, match=r"field 'node': '.*' is no version; expected one like 1\.34 or 6\.8"):
        version_of(text, "node")


def test_versions_that_cannot_be_are_told():
    assert kubernetes_version("1.0", "--kubernetes") == (1, 0) and kernel_version("2.0", "--kernel") == (2, 0)
    with pytest.raises(InputError, match=r"'2\.0' is no version of Kubernetes"):
        kubernetes_version("2.0", "--kubernetes")
    with pytest.raises(InputError, match=r"'1\.34' is no kernel"):
        kernel_version("1.34", "--kernel")
