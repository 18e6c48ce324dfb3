"""What a git server says of a ref, within seconds, without downloading anything."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.core.proc import need, run_logged

PROBE_LIMIT = 12.0  # seconds; with two steps before it, less than the 20 s a user will wait
UNREACHABLE = "cannot be reached"
REASONS = (  # git's words, and ours; the first that fits
    (r"Could not resolve host|Name or service not known|Temporary failure in name", "no such host"),
    (r"Connection refused", "connection refused"),
    (r"timed out|Failed to connect|Network is unreachable|No route", UNREACHABLE),
    (r"SSL|certificate", "its TLS certificate is not accepted"),
    (r"detected dubious ownership", "git refuses it: dubious ownership (see safe.directory)"),
    (r"not found|does not exist|does not appear to be a git repository|No such file",
     "no git repository there"),
    (r"unadvertised object|not our ref", "it does not give what it was asked for"),
    (r"early EOF|unexpected disconnect|hung up|RPC failed|transfer closed|Operation too slow",
     "the connection ended or stood still before all of it was there"),
    (r"terminal prompts disabled|Authentication failed|Permission denied", "access denied"),
)


@dataclass(frozen=True)
class Answer:
    """``error`` is empty when the server has the ref.

    ``commit`` is what it says it stands for; empty for a tag that may be the commit
    itself or an object of its own, which only the download tells. ``tag`` is the object
    id of an annotated tag. ``lacks_ref``: the server answered, and does not have the ref.
    """

    url: str
    commit: str = ""
    error: str = ""
    tag: str = ""
    lacks_ref: bool = False


def environment() -> dict[str, str]:
    """For a git that asks nothing, and that gives a dead connection up.

    The user's configuration holds: proxies and ``url.<base>.insteadOf`` are how a
    site behind a firewall tells git where things are.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")
            or key in ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_PROXY_COMMAND")
            or key.startswith("GIT_CONFIG")}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10", **kept, "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "60",
    }


def probe(urls: Sequence[str], ref: str, limit: float = PROBE_LIMIT) -> list[Answer]:
    """Ask all URLs at once; the answers in the order of the URLs."""
    git = need("git")
    with ThreadPoolExecutor(max_workers=max(1, len(urls))) as pool:
        return list(pool.map(lambda url: _ask(git, url, ref, limit), urls))


def _ask(git: str, url: str, ref: str, limit: float) -> Answer:
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="harness-git.") as scratch:
        try:
            code = run_logged(
                [git, "ls-remote", "--quiet", "--", url, ref, f"{ref}^{{}}"],
                Path(scratch) / "log", cwd=Path(scratch), env=environment(),
                on_line=lines.append, deadline=Deadline(limit),
            )
        except InfrastructureError:
            return Answer(url, error=f"no answer in {limit:.0f} s")
    if code:
        return Answer(url, error=explain("\n".join(lines)))
    found = {
        match[2]: match[1] for line in lines
        if (match := re.match(r"([0-9a-f]{40,64})\t(\S+)$", line))
    }
    # An annotated tag is listed twice; with ^{} stands the commit that it names.
    peeled = f"refs/tags/{ref}^{{}}"
    for name in (peeled, f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if name in found:
            tag = found.get(f"refs/tags/{ref}", "") if name == peeled else ""
            commit = "" if name == f"refs/tags/{ref}" else found[name]
            return Answer(url, commit=commit, tag=tag)
    return Answer(url, error=f"it has no {ref}", lacks_ref=True)


def without_password(url: str) -> str:
    """A URL as it may be shown and recorded."""
    return re.sub(r"://[^/@]*@", "://", url)


def explain(output: str) -> str:
    """A few words for what git said."""
    if own := re.search(r"^remote: (?:fatal|error): (.+)$", output, re.MULTILINE):
        return f"the server says: {own[1].strip()}"
    for pattern, words in REASONS:
        if re.search(pattern, output, re.IGNORECASE):
            return words
    errors = re.findall(r"^(?:fatal|error): (.+)$", output, re.MULTILINE)
    return errors[-1].strip() if errors else "git failed"
