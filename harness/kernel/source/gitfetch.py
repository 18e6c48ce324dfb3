"""The download of one commit from a git server, in pieces: what has come is not asked for again.

git throws a download away that broke off, and a kernel is some 250 MB. So the commit and its
directories are fetched first and its files after them, some thousands a request. A server
that cannot leave files out sends everything at once; that is noticed and no fault.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture, need, run_logged, tail
from harness.core.progress import Progress
from harness.kernel.source import gitprobe

HERE = "refs/harness/base"
PIECE = 8192  # files a request: some 25 MB of a kernel, and a command line of 340 kB
PIECE_LIMIT = 7200.0  # seconds; a connection that stands still is given up much sooner
PARTIAL = "--filter=blob:none"
ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?(?![^:])")
REFUSALS = ("unadvertised object", "not our ref", "couldn't find remote ref")  # git's words


class Broken(InfrastructureError):
    """A download that ended early; what has come of it is kept, and another may go on."""


class Refused(UserError):
    """The server gives nothing by its id, only what it advertises."""


@dataclass(frozen=True)
class Download:
    """A bare repository that is filled from a server, now or by a command after this one."""

    store: Path
    log: Path
    progress: Progress

    def begin(self, url: str, what: str, known: str, title: str) -> str:
        """Fetch the commit ``what``, a ref or an id, and its directories; the commit's id.

        Nothing is asked for when the store holds commit ``known`` already. Raises
        :class:`Broken` when the connection ends, :class:`Refused` for an id that the
        server does not give.
        """
        if not known or self._held() != known:
            shutil.rmtree(self.store, ignore_errors=True)
            self.store.parent.mkdir(parents=True, exist_ok=True)
            capture([need("git"), "init", "-q", "--bare", str(self.store)],
                    env=gitprobe.environment())
            with self.progress.task(f"asking for {title}"):
                self._git_fetch(url, [PARTIAL, "--depth", "1"], [f"+{what}:{HERE}"])
        return self.commit()

    def complete(self, url: str, what: str, title: str) -> None:
        """Fetch the files that have not come yet; raises :class:`Broken` as above."""
        missing = self.missing()
        if not missing:
            return
        with self.progress.task(f"fetching {title}", len(missing)) as task:
            try:
                for at in range(0, len(missing), PIECE):
                    task.update(at, f"{at} of {len(missing)} files")
                    piece = missing[at:at + PIECE]
                    self._git_fetch(url, [PARTIAL, "--no-write-fetch-head"], piece)
            except Refused:  # it can leave files out, and cannot send them after
                whole = ["--refetch", "--no-filter", "--depth", "1"]
                self._git_fetch(url, whole, [f"+{what}:{HERE}"])
        if left := self.missing():
            raise InfrastructureError(f"the server left out {len(left)} files")

    def commit(self) -> str:
        """The commit that was fetched."""
        return self.git("rev-parse", f"{HERE}^{{commit}}").strip()

    def tag(self) -> str:
        """The id of the annotated tag that was fetched; empty when it was the commit itself."""
        kind = self.git("cat-file", "-t", HERE).strip()
        return self.git("rev-parse", HERE).strip() if kind == "tag" else ""

    def missing(self) -> list[str]:
        """The objects of the commit that have not come yet."""
        listed = self.git("rev-list", "--objects", "--missing=print", "--no-object-names", HERE)
        return [line[1:] for line in listed.splitlines() if line.startswith("?")]

    def git(self, *words: str, cwd: Path | None = None, timeout: float = 300.0) -> str:
        """A command of git's on the store, which asks no server."""
        return capture(
            [need("git"), "--git-dir", str(self.store), *words], cwd=cwd,
            env={**gitprobe.environment(), "GIT_NO_LAZY_FETCH": "1"}, timeout=timeout,
        )

    def _held(self) -> str:
        """The commit that an earlier download got as far as; empty when none did."""
        if not self.store.is_dir():
            return ""
        for left in (*self.store.rglob("*.lock"), *self.store.glob("objects/pack/tmp_*")):
            left.unlink(missing_ok=True)  # of a git that was killed
        with contextlib.suppress(InfrastructureError):
            self.missing()  # its directories are there
            return self.commit()
        return ""

    def _git_fetch(self, url: str, options: Sequence[str], words: Sequence[str]) -> None:
        """One request. The URL, which may hold a password, is not written down."""
        git = need("git")
        self.log.unlink(missing_ok=True)
        code = run_logged(
            [git, "--git-dir", str(self.store), "-c", f"remote.base.url={url}",
             "-c", "gc.auto=0", "-c", "maintenance.auto=false",
             "-c", "fetch.negotiationAlgorithm=noop",
             "fetch", "--quiet", "--no-tags", "--recurse-submodules=no", *options, "base",
             *words],
            self.log, env=gitprobe.environment(), deadline=Deadline(PIECE_LIMIT),
        )
        if code:
            said = tail(self.log)
            if ID.match(words[0].lstrip("+")) and any(word in said for word in REFUSALS):
                raise Refused("it gives nothing by its id alone")
            raise Broken(gitprobe.explain(said))
