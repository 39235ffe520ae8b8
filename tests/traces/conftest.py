"""What the tests of the traces share: the foreign data, and files written by hand."""

import gzip
import os
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Path:
    """The folder of the foreign data, for tests that are marked to need it."""
    return Path(os.environ["KSCALE_DATA"]) / "data"


@pytest.fixture
def write(tmp_path):
    """Writes a text (or bytes) to a file and returns its path; a name that ends in .gz is packed."""

    def _write(name, content):
        raw = content if isinstance(content, bytes) else content.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return _write
