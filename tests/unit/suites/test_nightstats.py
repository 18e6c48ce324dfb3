"""Weeks of nights: rates with their bounds, hosts, what is flaky; and the record as KCIDB JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.records.boots import BootRecord
from harness.records.events import Event
from harness.records.night import NightRow
from harness.records.runs import Run
from harness.records.store import RunWriter
from harness.records.verdicts import Verdict, Word
from harness.suites import history, kcidb, nightstats
from harness.suites.nightplot import hours_plot
from harness.suites.nightstats import Rate
from harness.suites.suite_pages import write_nights
from tests.unit.suites.test_nights import run_of


def test_no_failure_is_a_bound() -> None:
    assert Rate(0, 412).words() == "0 in 412 h: less than one in 137 h"
    assert Rate(0, 412).bound == pytest.approx(2.9957 / 412, rel=1e-4)  # -ln 0.05
    assert Rate(0, 0).words() == "0 in no time at all"


def test_failures_have_a_rate_and_a_bound() -> None:
    # The exact bounds of Poisson's distribution for 2 and 5 events: 6.296 and 10.51.
    assert Rate(2, 412).words() == "2 in 412 h: one in 206 h, less than one in 65.4 h"
    assert Rate(5, 100).bound == pytest.approx(0.10513, rel=1e-4)
    assert Rate(0, 0.006).words() == "0 in 22 s: less than one in 7.2 s"
    assert Rate(1, 0.5).words() == "1 in 30 min: one in 30 min, less than one in 6.3 min"


def verdict(word: Word, test: str = "t", boot: int = 0, hours: float = 1.0) -> Verdict:
    return Verdict(suite="races", test=test, variant="after", verdict=word, boot=boot,
                   seconds=3600 * hours, seed=7)


def boot(number: int, host: str = "") -> BootRecord:
    return BootRecord(boot=number, variant="after", accel="tcg", status="ok", ran_on=host,
                      started="2026-11-27T01:00:00Z")


def test_rows_are_by_host() -> None:
    verdicts = [verdict("pass"), verdict("hang", boot=1), verdict("pass", boot=1, hours=2)]
    run = run_of("after")
    found = nightstats.by_host(verdicts, run, [boot(0, "a"), boot(1, "b")])
    rows = history.rows_of("n", "00-races", run, found, {"after": 3})
    assert [(r.host, r.hours, r.hangs, r.regressions) for r in rows] == \
        [("a", 1, 0, 3), ("b", 3, 1, 0)]
    assert {(r.release, r.kernel, r.accel) for r in rows} == {("6.1.192", "key-after", "tcg")}
    found = nightstats.by_host(verdicts, run, [boot(0), boot(1)])
    (alone,) = history.rows_of("n", "00-races", run, found, {})
    assert (alone.host, alone.hours) == ("2 x EPYC", 4)


def test_a_computer_is_one_host_with_a_fleet_and_without() -> None:
    alone, fleet = run_of("after"), run_of("after")
    alone.host.name = "lab7"
    fleet.host.name = "somebody-else"  # of the client
    rows = [
        one for run, found in ((alone, boot(0)), (fleet, boot(0, "lab7")))
        for one in history.rows_of(
            "n", "00-races", run, nightstats.by_host([verdict("pass")], run, [found]), {}
        )
    ]
    (group,) = nightstats.groups(rows)
    assert (group.host, group.rate.hours) == ("lab7", 2)


def row(night: str, hours: float, kernel: str, **more: object) -> NightRow:
    return NightRow.model_validate({
        "night": night, "part": "00-races", "suite": "races", "variant": "after",
        "kernel": kernel, "hours": hours, "release": "6.1.192", "host": "a", "accel": "tcg",
        "counts": {"pass": 1}, **more,
    })


def test_the_newest_build_has_a_bound_of_its_own() -> None:
    rows = [row("1", 300, "old", crashes=1), row("2", 40, "new"), row("3", 60, "new"),
            row("3", 5, "new", host="b"), row("3", 7, "new", release="6.1.200")]
    first, second, third = nightstats.groups(rows)
    assert (first.rate, first.newest, first.builds) == \
        (Rate(1, 400), Rate(0, 100), ["old", "new"])
    assert (second.host, third.release) == ("b", "6.1.200")
    whole = nightstats.by_kernel([first, second, third])
    assert [(one.variant, one.release, one.rate, one.newest) for one in whole] == \
        [("after", "6.1.192", Rate(1, 405), Rate(0, 105)), ("after", "6.1.200", *[Rate(0, 7)] * 2)]
    assert nightstats.in_words(rows[-2:-1]) == \
        ["after 6.1.192: 0 in 5 h: less than one in 1.66 h (1 build)"]


def recorded(root: Path, night: str, *verdicts: Verdict) -> Run:
    run = run_of("after")
    writer = RunWriter(root / night / "00-races", run)
    for one in verdicts:
        writer.verdict(one)
    writer.boot(boot(0))
    return run


def test_the_hours_are_drawn_by_kernel_and_suite(tmp_path: Path) -> None:
    rows = [row("1", 2, "k1"), row("2", 4, "k1", suite="ltp"), row("2", 1, "k2", variant="before")]
    plot = hours_plot(nightstats.groups(rows))
    assert plot is not None and plot.alt.startswith("after")
    assert "0 failures: less than one in 2 h" in plot.svg()
    assert "ltp on after 6.1.192: 4 h" in plot.svg()
    page = write_nights(tmp_path, rows).read_text()
    assert '<figure id="plot-hours">' in page
    assert (tmp_path / "hours.png").read_bytes().startswith(b"\x89PNG")


def test_no_hours_are_no_figure() -> None:
    assert hours_plot([]) is None
    assert hours_plot(nightstats.groups([row("1", 0, "k1")])) is None


def test_what_is_flaky_and_how_often(tmp_path: Path) -> None:
    recorded(tmp_path, "1", *[verdict("pass")] * 30, verdict("fail"), verdict("fail", "always"))
    recorded(tmp_path, "2", *[verdict("pass")] * 8, verdict("timeout"), verdict("fail"),
             verdict("skip"), verdict("pass", "never"))
    rows = [row("1", 1, "k"), row("2", 1, "k")]
    (found,) = nightstats.flaky(tmp_path, rows)
    assert (found.test, found.bad, found.times, found.last) == ("t", 3, 41, "2")
    assert found.words == "2 fail, 1 timeout"
    assert found.share == "3 of 41, 7.3 % (95 %: 1.5 to 20 %)"
    other = [row("1", 1, "k"), row("2", 1, "another")]
    assert [(one.kernel, one.bad) for one in nightstats.flaky(tmp_path, other)] == \
        [("another", 2), ("k", 1)]
    page = write_nights(tmp_path, rows).read_text()
    assert "3 of 41, 7.3 %" in page and "0 in 2 h: less than one in 40 min" in page
    assert "no test both passed and failed" not in page


def test_a_night_is_kcidb_json(tmp_path: Path) -> None:
    schema = pytest.importorskip("kcidb_io.schema", reason="kcidb-io is not installed")
    oops = Event(kind="oops", title="BUG", text="BUG: \0 oops", fatal=True)
    words: list[Word] = ["pass", "fail", "skip", "broken", "timeout", "hang", "lost", "crash"]
    verdicts = [verdict(word, f"mm/{word} test") for word in words]
    verdicts[-1].events.append(oops)
    recorded(tmp_path, "20261127-010000", *verdicts)
    path = kcidb.write_kcidb(tmp_path / "20261127-010000")
    found = json.loads(path.read_text())
    schema.LATEST.validate(found)
    assert [one["status"] for one in found["tests"]] == \
        ["PASS", "FAIL", "SKIP", "ERROR", "FAIL", "FAIL", "ERROR", "FAIL"]
    assert found["tests"][0]["path"] == "races.mm_pass_test"
    assert found["tests"][-1]["log_excerpt"] == "BUG: ? oops"
    assert found["tests"][0]["environment"]["comment"] == "2 x EPYC under tcg"
    assert len(found["builds"]) == len(found["checkouts"]) == 1
    assert {one["build_id"] for one in found["tests"]} == {found["builds"][0]["id"]}
    assert found["builds"][0]["checkout_id"] == found["checkouts"][0]["id"]
    assert len({one["id"] for one in found["tests"]}) == len(words)


def test_a_night_without_runs_is_valid_too(tmp_path: Path) -> None:
    schema = pytest.importorskip("kcidb_io.schema", reason="kcidb-io is not installed")
    schema.LATEST.validate(json.loads(kcidb.write_kcidb(tmp_path).read_text()))
