"""The history of nights, their order, retention; and a suite spread over several guests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cli import nightly_command as nightly
from harness.cli.nightly_command import in_order, in_time, retain
from harness.core.deadline import Deadline
from harness.core.errors import (
    EXIT_INFRASTRUCTURE,
    EXIT_REGRESSION,
    InfrastructureError,
    UserError,
)
from harness.project.config import Ltp, NightlySuite
from harness.records.old_verdicts import Verdict, Word
from harness.suites import history, shards
from harness.suites.history import Row
from harness.suites.suite import Queue, TestCase


def verdict(word: Word, hours: float, variant: str = "after") -> Verdict:
    return Verdict(suite="races", test="t", variant=variant, verdict=word, seconds=3600 * hours)


def row(night: str, hours: float, since: float, *, crashes: int = 0, suite: str = "races") -> Row:
    return Row(night=night, suite=suite, variant="after", hours=hours, hours_since_crash=since,
               crashes=crashes, counts={"pass": 1})


def test_hours_without_a_crash_begin_anew_after_one() -> None:
    verdicts = [verdict("pass", 2), verdict("crash", 1), verdict("fail", 0.5)]
    (found,) = history.rows_of("n", "00-races", verdicts, {"after": "k"}, {})
    assert (found.hours, found.hours_since_crash, found.crashes) == (3.5, 0.5, 1)
    nights = [row("1", 5, 5), row("2", 4, 1, crashes=1), row("3", 6, 6)]
    record = history.summarize(nights)["races", "after"]
    assert (record.hours, record.clean_hours, record.crashes) == (15, 7, 1)


def test_a_night_gone_on_with_counts_once(tmp_path: Path) -> None:
    history.append(tmp_path, [row("1", 1, 1)])
    with (tmp_path / history.HISTORY_FILE).open("a") as stream:
        stream.write('{"night": "1", "su')
    history.append(tmp_path, [row("1", 2, 2), row("2", 1, 1)])
    assert [(r.night, r.hours) for r in history.load(tmp_path)] == [("1", 2), ("2", 1)]


def test_what_found_bugs_comes_first() -> None:
    rows = [row("1", 1, 1, crashes=2, suite="stress-ng"), row("2", 1, 1, crashes=2, suite="ltp"),
            row("2", 1, 1)]
    suites = [NightlySuite(suite=name) for name in ("races", "stress-ng", "ltp", "trinity")]
    names = [suite.suite for suite in in_order(suites, history.yields(rows))]
    assert names == ["ltp", "stress-ng", "races", "trinity"]


def test_a_shorter_night_runs_shorter_where_it_can() -> None:
    suites = [NightlySuite(suite=name, minutes=30) for name in ("races", "ltp", "trinity")]
    assert [suite.minutes for suite in in_time(suites, 1 / 3)] == [10, 30, 10]
    assert in_time(suites, 1.0) == suites


def test_each_part_of_each_night_has_seeds_of_its_own(tmp_path: Path) -> None:
    first, next_day = (
        nightly._Night(tmp_path / name, [], {}) for name in ("20261101-220000", "20261102-220000")
    )
    seeds = [nightly._seed(night, key) for night in (first, next_day)
             for key in ("00-races", "01-races")]
    assert len(set(seeds)) == 4
    assert nightly._seed(first, "01-races") == seeds[1]


def test_what_ended_for_want_of_a_guest_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def suite(_env: object, _night: object, plan: NightlySuite, _at: Path) -> int:
        calls.append(plan.suite)
        return {"races": [3, 0], "ltp": [3, 3], "trinity": [1, 0]}[plan.suite][
            calls.count(plan.suite) - 1]

    monkeypatch.setattr(nightly, "_suite", suite)
    plan = [NightlySuite(suite=name) for name in ("races", "ltp", "trinity")]
    night = nightly._Night(tmp_path, plan, {})
    env: Any = SimpleNamespace(progress=SimpleNamespace(say=print, warn=print))
    assert nightly._run(env, night, Deadline(60)) == EXIT_REGRESSION
    assert calls == ["races", "ltp", "trinity", "races", "ltp"]
    assert night.codes == {"00-races": 0, "01-ltp": EXIT_INFRASTRUCTURE, "02-trinity": 1}


def test_ltp_is_planned_where_its_tree_is_named() -> None:
    said: list[str] = []
    env: Any = SimpleNamespace(progress=SimpleNamespace(warn=said.append),
                               project=SimpleNamespace(config=SimpleNamespace(ltp=Ltp())))
    plan = [NightlySuite(suite="ltp"), NightlySuite(suite="races")]
    assert nightly._possible(env, plan, Path("/opt/ltp")) == plan and not said
    assert nightly._possible(env, plan, None) == plan[1:] and "--ltp" in said[0]


def test_the_trend_page_says_all_of_it(tmp_path: Path) -> None:
    rows = [row("20261101-000000", 5, 5), row("20261102-000000", 4, 1, crashes=1)]
    text = history.write_page(tmp_path, rows).read_text()
    assert "<td>1.00</td><td>9.00</td><td>1</td>" in text
    assert text.count("<rect") == 2 and history.RED in text
    assert "<h3 id=\"20261102-000000\">" in text


def test_the_parts_of_a_night_are_one_bar(tmp_path: Path) -> None:
    parts = [row("1", 3, 3), row("1", 1, 1, crashes=1), row("2", 2, 2)]
    for at, part in enumerate(parts):
        part.part = f"0{at}-races"
    text = history.write_page(tmp_path, parts).read_text()
    assert text.count("<rect") == 2 and "1: 4.00 h, 1 crashes" in text


def test_retention_keeps_verdicts(tmp_path: Path) -> None:
    for night in ("1", "2", "3"):
        (tmp_path / night / "00-races/boots/b").mkdir(parents=True)
        (tmp_path / night / "00-races/tests-after").mkdir()
        (tmp_path / night / "00-races/verdicts.jsonl").touch()
        (tmp_path / night / "nightly.json").write_text(json.dumps({"finished": True}))
    retain(tmp_path, 2)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/00-races/*")}
    assert {"1/00-races/verdicts.jsonl", "2/00-races/boots", "3/00-races/tests-after"} <= left
    assert not {"1/00-races/boots", "1/00-races/tests-after"} & left


class Runner:
    """Passes every test but one, which ends its guest's thread."""

    def run(self, tests: Queue) -> Iterator[Verdict]:
        while test := tests.take():
            if test.name == "bad":
                raise InfrastructureError("the guest did not boot")
            yield Verdict(suite="s", test=test.name, variant="v", verdict="pass")


def shard(names: list[str], jobs: int) -> Iterator[Verdict]:
    runner: Any = Runner()
    return shards.run(runner, Queue(TestCase(name, name, 1.0) for name in names), jobs)


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_test_is_run_by_one_guest(jobs: int) -> None:
    names = [str(n) for n in range(20)]
    assert sorted(v.test for v in shard(names, jobs)) == sorted(names)


def test_the_other_guests_go_on_when_one_fails() -> None:
    found = []
    with pytest.raises(InfrastructureError, match="did not boot"):
        found.extend(v.test for v in shard(["bad", "a", "b"], 2))


def test_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_available_mib", lambda: 6 * 1024)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert shards.crowding(1, 4, "64G") == 1.0
    assert shards.crowding(2, 4, "2G") == 2.0
    assert shards.crowding(5, 1, "1024") == 2.5
    with pytest.raises(UserError, match="2 guests of 4G need 8192 MiB, 5120 MiB are free"):
        shards.crowding(2, 4, "4G")
