"""The page in a real browser: every plot and table is there, whole, readable, in light and dark.

A script is added to a copy of the page; it measures what was laid out and leaves
its findings in the document that headless chromium dumps.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from harness.report.analysis.analyse import analyse
from harness.report.pages.write import write_report
from tests.unit.report.make_planned import OPS, make_plan
from tests.unit.report.make_planned import write as write_planned
from tests.unit.report.make_run import MakeRun

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]
PROBE = """
<pre id="probe"></pre><script>
const rect = e => e.getBoundingClientRect();
const box = e => [rect(e).left, rect(e).top, rect(e).right, rect(e).bottom];
const drawn = e => rect(e).width + rect(e).height > 2;
const paper = getComputedStyle(document.body).backgroundColor;
const plots = [...document.querySelectorAll("figure")].map(f => {
  const svg = f.querySelector("svg"), outer = svg ? box(svg) : null;
  const texts = svg ? [...svg.querySelectorAll("text")] : [];
  return {id: f.id, outer, label: f.querySelector("title")?.textContent,
    shapes: svg ? [...svg.querySelectorAll("path, use")].filter(drawn).length : 0,
    texts: texts.map(t => ({text: t.textContent.trim(), box: box(t),
                            fill: getComputedStyle(t).fill, size: rect(t).height}))};
});
const tables = [...document.querySelectorAll("table")].map(t => ({
  caption: t.caption?.textContent, rows: t.tBodies[0].rows.length, box: box(t),
  widths: [...new Set([...t.rows].map(r => r.cells.length))],
  section: t.closest("section")?.id, text: t.innerText,
  scopes: [...t.querySelectorAll("th")].every(h => h.scope)}));
const focusable = [...document.querySelectorAll(".scroll, nav a, .skip, .links a")].map(e => {
  e.focus(); return document.activeElement === e; });
const findings = document.getElementById("findings");
document.getElementById("probe").textContent = JSON.stringify({plots, tables, paper,
  focusable, scripts: document.querySelectorAll("script").length,
  tips: [...document.querySelectorAll("g.tip > title")].map(t => t.textContent),
  findingsEnd: (findings ? rect(findings.closest("div")).bottom : 0) + scrollY,
  ink: getComputedStyle(document.body).color,
  page: [document.documentElement.scrollWidth, innerWidth],
  requests: performance.getEntriesByType("resource").map(e => e.name)});
</script>
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (apt-get install chromium)")


def probe(page: Path, profile: Path, *flags: str) -> dict[str, Any]:
    """What the browser laid out."""
    copy = page.with_name("probe.html")
    copy.write_text(page.read_text().replace("</body>", f"{PROBE}</body>"))
    argv = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--window-size=1100,2000", *flags,
            "--dump-dom", copy.as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-500:]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio of two ``rgb(r, g, b)`` colours."""

    def luminance(color: str) -> float:
        parts = [int(n) / 255 for n in re.findall(r"\d+", color)[:3]]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with a control, a crash and six boots of each variant."""
    directory = tmp_path_factory.mktemp("browser") / "r"
    run = MakeRun(directory, control=True, boots=6, status={2: "crashed"}).write()
    return write_report(analyse([run]), run).html


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_plots_and_tables_are_there_and_readable(page: Path, tmp_path: Path, dark: bool) -> None:
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    seen = probe(page, tmp_path / "profile", *flags)
    assert [plot["id"] for plot in seen["plots"]] == [
        "plot-answer",
        "plot-vmpte-tcg",
        "plot-change-vmpte-tcg",
        "plot-multi-fault-faults-per-minute-by-threads-tcg",
        "plot-change-faults-per-minute-tcg",
    ]
    for plot in seen["plots"]:
        check_plot(plot, seen["paper"])
    captions = [table["caption"] for table in seen["tables"]]
    for start in ("Findings", "The letter", "Wall clock", "vmpte: after against before",
                  "multi-fault: after against before", "Run ", "Kernels", "Boots"):
        assert any(caption.startswith(start) for caption in captions), start
    for table in seen["tables"]:
        assert table["rows"] >= 1
        assert len(table["widths"]) == 1
    assert seen["requests"] == []
    assert seen["page"][0] <= seen["page"][1]
    assert contrast(seen["ink"], seen["paper"]) > 10
    assert (contrast(seen["paper"], "rgb(0,0,0)") < 2) == dark


def check_plot(plot: dict[str, Any], paper: str) -> None:
    """Big enough, drawn, and no text cut off, unreadable or on top of another."""
    left, top, right, bottom = plot["outer"]
    assert right - left > 500
    assert bottom - top > 120
    assert plot["shapes"] > 6
    assert len(plot["texts"]) > 6
    for text in plot["texts"]:
        x0, y0, x1, y1 = text["box"]
        assert left - 1 <= x0 and x1 <= right + 1, f"{text['text']} is cut off"
        assert top - 1 <= y0 and y1 <= bottom + 1, f"{text['text']} is cut off"
        assert text["size"] >= 10, f"{text['text']} is too small"
        assert contrast(text["fill"], paper) >= 3, f"{text['text']} is too faint"
    for place, one in enumerate(plot["texts"]):
        for other in plot["texts"][place + 1 :]:
            assert not overlap(one["box"], other["box"]), f"{one['text']} / {other['text']}"


def overlap(a: list[float], b: list[float], slack: float = 3) -> bool:
    """Whether two boxes share more than ``slack`` pixels both ways."""
    return (min(a[2], b[2]) - max(a[0], b[0]) > slack) and (
        min(a[3], b[3]) - max(a[1], b[1]) > slack
    )


def test_the_probe_notices_what_is_missing(page: Path, tmp_path: Path) -> None:
    """The test above would fail without a plot or a table: the probe counts them."""
    text = page.read_text()
    figure = re.search(r"<figure.*?</figure>", text, re.DOTALL)
    assert figure
    broken = page.with_name("broken.html")
    broken.write_text(text.replace(figure[0], "").replace("<table>", "<div>", 1))
    seen = probe(broken, tmp_path / "profile")
    whole = probe(page, tmp_path / "profile2")
    assert len(seen["plots"]) == len(whole["plots"]) - 1
    assert len(seen["tables"]) == len(whole["tables"]) - 1


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of both clocks, a control, and workloads that the report knows nothing of."""
    run = write_planned(tmp_path_factory.mktemp("rich") / "r", make_plan(boots=6))
    return write_report(analyse([run]), run).html


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_whatever_was_measured_is_drawn_and_tabled(
    rich: Path, tmp_path: Path, dark: bool
) -> None:
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    seen = probe(rich, tmp_path / "profile", *flags)
    report = json.loads(rich.with_suffix(".json").read_text())
    drawn = [plot["id"].removeprefix("plot-") for plot in seen["plots"]]
    assert sorted(drawn) == sorted(Path(p["file"]).stem for p in report["plots"])
    assert drawn[0] == "answer" and len(drawn) == 12
    for plot in seen["plots"]:
        check_plot(plot, seen["paper"])
    said = " ".join(text["text"] for plot in seen["plots"] for text in plot["texts"])
    tabled = " ".join(table["text"] for table in seen["tables"])
    for cell in (*OPS, "chunk 4096 KiB", "16 threads", "heap"):
        assert cell in said and cell in tabled, cell
    for workload in ("vmpte", "chunky", "heap", "op-cost", "multi-fault"):
        captions = [t["caption"] for t in seen["tables"] if t["caption"].startswith(workload)]
        assert captions, workload
        for caption in captions:
            clocks = [name in caption for name in ("TCG (software", "icount (TCG")]
            assert sum(clocks) == 1, "one clock a table"
    assert all(len(t["widths"]) == 1 and t["scopes"] and t["rows"] for t in seen["tables"])
    assert all(seen["focusable"]) and len(seen["focusable"]) > 20
    assert seen["page"][0] <= seen["page"][1]


def test_the_answer_fits_a_screen(rich: Path, tmp_path: Path) -> None:
    seen = probe(rich, tmp_path / "profile", "--window-size=1280,1100")
    first = seen["tables"][0]
    assert first["section"] == "answer" and first["rows"] <= 7
    assert first["text"].split("\n")[1].startswith("finding")
    assert "A/A control" not in first["text"]
    assert 300 < seen["findingsEnd"] <= 1250


def test_marks_tell_their_boots_and_no_script_is_needed(rich: Path, tmp_path: Path) -> None:
    seen = probe(rich, tmp_path / "profile")
    assert seen["scripts"] == 1, "the probe's own"
    assert any("Boots: before: " in tip and "after: " in tip for tip in seen["tips"])
    assert all(len(tip) > 20 for tip in seen["tips"]) and len(seen["tips"]) > 100


def test_a_narrow_window_scrolls_tables_not_the_page(rich: Path, tmp_path: Path) -> None:
    seen = probe(rich, tmp_path / "profile", "--window-size=500,900")
    assert seen["page"][0] <= seen["page"][1]


def test_it_prints(rich: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    argv = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'p'}", "--no-pdf-header-footer",
            f"--print-to-pdf={target}", rich.as_uri()]
    subprocess.run(argv, capture_output=True, timeout=300, check=True)
    assert 8 <= target.read_bytes().count(b"/Type /Page\n") <= 25
