"""`harness bench` and `harness report`, end to end on a small plan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.store import load_boots, load_run, load_samples
from tests.guests import Harness, wait_for

pytestmark = pytest.mark.vm

SMALL = (
    "bench", "--variants", "before", "--boots", "1", "--repeat", "1", "--duration", "1",
    "--accel", "tcg",
)


def rows_by_metric(text: str) -> dict[tuple[str, int], dict[str, Any]]:
    rows = json.loads(text)["rows"]
    return {(r["metric"], r["params"].get("threads", 0)): r for r in rows}


@pytest.fixture(scope="module")
def small_run(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One boot of `before` with both workloads, and what --json printed."""
    out = tmp_path_factory.mktemp("bench") / "run"
    done = harness(*SMALL, "--threads", "1,2", "--out", str(out), "--json")
    assert done.code == 0, done.err
    return out, done.out


def test_vmpte_before_is_the_letters(small_run: tuple[Path, str]) -> None:
    rows = rows_by_metric(small_run[1])
    before = rows["VmPTE", 0]["variants"]["before"]
    assert 102_400 <= before["median"] <= 102_700
    assert [one["baseline"] for one in rows["VmPTE", 0]["published"]] == [102_640]
    assert rows["VmRSS", 0]["variants"]["before"]["median"] < 8192


def test_faults_per_minute(small_run: tuple[Path, str]) -> None:
    rows = rows_by_metric(small_run[1])
    for threads in (1, 2):
        row = rows["faults_per_minute", threads]
        assert row["variants"]["before"]["median"] > 100_000
        assert row["comparisons"] == []


def test_the_run_explains_itself(small_run: tuple[Path, str]) -> None:
    out, _ = small_run
    run = load_run(out)
    assert run.status == "complete"
    assert run.kernels["before"].release.startswith("6.1.")
    assert run.accels[0].name in ("kvm", "tcg") and run.accels[0].reason
    assert run.workloads["vmpte"].metrics
    boot = load_boots(out)[0][0]
    assert boot.status == "ok"
    assert boot.state.thp == "absent" or "[never]" in boot.state.thp
    assert "Linux guest 6.1." in boot.state.uname
    assert "qemu-system-x86_64" in boot.qemu_argv[0]
    assert "Linux version 6.1." in (out / boot.console).read_text()
    series = [s for s in load_samples(out)[0] if s.metric == "VmPTE" and s.t is not None]
    assert len(series) >= 5
    assert series[0].value < series[-1].value


def test_report_is_remade_from_the_files_alone(
    harness: Harness, small_run: tuple[Path, str]
) -> None:
    out, printed = small_run
    for name in ("report.html", "report.md"):
        (out / name).unlink()
    done = harness("report", str(out), "--json")
    assert json.loads(done.out) == json.loads(printed)
    assert (out / "report.html").read_text().count("<svg") >= 1
    assert (out / "report.md").exists()


def test_a_directory_that_holds_a_run_is_refused(
    harness: Harness, small_run: tuple[Path, str]
) -> None:
    done = harness(*SMALL, "--out", str(small_run[0]))
    assert done.code == 2 and "--resume" in done.err


def test_panic_in_a_workload_is_a_result(harness: Harness, tmp_path: Path) -> None:
    # 200 threads of 2 MiB do not fit: the guest runs out of memory and is told to panic then.
    out = tmp_path / "run"
    done = harness(
        *SMALL, "--workload", "multi-fault", "--threads", "200", "--memory", "256M",
        "--append", "sysctl.vm.panic_on_oom=1", "--out", str(out),
    )
    assert done.code == 4, done.err
    boot = load_boots(out)[0][0]
    assert boot.status == "crashed" and boot.crash is not None
    assert boot.crash.kind == "panic" and boot.crash.workload == "multi-fault"
    assert "panic_on_oom" in boot.crash.text
    assert load_run(out).status == "crashed"
    assert "panic_on_oom" in (out / "report.html").read_text()


def test_killed_run_is_resumed(
    harness: Harness, spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = spawn(*SMALL, "--boots", "2", "--threads", "1,2", "--workload", "multi-fault",
                    "--out", str(out))
    wait_for(lambda: len(load_samples(out)[0]) > 0 if out.exists() else False, 300)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    before = [s.model_dump() for s in load_samples(out)[0]]
    done = harness("bench", "--resume", str(out))
    assert done.code == 0, done.err
    after = [s.model_dump() for s in load_samples(out)[0]]
    assert after[: len(before)] == before, "nothing measured is measured again"
    rates = [(s["boot"], s["params"]["threads"]) for s in after
             if s["metric"] == "faults_per_minute"]
    assert sorted(rates) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert load_run(out).status == "complete"
    again = harness("bench", "--resume", str(out))
    assert again.code == 0 and "nothing is left to do" in again.err and not again.out


def test_interrupted_run_says_how_to_go_on(
    spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = spawn(*SMALL, "--duration", "60", "--workload", "multi-fault", "--threads", "1",
                    "--out", str(out))
    wait_for(lambda: (out / "boots").exists(), 300)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"--resume {out}" in err
    assert load_run(out).status == "interrupted"


def test_two_benches_in_one_workspace(
    harness: Harness, spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = spawn(*SMALL, "--duration", "60", "--workload", "multi-fault", "--threads", "1",
                  "--out", str(tmp_path / "a"))
    wait_for(lambda: (tmp_path / "a" / "run.json").exists(), 300)
    done = harness(*SMALL, "--out", str(tmp_path / "b"))
    assert done.code == 2 and "a bench runs" in done.err
    assert f"(process {first.pid})" in done.err
    os.kill(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
