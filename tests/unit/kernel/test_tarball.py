"""Bases from a tarball: checksum, signature, and what is not what harness.toml says."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.sources import get_source
from harness.project.config import Project
from harness.project.reading import parse
from tests.places import FAKE_LINUX

needs_gpg = pytest.mark.skipif(
    not all(map(shutil.which, ("gpg", "gpgv"))), reason="gpg or gpgv is not installed"
)


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    shutil.copytree(FAKE_LINUX, tmp_path / "linux-6.1.999")
    made = tmp_path / "served/linux-6.1.999.tar.xz"
    made.parent.mkdir()
    subprocess.run(["tar", "-C", str(tmp_path), "-cJf", str(made), "linux-6.1.999"], check=True)
    return made


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(tarball: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(tarball.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{tarball.name}"
        server.shutdown()


def project_of(tmp_path: Path, *urls: object, **keys: Any) -> Project:
    return Project(tmp_path, parse({
        "variants": {}, "defaults": {"base": "b"},
        "bases": {"b": {"kind": "tarball", "urls": list(map(str, urls)), **keys}},
    }, "test"))


def test_from_a_server_and_from_a_file(
    workspace: Workspace, tmp_path: Path, tarball: Path, url: str
) -> None:
    sha256 = digest.of_file(tarball)
    project = project_of(tmp_path, tmp_path / "none.tar.xz", url, sha256=sha256)
    source = get_source(workspace, project, "b")
    assert (source.path / "mm/memory.c").is_file()
    assert (source.version, source.digest) == ("6.1.999", sha256)
    assert source.record.details["url"] == url and source.record.details["signed"] == "no"
    tarball.unlink()
    assert get_source(workspace, project, "b", refresh=True) == source
    shutil.rmtree(source.path.parent)
    with pytest.raises(UserError, match=r"none\.tar\.xz: No such file.*404 File not found.*--from"):
        get_source(workspace, project, "b")


def test_stick_behind_a_firewall(workspace: Workspace, tmp_path: Path, tarball: Path) -> None:
    project = project_of(
        tmp_path, "http://127.0.0.1:1/linux.tar.xz", sha256=digest.of_file(tarball)
    )
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1/linux\.tar\.xz: cannot be reached"):
        get_source(workspace, project, "b")
    source = get_source(workspace, project, "b", wanted=Wanted(origin=str(tarball)))
    assert source.record.details["url"] == str(tarball)


def test_other_content_is_refused(
    workspace: Workspace, tmp_path: Path, tarball: Path, url: str
) -> None:
    project = project_of(tmp_path, url, sha256=digest.of_file(tarball))
    data = tarball.read_bytes()
    for spoiled in (data[:-100], data[:-1] + b"x"):
        tarball.write_bytes(spoiled)
        with pytest.raises(InfrastructureError, match="its sha256 is"):
            get_source(workspace, project, "b")
        assert not list((workspace.root / "sources").iterdir())


def test_no_kernel_in_it(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    made = tmp_path / "x.tar"
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(made), "x"], check=True)
    project = project_of(tmp_path, made, sha256=digest.of_file(made))
    with pytest.raises(UserError, match="not a kernel source tree"):
        get_source(workspace, project, "b")


@needs_gpg
def test_signature_of_the_uncompressed_tarball(
    workspace: Workspace, tmp_path: Path, tarball: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="gpg") as home:

        def gpg(*words: str) -> None:
            subprocess.run(
                ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback",
                 "--passphrase", "", "--yes", *words], check=True, capture_output=True,
            )

        plain, sign = tmp_path / "linux.tar", tmp_path / "linux.tar.sign"
        plain.write_bytes(subprocess.run(
            ["xz", "-dc", str(tarball)], capture_output=True, check=True
        ).stdout)
        gpg("--quick-generate-key", "Test <t@t>", "ed25519", "sign", "never")
        gpg("--export", "--output", str(tmp_path / "keys.gpg"))
        gpg("--detach-sign", "--output", str(sign), str(plain))
        project = project_of(tmp_path, tarball, signature=str(sign), keyring="keys.gpg")
        assert get_source(workspace, project, "b").record.details["signed"] == "yes"
        plain.write_bytes(plain.read_bytes() + b"\0")
        gpg("--detach-sign", "--output", str(sign), str(plain))
        other = Workspace(tmp_path / "other")
        with pytest.raises(InfrastructureError, match=r"signature cannot be verified.*keys\.gpg"):
            get_source(other, project, "b")
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "needs `sha256`, or `signature` and `keyring`"),
        ({"sha256": "a" * 64, "signature": "x"}, "go together"),
        ({"sha256": "a" * 64, "suite": "x"}, "kind 'tarball' has no `suite`"),
        ({"sha256": "short"}, r"bases\.b\.sha256"),
    ],
)
def test_incomplete_tables(tmp_path: Path, keys: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        project_of(tmp_path, "http://x.test/y", **keys)
