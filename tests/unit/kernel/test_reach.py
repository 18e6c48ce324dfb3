"""`harness bases`: what is here, what can be had, within seconds and without a guess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from harness.kernel.series import lore
from harness.kernel.source.reach import Status, survey
from harness.project.config import Project
from harness.project.reading import load
from tests.places import FAKE_LINUX

MORE = """
[bases.mailed]
kind = "git"
urls = ["http://127.0.0.1:1/a.git", "/none/b.git"]
ref = "next-20210812"
series = "letter"
[bases.stick]
kind = "tarball"
urls = ["linux.tar"]
sha256 = "%s"
[bases.gone]
kind = "dir"
path = "nowhere"
variants = ["before"]
[series.letter]
kind = "lore"
message_id = "a@b"
version = 2
patches = 9
""" % ("0" * 64)


@pytest.fixture
def bases(project: Project) -> Project:
    toml = project.root / "harness.toml"
    toml.write_text(toml.read_text() + MORE)
    return load(project.root)


def ask(workspace: Workspace, project: Project) -> dict[str, Status]:
    return {status.name: status for status in survey(workspace, project, list(
        project.config.bases
    ))}


def test_each_kind_says_what_is_here_and_what_can_be_had(
    workspace: Workspace, bases: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lore, "ARCHIVE", "http://127.0.0.1:1")
    start = time.monotonic()
    found = ask(workspace, bases)
    assert time.monotonic() - start < 20
    fake, mailed, stick, gone = (found[n] for n in ("fake", "mailed", "stick", "gone"))
    assert (fake.cached, fake.reachable, fake.variants) == ("6.1.999", "yes", ["before", "after"])
    assert fake.series == "kernel/patches/fake"
    assert mailed.cached == "" and not mailed.pinned
    assert mailed.reachable == (
        "no: http://127.0.0.1:1/a.git: cannot be reached; /none/b.git: no git repository there"
    )
    assert "letter (from http://127.0.0.1:1, which cannot be reached" in mailed.series
    assert stick.pinned and stick.reachable == "no: no file linux.tar"
    assert gone.reachable.startswith("no: no directory") and gone.cached == ""
    (bases.root / "linux.tar").write_text("")
    (workspace.root / "series").mkdir()
    assert ask(workspace, bases)["stick"].reachable == "yes"


def test_command_lists_refreshes_and_refuses_unknown_names(
    bases: Project, tmp_path: Path
) -> None:
    def harness(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", "bases", "--workspace", str(tmp_path / "ws"), *words],
            cwd=bases.root, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(FAKE_LINUX.parents[1])},
        )

    (one,) = json.loads(harness("fake", "--json").stdout)
    assert one["kind"] == "dir" and one["cached"] == "6.1.999"
    done = harness("--refresh", "fake")
    assert done.returncode == 0 and "6.1.999 is what there is" in done.stderr
    done = harness("fak")
    assert done.returncode == 2 and "did you mean 'fake'" in done.stderr
    done = harness("--fetch", "mailed")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "http://127.0.0.1:1/a.git: cannot be reached" in done.stderr
