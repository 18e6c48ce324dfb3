"""Series from mailboxes: whole and in order, or refused; b4 on a local thread."""

from __future__ import annotations

import mailbox
import random
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.builds import build_variant, plan_build
from harness.kernel.series import lore
from harness.kernel.series.patchlist import get_series
from harness.project.config import Project
from harness.project.reading import load
from tests.unit.kernel.conftest import diff

QUIET = Progress(-1)
MakePatch = Callable[[str, str], str]
Mails = list[tuple[str, str]]  # subject, body


def write_mbox(path: Path, mails: Mails, version: int = 2) -> Path:
    """A thread as a mail reader saves it: the cover first, encoded as mail is."""
    path.unlink(missing_ok=True)
    box = mailbox.mbox(path)
    for number, (subject, body) in enumerate(mails):
        mail = EmailMessage()
        mail["From"] = "Qi Zheng <a@b.test>"
        mail["Subject"] = subject
        mail["Date"] = "Thu, 19 Aug 2021 11:18:49 +0800"
        mail["Message-Id"] = f"<{number}.v{version}@b.test>"
        if number:
            mail["In-Reply-To"] = mail["References"] = f"<0.v{version}@b.test>"
        mail.set_content(body, cte="quoted-printable")
        box.add(mailbox.mboxMessage(mail))
    box.close()
    return path


def body_of(patch: str) -> str:
    return "Why: é.\n\nSigned-off-by: A B <a@b.test>\n---\n" + patch[patch.index("diff --git"):]


@pytest.fixture
def thread(project: Project) -> Mails:
    """A cover, three patches on one another, and a reply that quotes one."""
    text = (project.root / "linux/mm/memory.c").read_text()
    mails = [("[PATCH v2 0/3] mm: a series", "Cover.\n")]
    for number in (1, 2, 3):
        new = text.replace(f"address + {number}", f"address + {number + 1}")
        mails.append((f"[PATCH v2 {number}/3] mm: part {number}",
                      body_of(diff("mm/memory.c", text, new))))
        text = new
    quoted = "".join(f"> {line}\n" for line in mails[1][1].splitlines())
    return [*mails, ("Re: [PATCH v2 1/3] mm: part 1", f"{quoted}\nReviewed-by: C <c@d.test>\n")]


@pytest.fixture
def mbox(project: Project, thread: Mails) -> Path:
    return write_mbox(project.root / "letter.mbox", thread)


def with_series(project: Project, **keys: Any) -> Project:
    """The checkout with a series `letter` of a variant `mailed`."""
    toml = project.root / "harness.toml"
    words = {"kind": "mbox", "path": "letter.mbox", "version": 2, "patches": 3, **keys}
    lines = "".join(f"{k} = {v if isinstance(v, int) else repr(v)}\n" for k, v in words.items()
                    if v is not None)
    toml.write_text(
        f'{toml.read_text()}[series.letter]\n{lines}[variants.mailed]\nseries = "letter"\n'
    )
    return load(project.root)


def fails(workspace: Workspace, project: Project, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "mailed")
    for word in words:
        assert word in caught.value.line()


def test_mailbox_is_built_and_recorded(workspace: Workspace, project: Project, mbox: Path) -> None:
    project = with_series(project)
    build = build_variant(workspace, project, "mailed")
    assert [p.name for p in build.kernel.patches] == [
        "0001-mm-part-1.patch", "0002-mm-part-2.patch", "0003-mm-part-3.patch",
    ]
    assert build.kernel.patches[0].subject == "mm: part 1"
    assert build.kernel.series and len(build.kernel.series.details["mailbox_sha256"]) == 64
    slot = workspace.root / plan_build(workspace, project, "mailed").slot
    assert "address + 4" in (slot / "src/mm/memory.c").read_text()
    text = (build.directory / "patches/0001-0001-mm-part-1.patch").read_text()
    assert "From: Qi Zheng <a@b.test>" in text and "Why: é." in text
    assert "Reviewed-by" not in text


def test_order_of_the_mails_does_not_matter(
    workspace: Workspace, project: Project, thread: Mails, mbox: Path
) -> None:
    project = with_series(project)
    first = get_series(workspace, project, "letter", QUIET, fetch=False)
    shuffled = thread[:]
    random.Random(3).shuffle(shuffled)
    assert shuffled != thread
    write_mbox(mbox, shuffled)
    second = get_series(workspace, project, "letter", QUIET, fetch=False)
    assert first and second and first.directory != second.directory
    assert [p.subject for p in second.patches] == [p.subject for p in first.patches]
    assert [p.files for p in second.patches] == [p.files for p in first.patches]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[:2] + t[3:], "patch 2/3 is missing"),
        (lambda t: [t[0], t[2]], "patches 1/3, 3/3 are missing"),
        (lambda t: [*t, (t[1][0], t[2][1])], "two different patches 1/3"),
        (lambda t: [(s.replace("v2", "v1"), b) for s, b in t], "holds v1, not v2"),
        (lambda t: t[:1], "holds no patch"),
        (lambda t: [*t, ("[PATCH v2 3/4] mm: x", t[2][1])], "parts of several series: of 3 and 4"),
        (lambda t: [*t, ("[PATCH v2] mm: odd", t[2][1])], "'mm: odd' has no number"),
    ],
)
def test_what_is_not_whole_is_refused(
    workspace: Workspace, project: Project, thread: Mails, change: Callable[[Mails], Mails],
    words: str,
) -> None:
    write_mbox(project.root / "letter.mbox", change(thread))
    fails(workspace, with_series(project), words)
    assert not list((workspace.root / "series").glob("*"))


def test_number_of_patches_is_pinned(workspace: Workspace, project: Project, mbox: Path) -> None:
    fails(workspace, with_series(project, patches=9), "holds 3 patches, not 9")


def test_versions_must_be_told_apart(
    workspace: Workspace, project: Project, thread: Mails
) -> None:
    older = [(subject.replace("v2", "v1"), body) for subject, body in thread]
    write_mbox(project.root / "letter.mbox", [*thread, *older])
    assert get_series(workspace, with_series(project), "letter", QUIET, fetch=False)
    toml = project.root / "harness.toml"
    toml.write_text(toml.read_text().replace("version = 2\n", ""))
    fails(workspace, load(project.root), "holds versions v1, v2", "`version`")


def test_same_patch_twice_is_one(workspace: Workspace, project: Project, thread: Mails) -> None:
    write_mbox(project.root / "letter.mbox", [*thread, thread[2]])
    found = get_series(workspace, with_series(project), "letter", QUIET, fetch=False)
    assert found and len(found.patches) == 3


def test_patch_that_does_not_apply(
    workspace: Workspace, project: Project, thread: Mails
) -> None:
    subject, body = thread[2]
    broken = [*thread[:2], (subject, body.replace("-\treturn address", "-\treturn elsewhere")),
              *thread[3:]]
    write_mbox(project.root / "letter.mbox", broken)
    fails(workspace, with_series(project), "patch 0002-mm-part-2.patch does not apply",
          "mm/memory.c")


def test_no_mailbox(workspace: Workspace, project: Project) -> None:
    fails(workspace, with_series(project), "no mailbox", "letter.mbox")
    (project.root / "letter.mbox").write_text("hello\n")
    fails(workspace, load(project.root), "letter.mbox")


def of_lore(project: Project) -> Project:
    return with_series(project, kind="lore", path=None, message_id="0.v2@b.test")


def test_archive_that_cannot_be_reached(
    workspace: Workspace, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lore, "ARCHIVE", "http://127.0.0.1:1")
    project = of_lore(project)
    plan = plan_build(workspace, project, "mailed")
    assert plan.to_fetch == ("the series letter",) and not plan.key
    fails(workspace, project, "http://127.0.0.1:1 cannot be reached", "--mailbox FILE")


def test_saved_thread_stands_in_for_the_archive(
    workspace: Workspace, project: Project, mbox: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lore, "ARCHIVE", "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))  # b4 keeps a cache there
    project = of_lore(project)
    found = get_series(workspace, project, "letter", QUIET, fetch=True, mailbox=mbox)
    assert found and [p.subject for p in found.patches] == [
        "mm: part 1", "mm: part 2", "mm: part 3",
    ]
    assert found.record and found.record.details["attestation"] == "none"
    build = build_variant(workspace, project, "mailed")
    series = build.kernel.series
    assert series and series.details["message_id"] == "0.v2@b.test"
    assert series.details["version"] == "2"


def test_thread_with_a_patch_missing(
    workspace: Workspace, project: Project, thread: Mails, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    mbox = write_mbox(project.root / "letter.mbox", thread[:2] + thread[3:])
    with pytest.raises(UserError, match="patch 2/3 is missing"):
        get_series(workspace, of_lore(project), "letter", QUIET, fetch=True, mailbox=mbox)


@pytest.mark.parametrize(
    ("marks", "word"),
    [("✓✓", "verified"), ("✓ ", "partial"), ("  ", "none"), ("✓✗", "failed"), ("✗✗", "failed")],
)
@pytest.mark.parametrize("colour", ["", "\x1b[31m"])
def test_attestation_in_a_word(marks: str, word: str, colour: str) -> None:
    output = "Analyzing 3 messages in the thread\nChecking attestation on all messages, may take\n"
    end = "\x1b[0m" if colour else ""
    output += "---\n" + "".join(
        f"  {colour}{m}{end} [PATCH v2 {n}/2] x\n" for n, m in enumerate(marks, 1)
    )
    output += "  ---\n  ✓ Signed: DKIM/b.test\n---\nTotal patches: 2\n"
    said, lines = lore.attestation(output)
    assert said == word
    assert "✓ Signed: DKIM/b.test" in lines
