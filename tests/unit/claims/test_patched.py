"""Whether patches make the same kernel as those of a run did, by their texts alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.claims import patched
from harness.project import reading
from harness.records.store import load_run
from tests.places import ROOT

RUN = "results/reference/quick-tcg"
PATCH = b"""From 1 Mon Sep 17
Subject: [PATCH 1/2] mm: one thing

Said in one way.
---
 mm/a.c | 2 +-

diff --git a/mm/a.c b/mm/a.c
index 1..2 100644
--- a/mm/a.c
+++ b/mm/a.c
@@ -10,3 +10,3 @@ static
 \tint a;
-\tint b;
+\tint c;
 \tint d;
--\x20
2.39
"""


def test_a_patch_that_only_says_it_in_other_words_is_the_same() -> None:
    reworded = (PATCH.replace(b"Said in one way.", b"-Said\n+in another.").replace(b"1/2", b"1/3")
                .replace(b"-10,3 +10,3", b"-11,3 +11,4").replace(b" \tint d", b"+\n \tint d"))
    assert reworded != PATCH and patched.same([PATCH], [reworded])


@pytest.mark.parametrize(("old", "new"), [
    (b"int c", b"int e"),
    (b"+++ b/mm/a.c", b"+++ b/mm/b.c"),
    (b" \tint a;\n-\tint b;\n", b"-\tint b;\n \tint a;\n"),
    (b"@@ static", b"@@ other"),
    (b"index 1..2", b"old mode 100644\nnew mode 100755\nindex 1..2"),
])
def test_a_patch_that_changes_another_thing_or_place_is_another(old: bytes, new: bytes) -> None:
    other = PATCH.replace(old, new)
    assert other != PATCH and not patched.same([PATCH], [other])


def test_a_removed_line_that_looks_like_the_end_of_a_patch_does_not_end_it() -> None:
    patch = b"diff --git a/b b/b\n@@ -1,3 +1,3 @@\n a\n-- \n-b\n+c\n+d\n"
    assert not patched.same([patch], [patch.replace(b"+d", b"+e")])


def step(old: bytes, new: bytes, line: bytes) -> bytes:
    return (b"diff --git a/b b/b\nindex %s..%s 100644\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-%s\n+%s\n"
            % (old, new, line.upper(), line))


def test_a_line_that_moves_from_one_patch_to_another_changes_nothing_in_the_end() -> None:
    before = [step(b"aaaaaaa", b"bbbbbbb", b"one"), step(b"bbbbbbb", b"ccccccc", b"two")]
    after = [step(b"aaaaaaa1234", b"ddddddd", b"two"), step(b"ddddddd", b"ccccccc1234", b"one")]
    assert patched.same(before, after)
    assert not patched.same(before, after[:1])


@pytest.mark.parametrize("after", [
    [step(b"aaaaaaa", b"bbbbbbb", b"one"), step(b"bbbbbbb", b"ccccccc", b"by hand")],
    [step(b"aaaaaaa", b"ddddddd", b"two"), step(b"eeeeeee", b"ccccccc", b"one")],
])
def test_names_of_contents_that_do_not_hang_together_are_not_believed(after: list[bytes]) -> None:
    before = [step(b"aaaaaaa", b"bbbbbbb", b"one"), step(b"bbbbbbb", b"ccccccc", b"two")]
    assert not patched.same(before, after)


def test_a_series_that_has_grown_since_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, run = reading.load(ROOT), load_run(ROOT / RUN)
    longer = tmp_path / "series"
    shutil.copytree(project.path(project.series_name("after")), longer)
    with (longer / "series").open("a") as listing:
        listing.write("0099-mm-one-more.patch\n")
    (longer / "0099-mm-one-more.patch").write_bytes(PATCH)
    monkeypatch.setattr(type(project), "series_name", lambda *words: str(longer))
    assert patched.others("after", run, project)


@pytest.mark.parametrize("revision", ["", "none", "0" * 40])
def test_a_revision_that_git_does_not_have_counts_as_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    project, run = reading.load(ROOT), load_run(ROOT / RUN)
    assert not patched.others("after", run, project)
    reworded = tmp_path / "series"
    shutil.copytree(project.path(project.series_name("after")), reworded)
    patch = next(reworded.glob("0001-*.patch"))
    patch.write_text(patch.read_text().replace("Subject:", "Subject: [other]", 1))
    monkeypatch.setattr(type(project), "series_name", lambda *words: str(reworded))
    run.harness.git = revision
    assert patched.others("after", run, project)


def test_a_kernel_is_held_against_the_series_of_its_own_base() -> None:
    project = reading.load(ROOT)
    run = load_run(ROOT / "results/reference/races/after-debug-7.3")
    assert run.kernels["after-debug"].base == "debian-7.3" != project.config.defaults.base
    assert not patched.others("after-debug", run, project)
    run.kernels["after-debug"].base = "debian-6.1"
    assert patched.others("after-debug", run, project)
