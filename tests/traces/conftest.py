"""What the tests of the traces share: the foreign data, and files written by hand."""

import gzip
import os
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Path:
    """The folder of the foreign data; the test is skipped where it is not at hand."""
    folder = os.environ.get("KSCALE_DATA")
    if not folder:
        pytest.skip("KSCALE_DATA is not set: it names the folder with the foreign data")
    return Path(folder) / "data"


@pytest.fixture
def write(tmp_path):
    """Writes a text (or bytes) to a file and returns its path; a name that ends in .gz is packed."""

    def _write(name, content):
        raw = content if isinstance(content, bytes) else content.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return _write
