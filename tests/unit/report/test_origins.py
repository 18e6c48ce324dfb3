"""What the numbers were made with, as it is shown: trees that had to be mended say so."""

from __future__ import annotations

import json
from pathlib import Path

from harness.records.store import RUN_FILE
from harness.report.analysis.analyse import analyse
from harness.report.pages import origins
from tests.unit.report.make_run import MakeRun


def test_compat_rules_and_patches_are_told(tmp_path: Path) -> None:
    directory = MakeRun(tmp_path / "r").write()
    record = json.loads((directory / RUN_FILE).read_text())
    for kernel in record["kernels"].values():
        kernel["compat"] = [{"name": "snapshot-hrtimer", "reason": "it does not boot"}]
        kernel["patches"].insert(0, {"name": "hrtimer.patch", "sha256": "cd" * 32,
                                     "kind": "compat"})
    (directory / RUN_FILE).write_text(json.dumps(record))
    (run,) = analyse([directory]).data.runs
    told = {row[0]: row[1] for row in origins.run_table(run).rows}
    assert told["trees were mended"] == "snapshot-hrtimer: it does not boot (before, after)"
    patches = [row[4] for row in origins.kernel_table(run).rows]
    assert patches[0] == "hrtimer.patch cdcdcdcdcdcd (compat)"
    assert patches[1] == "hrtimer.patch cdcdcdcdcdcd (compat), 0001-mm.patch abababababab"
