"""What nights found, as KCIDB JSON: the format in which kernel CI systems report to one database.

Built from the runs' own files: a checkout for each source and series, a build for each kernel, a
test for each execution of one. Nothing is sent anywhere; `kcidb-submit` of kcidb-io does that, for
who has an account. The schema is KCIDB's 5.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from harness.core import digest
from harness.core.workspace import write_atomic
from harness.records.boots import BootRecord
from harness.records.kernels import Kernel
from harness.records.record import Scalar
from harness.records.runs import Run
from harness.records.store import is_run, load_boots, load_run, load_verdicts
from harness.records.verdicts import Verdict, Word
from harness.suites.nightstats import where

KCIDB_FILE = "kcidb.json"
ORIGIN = "pte_harness"
STATUS: Mapping[Word, str] = {
    "pass": "PASS", "fail": "FAIL", "crash": "FAIL", "hang": "FAIL", "timeout": "FAIL",
    "skip": "SKIP", "broken": "ERROR", "lost": "ERROR", "not run": "MISS",
}
"""Our words in KCIDB's: a failure is the kernel's, an error the test's or the harness's, and what
did not run is missing."""
MOST_EXCERPT = 16384


class KcidbVersion(BaseModel):
    """Which schema."""

    major: int = 5
    minor: int = 3


class Checkout(BaseModel):
    """A source tree with patches on it."""

    id: str
    origin: str
    tree_name: str
    git_commit_hash: str | None = None
    patchset_hash: str = ""
    comment: str
    misc: dict[str, Scalar] = Field(default_factory=dict)


class KcidbBuild(BaseModel):
    """One kernel."""

    id: str
    origin: str
    checkout_id: str
    architecture: str
    compiler: str
    config_name: str
    duration: float
    status: str = "PASS"
    comment: str
    misc: dict[str, Scalar] = Field(default_factory=dict)


class Environment(BaseModel):
    """Where a test ran."""

    comment: str
    misc: dict[str, Scalar] = Field(default_factory=dict)


class KcidbTest(BaseModel):
    """One execution of one test."""

    id: str
    origin: str
    build_id: str
    path: str
    status: str
    start_time: str | None = None
    duration: float
    environment: Environment
    comment: str
    log_excerpt: str | None = None
    misc: dict[str, Scalar] = Field(default_factory=dict)


class Report(BaseModel):
    """The whole file."""

    version: KcidbVersion = KcidbVersion()
    checkouts: list[Checkout] = Field(default_factory=list)
    builds: list[KcidbBuild] = Field(default_factory=list)
    tests: list[KcidbTest] = Field(default_factory=list)

    def text(self) -> str:
        """As JSON, without what is not known."""
        return self.model_dump_json(indent=1, exclude_none=True) + "\n"


def write_kcidb(night: Path) -> Path:
    """``kcidb.json`` of a night's directory, from the runs in it."""
    path = night / KCIDB_FILE
    write_atomic(path, kcidb(run for run in sorted(night.iterdir()) if is_run(run)).text())
    return path


def kcidb(runs: Iterable[Path]) -> Report:
    """The report of some runs of suites. What two of them share is in it once."""
    checkouts: dict[str, Checkout] = {}
    builds: dict[str, KcidbBuild] = {}
    tests: list[KcidbTest] = []
    for directory in runs:
        run = load_run(directory)
        boots = {(one.variant, one.boot): one for one in load_boots(directory)[0]}
        for kernel in run.kernels.values():
            checkout = _checkout(kernel)
            checkouts[checkout.id] = checkout
            build = _build(kernel, checkout)
            builds[build.id] = build
        tests += [
            _test(f"{directory.parent.name}/{directory.name}", number, one, run,
                  boots.get((one.variant, one.boot)))
            for number, one in enumerate(load_verdicts(directory)[0])
            if one.variant in run.kernels
        ]
    return Report(
        checkouts=list(checkouts.values()), builds=list(builds.values()), tests=tests
    )


def _checkout(kernel: Kernel) -> Checkout:
    """A kernel's sources; KCIDB hashes a set of patches by the hashes of its files."""
    sums = "".join(f"{patch.sha256}\n" for patch in kernel.patches)
    patchset = digest.of_bytes(sums.encode()) if sums else ""
    commit = kernel.source.details.get("commit", "")
    return Checkout(
        id=f"{ORIGIN}:{digest.key([kernel.source.digest, patchset])}", origin=ORIGIN,
        tree_name=kernel.base, patchset_hash=patchset,
        git_commit_hash=commit if re.fullmatch("[0-9a-f]{40}", commit) else None,
        comment=f"{kernel.base} {kernel.source.version}, {len(kernel.patches)} patches",
        misc={"source": kernel.source.kind, "source_version": kernel.source.version,
              "source_digest": kernel.source.digest},
    )


def _build(kernel: Kernel, checkout: Checkout) -> KcidbBuild:
    return KcidbBuild(
        id=_build_id(kernel), origin=ORIGIN, checkout_id=checkout.id,
        architecture=kernel.arch, compiler=kernel.compiler, duration=kernel.seconds,
        config_name="+".join(kernel.fragments), comment=f"{kernel.variant} {kernel.release}",
        misc={"variant": kernel.variant, "release": kernel.release, "key": kernel.key,
              "config_digest": kernel.config_digest},
    )


def _build_id(kernel: Kernel) -> str:
    return f"{ORIGIN}:{kernel.key}"


def _test(
    run: str, number: int, verdict: Verdict, of: Run, boot: BootRecord | None
) -> KcidbTest:
    host, accel = where(of, boot)
    oops = "\n\n".join(event.text for event in verdict.events)
    return KcidbTest(
        id=f"{ORIGIN}:{run}/{verdict.variant}/{verdict.ident}/{number}", origin=ORIGIN,
        build_id=_build_id(of.kernels[verdict.variant]), path=_path(verdict),
        status=STATUS[verdict.verdict], duration=verdict.seconds,
        start_time=boot.started if boot else None,
        environment=Environment(comment=f"{host} under {accel}",
                                misc={"host": host, "accel": accel, "smp": _smp(of)}),
        comment=f"{verdict.test}: {verdict.reason or verdict.verdict}".replace("\0", "?"),
        log_excerpt=oops[-MOST_EXCERPT:].replace("\0", "?") or None,
        misc={"verdict": verdict.verdict, "seed": verdict.seed, "attempt": verdict.attempt,
              "reproduce": f"harness reproduce {verdict.ident}", "run": run},
    )


def _smp(run: Run) -> int:
    return run.plan.smp


def _path(verdict: Verdict) -> str:
    """A test's name as KCIDB writes one: words of letters, digits, - and _, with dots between."""
    words = [re.sub(r"[^A-Za-z0-9_-]+", "_", word) for word in (verdict.suite, verdict.test)]
    return ".".join(word for word in words if word)
