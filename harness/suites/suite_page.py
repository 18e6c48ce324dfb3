"""A stability run for people: ``report.html``, made from the run's own files alone."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.core.workspace import write_atomic
from harness.records.old_verdicts import StabilityRun, Verdict
from harness.suites.compare import Difference
from harness.suites.formats import Pair, first_attempts, own_words
from harness.suites.triage import Bug

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: .5em 0 1.5em }
td, th { border: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top }
pre { background: #f6f6f6; padding: .6em; overflow-x: auto; font-size: 13px }
.regression, .crash, .fail, .hang, .lost, .timeout, .broken { color: #b2182b; font-weight: 600 }
.incomparable, .flaky, .notrun { color: #b35806; font-weight: 600 }
"""


def page(title: str, body: str) -> str:
    """A whole document; no script, nothing loaded from elsewhere."""
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>\n<body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


def write_report(
    directory: Path, run: StabilityRun, verdicts: Sequence[Verdict],
    differences: dict[Pair, list[Difference]], bugs: Sequence[Bug],
) -> Path:
    """Write the report beside the run's files."""
    accel = run.accel.get("name", "?")
    parts = [
        f"<p>Begun {html.escape(run.started)}, ended {html.escape(run.finished or '-')}; "
        f"guests under {html.escape(str(accel))} with {run.smp} vCPUs.</p>",
        _counts(run, verdicts), _false_starts(run),
        *(_differences(pair, d) for pair, d in differences.items()),
        _bugs(directory, bugs), _failures(directory, verdicts), _skips(verdicts),
    ]
    path = directory / "report.html"
    write_atomic(path, page(f"Stability: {run.suite}", "\n".join(filter(None, parts))))
    return path


def _mark(word: str) -> str:
    return f'<span class="{word.replace(" ", "")}">{word}</span>'


def _counts(run: StabilityRun, verdicts: Sequence[Verdict]) -> str:
    rows = []
    for variant, tests in first_attempts(verdicts).items():
        build = run.variants.get(variant, {})
        counts = Counter(v.verdict for v in tests).most_common()
        rows.append((
            html.escape(variant), html.escape(f"{build.get('release', '')} {build.get('key', '')}"),
            ", ".join(f"{n} {_mark(word)}" for word, n in counts),
        ))
    return table(("variant", "kernel", "verdicts"), rows)


def _false_starts(run: StabilityRun) -> str:
    """Boots that were begun again: a kernel that hangs now and then would show here first."""
    if not run.false_starts:
        return ""
    rows = "".join(f"<li>{html.escape(line)}</li>" for line in run.false_starts)
    return f"<h2>Boots begun again</h2><ul>{rows}</ul>"


def _differences(pair: Pair, found: Sequence[Difference]) -> str:
    title = f"<h2>{html.escape(pair[0])} v {html.escape(pair[1])}</h2>"
    rows = [
        (_mark(d.kind) + ("" if d.confirmed else " (not repeated)"), html.escape(d.test),
         str(d.seed or ""), ", ".join(d.before) or "-", ", ".join(d.after) or "-",
         html.escape(d.reason), f"<code>harness reproduce {d.idents[1] or d.idents[0]}</code>")
        for d in found if d.kind != "same"
    ]
    same = sum(d.kind == "same" for d in found)
    text = f"<p>{same} of {len(found)} tests say the same on both.</p>"
    head = ("", "test", "seed", *pair, "reason", "again")
    return title + text + (table(head, rows) if rows else "")


def _bugs(directory: Path, bugs: Sequence[Bug]) -> str:
    if not bugs:
        return "<h2>Kernel complaints</h2><p>None.</p>"
    parts = ["<h2>Kernel complaints</h2>"]
    for bug in bugs:
        path = directory / "oopses" / f"{bug.signature.ident}.txt"
        text = path.read_text(errors="replace") if path.exists() else bug.text
        known = f" &middot; known: {html.escape(bug.known)}" if bug.known else ""
        parts.append(
            f"<details><summary><code>{bug.signature.ident}</code> "
            f"{html.escape(bug.signature.text)} &middot; {bug.count} times on "
            f"{html.escape(', '.join(bug.variants))}{known}</summary>"
            f"<pre>{html.escape(text)}</pre></details>"
        )
    return "\n".join(parts)


def _failures(directory: Path, verdicts: Sequence[Verdict]) -> str:
    bad = [v for v in verdicts if v.verdict not in ("pass", "skip")]
    if not bad:
        return ""
    parts = ["<h2>What did not pass</h2>"]
    for v in bad:
        again = f", repetition {v.attempt}" if v.attempt else ""
        seed = f", seed {v.seed}" if v.seed else ""
        parts.append(
            f"<details><summary>{_mark(v.verdict)} {html.escape(v.variant)} "
            f"{html.escape(v.test)}{seed}{again}: {html.escape(v.reason)}</summary>"
            f"<p><code>harness reproduce {v.ident}</code></p>"
            f"<pre>{html.escape(own_words(directory, v)) or 'no output'}</pre></details>"
        )
    return "\n".join(parts)


def _skips(verdicts: Sequence[Verdict]) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for v in verdicts:
        if v.verdict == "skip" and v.attempt == 0:
            found.setdefault((v.test, v.reason), []).append(v.variant)
    if not found:
        return ""
    rows = [
        (html.escape(test), html.escape(reason), html.escape(", ".join(variants)))
        for (test, reason), variants in found.items()
    ]
    return "<h2>Skipped</h2>" + table(("test", "reason", "on"), rows)
