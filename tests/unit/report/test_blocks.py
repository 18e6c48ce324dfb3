"""Runs of a fleet: what is compared is compared within its host."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.records.hosts import FleetHost, Host
from harness.records.store import load_run
from harness.records.workloads import Metric
from harness.report.analysis import stats, verdict
from harness.report.analysis.analyse import analyse
from harness.report.data.identity import Column
from harness.report.pages import origins, tabular
from harness.report.pages.write import write_report
from tests.unit.report.make_run import MakeRun, edit, edit_lines

RATE = Metric(name="ns", unit="ns", kind="cost", better="less")


def test_hosts_that_differ_hide_nothing() -> None:
    chance = random.Random(3)
    before: dict[tuple[str, int], float] = {}
    after: dict[tuple[str, int], float] = {}
    for host in range(8):
        speed = chance.uniform(100, 1000)
        for boot in range(2):
            before[str(host), boot] = speed * chance.gauss(1, 0.001)
            after[str(host), boot] = speed * 0.98 * chance.gauss(1, 0.001)

    def decided(host: bool) -> verdict.Comparison:
        one = verdict.compare(
            RATE, "kvm", before, after, host=(lambda boot: boot[0]) if host else (lambda _: "")
        )
        return verdict.decide([one])[0]

    assert decided(host=False).verdict.startswith("cannot tell")
    found = decided(host=True)
    assert found.verdict == "lower"
    assert found.delta_pct == pytest.approx(-2, abs=0.1)


def test_false_claims_of_a_fleet_stay_rare() -> None:
    chance = random.Random(7)
    claims = 0
    for _ in range(400):
        sides = []
        for _host in range(3):
            speed = chance.uniform(100, 1000)
            sides.append(tuple([speed * chance.gauss(1, 0.02) for _ in range(n)] for n in (3, 2)))
        claims += (stats.blocked_mann_whitney([(a, b) for a, b in sides]) or 1) <= 0.05
    assert claims <= 0.075 * 400


def test_a_host_with_one_side_only_says_nothing() -> None:
    before = {("a", 1): 100.0, ("a", 2): 101.0, ("b", 1): 900.0}
    after = {("a", 3): 99.0, ("a", 4): 98.0}
    one = verdict.compare(RATE, "kvm", before, after, host=lambda boot: boot[0])
    assert (len(one.before), len(one.after)) == (2, 2)
    assert one.least_p == pytest.approx(2 / 6)
    assert one.delta_pct == pytest.approx(-2, abs=0.1)
    none = verdict.compare(
        RATE, "kvm", {("a", 1): 1.0}, {("b", 1): 2.0}, host=lambda boot: boot[0]
    )
    assert none.verdict.startswith("cannot tell") and none.p is None


def test_hosts_and_layouts_are_both_blocks() -> None:
    """A boot is held against those of its host and its layout only."""
    chance = random.Random(5)
    before: dict[tuple[str, int, int], float] = {}
    after: dict[tuple[str, int, int], float] = {}
    for host, speed in (("slow", 1000.0), ("quick", 150.0)):
        for layout, place in ((0, 1.0), (1, 1.07), (2, 0.95)):
            for boot in range(2):
                before[host, layout, boot] = speed * place * chance.gauss(1, 0.001)
                after[host, layout, boot] = speed * place * 1.02 * chance.gauss(1, 0.001)
    one = verdict.compare(
        RATE, "kvm", before, after, layout=lambda boot: boot[1], host=lambda boot: boot[0]
    )
    found = verdict.decide([one])[0]
    assert found.verdict == "higher"
    assert found.delta_pct == pytest.approx(2, abs=0.2)
    assert found.least_p == pytest.approx(2 / 6**6)
    assert found.layouts is not None and len(found.layouts.effects) == 3
    assert found.layouts.reach_pct < 0.5, "what the hosts make of it is taken out"


def test_a_block_with_one_side_only_says_nothing() -> None:
    """Of a host that did one layout for one side only, the other layout still counts."""
    before = {("a", 0, 1): 100.0, ("a", 0, 2): 101.0, ("a", 1, 1): 500.0, ("b", 0, 1): 50.0}
    after = {("a", 0, 1): 102.0, ("a", 0, 2): 103.0, ("b", 0, 1): 51.0}
    one = verdict.compare(
        RATE, "kvm", before, after, layout=lambda boot: boot[1], host=lambda boot: boot[0]
    )
    assert (len(one.before), len(one.after)) == (3, 3)
    assert one.delta_pct == pytest.approx(2, abs=0.1)
    assert one.least_p == pytest.approx(2 / (6 * 2))


def test_a_report_of_two_hosts_shows_each(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "run", boots=4, seeds=True)
    run.write()
    small, large = (Host(cpu="a CPU", cores=cores) for cores in (2, 64))
    names = {"small": small, "large": large}
    hosts = {name: FleetHost(host=host).model_dump() for name, host in names.items()}
    edit(run.directory / "run.json", lambda value: value.update(hosts=hosts))
    where = {boot: "small" if boot % 8 < 4 else "large" for boot in range(8)}
    edit_lines(
        run.directory / "boots.jsonl", lambda line: {**line, "ran_on": where[line["boot"]]}
    )
    analysis = analyse([run.directory])
    row = next(row for row in analysis.rows if row.metric.name == "faults_per_minute")
    assert row.hosts == ["large", "small"]
    assert row.place.machine == "2 hosts (2 x a CPU, 64 x a CPU)"
    assert len(row.on("small", Column("before"))) == 2
    table = tabular.host_tables(analysis)[0]
    assert {line[3] for line in table.rows} == {"large", "small"}
    boots = origins.boot_table(analysis.data.runs[0])
    assert boots.columns[-1] == "host" and boots.rows[0][-1] == "small"
    files = write_report(analysis, tmp_path / "report")
    for page in (files.html, files.markdown):
        assert "Host by host" in page.read_text()
    assert load_run(run.directory).hosts["large"].host.cores == 64
