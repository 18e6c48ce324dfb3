"""A series as mails: tags, recipients, cover letter; the patches' own text stays as it is."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.kernel.series import mailing
from harness.kernel.series.mailing import Recipients, Thread
from harness.kernel.series.patches import Patch, load_series
from harness.project.config import Project

Series = Callable[..., Path]
MakePatch = Callable[[str, str], str]

THREAD = Thread("RFC PATCH v2", "base-commit: 0123", "Åsa Ärlig <asa@example.org>")
COVER = "Subject: [PATCH 0/2] mm: change\n two things\n\nWhy, and what it costs.\n"
ANN, BOB, LIST = "Ann <ann@example.org>", "Böb <bob@example.org>", "linux-mm@example.org"
SCRIPT = """#!/usr/bin/perl
print "Ann <ann\\@example.org> (maintainer:MEMORY (MM))\\n";
print "B\\xc3\\xb6b <bob\\@example.org> (reviewer:MEMORY)\\n";
print "linux-mm\\@example.org (open list:MEMORY)\\n";
"""


@pytest.fixture
def patches(
    project: Project, write_series: Series, memory_patch: MakePatch
) -> list[Patch]:
    one, two = memory_patch("address + 1;", "address + 2;"), memory_patch("+ 1;", "+ 3;")
    return load_series(write_series(**{"0001-one": one, "0002-two": two})).patches


def read(path: Path) -> email.message.EmailMessage:
    text = path.read_bytes().partition(b"\n")[2]  # without mbox's line
    return email.message_from_bytes(text, policy=email.policy.default)


def test_the_thread(patches: list[Patch], tmp_path: Path) -> None:
    people = [Recipients((ANN,), (LIST,)), Recipients((BOB,), (LIST, ANN))]
    cover, one, two = mailing.write(patches, people, COVER, THREAD, tmp_path / "out")
    mails = [read(path) for path in (cover, one, two)]
    assert [mail["Subject"] for mail in mails] == [
        "[RFC PATCH v2 0/2] mm: change two things",
        "[RFC PATCH v2 1/2] mm: change", "[RFC PATCH v2 2/2] mm: change",
    ]
    assert mails[0]["From"] == "Åsa Ärlig <asa@example.org>"
    assert mails[0]["To"] == f"{ANN}, {BOB}" and mails[0]["Cc"] == LIST
    assert mails[2]["To"] == BOB and mails[2]["Cc"] == f"{LIST}, {ANN}"
    words = cover.read_text()
    assert "Why, and what it costs.\n\nA B (2):\n  mm: change\n  mm: change\n" in words
    assert " mm/memory.c | +2 -2\n 1 files changed" in words and "base-commit: 0123\n" in words
    for patch, path in zip(patches, (one, two), strict=True):
        assert path.read_text().endswith(patch.path.read_text().partition("Reason.")[2])


def test_again_takes_its_own_place_and_no_others(patches: list[Patch], tmp_path: Path) -> None:
    people = [Recipients(), Recipients()]
    first = mailing.write(patches, people, COVER, THREAD, tmp_path)
    assert mailing.write(patches, people, COVER, THREAD, tmp_path) == first
    (tmp_path / "0003-other.patch").touch()
    with pytest.raises(UserError, match=r"holds other mails: 0003-other\.patch"):
        mailing.write(patches, people, COVER, THREAD, tmp_path)


@pytest.mark.parametrize(
    "cover, words", [("", "needs a cover letter"), ("No subject.\n\nWords\n", "no subject or no"),
                     ("Subject: alone\n", "no subject or no words")],
)
def test_a_cover_letter_that_is_none(
    patches: list[Patch], tmp_path: Path, cover: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        mailing.write(patches, [Recipients()] * 2, cover, THREAD, tmp_path)


def test_a_patch_alone_has_no_number_and_needs_no_cover(
    patches: list[Patch], tmp_path: Path
) -> None:
    thread = Thread(mailing.prefix(1, rfc=False), "", THREAD.author)
    (path,) = mailing.write(patches[:1], [Recipients((ANN,))], "", thread, tmp_path)
    assert read(path)["Subject"] == "[PATCH] mm: change"


def test_recipients_are_those_of_the_trees_script(patches: list[Patch], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobody to send patches to"):
        mailing.recipients(tmp_path, patches[0])
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/get_maintainer.pl").write_text(SCRIPT)
    found = mailing.recipients(tmp_path, patches[0])
    assert found == Recipients((ANN,), (BOB, LIST))


def test_what_a_series_is_based_on() -> None:
    assert mailing.based_on("git", "next", "6.1", {"commit": "0123"}) == "base-commit: 0123"
    debian = mailing.based_on("debian", "debian-6.1", "6.1.1-2", {"package": "linux-source-6.1"})
    assert debian == "Based on linux-source-6.1 6.1.1-2 of Debian."
