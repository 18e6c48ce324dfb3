"""Signals that ask the harness to stop, wherever in the code they arrive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT

# Runs as a module, as `python -m harness` does; the signal arrives in an exec() of a string, as
# dataclasses make one of while a module is imported.
PROBE = """
import os, signal, types
from harness import __main__ as entry

def app(standalone_mode):
    exec("os.kill(os.getpid(), signal.SIGTERM)\\nwhile True: pass")

import sys
sys.modules["harness.cli.app"] = types.SimpleNamespace(app=app)
entry.main()
"""


def test_a_signal_in_the_middle_of_an_import_has_the_exit_code_of_all_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    done = subprocess.run(
        [sys.executable, "-m", "probe"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
