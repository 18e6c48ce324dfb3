"""A series as the mails of a thread, ready for ``git send-email``. Nothing is sent.

Each patch keeps its text to the byte; what is written anew is its subject's tag and whom it is
for, by the kernel's own ``scripts/get_maintainer.pl``. The cover letter's words are the author's;
shortlog, diffstat and what the series is based on come under them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr, formatdate, getaddresses, parseaddr
from pathlib import Path

from harness.core.errors import UserError
from harness.core.proc import capture
from harness.kernel.series import plumbing
from harness.kernel.series.patches import Patch

COVER_FILE = "cover-letter.txt"
"""Beside the patches of a series: ``Subject: ...``, an empty line, the words."""
COVER_MAIL = "0000-cover-letter.patch"
SUBJECT = re.compile(r"^Subject: (?P<text>.*(?:\n[ \t].*)*)\n", re.MULTILINE)
TAG = re.compile(r"^\[[^\]]*\]\s*")
PERSON = re.compile(r"^(?P<who>.+?)(?: \((?P<role>[^()]*(?:\([^()]*\)[^()]*)*)\))?$")
ADDRESSED = ("maintainer", "supporter")  # to whom a mail goes; everybody else has a copy
WIDTH = 76


@dataclass(frozen=True)
class Recipients:
    """Whom a mail is for, each as ``Name <address>``."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()

    def joined(self, other: Recipients) -> Recipients:
        """Both, each address once; who is addressed by one has no copy of the other."""
        to = _once([*self.to, *other.to])
        return Recipients(to, _once([*self.cc, *other.cc], but=to))


@dataclass(frozen=True)
class Thread:
    """What the mails of a thread have in common."""

    prefix: str
    """The tag's words, such as ``RFC PATCH v2``."""
    base: str
    """What the series is based on, a line for the cover letter."""
    author: str
    """``Name <address>``, who writes the cover letter."""


def prefix(version: int, *, rfc: bool) -> str:
    """``PATCH``, ``PATCH v2``, ``RFC PATCH v2``."""
    return f"{'RFC ' if rfc else ''}PATCH{f' v{version}' if version > 1 else ''}"


def based_on(kind: str, name: str, version: str, details: Mapping[str, str]) -> str:
    """The line that names a base: git's own where it has a commit that others have."""
    if "commit" in details:
        return f"base-commit: {details['commit']}"
    of_debian = " of Debian" if kind == "debian" else ""
    return f"Based on {details.get('package', name)} {version}{of_debian}."


def recipients(tree: Path, patch: Patch) -> Recipients:
    """Whom ``scripts/get_maintainer.pl`` of a kernel tree names for a patch.

    Raises :class:`UserError` when the tree has no such script.
    """
    script = tree / "scripts" / "get_maintainer.pl"
    if not script.exists():
        raise UserError(f"{tree} has no scripts/get_maintainer.pl, so nobody to send patches to")
    said = capture(
        ["perl", str(script), "--no-git", "--no-git-fallback", "--roles", str(patch.path)],
        cwd=tree, timeout=60,
    )
    to: list[str] = []
    cc: list[str] = []
    for line in said.splitlines():
        if match := PERSON.match(line.strip()):
            role = match["role"] or ""
            (to if role.startswith(ADDRESSED) else cc).append(match["who"])
    return Recipients(_once(to), _once(cc, but=to))


def write(
    patches: Sequence[Patch], people: Sequence[Recipients], cover: str, thread: Thread, into: Path
) -> list[Path]:
    """Write the mails, the cover letter first; ``people`` has one entry a patch.

    ``cover`` is the text of a :data:`COVER_FILE`; empty for a single patch, which needs none.
    Raises :class:`UserError` for several patches without one, for one without a subject, and for
    a directory that holds other mails.
    """
    if len(patches) > 1 and not cover:
        raise UserError(
            f"a series of {len(patches)} patches needs a cover letter",
            hint=f"write `Subject: ...`, an empty line and the words to {COVER_FILE} beside the "
            "patches, or name a file with --cover",
        )
    into.mkdir(parents=True, exist_ok=True)
    names = [f"{n:04}-{re.sub(r'^[0-9]+-', '', p.name)}" for n, p in enumerate(patches, 1)]
    if strangers := sorted({p.name for p in into.glob("*.patch")} - {*names, COVER_MAIL}):
        raise UserError(
            f"{into} holds other mails: {', '.join(strangers)}", hint="name another directory"
        )
    written = []
    everybody = Recipients()
    for number, (patch, own) in enumerate(zip(patches, people, strict=True), 1):
        text = patch.path.read_bytes().decode(errors="surrogateescape")
        path = into / names[number - 1]
        mail = _addressed(text, _tag(thread.prefix, number, len(patches)), own)
        path.write_bytes(mail.encode(errors="surrogateescape"))
        written.append(path)
        everybody = everybody.joined(own)
    if cover:
        path = into / COVER_MAIL
        path.write_text(_cover_mail(cover, patches, everybody, thread))
        written.insert(0, path)
    return written


def _tag(words: str, number: int, count: int) -> str:
    """``[PATCH 02/12]``; a patch alone has no number."""
    return f"[{words} {number:0{len(str(count))}}/{count}]" if count > 1 else f"[{words}]"


def _addressed(text: str, tag: str, people: Recipients) -> str:
    """A mail with another tag and with its recipients under its subject."""
    match = SUBJECT.search(text)
    if match is None:
        raise UserError("a patch has no subject, so it is no mail", hint="git format-patch")
    subject = TAG.sub("", match["text"])
    return f"{text[:match.start()]}Subject: {tag} {subject}\n{_headers(people)}{text[match.end():]}"


def _headers(people: Recipients) -> str:
    lines = ""
    for name, addresses in (("To", people.to), ("Cc", people.cc)):
        if addresses:
            lines += f"{name}: " + ",\n    ".join(map(_encoded, addresses)) + "\n"
    return lines


def _encoded(person: str) -> str:
    name, address = parseaddr(person)
    return formataddr((name, address)) if address else person


def _cover_mail(
    cover: str, patches: Sequence[Patch], people: Recipients, thread: Thread
) -> str:
    head, _, words = cover.partition("\n\n")
    match = SUBJECT.match(head + "\n")
    if match is None or not words.strip():
        raise UserError("the cover letter has no subject or no words",
                        hint="it begins with `Subject: ...` and an empty line")
    subject = TAG.sub("", re.sub(r"\s*\n\s+", " ", match["text"]))
    name, address = parseaddr(thread.author)
    tagged = f"{_tag(thread.prefix, 0, len(patches))} {subject}"
    return (
        f"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        f"From: {formataddr((name, address))}\nDate: {formatdate(localtime=True)}\n"
        f"Subject: {Header(tagged, maxlinelen=WIDTH + 2, header_name='Subject').encode()}\n"
        f"{_headers(people)}"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        f"{words.strip()}\n\n{_shortlog(patches)}\n{_diffstat(patches)}\n{thread.base}\n-- \n"
    )


def _shortlog(patches: Sequence[Patch]) -> str:
    """Subjects by author, as `git shortlog` prints them."""
    found: dict[str, list[str]] = {}
    for patch in patches:
        text = patch.path.read_text(errors="replace")
        match = re.search(r"^From: (.*(?:\n[ \t].*)*)", text, re.MULTILINE)
        author = parseaddr(re.sub(r"\s*\n\s+", " ", match[1]))[0] if match else "unknown"
        found.setdefault(author, []).append(patch.subject)
    return "".join(
        f"{author} ({len(subjects)}):\n" + "".join(f"  {subject}\n" for subject in subjects) + "\n"
        for author, subjects in found.items()
    ).rstrip("\n") + "\n"


def _diffstat(patches: Iterable[Patch]) -> str:
    """Lines added and removed by file, over all patches."""
    added: dict[str, int] = {}
    removed: dict[str, int] = {}
    for patch in patches:
        for name, plus, minus in plumbing.numstat(patch.path):
            added[name] = added.get(name, 0) + plus
            removed[name] = removed.get(name, 0) + minus
    width = max(map(len, added), default=0)
    lines = [f" {name:{width}} | +{added[name]} -{removed[name]}\n" for name in sorted(added)]
    return "".join(lines) + (
        f" {len(added)} files changed, {sum(added.values())} insertions(+), "
        f"{sum(removed.values())} deletions(-)\n"
    )


def _once(people: Iterable[str], but: Iterable[str] = ()) -> tuple[str, ...]:
    """Each address once, in order, without those of ``but``."""
    seen = {address for _, address in getaddresses(list(but))}
    found = []
    for person in people:
        address = parseaddr(person)[1]
        if address not in seen:
            seen.add(address)
            found.append(person)
    return tuple(found)
