"""Memory of real processes of this host, seen while they run and at the moments they mark."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.measure.workloads.watching import marked, parse_memory, watch, with_peaks
from harness.measure.workloads.workload import Context, Measurement
from tests.places import DATA

HOLDS = 64  # MiB that the program holds after its mark


class HereProcess:
    """A shell command of this host."""

    def __init__(self, command: str) -> None:
        self._child = subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.stderr = ""

    def write(self, data: bytes) -> None:
        assert self._child.stdin
        self._child.stdin.write(data)
        self._child.stdin.flush()

    def close_input(self) -> None:
        assert self._child.stdin
        self._child.stdin.close()

    def line(self, deadline: Deadline) -> str | None:
        assert self._child.stdout
        return self._child.stdout.readline().decode().rstrip("\n") or None

    def wait(self, deadline: Deadline) -> int:
        assert self._child.stdout
        self._child.stdout.close()
        return self._child.wait(20)


class Here:
    """This host as a machine."""

    def start(self, command: str) -> HereProcess:
        return HereProcess(command)


def watched(program: str, tmp_path: Path) -> list[Measurement]:
    script = tmp_path / "program.py"
    script.write_text(f"import os, sys\nprint('{{\"pid\": %d}}' % os.getpid(), flush=True)\n"
                      f"{program}\nsys.stdin.read()\n")
    context = Context(tmp_path, 1, lambda _name, _text: None, lambda path: path)
    return list(watch(
        cast("Session", Here()), f"exec python3 {script}", "program", context, repeat=3,
        deadline=Deadline(30.0), marks=["emptied"],
    ))


def test_the_program_waits_at_its_mark_until_it_was_looked_at(tmp_path: Path) -> None:
    found = watched(f"""\
print('{{"phase": "fill"}}', flush=True)
print('{{"mark": "emptied"}}', flush=True)
sys.stdin.readline()
held = b"x" * ({HOLDS} << 20)
print('{{"done": 1}}', flush=True)""", tmp_path)
    at_end = {m.metric: m.value for m in found if m.t is None}
    assert all(m.repeat == 3 for m in found)
    assert at_end["VmRSS"] - at_end["VmRSS_emptied"] > 0.9 * HOLDS * 1024
    assert at_end["VmPTE"] > at_end["VmPTE_emptied"]
    assert at_end["VmRSS_emptied"] in [m.value for m in found if m.metric == "VmRSS" and m.t]
    assert {m.name for m in marked("emptied", "then")} <= {*at_end}


def test_a_mark_that_was_left_out(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="left out its mark emptied"):
        watched("""print('{"done": 1}', flush=True)""", tmp_path)


def test_memory_as_captured_in_a_guest() -> None:
    found = {name: value for name, value, _ in parse_memory(
        (DATA / "vmpte-probe-2g-before.txt").read_text()
    )}
    assert found["VmPTE"] == pytest.approx(4144, abs=30)
    assert found["VmSize"] > 2 * 2**20
    assert found["nr_page_table_pages"] * 4 == pytest.approx(found["PageTables"], abs=200)


@pytest.mark.parametrize("field", ["VmPTE", "VmRSS", "VmSize", "PageTables", "nr_page_table"])
def test_missing_field_is_an_error(field: str) -> None:
    text = (DATA / "vmpte-probe-2g-before.txt").read_text()
    with pytest.raises(InfrastructureError, match=field):
        parse_memory("\n".join(x for x in text.splitlines() if not x.startswith(field)))


def test_peaks_come_last() -> None:
    series = [Measurement("VmPTE", v, "kB", 0, 0.1) for v in (4.0, 9.0, 5.0)]
    found = list(with_peaks(0, iter(series)))
    assert found == [*series, Measurement("VmPTE_peak", 9.0, "kB", 0)]
