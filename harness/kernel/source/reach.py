"""What `harness bases` says: per base whether it is here, and whether it could be had from here."""

from __future__ import annotations

import subprocess
import tempfile
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError, UserError
from harness.core.proc import need
from harness.core.workspace import Workspace
from harness.kernel.series import lore, patchlist
from harness.kernel.source import gitprobe
from harness.kernel.source.fetching import check_kernel_tree
from harness.kernel.source.mirror import resolve_mirror
from harness.kernel.source.sources import find_source
from harness.project.bases import Base, CommitBase, DebianBase, DirBase, GitBase, TarballBase
from harness.project.config import Project

LIMIT = 8.0  # seconds for each question; all are asked at once
YES, NO = "yes", "no"


@dataclass(frozen=True)
class Status:
    """One base. ``reachable`` is yes, or no with what was wrong; empty when nothing is asked."""

    name: str
    kind: str
    place: str
    """Where it comes from, in short."""
    cached: str
    """The version that is here; empty when none is."""
    commit: str
    """Of a git base that is here: what is built until ``--refresh``, pinned or not."""
    pinned: bool
    reachable: str
    needs: str
    series: str
    variants: list[str]


def survey(
    workspace: Workspace, project: Project, names: list[str], mirror: str | None = None
) -> list[Status]:
    """The status of some bases, within some seconds whatever the network does."""
    with ThreadPoolExecutor(max_workers=max(1, 2 * len(names))) as pool:
        asked = {name: pool.submit(_reach, project, name, mirror) for name in names}
        letters = {
            name: pool.submit(_series, workspace, project, name) for name in names
        }
        return [
            _status(workspace, project, name, asked[name].result(), letters[name].result())
            for name in names
        ]


def _status(
    workspace: Workspace, project: Project, name: str, reachable: str, series: str
) -> Status:
    base = project.base(name)
    cached, commit = _cached(workspace, project, name)
    on_it = project.on_base(name)
    own = [v for v in on_it.config.defaults.variants if on_it.base_name(v) == name]
    return Status(
        name, base.kind, gitprobe.without_password(base.place), cached, commit, base.pinned,
        reachable, base.needs, series, own,
    )


def _cached(workspace: Workspace, project: Project, name: str) -> tuple[str, str]:
    """The version and commit that are here; of a directory without reading it whole."""
    base = project.base(name)
    try:
        if isinstance(base, DirBase):
            return check_kernel_tree(project.path(base.path)), ""
        source = find_source(workspace, project, name)
    except UserError:
        return "", ""
    return (source.version, str(source.record.details.get("commit", ""))) if source else ("", "")


def _reach(project: Project, name: str, mirror: str | None) -> str:
    try:
        return _ask(project, project.base(name), mirror)
    except HarnessError as error:
        return f"{NO}: {error.message}"


def _ask(project: Project, base: Base, mirror: str | None) -> str:
    match base:
        case DebianBase():
            return _debian(project, base, mirror)
        case GitBase():
            return _git(base)
        case TarballBase():
            return _tarball(project, base)
        case DirBase() | CommitBase():
            path = project.path(base.path)
            return YES if path.is_dir() else f"{NO}: no directory {path}"


def _git(base: GitBase) -> str:
    answers = gitprobe.probe(base.urls, base.ref, LIMIT)
    if any(not answer.error for answer in answers):
        return YES
    return f"{NO}: " + "; ".join(
        f"{gitprobe.without_password(answer.url)}: {answer.error}" for answer in answers
    )


def _debian(project: Project, base: DebianBase, mirror: str | None) -> str:
    """Ask by way of apt: it knows the proxy."""
    chosen = resolve_mirror(project.settings.mirror, mirror)
    url = f"{chosen.url}/dists/{base.suite}/Release"
    helper = Path("/usr/lib/apt/apt-helper")
    if not helper.exists():
        return _http(url)
    need("apt-get")
    options = [f"-oAcquire::{kind}::Timeout={LIMIT:.0f}" for kind in ("http", "https")]
    with tempfile.TemporaryDirectory(prefix="harness-reach.") as scratch:
        try:
            done = subprocess.run(
                [str(helper), *options, "-oAcquire::Retries=0", "-oAPT::Sandbox::User=",
                 "download-file", url, f"{scratch}/Release"],
                capture_output=True, check=False, timeout=LIMIT + 2, stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return f"{NO}: {chosen.url}: no answer in {LIMIT:.0f} s"
    return YES if done.returncode == 0 else f"{NO}: {url} cannot be had"


def _tarball(project: Project, base: TarballBase) -> str:
    faults = []
    for place in base.urls:
        if "://" not in place:
            path = project.path(place)
            answer = YES if path.is_file() else f"{NO}: no file {place}"
        else:
            answer = _http(place)
        if answer == YES:
            return YES
        faults.append(answer.removeprefix(f"{NO}: "))
    return f"{NO}: " + "; ".join(faults)


def _http(url: str) -> str:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=LIMIT
        ):
            return YES
    except urllib.error.HTTPError as error:
        return f"{NO}: {url}: {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return f"{NO}: {url}: {getattr(error, 'reason', error)}"


def _series(workspace: Workspace, project: Project, name: str) -> str:
    """The base's own series: its name, and whether it is here or where it would come from."""
    wanted = project.base(name).series.replace("{base}", name)
    try:
        table = patchlist.table(project, wanted)
        if table.kind == "dir":
            there = (project.root / table.path / "series").is_file()
            return wanted if there else ""
        if patchlist.is_here(workspace, project, wanted):
            return f"{wanted} (here)"
        if table.kind == "mbox":
            return f"{wanted} (no {table.path})"
    except HarnessError as error:
        return f"{wanted} ({error.message})"
    reason = lore.unreachable(LIMIT)
    return f"{wanted} (from {lore.archive()}" + (f", which cannot be reached: {reason})"
                                               if reason else ")")
