"""Series: read, applied exactly, refused otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.kernel.series.patches import apply, load_series, touched_files
from tests.unit.kernel.conftest import diff

OLD = "".join(f"line {number}\n" for number in range(1, 21))


def write(directory: Path, *patches: str) -> Path:
    directory.mkdir(exist_ok=True)
    names = [f"{number:04}.patch" for number in range(1, len(patches) + 1)]
    for name, text in zip(names, patches, strict=True):
        (directory / name).write_text(text)
    (directory / "series").write_text("# ours\n\n" + "".join(f"{n}  # why\n" for n in names))
    return directory


def patched(tmp_path: Path, *patches: str, verbosity: int = 1) -> dict[str, str | None]:
    """The touched files of a tree with one file, after the patches."""
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    (tree / "mm").mkdir(parents=True)
    (tree / "mm/a.c").write_text(OLD)
    scratch.mkdir()
    series = load_series(write(tmp_path / "series", *patches))
    result = apply(series, tree, scratch, Progress(verbosity))
    assert (tree / "mm/a.c").read_text() == OLD
    return {name: path.read_text() if path else None for name, path in result.items()}


def test_reads_names_subjects_and_files(tmp_path: Path) -> None:
    folded = diff("mm/a.c", OLD, OLD + "x\n", "mm: a very long subject\n that is folded")
    series = load_series(write(tmp_path / "s", folded))
    (patch,) = series.patches
    assert patch.subject == "mm: a very long subject that is folded"
    assert patch.files == ("mm/a.c",)
    assert len(patch.sha256) == 64


def test_series_applies_in_order(tmp_path: Path) -> None:
    second = OLD.replace("line 5\n", "LINE 5\n")
    third = second.replace("line 6\n", "LINE 6\n")
    result = patched(tmp_path, diff("mm/a.c", OLD, second), diff("mm/a.c", second, third))
    assert result == {"mm/a.c": third}


def test_offset_is_allowed_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = OLD.replace("line 1\n", "")
    result = patched(tmp_path, diff("mm/a.c", moved, moved.replace("line 15\n", "LINE 15\n")))
    assert result["mm/a.c"] == OLD.replace("line 15\n", "LINE 15\n")
    assert "0001.patch: Hunk #1 succeeded" in capsys.readouterr().err


def test_fuzz_is_refused(tmp_path: Path) -> None:
    other = OLD.replace("line 12\n", "other context\n")
    with pytest.raises(UserError) as caught:
        patched(tmp_path, diff("mm/a.c", other, other.replace("line 15\n", "LINE 15\n")))
    line = caught.value.line()
    assert "0001.patch does not apply: mm/a.c, the hunk at line 12" in line
    assert "with fuzz 1, which is refused" in line


def test_reject_names_patch_file_and_hunk(tmp_path: Path) -> None:
    good = diff("mm/a.c", OLD, OLD.replace("line 5\n", "LINE 5\n"))
    other = OLD.replace("line 15\n", "never there\n")
    with pytest.raises(UserError) as caught:
        patched(tmp_path, good, diff("mm/a.c", other, other.replace("never there\n", "x\n")))
    assert "0002.patch does not apply: mm/a.c, the hunk at line 12" in caught.value.line()
    assert "fuzz" not in caught.value.line()


def test_new_renamed_and_deleted_files(tmp_path: Path) -> None:
    new = "diff --git a/mm/n.c b/mm/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/mm/n.c\n"
    new += "@@ -0,0 +1,2 @@\n+-- one\n++++ two\n"
    move = "diff --git a/mm/a.c b/kernel/a.c\nsimilarity index 100%\n"
    move += "rename from mm/a.c\nrename to kernel/a.c\n"
    gone = "diff --git a/mm/n.c b/mm/n.c\ndeleted file mode 100644\n--- a/mm/n.c\n+++ /dev/null\n"
    gone += "@@ -1,2 +0,0 @@\n--- one\n-+++ two\n"
    assert patched(tmp_path, new, move) == {
        "mm/n.c": "-- one\n+++ two\n", "mm/a.c": None, "kernel/a.c": OLD,
    }
    assert touched_files(gone) == ("mm/n.c",)
    assert patched(tmp_path / "2", new, gone) == {"mm/n.c": None}


def test_missing_file_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mm/b\.c: No such file"):
        patched(tmp_path, diff("mm/b.c", OLD, OLD + "x\n"))


def test_patch_cannot_leave_the_tree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not apply"):
        patched(tmp_path, "--- /dev/null\n+++ b/../../evil\n@@ -0,0 +1 @@\n+x\n")
    assert not (tmp_path / "evil").exists()


def test_inside_a_git_repository_nothing_is_skipped(tmp_path: Path) -> None:
    # git apply in a subdirectory of a repository silently skips what lies outside of it.
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git/objects").mkdir()
    (tmp_path / ".git/refs").mkdir()
    assert patched(tmp_path, diff("mm/a.c", OLD, OLD + "x\n")) == {"mm/a.c": OLD + "x\n"}


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ("", "is empty; add patches to it"),
        ("# nothing yet\n\n", "is empty"),
        ("gone.patch\n", "names gone.patch: No such file"),
        ("text.patch\n", "is not a patch"),
    ],
)
def test_bad_series(tmp_path: Path, series: str, message: str) -> None:
    (tmp_path / "series").write_text(series)
    (tmp_path / "text.patch").write_text("Hello.\n")
    with pytest.raises(UserError) as caught:
        load_series(tmp_path)
    assert message in caught.value.line()


def test_what_format_patch_makes_is_a_series(tmp_path: Path) -> None:
    for name in ("v2-0000-cover-letter", "v2-0002-b", "v2-0001-a"):
        (tmp_path / f"{name}.patch").write_text(diff("mm/a.c", OLD, OLD + "x\n"))
    assert [patch.name for patch in load_series(tmp_path).patches] == [
        "v2-0001-a.patch", "v2-0002-b.patch",
    ]


def test_no_series_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_series(tmp_path / "none")
    assert "name a variant without a series" in caught.value.line()
