"""The letter's way in the small: its tag from git, its series from a mailbox, by command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.project.config import Project
from tests.places import FAKE_LINUX
from tests.unit.kernel.test_gittree import TAG, Repository, upstream
from tests.unit.kernel.test_mailseries import Mails, thread, write_mbox

__all__ = ["thread", "upstream"]  # fixtures

ROOT = FAKE_LINUX.parents[1]


@pytest.fixture
def checkout(project: Project, thread: Mails, upstream: Repository) -> Path:
    """A checkout whose base has the real one's name and URLs, and its series in a mailbox."""
    real = tomllib.loads((ROOT / "harness.toml").read_text())["bases"][TAG]
    write_mbox(project.root / "letter.mbox", thread)
    toml = project.root / "harness.toml"
    toml.write_text(
        toml.read_text().replace('series = "kernel/patches/{base}"', 'series = "{series}"') + f"""
[bases.{TAG}]
kind = "git"
urls = {json.dumps(real["urls"])}
ref = "{real["ref"]}"
commit = "{upstream.commit}"
config = ["guest"]
series = "letter"
[series.letter]
kind = "mbox"
path = "letter.mbox"
version = 2
patches = 3
"""
    )
    return project.root


def harness(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words, "--workspace", str(checkout / "ws")],
        cwd=checkout, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_before_and_after_on_the_letters_base(checkout: Path, upstream: Repository) -> None:
    done = harness(checkout, "build", "--base", TAG, "--from", str(upstream.tree), "--json")
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    assert (before["variant"], after["variant"]) == ("before", "after")
    for build in (before, after):
        assert build["base"] == TAG
        details = build["source"]["details"]
        assert details["commit"] == upstream.commit and details["pinned"] == "yes"
        assert details["ref"] == TAG
    assert before["patches"] == [] and len(after["patches"]) == 3
    reproducer = (Path(after["directory"]) / "reproducer.sh").read_text()
    assert f"commit {upstream.commit} ({TAG})" in reproducer
    again = harness(checkout, "build", "--base", TAG, "--dry-run")
    assert again.stdout.count("nothing to do") == 2, "--from was needed a second time"


def test_variant_of_another_base_is_refused(checkout: Path) -> None:
    toml = checkout / "harness.toml"
    toml.write_text(toml.read_text() + '[variants.other]\nbase = "fake"\n')
    done = harness(checkout, "build", "--base", TAG, "--variant", "other")
    assert done.returncode == 2
    assert f"variant other is of base fake, not {TAG}" in done.stderr
    done = harness(checkout, "build", "--base", "next-20210813")
    assert done.returncode == 2 and f"did you mean '{TAG}'" in done.stderr
