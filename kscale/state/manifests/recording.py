"""Recordings: scenarios of Kubernetes objects, and what the real kube-scheduler decided on them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError

#: Most bytes of a recording; they are decoded as a whole.
_MOST = 1 << 30


class _Pod(msgspec.Struct):
    pod: str
    status: str


class _Result(msgspec.Struct):
    pods: list[_Pod]
    name: str = ""
    nodes: list[str] = []
    statuses: list[dict[str, Any]] = []
    profiles: dict[str, dict[str, Any]] = {}
    compact: bool = False


class _Scenario(msgspec.Struct):
    objects: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    name: str = ""
    config: str | None = None


class _Recording(msgspec.Struct):
    scenario: _Scenario
    result: _Result


def read_recording(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a recording's scenario and result. Raises InputError."""
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.open(file) as stream:
                data = stream.read(_MOST + 1)
        if len(data) > _MOST:
            raise InputError("is too large", file=file, expected="at most 1 GiB")
        msgspec.json.decode(data, type=_Recording)
        whole = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile, RecursionError) as error:
        raise InputError(f"is no recording: {error}", file=file, expected='{"scenario": …, "result": …}') from None
    scenario, result = whole["scenario"], whole["result"]
    if len(scenario["pending"]) != len(result["pods"]):
        raise InputError(
            f"has {len(scenario['pending'])} pending pods and results for {len(result['pods'])}", file=file,
            expected="one result for each",
        )  # fmt: skip
    return scenario, {"name": scenario.get("name", ""), **result}
