"""All files of a report, written into one directory."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from harness.core.errors import UserError
from harness.core.workspace import explain_full_disk, write_atomic
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.findings import Line
from harness.report.analysis.method import METHOD
from harness.report.pages import exports, origins, tabular
from harness.report.pages.profile_tables import ProfileTable, modelled, write_profiles
from harness.report.plots.drawing import draw
from harness.report.plots.picture import origin
from harness.report.plots.plot_answer import ANSWER
from harness.report.profiles import explaining
from harness.report.profiles.explaining import Explanation
from harness.report.profiles.whereabouts import whereabouts
from harness.style import templating
from harness.style.plot import Plot

CAPTION = "Findings: medians over boots"
NOISE = (
    "Wall clock under emulation, and what one build differs by from itself: no finding rests on "
    "these"
)


@dataclass(frozen=True)
class ReportFiles:
    """What was written."""

    html: Path
    markdown: Path
    json: Path
    samples_csv: Path
    table_csv: Path
    plots: list[Path]
    explained: Explanation | None = None
    """What the runs' profiles say, which the pages hold; None where there are none."""


def write_report(analysis: Analysis, directory: Path) -> ReportFiles:
    """Write report.html, report.md, plots/*.png, samples.csv, table.csv and report.json.

    Raises :class:`UserError` when the directory cannot be written and
    :class:`InfrastructureError` when the disk is full.
    """
    with writing(directory):
        (directory / "plots").mkdir(parents=True, exist_ok=True)
        return _write(analysis, directory)


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turns trouble with an output directory into an error that says what to do."""
    try:
        with explain_full_disk(directory):
            yield
    except OSError as error:
        raise UserError(
            f"cannot write the report to {directory}: {error.strerror}",
            hint="choose another place with --out DIR",
        ) from error


def _write(analysis: Analysis, directory: Path) -> ReportFiles:
    drawn = draw(analysis)
    pictures = []
    for plot in drawn:
        path = directory / "plots" / f"{plot.name}.png"
        path.write_bytes(plot.png())
        pictures.append(path)
    explained = explaining.of_runs([run.directory for run in analysis.data.runs])
    context = _context(analysis, drawn, write_profiles(
        explained, directory, _counted(analysis)
    ), directory)
    context["modelled"] = modelled(explained)
    context["where"] = whereabouts(explained, analysis.rows)
    files = ReportFiles(
        directory / "report.html", directory / "report.md", directory / "report.json",
        directory / "samples.csv", directory / "table.csv", pictures, explained,
    )
    write_atomic(files.html, render("report.html.j2", context))
    write_atomic(files.markdown, render("report.md.j2", context))
    write_atomic(files.samples_csv, exports.samples(analysis).to_csv(index=False))
    write_atomic(files.table_csv, exports.frame(analysis.rows).to_csv(index=False))
    content = exports.as_json(analysis, explained) | {
        "plots": [{"file": f"plots/{p.name}.png", "title": p.title, "caption": p.caption,
                   "alt": p.alt} for p in drawn]
    }
    write_atomic(files.json, json.dumps(content, indent=1) + "\n")
    return files


def _counted(analysis: Analysis) -> str:
    """Accel and machine of what was counted, for the small print of figures."""
    return next((origin(row.place) for row in analysis.rows if row.accel == "icount"), "")


def _context(
    analysis: Analysis, drawn: list[Plot], profiles: list[ProfileTable], directory: Path
) -> dict[str, object]:
    """Everything the templates lay out."""
    of_workload: dict[str, list[Plot]] = {}
    for plot in drawn:
        if plot.workload:
            of_workload.setdefault(plot.workload, []).append(plot)
    over = [plot for plot in drawn if not plot.workload and plot.name != ANSWER]
    data = analysis.data
    return {
        "analysis": analysis,
        "runs": data.runs,
        "answer_plot": next((plot for plot in drawn if plot.name == ANSWER), None),
        "findings": _lines(analysis.findings, CAPTION),
        "noise": _lines(analysis.noise, NOISE),
        "noise_plots": [plot for plot in over if plot.appendix],
        "side_by_side": tabular.side_by_side(analysis),
        "host_tables": tabular.host_tables(analysis),
        "published": tabular.published_tables(analysis),
        "result_tables": tabular.result_tables(analysis),
        "plots": of_workload,
        "change_plots": [plot for plot in over if not plot.appendix],
        "profiles": profiles,
        "layouts": tabular.layout_tables(analysis),
        "method": METHOD,
        "determinism":
            tabular.determinism_table(analysis.residuals) if analysis.residuals else None,
        "run_tables": [origins.run_table(run) for run in data.runs],
        "kernel_tables": [origins.kernel_table(run) for run in data.runs],
        "boot_tables": [origins.boot_table(run) for run in data.runs],
        "crashes": origins.crashes(data),
        "links": origins.raw_links(data, directory),
        "own_files": ["samples.csv", "table.csv", "report.json", "report.md"],
    }


def _lines(lines: Sequence[Line], caption: str) -> tabular.Table | None:
    return tabular.findings_table(lines, caption) if lines else None


def render(template: str, context: Mapping[str, object]) -> str:
    """A template filled in; what becomes HTML is escaped."""
    environment = templating.environment(
        Path(__file__).parent / "templates", escape=template.endswith(".html.j2")
    )
    environment.filters["md"] = markdown_cell
    environment.filters["prose"] = html_prose
    environment.filters["lines"] = lambda text: text.split("\n", 1)
    environment.filters["capital"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(template).render(context)


def html_prose(text: str) -> Markup:
    """A sentence for HTML: what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def markdown_cell(text: str) -> str:
    """Text that stays inside one cell of a Markdown table."""
    for mark in ("\\", "|", "<", "*", "_", "`", "["):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
