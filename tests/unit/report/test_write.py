"""The files of a report: complete, well-formed, self-contained, labelled."""

from __future__ import annotations

import csv
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.report.analysis.analyse import analyse
from harness.report.analysis.method import METHOD
from harness.report.pages.mail import mail
from harness.report.pages.terminal import terminal_text
from harness.report.pages.write import ReportFiles, html_prose, write_report
from harness.style import theme
from tests.places import ROOT
from tests.unit.report.make_run import OOPS, MakeRun, edit_lines
from tests.unit.report.test_profile_difference import with_strings

VOID = {"meta", "link", "br", "img", "input", "hr"}
TCG_LABEL = "not comparable with real hardware"


class Page(HTMLParser):
    """Checks nesting and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record and push."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an empty SVG element."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Pop; anything but the innermost open element is a fault."""
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attrs for name, attrs in self.elements if name == tag]


def report(tmp_path: Path, **options: Any) -> tuple[ReportFiles, str]:
    """Write a synthetic run and its report into the run's directory."""
    run = MakeRun(tmp_path / "r", **options).write()
    files = write_report(analyse([run]), run)
    return files, files.html.read_text()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportFiles, str]:
    """The report of a plain run of two variants and two boots."""
    return report(tmp_path_factory.mktemp("usual"))


def test_html_is_well_formed(usual: tuple[ReportFiles, str]) -> None:
    page = Page(usual[1])
    assert page.faults == []
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        for name in (attrs.get("aria-labelledby") or "").split():
            assert name in ids
        href = attrs.get("href") or ""
        if href.startswith("#"):
            assert href[1:] in ids


def test_html_asks_for_nothing_from_outside(usual: tuple[ReportFiles, str]) -> None:
    page = Page(usual[1])
    for tag, attrs in page.elements:
        assert tag not in {"script", "iframe", "object", "embed", "img"}
        for name in ("src", "href", "xlink:href", "action", "data"):
            value = attrs.get(name) or ""
            assert not re.match(r"\w+://|//", value), f"<{tag} {name}={value}>"
    assert "@import" not in usual[1]
    assert not re.search(r"url\((?!#)", usual[1])


def test_every_figure_speaks(usual: tuple[ReportFiles, str]) -> None:
    text = usual[1]
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) == 5
    for figure in figures:
        assert 'role="img"' in figure
        assert re.search(r"<title id=\S+>.{10,}</title>", figure)
        assert re.search(r"<desc id=\S+>.{30,}</desc>", figure)
        assert re.search(r"<figcaption>.*TCG \(software emulation\) on 2 x Intel", figure)
        assert TCG_LABEL in unescape(figure)


def test_every_table_is_captioned_scoped_and_labelled(usual: tuple[ReportFiles, str]) -> None:
    for table in re.findall(r"<table>.*?</table>", usual[1], re.DOTALL):
        assert re.search(r"<caption id=\S+><span>.{5,}</span></caption>", table, re.DOTALL)
        assert 'scope="col"' in table
        assert 'scope="row"' in table
        if "faults" in table or "VmPTE" in table:
            assert "TCG" in table


def test_html_has_skip_link_themes_and_print(usual: tuple[ReportFiles, str]) -> None:
    text = usual[1]
    assert '<a class="skip" href="#main">' in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert '<html lang="en">' in text
    assert "var(--v0)" in text
    assert "#0072b2" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower()


def test_published_figures_stand_beside_ours(usual: tuple[ReportFiles, str]) -> None:
    text = usual[1]
    for figure in ("102640 kB", "101,674,967", "100,588,311", "50.0 GB", "-1.17"):
        assert figure in text
    assert "message-id 1@example.org" in text


def test_files_beside_the_page(usual: tuple[ReportFiles, str]) -> None:
    files, text = usual
    directory = files.html.parent
    assert len(files.plots) == 5
    for plot in files.plots:
        assert plot.read_bytes().startswith(b"\x89PNG")
    with files.samples_csv.open() as stream:
        samples = list(csv.DictReader(stream))
    assert len(samples) == 4 * 49
    with files.table_csv.open() as stream:
        assert len(list(csv.DictReader(stream))) == 12
    content = json.loads(files.json.read_text())
    assert len(content["rows"]) == 6
    assert content["warnings"] == []
    for target in re.findall(r'<a href="([^"#][^"]*)"', text):
        assert (directory / target).is_file(), target


def test_markdown_holds_the_same(usual: tuple[ReportFiles, str]) -> None:
    files, _ = usual
    text = files.markdown.read_text()
    pictures = re.findall(r"!\[(.{30,})\]\((.*?)\)", text)
    assert len(pictures) == 5
    for _, target in pictures:
        assert (files.markdown.parent / target).is_file()
    assert TCG_LABEL in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 6
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table
    assert "\n\n\n\n" not in text


def test_a_report_made_twice_is_the_same(tmp_path: Path) -> None:
    files, first = report(tmp_path)
    write_report(analyse([files.html.parent]), files.html.parent)
    assert files.html.read_text() == first


def test_warnings_come_first_everywhere(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", boots=1, variants=["before"]).write()
    data = analyse([run])
    files = write_report(data, tmp_path / "out")
    warning = "Only 'before' was measured"
    html = files.html.read_text()
    assert html.index("Only &#39;before&#39;") < html.index("<dt>Memory")
    text = files.markdown.read_text()
    assert text.index(warning) < text.index("**Memory:")
    assert terminal_text(data).splitlines()[1].startswith("! Only 'before'")
    assert warning in " ".join(mail(data).split())
    assert len(files.plots) == 2
    assert Page(html).faults == []


def test_a_crash_is_shown_with_its_oops_and_cannot_break_the_page(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", status={1: "crashed"})
    run.write()
    path = run.directory / "boots.jsonl"
    path.write_text(path.read_text().replace("RIP: 0010", "<script>x</script>\\u001b[31mRIP: 0010"))
    files = write_report(analyse([run.directory]), run.directory)
    html = files.html.read_text()
    assert OOPS.splitlines()[0] in html
    assert "&lt;script&gt;x&lt;/script&gt;RIP: 0010" in html
    assert Page(html).faults == []
    assert "1 crash in 4 boots" in html
    assert "    BUG: kernel NULL pointer" in files.markdown.read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"variants": ["after"], "boots": 1},
        {"series": False},
        {"accel": "icount", "boots": 3, "seeds": True},
        {"accel": "native"},
        {"noise": 0.0, "effect": 0.0, "boots": 6},
        {"variants": ["before", "b", "c", "d", "after"], "boots": 1},
        {"skip": lambda boot, sample: True},
        {"skip": lambda boot, sample: sample.workload == "vmpte"},
        {"skip": lambda boot, sample: sample.variant == "before"},
        {"status": dict.fromkeys(range(4), "missing")},
    ],
)
def test_odd_runs_make_a_report(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme, "to_png", lambda figure: b"")  # the SVG is drawn all the same
    files, html = report(tmp_path, **options)
    assert Page(html).faults == []
    found = analyse([files.html.parent])
    assert terminal_text(found)
    assert max(len(line) for line in mail(found).splitlines()[1:]) <= 72


def test_zero_values_do_not_break_the_logarithm(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "samples.jsonl"
    edit_lines(path, lambda sample: sample | {"value": 0.0})
    files = write_report(analyse([run]), run)
    assert len(files.plots) >= 2
    json.loads(files.json.read_text(), parse_constant=pytest.fail)


def test_an_unwritable_directory_is_a_user_error(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report"):
        write_report(analyse([run]), tmp_path / "file" / "out")


def test_mail_is_ready_for_the_list(tmp_path: Path) -> None:
    found = analyse([MakeRun(tmp_path / "r", boots=6, effect=-0.05, accel="kvm").write()])
    text = mail(found)
    lines = text.splitlines()
    assert lines[0] == (
        "Subject: [measured] before and after, debian-6.1, KVM: memory lower; cost lower"
    )
    assert lines[1] == "" and max(map(len, lines[1:])) <= 72
    assert text.isascii()
    assert re.search(r"^ +before +after$", text, re.MULTILINE)
    assert re.search(r"^VmPTE +102,440 kB +248 kB$", text, re.MULTILINE)
    assert re.search(r"^8 threads +5,\d{3},\d{3} +4,\d{3},\d{3}$", text, re.MULTILINE)
    assert "Measured under KVM" in text
    assert re.search(r"^VmPTE +102640 kB +248 kB$", text, re.MULTILINE)


def test_mail_has_no_published_figure_that_the_plan_has_not(tmp_path: Path) -> None:
    text = mail(analyse([MakeRun(tmp_path / "r", published=False).write()]))
    assert "102640" not in text and "The letter" not in text and "Made with:" in text


def test_the_method_is_told_once_and_the_same_everywhere(usual: tuple[ReportFiles, str]) -> None:
    files, html = usual
    markdown, docs = files.markdown.read_text(), (ROOT / "docs" / "verdicts.md").read_text()
    for name, text in METHOD:
        assert f"<dt>{name}</dt>" in html and str(html_prose(text)) in html
        assert f"- **{name}.** {text}" in markdown
        assert text in " ".join(docs.split()), f"docs/verdicts.md is stale: {name}"


def test_a_mark_tells_its_boots_without_a_script(usual: tuple[ReportFiles, str]) -> None:
    html = unescape(usual[1])
    assert "<script" not in html
    tips = re.findall(r'<g class="tip"><title>([^<]+)</title>', html)
    assert len(tips) > 20
    assert any(re.search(r"before, 50 GiB loop: median 102,440 kB; boots: 102,440, 102,440", tip)
               for tip in tips)


def test_noise_stands_in_the_appendix(usual: tuple[ReportFiles, str]) -> None:
    html = usual[1]
    assert html.index('id="plot-answer"') < html.index('id="findings"')
    at = html.index('id="plot-change-faults-per-minute-tcg"')
    assert at > html.index('id="appendix"')
    assert html.index('id="findings"') < html.index('id="method"') < html.index('id="appendix"')


def test_profiles_are_in_every_form_of_a_report(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    both = [with_strings("before", 4), with_strings("after", 2)]
    (run / "profiles.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in both))
    files = write_report(analyse([run]), run)
    content = json.loads(files.json.read_text())
    assert [row["function"] for row in content["profile"]] == ["clear"]  # nothing else differs
    assert content["profile"][0]["delta"] == -516
    assert content["profile"][0]["counts"]["string_bytes"] == {"before": 8192, "after": 4096}
    for page in (files.html.read_text(), files.markdown.read_text()):
        assert "Where the differences are" in page
        assert "what else was counted per page" in page
    assert list((run / "explain").glob("callgrind.out.*"))
    assert "what else was counted" in (run / "explain/explain.txt").read_text()


def test_what_stands_between_backticks_is_code_and_the_rest_is_escaped() -> None:
    assert html_prose("a <b> `c < d`") == "a &lt;b&gt; <code>c &lt; d</code>"
