"""`harness compare`, `try` and `bisect`: what is named, what is refused before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.compare_command import sides
from harness.core.errors import UserError
from harness.project import adhoc
from tests.unit.kernel.test_commits import MAKEFILE, git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two branches of a tree that looks like a kernel's, and one without a history in common."""
    tree = tmp_path / "linux"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    for name in ("Makefile", "Kconfig", "Kbuild"):
        (tree / name).write_text(MAKEFILE if name == "Makefile" else "")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "first")
    git(tree, "branch", "same")
    git(tree, "checkout", "-qb", "topic")
    (tree / "Kbuild").write_text("# changed\n")
    git(tree, "commit", "-qam", "topic")
    git(tree, "checkout", "-q", "--orphan", "stranger")
    git(tree, "commit", "-qm", "no parent")
    git(tree, "checkout", "-q", "topic")
    return tree


def harness(*words: str, cwd: Path) -> tuple[int, str, str]:
    """The command, run outside of any project."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=cwd, capture_output=True, text=True,
        check=False, timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_words_name_a_tree_and_two_commits(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    here = Path.cwd()
    assert sides(["main", "topic"]) == (here, "main", "topic")
    assert sides(["main..topic"]) == (here, "main", "topic")
    assert sides(["main.."]) == (here, "main", "HEAD")
    parted = git(tree, "rev-parse", "main").strip()
    assert sides(["main...topic"]) == sides(["topic...main"])[:2] + ("topic",)  # noqa: RUF005
    assert sides(["main...topic"])[1] == parted
    assert sides(["main"]) == (here, "main", "")
    assert sides([str(tree), "main", "topic"]) == (tree, "main", "topic")
    assert sides([str(tree), "main..topic"]) == (tree, "main", "topic")
    assert sides([str(tree), "main"]) == (tree, "main", "")
    with pytest.raises(UserError, match="three words name a tree"):
        sides(["none", "main", "topic"])
    with pytest.raises(UserError, match="no commit of it is named"):
        sides([str(tree)])


@pytest.mark.parametrize(("words", "says"), [
    (["compare", "{tree}", "main", "tropic"], "did you mean 'topic'?"),
    (["compare", "{tree}", "main", "same"], "have the same files"),
    (["compare", "{tree}", "main", "stranger"], "share no history"),
    (["compare", "{elsewhere}", "main", "topic"], "is not in a git tree"),
    (["compare", "{tree}", "main", "topic", "--workload", "vmpt"], "did you mean 'vmpte'?"),
    (["compare", "{tree}", "main", "topic", "--workload", "epoll"],
     "it is a cell of the workload common (op=epoll)"),
    (["compare", "{tree}", "main", "topic", "--param", "ops=epoll"], "did you mean 'op'?"),
    (["compare", "{tree}", "main", "topic", "--param", "op"], "is no NAME=VALUE"),
    (["compare", "{tree}", "HEAD"], "without a change: nothing can differ"),
    (["compare", "{tree}", "main", "topic", "--fail-on", "worse"], "no such verdict"),
    (["compare", "{tree}", "main", "topic", "--seconds", "5"], "for a program behind --"),
    (["compare", "{tree}", "main", "topic", "--config", "./none.config"], "no such file"),
    (["compare", "{tree}", "main", "topic", "--"], "no program stands behind --"),
    (["compare", "{tree}", "main", "topic", "--", "./none"], "there is no program ./none"),
    (["compare", "{tree}", "main", "topic", "--explain", "--accel", "tcg"],
     "needs instructions that are counted; add --accel icount"),
    (["try", "{elsewhere}/none.mbox", "--on", "{tree}"], "is no message-id, mailbox or directory"),
    (["try", "{tree}", "--on", "{tree}@"], "no revision stands behind the @"),
    (["bisect", "{tree}", "main"], "a good and a bad commit"),
    (["bisect", "{tree}", "main", "topic"], "nothing says what is searched for"),
    (["bisect", "{tree}", "topic", "main", "--workload", "common", "--metric", "x"],
     "is no ancestor of"),
    (["bisect", "{tree}", "main", "topic", "--stability", "race-fork"], "SUITE/TEST"),
    (["bisect", "{tree}", "main", "topic", "--stability", "racs/race-fork"], "did you mean"),
    (["bisect", "{tree}", "main", "topic", "--workload", "comon", "--metric", "x"],
     "did you mean 'common'?"),
    (["bisect", "{tree}", "main", "topic", "--workload", "common", "--metric", "x", "--config",
      "guset"], "no config fragment 'guset'; did you mean 'guest'?"),
    (["bisect", "{tree}", "main", "topic", "--workload", "common", "--metric", "x", "--accel",
      "fast"], "unknown accel 'fast'"),
    (["bisect", "--resume", "{elsewhere}", "--config", "guest"], "goes on with a search as it is"),
    (["compare", "{tree}", "main...stranger"], "share no history"),
    (["compare", "{tree}", "main", "topic", "--caches", "1,2"], "is not three caches"),
    (["compare", "{tree}", "main", "topic", "--fleet", "nosuch"], "--fleet nosuch"),
    (["compare", "{tree}", "main", "topic", "--resume", "{elsewhere}"], "is not a run"),
    (["compare", "{tree}", "main", "topic", "--resume", "{elsewhere}", "--boots", "3"],
     "drop --boots"),
    (["try", "{elsewhere}", "--on", "{tree}"], "is empty; add patches to it"),
])
def test_bad_input_is_one_line_and_exit_2(
    tree: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    filled = [word.format(tree=tree, elsewhere=elsewhere) for word in words]
    where = next(at for at, word in enumerate(filled) if word == "--") if "--" in filled else None
    flags = ["--workspace", str(tmp_path / "w")]
    filled = [*filled[:where], *flags, *(filled[where:] if where is not None else [])]
    code, out, err = harness(*filled, cwd=elsewhere)
    lines = err.splitlines()
    assert code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("harness: "), err
    assert says in lines[0]
    assert out == ""


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tree: Path, tmp_path: Path) -> None:
    elsewhere, workspace = tmp_path / "elsewhere", tmp_path / "w"
    elsewhere.mkdir()
    code, out, err = harness(
        "compare", str(tree), "main", "topic", "--dry-run", "--workspace", str(workspace),
        cwd=elsewhere,
    )
    assert code == 0, err
    assert "to be built first" in out
    assert "base, tip, tip, base, base, tip, base (again)" in out
    assert "compared: tip with base" in out
    assert not list(workspace.glob("sources/*"))
    assert not list(elsewhere.iterdir())


def test_layouts_are_planned_for_both_commits(tree: Path, tmp_path: Path) -> None:
    words = ["compare", str(tree), "main", "topic", "--dry-run", "--boots", "1"]
    flags = ["--layouts", "2", "--workspace", str(tmp_path / "w")]
    code, out, err = harness(*words, *flags, cwd=tmp_path)
    assert code == 0, err
    assert "2 other layouts" in out
    assert "base, tip, tip (layout 1), base (layout 1), base (again)" in out
    code, _, err = harness(*words, "--layouts", "0", cwd=tmp_path)
    assert code == 2
    assert "--layouts" in err


def test_a_program_of_the_users_is_a_workload(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "my bench"
    program.write_text("#!/bin/sh\n")
    project = adhoc.of_commits(tree, "main", "topic")
    project, name = adhoc.with_program(project, ["./my bench", "--n", "{5}"], 3.0)
    table = project.config.workloads[name]
    assert name == "my-bench"
    assert table.run.format() == "'./my bench' --n '{5}'"
    assert table.push == [str(program)]
    assert table.seconds == 3.0
    project, name = adhoc.with_program(project, ["dd", "if=/dev/zero"])
    assert project.config.workloads[name].push == []


def test_two_commits_of_a_tree_are_one_lineage(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    project = adhoc.of_commits(tree, "main", "topic")
    assert project.lineage("base") == project.lineage("tip")
    assert [(pair.baseline, pair.variant, pair.across) for pair in project.pairs(["base", "tip"])] \
        == [("base", "tip", False)]


def test_a_file_with_only_workloads_is_enough_for_compare(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harness.toml").write_text('[workloads.mine]\nrun = "true"\n')
    project = adhoc.of_commits(tree, "main", "topic")
    assert "mine" in project.config.workloads
    code, _, err = harness("bench", "--workload", "mine", "--dry-run", cwd=tmp_path)
    assert code == 2
    assert "bases" in err
    (tmp_path / "harness.toml").write_text(
        f'[workloads.mine]\nrun = "true"\n[bases.b]\nkind = "dir"\npath = "{tree}"\n'
    )
    code, _, err = harness("bench", "--workload", "mine", "--dry-run", cwd=tmp_path)
    assert code == 2
    assert "has no variant, so no kernel to measure" in err
