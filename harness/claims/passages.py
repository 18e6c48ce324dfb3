"""Which numbers of a page are in a passage that claims.toml knows, and which are not.

A number is one of a measurement, as far as a program can tell, when it has a sign, a comma for
thousands, or a unit of what is measured behind it. Code is left out: its numbers are options.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.project.claims import CLAIMS_FILE, ClaimBook

UNITS = (
    "%", "per cent", "kB", "MB", "instructions?", "ns", "us", "ms", "s", "min", "seconds?",
    "minutes?", "h", "hours?", "boots?", "tests?", "cases?", "prefixes", "operations",
)
_BODY = r"\d+(?:,\d{3})*(?:\.\d+)?"
NUMBER = re.compile(
    rf"(?<![\w.,+-])(?:[+-]{_BODY}|\d+(?:,\d{{3}})+(?:\.\d+)?"
    rf"|{_BODY}(?=(?:\s|-)?(?:{'|'.join(UNITS)})(?!\w)))"
)
_CODE = re.compile(r"^```[\s\S]*?^```|^(?: {4}|\t)[^\n]*$|`[^`]*`|\]\([^)]*\)", re.MULTILINE)
ROUND = 40  # characters of the page shown on either side


@dataclass(frozen=True)
class Uncovered:
    """A number of a page that is in no passage of claims.toml."""

    file: str
    line: int
    number: str
    around: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.number}' in '{self.around}'"


def find(says: str, text: str) -> list[tuple[int, int]]:
    """Where a passage stands in a text, as (begin, end); blanks and line breaks are one."""
    words = [re.escape(word) for word in says.split()]
    return [one.span() for one in re.finditer(r"\s+".join(words), text)] if words else []


def passages(book: ClaimBook) -> dict[str, list[str]]:
    """Page to the passages that claims.toml has of it."""
    found: dict[str, list[str]] = defaultdict(list)
    for claim in book.claims:
        if claim.file:
            found[claim.file].append(claim.says)
    for entry in book.not_claims:
        found[entry.file] += entry.says
    return found


def faults(book: ClaimBook, root: Path) -> list[str]:
    """What is wrong with the pages themselves, beside the claims on them: each in words."""
    gone = [
        f"not_claims: {file} does not say: {' '.join(says.split())}"
        for entry in book.not_claims for file in [entry.file] for says in entry.says
        if not find(says, _text(root / file))
    ]
    return gone + [f"no entry of {CLAIMS_FILE} has {one}" for one in uncovered(book, root)]


def uncovered(book: ClaimBook, root: Path) -> list[Uncovered]:
    """Every number of the pages that is in no entry."""
    known = passages(book)
    return [
        one for file in book.pages
        for one in uncovered_in(file, _text(root / file), known.get(file, ()))
    ]


def uncovered_in(file: str, text: str, known: Iterable[str]) -> Iterator[Uncovered]:
    """The same of one page's text."""
    spans = [span for says in known for span in find(says, text)]
    for number in NUMBER.finditer(_without_code(text)):
        begin, end = number.span()
        if not any(first <= begin and end <= last for first, last in spans):
            yield Uncovered(
                file, text.count("\n", 0, begin) + 1, number[0],
                " ".join(text[max(0, begin - ROUND):end + ROUND].split()),
            )


def _without_code(text: str) -> str:
    """The text with blanks where code stood, every character in its place."""
    return _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
