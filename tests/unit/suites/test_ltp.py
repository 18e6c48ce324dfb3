"""LTP's interface: runtest files, exit codes, trees and tarballs, skip files."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.suites import ltp
from harness.suites.judgement import Outcome
from harness.suites.ltp_tree import open_tree
from tests.places import ROOT

TREE = (ROOT / "tests") / "ltptree"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "cache")


def test_runtest_files() -> None:
    text = "#DESCRIPTION:x\n\nmtest01 mtest01 -p80\n  alone\t\n# off off.sh\npipe sh -c 'a | b'\n"
    assert ltp.parse(text) == [
        ("mtest01", "mtest01 -p80"), ("alone", "alone"), ("pipe", "sh -c 'a | b'"),
    ]


def test_only_the_oom_tests_go_without_swap() -> None:
    assert "swapoff" not in ltp.command("swapping01")
    words = ltp.command("oom03")
    assert words.index("swapoff") < words.index("oom03") < words.index("swapon")


def test_exit_codes_are_bits() -> None:
    def word(code: int) -> str:
        return ltp.judge(Outcome(code, "")).word

    assert [word(c) for c in (0, 1, 2, 3, 4, 5, 32, 33, 34, 36)] == [
        "pass", "fail", "broken", "fail", "broken", "fail", "skip", "fail", "broken", "broken",
    ]
    assert [word(c) for c in (127, 139, -1, 255, 16)] == [
        "not run", "broken", "broken", "broken", "fail",
    ]


def test_a_reason_is_the_line_with_the_verdicts_mark() -> None:
    text = "a.c:1: TINFO: x\na.c:2: TFAIL: 1 != 2\na.c:3: TFAIL: later\nSummary:\nfailed 2\n"
    assert ltp.judge(Outcome(1, text)).reason == "1 != 2"
    assert ltp.judge(Outcome(32, "old01 0 TCONF : no swap\n")).reason == "no swap"
    assert ltp.judge(Outcome(2, "oh\n")).reason == "oh"


def test_plan(workspace: Workspace, tmp_path: Path) -> None:
    skip = tmp_path / "skip"
    skip.write_text("# a comment\nfails broken here\nbreaks # hash\nskips\n")
    tests = ltp.planned(open_tree(workspace, TREE), ["ends", "other"], only=[],
                     skip=ltp.read_skips(skip), seconds=1.0)
    assert [t.name for t in tests][:3] == ["passes", "fails", "breaks"]
    assert len({t.name for t in tests}) == len(tests) == 21  # `passes` is in both
    assert {t.name: t.skip for t in tests if t.skip} == {
        "fails": "skip: broken here", "breaks": "skip: hash", "skips": "skip: listed",
    }
    with pytest.raises(UserError, match="no suite 'mm'"):
        ltp.planned(open_tree(workspace, TREE), ["mm"], only=[], skip={}, seconds=1.0)


@pytest.mark.parametrize("inside", ["", "opt/ltp/", "./"])
def test_a_tarball_is_the_same_tree(workspace: Workspace, tmp_path: Path, inside: str) -> None:
    path = tmp_path / "ltp.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(TREE, arcname=inside or ".")
    tree = open_tree(workspace, path)
    assert tree.runtest == open_tree(workspace, TREE).runtest
    root = tmp_path / "root"
    root.mkdir()
    assert tree._populate(root) is None
    assert (root / "testcases/bin/passes.sh").exists()


def test_the_digest_follows_the_content(workspace: Workspace, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(TREE), str(copy)], check=True)
    first = open_tree(workspace, copy).digest
    assert first == open_tree(workspace, copy).digest
    (copy / "testcases/bin/passes.sh").write_text("#!/bin/sh\nexit 1\n")
    assert open_tree(workspace, copy).digest != first


def test_no_tree(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no tarball")
    for path in (None, tmp_path, tmp_path / "file", tmp_path / "none"):
        with pytest.raises(UserError, match="make install") as caught:
            open_tree(workspace, path)
        assert "\n" not in caught.value.line()
