"""Lists the proofs that were skipped, and fails if the list is longer than the stored one.

Usage: python .ci/skipped.py JUNIT_XML… ; the stored lists are .ci/skipped.txt and, where there is no foreign data,
.ci/skipped-without-data.txt: one proof a line.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

stored = Path(__file__).parent / ("skipped.txt" if os.environ.get("KSCALE_DATA") else "skipped-without-data.txt")
known = {line.strip() for line in stored.read_text().splitlines() if line.strip()}
skipped: dict[str, str] = {}
counts = {"passed": 0, "failed": 0, "skipped": 0}
for file in sys.argv[1:]:
    for case in ElementTree.parse(file).iter("testcase"):
        reason = case.find("skipped")
        failed = case.find("failure") is not None or case.find("error") is not None
        counts["failed" if failed else "passed" if reason is None else "skipped"] += 1
        if reason is not None:
            name = f"{Path(file).stem}: {case.get('classname')}::{(case.get('name') or '').partition('[')[0]}"
            skipped[name] = reason.get("message") or ""
for name, message in sorted(skipped.items()):
    print(f"skipped: {name}: {message}")
new = sorted(set(skipped) - known)
for name in new:
    print(f"not in {stored.name}: {name}", file=sys.stderr)
print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
sys.exit(1 if len(skipped) > len(known) or counts["failed"] else 0)
