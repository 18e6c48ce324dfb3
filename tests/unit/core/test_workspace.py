"""The cache never believes what a killed process left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.workspace import Workspace, explain_full_disk, require_space


def test_published_only_when_the_block_succeeds(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with pytest.raises(RuntimeError), space.publish("builds", "a") as staging:
        (staging / "half").touch()
        raise RuntimeError
    assert space.published("builds", "a") is None
    assert list((tmp_path / "builds").iterdir()) == []
    with space.publish("builds", "a") as staging:
        (staging / "whole").touch()
    found = space.published("builds", "a")
    assert found is not None and (found / "whole").exists()


def test_publishing_again_replaces(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    for text in ("old", "new"):
        with space.publish("builds", "a") as staging:
            (staging / "file").write_text(text)
    assert (tmp_path / "builds/a/file").read_text() == "new"
    assert [p.name for p in (tmp_path / "builds").iterdir()] == ["a"]


def test_a_directory_without_its_mark_is_not_believed(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.dir("builds", "a")
    assert space.published("builds", "a") is None


def test_lock_waits_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    space = Workspace(tmp_path)
    with space.lock("x"):
        other = threading.Thread(target=lambda: _take(tmp_path, said))
        other.start()
        time.sleep(0.2)
        assert said == ["waits"]
    other.join(5)
    assert said == ["waits", "has it"]


def _take(root: Path, said: list[str]) -> None:
    with Workspace(root).lock("x", on_wait=lambda: said.append("waits")):
        said.append("has it")


def test_sole_refuses_at_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with (
        space.sole("bench", "a bench runs"),
        pytest.raises(UserError, match="a bench runs"),
        Workspace(tmp_path).sole("bench", "a bench runs"),
    ):
        pass


def test_lock_dies_with_its_owner(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from harness.core.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).sole('bench', ''): print('held', flush=True);"
        " time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"held\n"
        owner.kill()
    with Workspace(tmp_path).sole("bench", ""):
        pass


def test_unusable_root_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--workspace"):
        Workspace(tmp_path / "file" / "below")


def test_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no space left"), explain_full_disk(tmp_path):
        raise OSError(28, "No space left on device")
    with pytest.raises(UserError, match=r"needs .* GiB"):
        require_space(tmp_path, 2**60, "a build")


def test_damaged_state_counts_as_none(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.write_state("kvm", {"works": True})
    assert space.read_state("kvm") == {"works": True}
    (tmp_path / "state/kvm.json").write_text("{")
    assert space.read_state("kvm") == {}


def test_keys_do_not_depend_on_order() -> None:
    assert digest.key({"a": 1, "b": 2}) == digest.key({"b": 2, "a": 1})
    assert digest.key({"a": 1}) != digest.key({"a": 2})
