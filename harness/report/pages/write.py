"""All files of a report, written into one directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from harness.core.errors import UserError
from harness.core.workspace import explain_full_disk, write_atomic
from harness.report.analysis import designs, determinism, letter, stats, verdict
from harness.report.analysis import rows as tables
from harness.report.analysis.summary import summarize
from harness.report.data.rundata import RunData
from harness.report.pages import provenance, view, words
from harness.report.plots import plots

REPORT_SCHEMA = 1
METHOD = (
    "The boot, not the repeat, is the unit: each point is the median of one boot's repeats, and "
    "no outlier is dropped.",
    "Wall-clock metrics: ratio of the medians over boots; 95 % percentile bootstrap interval from "
    f"{verdict.LEAST_FOR_BOOTSTRAP} boots of each variant on (below that the interval column "
    "shows the smallest and the largest ratio of two boots); exact two-sided Mann-Whitney test, "
    "corrected for the number of cells after Holm.",
    "'lower' and 'higher' need a corrected p of at most 0.05 and an interval without 0. "
    f"'same within X %' needs as many boots, and the whole interval within {verdict.SAME_MARGIN_PCT:.0f} %. "  # noqa: E501
    "Everything else is 'cannot tell', with the number of boots of each variant that would do.",
    "Quantities that are the same in every boot (VmPTE, VmSize) are exact: a difference is one "
    "when the two ranges do not overlap.",
    "The A/A control is the first variant once more under another name, in boots of its own "
    "between the others: what it differs by is what this host makes of no change at all.",
    "Under icount the count is exact but depends on what the guest did earlier by up to "
    f"{verdict.HISTORY_PCT} %; boots are paired by the seed of their history, and a difference counts "  # noqa: E501
    "when it exceeds that, or outgrows its own spread over at least "
    f"{verdict.LEAST_HISTORIES} histories. One boot is done again: no difference below what "
    f"the two differ by is a finding. {words.ICOUNT_NOTE}",
)


@dataclass
class ReportFiles:
    """What was written."""

    html: Path
    markdown: Path
    json: Path
    samples_csv: Path
    table_csv: Path
    plots: list[Path]


def write_report(data: RunData, directory: Path) -> ReportFiles:
    """Write report.html, report.md, plots/*.png, samples.csv, table.csv and report.json.

    Raises :class:`UserError` when the directory cannot be written and
    :class:`InfrastructureError` when the disk is full.
    """
    try:
        with explain_full_disk(directory):
            (directory / "plots").mkdir(parents=True, exist_ok=True)
            return _write(data, directory)
    except OSError as error:
        raise UserError(
            f"cannot write the report to {directory}: {error.strerror}",
            hint="choose another place with --out DIR",
        ) from error


def _write(data: RunData, directory: Path) -> ReportFiles:
    rows = tables.build(data)
    drawn = plots.draw(data, rows)
    pictures = []
    for plot in drawn:
        path = directory / "plots" / f"{plot.name}.png"
        path.write_bytes(plot.png())
        pictures.append(path)
    context = _context(data, rows, drawn, directory)
    files = ReportFiles(
        directory / "report.html", directory / "report.md", directory / "report.json",
        directory / "samples.csv", directory / "table.csv", pictures,
    )  # fmt: skip
    write_atomic(files.html, environment(True).get_template("report.html.j2").render(context))
    write_atomic(files.markdown, environment(False).get_template("report.md.j2").render(context))
    write_atomic(files.samples_csv, data.samples.to_csv(index=False))
    write_atomic(files.table_csv, tables.frame(rows).to_csv(index=False))
    write_atomic(files.json, json.dumps(as_json(data, rows, drawn), indent=1) + "\n")
    return files


def as_json(
    data: RunData, rows: list[tables.Row], drawn: list[plots.Plot] | None = None
) -> dict[str, Any]:
    """The whole report as one JSON-able object."""
    summary = summarize(data, rows)
    return {
        "schema_version": REPORT_SCHEMA,
        "warnings": summary.warnings,
        "summary": asdict(summary),
        "rows": [tables.as_dict(row, data) for row in rows],
        "runs": [run.run.model_dump() for run in data.runs],
        "crashes": [vars(crash) for crash in provenance.crashes(data)],
        "determinism": [{**vars(one), "pct": one.pct} for one in determinism.residuals(data)],
        "letter": {"citation": letter.CITATION, "notes": list(letter.NOTES)},
        "plots": [
            {"file": f"plots/{p.name}.png", "title": p.title, "caption": p.caption, "alt": p.alt}
            for p in drawn or []
        ],
        "method": {"alpha": stats.ALPHA, "resamples": stats.RESAMPLES, "seed": stats.SEED},
    }


def _context(
    data: RunData, rows: list[tables.Row], drawn: list[plots.Plot], directory: Path
) -> dict[str, Any]:
    """Everything the templates lay out."""
    repeated, summary = determinism.residuals(data), summarize(data, rows)
    return {
        "title": view.title(data),
        "runs": data.runs,
        "summary": summary,
        "findings": view.summary_table(summary) if summary.lines else None,
        "designs": designs.tables(data, rows),
        "letter": letter,
        "letter_tables": view.letter_tables(data, rows),
        "result_tables": view.result_tables(data, rows),
        "plots": {
            workload: [plot for plot in drawn if plot.workload == workload]
            for workload in dict.fromkeys(["", *(plot.workload for plot in drawn)])
        },
        "method": METHOD,
        "determinism": view.determinism_table(repeated) if repeated else None,
        "run_tables": [provenance.run_table(run) for run in data.runs],
        "variant_tables": [provenance.variant_table(run) for run in data.runs],
        "boot_tables": [provenance.boot_table(run) for run in data.runs],
        "crashes": provenance.crashes(data),
        "links": provenance.raw_links(data, directory),
        "own_files": ["samples.csv", "table.csv", "report.json", "report.md"],
    }


def environment(html: bool) -> jinja2.Environment:
    """Where the templates are found and how they are filled in; ``html`` escapes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_cell
    environment.filters["lines"] = lambda text: text.split("\n", 1)
    return environment


def markdown_cell(text: str) -> str:
    """Text that stays inside one cell of a Markdown table."""
    for mark in ("\\", "|", "<", "*", "_", "`", "["):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
