"""Choose the recordings that are kept here: ``KSCALE_DATA=folder python -m tests.golden``."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

from tests.golden.recordings import FAMILIES, FILE, NotModelled, play, recordings

#: Of each family, one recording of so many is kept, so that the file stays below 300 kB.
EVERY = 3


def main() -> None:
    kept = []
    for family in FAMILIES:
        modelled = []
        for recording in recordings(Path(os.environ["KSCALE_DATA"]), family):
            try:
                play(recording)
            except NotModelled:
                continue
            modelled.append(recording)
        kept += modelled[::EVERY]
    text = json.dumps(kept, separators=(",", ":"))
    FILE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    pods = sum(len(recording["pods"]) for recording in kept)
    print(f"{len(kept)} recordings, {pods} pods, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
