"""The laboratory from Python: build a kernel, look into it, measure it, read what came out.

Run it in the checkout: ``.venv/bin/python docs/example.py``. It takes half a minute once the
kernel is built. ``measure`` leaves the same files as ``harness bench``, see docs/records.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

from harness.lab import Lab
from harness.measure.planning import Overrides
from harness.report.analysis.analyse import analyse


def main(directory: Path) -> float:
    """Returns the kB of page tables that a loop over 50 GiB leaves behind."""
    lab = Lab()
    with lab.boot("before", smp=2) as session:
        print(session.run("uname -a").stdout.strip())
    few = Overrides(workloads=["vmpte"], boots=1, repeat=1)
    plan = lab.plan("quick", variants=["before"], overrides=few, smp=2)
    done = lab.measure(plan, directory / "run")
    row = next(row for row in analyse([done.directory]).rows if row.metric.name == "VmPTE")
    for column, boots in row.values.items():
        print(f"{column.label}, {row.cell}: {row.metric.name} {list(boots.values())} {row.unit}")
    return next(iter(boots.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp()))
