"""A series in a mailbox: whole, in order and of one version, or an error that says what is not.

git does the reading (mailsplit, mailinfo): encodings, folded headers and attachments
are what `git am` would make of them.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path

from harness.core.errors import UserError
from harness.core.proc import need
from harness.core.workspace import write_atomic
from harness.kernel.series import plumbing
from harness.kernel.series.patches import SERIES_FILE

TAG = re.compile(r"\[([^\]]*\bPATCH\b[^\]]*)\]\s*", re.IGNORECASE)
ZERO = "0" * 40


@dataclass(frozen=True)
class Mail:
    """One mail that carries a patch. ``number`` 0 stands for a mail without [PATCH n/m]."""

    subject: str
    version: int
    number: int
    total: int
    text: str
    diff: str
    message_id: str


def split(mailbox: Path, into: Path, *, version: int, patches: int) -> list[str]:
    """Write the patches of a mailbox to a directory with a ``series`` file; what was noticed.

    Covers and replies are left out; patches are put into the order of their numbers.
    Raises :class:`UserError` for a missing, a doubled or a surplus patch, for several
    versions without ``version``, and when there are not ``patches`` (0: not known).
    """
    mails = [mail for mail in _read(mailbox) if mail.diff]
    if not mails:
        raise UserError(f"{mailbox} holds no patch")
    mails = _of_version(mails, version, mailbox)
    ordered = _in_order(mails, mailbox)
    if patches and len(ordered) != patches:
        raise UserError(f"{mailbox} holds {len(ordered)} patches, not {patches}")
    notes = []
    if ordered != mails:
        notes.append(f"{mailbox.name}: the patches are not in order; their numbers are followed")
    names = [f"{n:04}-{_slug(mail.subject)}.patch" for n, mail in enumerate(ordered, 1)]
    for name, mail in zip(names, ordered, strict=True):
        (into / name).write_text(mail.text + mail.diff, errors="surrogateescape")
    write_atomic(into / SERIES_FILE, "".join(f"{name}\n" for name in names))
    return notes


def _read(mailbox: Path) -> list[Mail]:
    git = need("git")
    if not mailbox.is_file():
        raise UserError(f"no mailbox {mailbox}")
    with tempfile.TemporaryDirectory(prefix="harness-mail.") as name:
        scratch = Path(name)
        code, output = plumbing.run(
            [git, "mailsplit", f"-o{scratch}", "-d4", "--", str(mailbox.absolute())], scratch
        )
        if code:
            reason = output.strip().splitlines()[-1:] or ["git mailsplit failed"]
            raise UserError(f"{mailbox} is no mailbox: {reason[0]}")
        return [_mail(git, path) for path in sorted(scratch.iterdir())]


def _mail(git: str, path: Path) -> Mail:
    message, patch = path.with_suffix(".msg"), path.with_suffix(".diff")
    data = path.read_bytes()
    code, output = plumbing.run(
        [git, "mailinfo", "-k", "--no-scissors", "--encoding=UTF-8", str(message), str(patch)],
        path.parent, stdin=data,
    )
    info = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
    subject = info.get("Subject", "")
    tag = TAG.search(subject)
    is_reply = subject.lower().startswith(("re:", "fwd:", "aw:"))
    if code or is_reply or not patch.exists():
        return Mail(subject, 0, 0, 0, "", "", "")
    words = tag[1] if tag else ""
    version = re.search(r"\bv(\d+)\b", words, re.IGNORECASE)
    count = re.search(r"(\d+)/(\d+)", words)
    message_id = (BytesHeaderParser().parsebytes(data).get("Message-Id") or "").strip()
    head = (
        f"From {ZERO} Mon Sep 17 00:00:00 2001\n"
        f"From: {info.get('Author', '')} <{info.get('Email', '')}>\nDate: {info.get('Date', '')}\n"
        f"Subject: {subject}\n" + (f"Message-Id: {message_id}\n" if message_id else "") + "\n"
    )
    diff = patch.read_text(errors="surrogateescape")
    return Mail(
        TAG.sub("", subject), int(version[1]) if version else 1,
        int(count[1]) if count else 0, int(count[2]) if count else 0,
        head + message.read_text(errors="surrogateescape"),
        diff if re.search(r"^(?:diff --git |--- \S)", diff, re.MULTILINE) else "", message_id,
    )


def _of_version(mails: list[Mail], version: int, mailbox: Path) -> list[Mail]:
    there = sorted({mail.version for mail in mails})
    if not version and len(there) > 1:
        raise UserError(
            f"{mailbox} holds versions {', '.join(f'v{v}' for v in there)}",
            hint="`version` of the series says which",
        )
    chosen = [mail for mail in mails if not version or mail.version == version]
    if not chosen:
        raise UserError(f"{mailbox} holds v{there[0]}, not v{version}")
    return chosen


def _in_order(mails: list[Mail], mailbox: Path) -> list[Mail]:
    """By number when they are numbered; every number once."""
    numbered = [mail for mail in mails if mail.number]
    if not numbered:
        return mails
    if len(numbered) != len(mails):
        odd = next(mail for mail in mails if not mail.number)
        raise UserError(f"{mailbox}: '{odd.subject}' has no number, others have")
    totals = sorted({mail.total for mail in mails})
    if len(totals) > 1:
        raise UserError(f"{mailbox} holds parts of several series: of {totals[0]} and {totals[1]}")
    by_number: dict[int, Mail] = {}
    for mail in mails:
        known = by_number.setdefault(mail.number, mail)
        if known.diff != mail.diff:
            raise UserError(f"{mailbox} holds two different patches {mail.number}/{mail.total}")
    missing = [n for n in range(1, totals[0] + 1) if n not in by_number]
    if missing:
        words = ", ".join(f"{n}/{totals[0]}" for n in missing)
        raise UserError(
            f"{mailbox}: patch {words} is missing" if len(missing) == 1
            else f"{mailbox}: patches {words} are missing"
        )
    return [by_number[number] for number in sorted(by_number)]


def _slug(subject: str) -> str:
    """As `git format-patch` names its files."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")[:52]
