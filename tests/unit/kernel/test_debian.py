"""Downloads from a Debian repository made here, served on 127.0.0.1, with faults put in."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.kernel.source import debian
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.mirror import choose_site, resolve_mirror
from harness.kernel.source.sources import find_source, get_source
from harness.project.config import Project
from harness.project.reading import parse
from tests.places import FAKE_LINUX

PACKAGE = "linux-source-6.1"

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("gpg", "apt-get", "dpkg-deb", "xz"))),
    reason="a Debian repository is made with gpg, apt, dpkg-deb and xz; one is not installed",
)


@dataclass
class Repository:
    """A signed repository with one package, and ways to spoil it."""

    root: Path
    home: Path  # gpg's; short, because gpg-agent's socket has a 108-byte limit
    url: str = ""

    @property
    def keyring(self) -> Path:
        return self.root.parent / "keyring.gpg"

    @property
    def deb(self) -> Path:
        return next(self.root.glob("pool/*.deb"))

    def gpg(self, *arguments: str) -> None:
        subprocess.run(
            ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--pinentry-mode",
             "loopback", "--passphrase", "", *arguments], check=True, capture_output=True,
        )

    def index(self, version: str = "6.1.999-1") -> None:
        """Write Packages and a signed InRelease for what the pool holds."""
        suite = self.root / "dists/bookworm"
        packages = suite / "main/binary-amd64/Packages.gz"
        packages.parent.mkdir(parents=True, exist_ok=True)
        data = self.deb.read_bytes()
        plain = (
            f"Package: {PACKAGE}\nVersion: {version}\nArchitecture: all\nMaintainer: x\n"
            f"Filename: pool/{self.deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\nDescription: x\n\n"
        ).encode()
        packages.write_bytes(gzip.compress(plain))
        # apt looks for a list under its uncompressed name and fetches a compressed one.
        sums = "".join(
            f" {hashlib.sha256(one).hexdigest()} {len(one)} main/binary-amd64/Packages{suffix}\n"
            for one, suffix in ((plain, ""), (packages.read_bytes(), ".gz"))
        )
        release = suite / "Release"
        release.write_text(
            "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\n"
            f"Date: {formatdate(usegmt=True)}\nArchitectures: amd64 all\nComponents: main\n"
            f"SHA256:\n{sums}"
        )
        self.gpg("--yes", "--clearsign", "--output", str(suite / "InRelease"), str(release))
        release.unlink()  # apt falls back to it and Release.gpg


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def make_deb(root: Path) -> None:
    """A linux-source package that holds the fake tree."""
    content = root / "content"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "usr/src").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(
        f"Package: {PACKAGE}\nVersion: 6.1.999-1\nArchitecture: all\nMaintainer: x <x@x>\n"
        "Description: x\n"
    )
    shutil.copytree(FAKE_LINUX, root / PACKAGE)
    subprocess.run(
        ["tar", "-C", str(root), "-cJf", str(content / f"usr/src/{PACKAGE}.tar.xz"), PACKAGE],
        check=True,
    )
    (root / "repo/pool").mkdir(parents=True)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", str(content), str(root / "repo/pool")],
        check=True, capture_output=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    root = tmp_path_factory.mktemp("debian")
    with tempfile.TemporaryDirectory(prefix="gpg") as home:
        repository = Repository(root / "repo", Path(home))
        make_deb(root)
        repository.gpg("--quick-generate-key", "Test <t@t>", "ed25519", "sign", "never")
        repository.gpg("--export", "--output", str(repository.keyring))
        repository.index()
        yield repository
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@pytest.fixture
def repository(made: Repository, tmp_path: Path) -> Iterator[Repository]:
    """A copy for one test to spoil, served over HTTP."""
    copy = Repository(tmp_path / "repo", made.home)
    shutil.copytree(made.root, copy.root)
    shutil.copy(made.keyring, copy.keyring)
    handler = functools.partial(Quiet, directory=str(copy.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        copy.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield copy
        server.shutdown()


def fetch(repository: Repository, into: Path, **changes: str) -> debian.Package:
    wanted = {
        "name": PACKAGE, "suite": "bookworm", "mirror": repository.url, "version": "", **changes,
    }
    package = debian.fetch_package(
        wanted["name"], suite=wanted["suite"], mirror=wanted["mirror"], version=wanted["version"],
        into=into, keyring=repository.keyring,
    )
    assert package is not None
    return package


def fails(
    repository: Repository, into: Path, kind: type[HarnessError], *words: str, **changes: str
) -> None:
    with pytest.raises(kind) as caught:
        fetch(repository, into, **changes)
    for word in words:
        assert word in caught.value.line()
    assert "\n" not in caught.value.line()
    assert not list(into.glob("*")) and not list(into.glob(".apt*")), "something was left behind"


@needs_tools
def test_good_package(repository: Repository, tmp_path: Path) -> None:
    package = fetch(repository, tmp_path / "in")
    assert package.version == "6.1.999-1"
    assert package.sha256 == hashlib.sha256(repository.deb.read_bytes()).hexdigest()
    assert [path.name for path in (tmp_path / "in").iterdir()] == [package.path.name]
    assert fetch(repository, tmp_path / "in2", version="6.1.999-1").version == "6.1.999-1"


@needs_tools
def test_truncated_download(repository: Repository, tmp_path: Path) -> None:
    repository.deb.write_bytes(repository.deb.read_bytes()[:-100])
    fails(repository, tmp_path / "in", InfrastructureError, PACKAGE, "damaged")


@needs_tools
def test_wrong_content(repository: Repository, tmp_path: Path) -> None:
    data = bytearray(repository.deb.read_bytes())
    data[-100] ^= 1
    repository.deb.write_bytes(data)
    fails(repository, tmp_path / "in", InfrastructureError, PACKAGE, "damaged")


@needs_tools
def test_tampered_package_list(repository: Repository, tmp_path: Path) -> None:
    packages = next(repository.root.glob("dists/*/main/*/Packages.gz"))
    packages.write_bytes(gzip.compress(gzip.decompress(packages.read_bytes()) + b"\n"))
    fails(repository, tmp_path / "in", InfrastructureError, "damaged")


@needs_tools
def test_bad_signature(repository: Repository, tmp_path: Path) -> None:
    signed = repository.root / "dists/bookworm/InRelease"
    signed.write_text(signed.read_text().replace("Label: Debian", "Label: debian"))
    fails(repository, tmp_path / "in", UserError, "signature", "cannot be verified", "--mirror")


@needs_tools
def test_foreign_key(repository: Repository, tmp_path: Path) -> None:
    repository.gpg("--quick-generate-key", "Other <o@o>", "ed25519", "sign", "never")
    repository.gpg("--yes", "--export", "--output", str(repository.keyring), "o@o")
    fails(repository, tmp_path / "in", UserError, "signature", "cannot be verified")


@needs_tools
def test_unsigned_suite(repository: Repository, tmp_path: Path) -> None:
    (repository.root / "dists/bookworm/InRelease").rename(
        repository.root / "dists/bookworm/Release"
    )
    fails(repository, tmp_path / "in", UserError)


@needs_tools
def test_unreachable_mirror_is_said_quickly(repository: Repository, tmp_path: Path) -> None:
    start = time.monotonic()
    fails(repository, tmp_path / "in", UserError, "http://127.0.0.1:1", "cannot be reached",
          "--mirror", mirror="http://127.0.0.1:1")
    assert time.monotonic() - start < 10


@needs_tools
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "linux-source-9.9"}, "no package linux-source-9.9 in bookworm"),
        ({"version": "1.2-3"}, "linux-source-6.1=1.2-3"),
        ({"suite": "bookwurm"}, "no suite bookwurm"),
    ],
)
def test_what_the_mirror_does_not_have(
    repository: Repository, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    fails(repository, tmp_path / "in", UserError, words, **changes)


@needs_tools
def test_source_is_found_again_without_network(
    repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    project = Project(tmp_path, parse({
        "settings": {"mirror": repository.url}, "variants": {},
        "defaults": {"base": "b"},
        "bases": {"b": {"kind": "debian", "suite": "bookworm", "package": PACKAGE}},
    }, "test"))
    assert find_source(workspace, project, "b") is None
    wanted = Wanted(keyring=repository.keyring)
    source = get_source(workspace, project, "b", wanted=wanted)
    assert (source.path / "mm/memory.c").is_file()
    assert source.version == "6.1.999-1"
    assert source.record.details["mirror"] == repository.url
    shutil.rmtree(repository.root / "dists")
    assert get_source(workspace, project, "b", wanted=wanted) == source
    with pytest.raises(UserError, match="no suite"):
        get_source(workspace, project, "b", wanted=wanted, refresh=True)
    assert get_source(workspace, project, "b", wanted=wanted) == source
    assert [path.name for path in (workspace.root / "sources").iterdir()] == [
        source.path.parent.name
    ], "something was left behind"


@needs_tools
def test_refresh_takes_what_the_mirror_has_now(
    repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    project = Project(tmp_path, parse({
        "settings": {"mirror": repository.url}, "variants": {}, "defaults": {"base": "b"},
        "bases": {"b": {"kind": "debian", "suite": "bookworm", "package": PACKAGE}},
    }, "test"))
    wanted = Wanted(keyring=repository.keyring)
    first = get_source(workspace, project, "b", wanted=wanted)
    package = repository.deb.rename(repository.root / "pool/away")
    again = get_source(workspace, project, "b", wanted=wanted, refresh=True)
    assert again == first, "the same package was downloaded once more"
    newer = tmp_path / "newer"
    subprocess.run(["dpkg-deb", "-R", str(package), str(newer)], check=True)
    control = newer / "DEBIAN/control"
    control.write_text(control.read_text().replace("6.1.999-1", "6.1.1000-1"))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", str(newer), str(repository.root / "pool")],
        check=True, capture_output=True,
    )
    repository.index("6.1.1000-1")
    assert get_source(workspace, project, "b", wanted=wanted) == first
    second = get_source(workspace, project, "b", wanted=wanted, refresh=True)
    assert second.version == "6.1.1000-1"
    assert get_source(workspace, project, "b", wanted=wanted) == second


def test_mirror_order() -> None:
    assert resolve_mirror("http://toml/debian", "http://flag/debian/").url == "http://flag/debian"
    assert resolve_mirror("http://toml/debian", None).origin == "harness.toml"


def test_mirror_of_apt_is_the_main_archive() -> None:
    lines = [
        "Other|Other|https://other.test/apt|stable|stable|main",
        "Debian|Debian-Security|http://m.test/debian-security|x|bookworm-security|main",
        "Debian Backports|Debian Backports|http://m.test/debian|x|bookworm-backports|main",
        "Debian|Debian|http://trixie.test/debian|trixie|trixie|main",
        "Debian|Debian|http://m.test/debian|bookworm|bookworm|contrib",
        "Debian|Debian|http://m.test/debian|bookworm|bookworm|main",
    ]
    assert choose_site(lines, "bookworm") == "http://m.test/debian"
    assert choose_site(lines[:4], "bookworm") == "http://trixie.test/debian"
    assert choose_site(lines[:3], "bookworm") == ""


def test_mirror_of_apt_before_its_first_update() -> None:
    lines = [
        "$(ORIGIN)|$(LABEL)|https://other.test/apt|stable|$(CODENAME)|main",
        "$(ORIGIN)|$(LABEL)|http://m.test/debian-security|bookworm-security|$(CODENAME)|main",
        "$(ORIGIN)|$(LABEL)|http://m.test/debian|bookworm|$(CODENAME)|main",
    ]
    assert choose_site(lines, "bookworm") == "http://m.test/debian"


def test_no_mirror_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.source.mirror._index_targets", lambda *options: [])
    with pytest.raises(UserError) as caught:
        resolve_mirror("", None)
    assert "--mirror" in caught.value.line()
