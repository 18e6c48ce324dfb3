"""What is committed of a run is its sources, and says the same as the run."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from harness.records.store import BOOTS_FILE, RUN_FILE, SAMPLES_FILE, load_run, load_verdicts
from harness.report.analysis.analyse import analyse
from tests.places import ROOT

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keep_run", ROOT / "scripts/keep_run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A measurement as a bench leaves it: places of this machine, a page, a console."""
    found = tmp_path / "run"
    shutil.copytree(REFERENCE / "quick-tcg", found)
    (found / "report.html").write_text("a page")
    for name in (RUN_FILE, BOOTS_FILE):
        text = (found / name).read_text()
        places = {"$CACHE": str(tmp_path / "cache"), "$RUN": str(found), "$MIRROR": "http://m.org/d"}
        for name_of, place in places.items():
            text = text.replace(name_of, place)
        (found / name).write_text(text)
    return found


def test_places_and_pages_are_left_behind(script: ModuleType, run: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    size = script.keep(run, kept, tmp_path / "cache")
    assert sorted(path.name for path in kept.iterdir()) == [BOOTS_FILE, RUN_FILE, SAMPLES_FILE]
    text = "".join(path.read_text() for path in kept.iterdir())
    assert size == len(text.encode())
    assert str(tmp_path) not in text and "m.org" not in text
    assert load_run(kept) == load_run(REFERENCE / "quick-tcg")


def test_figures_and_verdicts_are_those_of_the_run(
    script: ModuleType, run: Path, tmp_path: Path
) -> None:
    script.keep(run, tmp_path / "kept", tmp_path / "cache")
    ours, theirs = analyse([tmp_path / "kept"]).rows, analyse([run]).rows
    assert [(r.workload, r.metric, r.values, r.comparisons) for r in ours] == [
        (r.workload, r.metric, r.values, r.comparisons) for r in theirs
    ]


def test_points_of_series_stay_when_asked_for(
    script: ModuleType, run: Path, tmp_path: Path
) -> None:
    samples = (run / SAMPLES_FILE).read_text().splitlines()
    last = next(line for line in samples if '"metric":"VmPTE"' in line and line.endswith('"}'))
    samples.append(last.removesuffix("}") + ',"t":0.5}')
    (run / SAMPLES_FILE).write_text("\n".join(samples) + "\n")
    less = script.keep(run, tmp_path / "less", tmp_path / "cache")
    more = script.keep(run, tmp_path / "more", tmp_path / "cache", series=True)
    assert (run / SAMPLES_FILE).read_text() == (tmp_path / "more" / SAMPLES_FILE).read_text()
    assert less < more


def test_a_night_is_copied_run_by_run(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = REFERENCE / "races"  # runs beside each other, as those of a night are
    assert script.main([str(night), str(tmp_path)]) == 0
    parts = sorted(path.name for path in night.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == parts
    for part in parts:
        assert load_verdicts(tmp_path / part) == load_verdicts(night / part)
    assert f"{tmp_path}/{parts[0]}: " in capsys.readouterr().out


def test_a_directory_without_a_run_is_refused(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), str(tmp_path / "kept")])
