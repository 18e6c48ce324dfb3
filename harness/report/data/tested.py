"""What runs of ``harness stability`` found, a sentence for each pair of variants.

A reader who sees what a series saves and costs must see beside it whether it breaks
anything, or that nobody looked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.records.old_verdicts import RUN_FILE, StabilityRun, Verdict, load_run
from harness.report.data.identity import plural
from harness.suites.compare import CLASSES, Difference, compare

NONE = (
    "No stability run was given, so that no more is known of the kernels' health "
    "(harness report RUN STABILITY_RUN adds one)."
)
MOST_NAMES = 3
GRAVE = ("regression", "crash")


def is_run(directory: Path) -> bool:
    """Whether a directory holds a stability run."""
    return (directory / RUN_FILE).is_file()


def sentences(directories: Iterable[Path]) -> list[str]:
    """What each run found; raises :class:`UserError` when one cannot be read."""
    found = []
    for directory in directories:
        run, verdicts = load_run(directory)
        texts = [
            _pair(before, after, compare(verdicts, before, after))  # type: ignore[arg-type]
            for before, after in _pairs(directory)
        ]
        head = run.suite or directory.resolve().name
        head += "" if run.finished else " (not finished)"
        found += [f"{head}: {text}" for text in texts or [_counts(run, verdicts)]]
    return found


def _pairs(directory: Path) -> list[tuple[str, str]]:
    """What the run itself compared; nothing while it is unfinished."""
    try:
        record = json.loads((directory / "verdicts.json").read_text())
        pairs = [tuple(one["variants"]) for one in record["differences"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [(str(pair[0]), str(pair[1])) for pair in dict.fromkeys(pairs) if len(pair) == 2]


def _pair(before: str, after: str, differences: Sequence[Difference]) -> str:
    kinds = Counter(d.kind for d in differences)
    parts = []
    for kind in CLASSES:
        if not kinds[kind] and kind not in GRAVE:  # of these a zero is what one looks for
            continue
        text = plural(kinds[kind], kind, "crashes" if kind == "crash" else "")
        text = text if kind in GRAVE else f"{kinds[kind]} {kind}"
        names = [d.test for d in differences if d.kind == kind]
        parts.append(text + (_names(names) if kind not in ("same", "fixed") else ""))
    tests = plural(len(differences), "test")
    return f"{after} against {before}, {tests}: {', '.join(parts)}."


def _names(names: Sequence[str]) -> str:
    """``(race-fork, race-mremap and 4 more)``; empty for none."""
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f" ({shown})" if names else ""


def _counts(run: StabilityRun, verdicts: Sequence[Verdict]) -> str:
    """The words by variant, where no two were compared."""
    texts = []
    for variant in run.variants or {v.variant: {} for v in verdicts}:
        words = Counter(v.verdict for v in verdicts if v.variant == variant and not v.attempt)
        said = ", ".join(f"{count} {word}" for word, count in words.most_common())
        texts.append(f"{variant}: {said or 'no verdict'}")
    return f"nothing was compared; {'; '.join(texts) or 'no verdict'}."
