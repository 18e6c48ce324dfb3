"""Bases of kind ``git``: one commit of a repository, fetched alone and known by its id."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.kernel.source import gitprobe
from harness.kernel.source.fetching import Fetched, Job, check_kernel_tree
from harness.kernel.source.gitfetch import HERE, Broken, Download
from harness.kernel.source.gitprobe import Answer
from harness.project.bases import GitBase
from harness.records.kernels import SourceRecord

CHECKOUT_LIMIT = 900.0  # seconds


def fetch(job: Job) -> Fetched | None:
    """Fetch the commit of a base; None when it is the one that is here already.

    The URLs are asked at once and tried in their order; those that lack the ref of a
    pinned base come last and are asked for the commit. What broke on the way is tried once
    more. Raises :class:`UserError` that names each URL and what was wrong with it,
    :class:`InfrastructureError` when a download broke.
    """
    base, wanted = job.base, job.wanted
    assert isinstance(base, GitBase)
    urls = [wanted.origin] if wanted.origin else base.urls
    urls = [str(Path(url).absolute()) if Path(url).is_dir() else url for url in urls]
    answers = [_judge(base, answer) for answer in gitprobe.probe(urls, base.ref)]
    good = [answer for answer in answers if not answer.error]
    if good and good[0].commit and good[0].commit == wanted.have:
        return None
    lacking = [answer for answer in answers if answer.lacks_ref and base.commit]
    faults = {answer.url: answer.error for answer in answers if answer.error}
    broken = False
    for answer in [*good, *lacking]:
        for last in (False, True):
            try:
                return _fetch(job, base, answer)
            except Broken as error:
                _forget(job, answer, error, faults)
                broken = True
                if not last:
                    job.progress.warn(f"{gitprobe.without_password(answer.url)}: "
                                      f"{error.message}; it is asked once more")
            except HarnessError as error:
                _forget(job, answer, error, faults)
                broken = broken or isinstance(error, InfrastructureError)
                break
    tried = "; ".join(
        f"{gitprobe.without_password(url)}: {faults[url]}" for url in urls if url in faults
    )
    goes_on = "what has come is kept, and the same command goes on from there; "
    raise (InfrastructureError if broken else UserError)(
        f"cannot fetch {base.ref} of base {job.name}: {tried}",
        hint=(goes_on if broken and base.commit else "") +
        f"--from DIR takes it from a local clone that has {base.ref}, "
        "--source DIR builds an unpacked tree",
    )


def _forget(job: Job, answer: Answer, error: HarnessError, faults: dict[str, str]) -> None:
    """Note what was wrong with an attempt; what has come of it may be gone on with."""
    job.progress.detail(f"{gitprobe.without_password(answer.url)}: {error.line()}")
    both = [answer.error] if answer.lacks_ref else []
    faults[answer.url] = ", and ".join([*both, error.message])
    shutil.rmtree(job.scratch / "tree", ignore_errors=True)


def _judge(base: GitBase, answer: Answer) -> Answer:
    """An answer that names another commit or tag than the pinned one is an error."""
    if answer.error:
        return answer
    for what, said, pinned in (("commit", answer.commit, base.commit),
                               ("tag object", answer.tag, base.tag)):
        if said and pinned and said != pinned:
            return Answer(answer.url, error=(
                f"its {base.ref} is {what} {said[:12]}, not the pinned {pinned[:12]}"
            ))
    return answer


def _fetch(job: Job, base: GitBase, answer: Answer) -> Fetched:
    """Fetch, verify and check out; git itself checks every object against its name."""
    name, progress = job.name, job.progress
    url, tree = gitprobe.without_password(answer.url), job.scratch / "tree"
    # Only what is known by its id can be gone on with by another command.
    store = job.kept / f"git-{base.commit}" if base.commit else job.scratch / "git"
    download = Download(store, job.scratch / "git.log", progress)
    what, title = base.commit if answer.lacks_ref else base.ref, f"{base.ref} from {url}"
    try:
        commit = download.begin(answer.url, what, base.commit, title)
        expected, tag = base.commit or answer.commit, download.tag()
        for kind, sent, wanted in (("commit", commit, expected), ("tag object", tag, base.tag)):
            if sent and wanted and sent != wanted:
                shutil.rmtree(store)
                raise UserError(f"it sent {kind} {sent[:12]}, not {wanted[:12]}")
        download.complete(answer.url, what, title)
        if download.commit() != commit:  # it was asked twice, and moved meanwhile
            raise Broken(f"its {base.ref} moved")
    except Broken as error:
        raise Broken(f"the download broke: {error.message}") from error
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
        download.git(
            "--work-tree", str(tree), "-c", "core.autocrlf=false",
            "-c", "core.attributesFile=/dev/null", "-c", "core.symlinks=true",
            "checkout", "-q", "-f", HERE, "--", ".", cwd=tree, timeout=CHECKOUT_LIMIT,
        )
    version = check_kernel_tree(tree)
    shutil.rmtree(store)
    return Fetched(
        f"git-{name}-{commit[:12]}",
        SourceRecord(
            kind="git", version=version, digest=commit,
            details={"url": url, "ref": base.ref, "commit": commit,
                     "pinned": "yes" if base.commit else "no", **({"tag": tag} if tag else {})},
        ),
        lambda staging: shutil.move(tree, staging / "tree"),
    )
