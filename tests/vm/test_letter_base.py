"""`harness bench --base next-20210812`, rehearsed to the report over local stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.workspace import default_root
from tests.guests import Harness
from tests.rehearsal import TAG, THREAD, rehearse

pytestmark = pytest.mark.vm


def test_from_servers_to_a_report(harness: Harness, tmp_path: Path) -> None:
    """The tree is a small one whose image is a copy of `before`, so that guests boot it."""
    (before,) = json.loads(harness("build", "--variant", "before", "--json").out)
    kernel = Path(before["directory"]) / "bzImage"
    workspace = tmp_path / "ws"
    workspace.mkdir()
    for part in ("images", "programs"):  # made once, for all tests
        (workspace / part).symlink_to(default_root() / part)
    with rehearse(tmp_path, kernel) as letter:
        out = tmp_path / "run"
        done = letter.harness(
            "bench", "--base", TAG, "--workload", "multi-fault", "--threads", "1", "--boots", "1",
            "--repeat", "1", "--duration", "1", "--accel", "tcg", "--out", str(out),
        )
        assert done.returncode == 0, done.stderr
        commit, tag = letter.commit, letter.tag
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "complete"
    text = json.dumps(run)
    for word in (commit, tag, THREAD.format(1), f"{TAG}-hrtimer", "f80e21489590"):
        assert word in text
    report = (out / "report.md").read_text()
    assert f"{TAG}-hrtimer" in report, "the report does not say that the base was repaired"
    assert "0009-mm-part-9.patch" in report
