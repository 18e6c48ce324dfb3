"""Bases from git: a repository made here with the real tag's name, and faults put in."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.reach import survey
from harness.kernel.source.sources import Source, find_source, get_source
from harness.project.config import Project
from harness.project.reading import parse
from tests.places import FAKE_LINUX

TAG = "next-20210812"


@dataclass
class Repository:
    """A bare repository; commits are made in ``tree``."""

    path: Path
    tree: Path

    def git(self, *words: str, tree: bool = True) -> str:
        environment = {
            **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null",
            **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(
            ["git", "-C", str(self.tree if tree else self.path), *words], env=environment,
            capture_output=True, text=True, check=True,
        )
        return done.stdout.strip()

    @property
    def commit(self) -> str:
        return self.git("rev-parse", f"{TAG}^{{commit}}", tree=False)


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """Three commits of the fake tree; the second one has the annotated tag."""
    tree = tmp_path / "upstream"
    shutil.copytree(FAKE_LINUX, tree)
    made = Repository(tmp_path / "upstream/.git", tree)
    made.git("init", "-q", "-b", "master")
    for number in range(3):
        (tree / "localversion-next").write_text(f"-next-{number}\n")
        made.git("add", "-A")
        made.git("commit", "-q", "-m", f"commit {number}")
        if number == 1:
            made.git("tag", "-a", "-m", "a tag", TAG)
    return made


def project_of(tmp_path: Path, urls: list[Path | str], **keys: Any) -> Project:
    return Project(tmp_path, parse({
        "variants": {"before": {}, "after": {}}, "defaults": {"base": TAG},
        "bases": {TAG: {"kind": "git", "urls": list(map(str, urls)), "ref": TAG, **keys}},
    }, "test"))


def fails(
    workspace: Workspace, project: Project, *words: str, kind: type[Exception] = UserError,
    wanted: Wanted | None = None,
) -> str:
    with pytest.raises(kind) as caught:
        get_source(workspace, project, TAG, wanted=wanted)
    line = str(caught.value)
    for word in (*words, "--from DIR"):
        assert word in line
    assert "\n" not in line
    assert not list((workspace.root / "sources").iterdir()), "something was left behind"
    assert find_source(workspace, project, TAG) is None
    return line


def test_one_commit_is_fetched_and_known_by_its_id(
    workspace: Workspace, upstream: Repository, tmp_path: Path
) -> None:
    project = project_of(tmp_path, [upstream.path], commit=upstream.commit)
    source = get_source(workspace, project, TAG)
    assert (source.path / "localversion-next").read_text() == "-next-1\n"
    assert not (source.path / ".git").exists()
    assert source.digest == upstream.commit
    assert source.version == "6.1.999"
    assert source.record.kind == "git"
    assert source.record.details == {
        "url": str(upstream.path), "ref": TAG, "commit": upstream.commit, "pinned": "yes",
        "tag": upstream.git("rev-parse", TAG),
    }
    shutil.rmtree(upstream.path)
    assert get_source(workspace, project, TAG) == source, "it was asked for again"
    assert [path.name for path in (workspace.root / "sources").iterdir()] == [
        f"git-{TAG}-{upstream_id(source)}"
    ]


def upstream_id(source: Source) -> str:
    return source.digest[:12]


def test_not_pinned_is_said(
    workspace: Workspace, upstream: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = get_source(
        workspace, project_of(tmp_path, [upstream.path]), TAG, progress=Progress(0)
    )
    assert source.record.details["pinned"] == "no"
    (status,) = survey(workspace, project_of(tmp_path, [upstream.path]), [TAG])
    assert status.commit == upstream.commit and not status.pinned
    assert f'commit = "{upstream.commit}"' in capsys.readouterr().err


def test_second_url_is_taken_when_the_first_fails(
    workspace: Workspace, upstream: Repository, tmp_path: Path
) -> None:
    project = project_of(
        tmp_path, [tmp_path / "none", upstream.path], commit=upstream.commit
    )
    assert get_source(workspace, project, TAG).record.details["url"] == str(upstream.path)


def test_local_clone_stands_in_for_the_urls(
    workspace: Workspace, upstream: Repository, tmp_path: Path
) -> None:
    project = project_of(tmp_path, ["http://127.0.0.1:1/x.git"], commit=upstream.commit)
    fails(workspace, project, "http://127.0.0.1:1/x.git: cannot be reached")
    wanted = Wanted(origin=str(upstream.tree))
    assert get_source(workspace, project, TAG, wanted=wanted).digest == upstream.commit


def test_branch_is_refreshed_only_when_asked(
    workspace: Workspace, upstream: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_of(tmp_path, [upstream.path], ref="master")
    first = get_source(workspace, project, TAG)
    assert get_source(workspace, project, TAG, refresh=True) == first
    (upstream.tree / "localversion-next").write_text("-next-9\n")
    upstream.git("commit", "-qam", "more")
    assert get_source(workspace, project, TAG) == first
    second = get_source(workspace, project, TAG, refresh=True, progress=Progress(0))
    assert (second.path / "localversion-next").read_text() == "-next-9\n"
    said = capsys.readouterr().err
    assert f"was commit {first.digest}, and is now {second.digest}" in said


def test_password_of_a_url_is_not_shown(workspace: Workspace, tmp_path: Path) -> None:
    line = fails(workspace, project_of(tmp_path, ["http://me:secret@127.0.0.1:1/x.git"]))
    assert "http://127.0.0.1:1/x.git" in line and "secret" not in line


def test_missing_ref(workspace: Workspace, upstream: Repository, tmp_path: Path) -> None:
    project = project_of(tmp_path, [upstream.path], ref="next-20210813")
    fails(workspace, project, f"{upstream.path}: it has no next-20210813")


def test_wrong_commit_is_refused_before_a_download(
    workspace: Workspace, upstream: Repository, tmp_path: Path
) -> None:
    right = upstream.commit
    upstream.git("tag", "-f", "-a", "-m", "moved", TAG)
    project = project_of(tmp_path, [upstream.path], commit=right)
    fails(workspace, project, f"its {TAG} is commit {upstream.commit[:12]}, not the pinned",
          right[:12])


def test_truncated_pack(workspace: Workspace, upstream: Repository, tmp_path: Path) -> None:
    commit = upstream.commit
    upstream.git("repack", "-adfq")
    (pack,) = upstream.path.glob("objects/pack/*.pack")
    pack.chmod(0o644)
    os.truncate(pack, pack.stat().st_size // 3)
    project = project_of(tmp_path, [upstream.path], commit=commit)
    fails(workspace, project, "the download broke", kind=InfrastructureError)


def test_damaged_object(workspace: Workspace, upstream: Repository, tmp_path: Path) -> None:
    blob = upstream.git("rev-parse", f"{TAG}:mm/memory.c")
    other = upstream.git("rev-parse", f"{TAG}:init/main.c")
    path, evil = (upstream.path / "objects" / b[:2] / b[2:] for b in (blob, other))
    path.chmod(0o644)
    shutil.copyfile(evil, path)  # a good object under the wrong name
    project = project_of(tmp_path, [upstream.path], commit=upstream.commit)
    fails(workspace, project, kind=InfrastructureError)


def test_no_kernel_tree(workspace: Workspace, upstream: Repository, tmp_path: Path) -> None:
    upstream.git("rm", "-q", "Kbuild")
    upstream.git("commit", "-qm", "gone")
    fails(workspace, project_of(tmp_path, [upstream.path], ref="master"),
          "is not a kernel source tree")


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[str]:
    """A server that takes a connection and never says a word."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/linux.git"
        for one in held:
            one.close()


def test_deaf_servers_are_given_up_together(
    workspace: Workspace, tmp_path: Path, deaf: str
) -> None:
    project = project_of(tmp_path, [deaf, f"{deaf}2"])
    start = time.monotonic()
    line = fails(workspace, project)
    assert line.count("no answer in 12 s") == 2
    assert time.monotonic() - start < 18, "the URLs were asked one after the other"
