"""Bases of kind ``git``: one commit of a repository, fetched alone and known by its id."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.proc import capture, need, run_logged, tail
from harness.kernel.source import gitprobe
from harness.kernel.source.fetching import Fetched, Job, check_kernel_tree
from harness.kernel.source.gitprobe import Answer
from harness.project.bases import GitBase
from harness.records.kernels import SourceRecord

HERE = "refs/harness/base"
FETCH_LIMIT = 7200.0  # seconds for some 250 MB; a stalled connection is given up much sooner
CHECKOUT_LIMIT = 900.0


def fetch(job: Job) -> Fetched | None:
    """Fetch the commit of a base; None when it is the one that is here already.

    The URLs are asked at once and tried in their order. Raises :class:`UserError` that
    names each URL and what was wrong with it, :class:`InfrastructureError` when a
    download broke.
    """
    base, wanted = job.base, job.wanted
    assert isinstance(base, GitBase)
    urls = [wanted.origin] if wanted.origin else base.urls
    urls = [str(Path(url).absolute()) if Path(url).is_dir() else url for url in urls]
    answers = [_judge(base, answer) for answer in gitprobe.probe(urls, base.ref)]
    good = [answer for answer in answers if not answer.error]
    if good and good[0].commit and good[0].commit == wanted.have:
        return None
    broken: list[Answer] = []
    for answer in good:
        try:
            return _fetch(job, base, answer)
        except HarnessError as error:
            job.progress.detail(f"{gitprobe.without_password(answer.url)}: {error.line()}")
            broken.append(Answer(answer.url, error=error.message))
            shutil.rmtree(job.scratch / "git", ignore_errors=True)
            shutil.rmtree(job.scratch / "tree", ignore_errors=True)
    faults = {answer.url: answer.error for answer in [*answers, *broken] if answer.error}
    tried = "; ".join(
        f"{gitprobe.without_password(url)}: {faults[url]}" for url in urls if url in faults
    )
    raise (InfrastructureError if broken else UserError)(
        f"cannot fetch {base.ref} of base {job.name}: {tried}",
        hint=f"--from DIR takes it from a local clone that has {base.ref}, "
        "--source DIR builds an unpacked tree",
    )


def _judge(base: GitBase, answer: Answer) -> Answer:
    """An answer that names another commit than the pinned one is an error."""
    if answer.error or not base.commit or answer.commit in ("", base.commit):
        return answer
    return Answer(answer.url, error=(
        f"its {base.ref} is commit {answer.commit[:12]}, not the pinned {base.commit[:12]}"
    ))


def _fetch(job: Job, base: GitBase, answer: Answer) -> Fetched:
    """Fetch, verify and check out; git itself checks every object against its name."""
    name, scratch, progress = job.name, job.scratch, job.progress
    url = gitprobe.without_password(answer.url)
    git, store, tree = need("git"), scratch / "git", scratch / "tree"
    log, environment = scratch / "git.log", gitprobe.environment()
    log.unlink(missing_ok=True)
    capture([git, "init", "-q", "--bare", str(store)], env=environment)
    with progress.task(f"fetching {base.ref} from {url}"):
        code = run_logged(
            [git, "--git-dir", str(store), "fetch", "--depth", "1", "--no-tags", "--quiet",
             answer.url, f"+{base.ref}:{HERE}"],
            log, env=environment, deadline=Deadline(FETCH_LIMIT),
        )
    if code:
        raise InfrastructureError(f"the download broke: {gitprobe.explain(tail(log))}")
    commit = capture(
        [git, "--git-dir", str(store), "rev-parse", f"{HERE}^{{commit}}"], env=environment
    ).strip()
    expected = base.commit or answer.commit
    if expected and commit != expected:
        raise UserError(f"it sent commit {commit[:12]}, not {expected[:12]}")
    had = job.wanted.have
    if had and had != commit:
        progress.warn(f"{base.ref} of base {name} was commit {had}, and is now {commit}")
    if not base.commit:
        progress.warn(
            f"base {name} is not pinned: {base.ref} is believed to be {commit}; "
            f'`commit = "{commit}"` in harness.toml pins it'
        )
    tree.mkdir()
    with progress.task(f"checking out {base.ref}"):
        capture(
            [git, "--git-dir", str(store), "--work-tree", str(tree), "-c", "core.autocrlf=false",
             "-c", "core.attributesFile=/dev/null", "-c", "core.symlinks=true",
             "checkout", "-q", "-f", HERE, "--", "."],
            cwd=tree, env=environment, timeout=CHECKOUT_LIMIT,
        )
    version = check_kernel_tree(tree)
    return Fetched(
        f"git-{name}-{commit[:12]}",
        SourceRecord(
            kind="git", version=version, digest=commit,
            details={"url": url, "ref": base.ref, "commit": commit,
                     "pinned": "yes" if base.commit else "no"},
        ),
        lambda staging: shutil.move(tree, staging / "tree"),
    )
