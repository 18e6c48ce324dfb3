"""``harness nightly``: the suites of harness.toml, in order, within a budget, night after night."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import common
from harness.core.deadline import Deadline
from harness.core.errors import (
    EXIT_GUEST_CRASH,
    EXIT_INFRASTRUCTURE,
    EXIT_OK,
    EXIT_REGRESSION,
    HarnessError,
    UserError,
)
from harness.core.workspace import write_atomic
from harness.project.config import NightlySuite

STATE_FILE = "nightly.json"
VERDICTS = {EXIT_OK: "ok", EXIT_REGRESSION: "regression", EXIT_INFRASTRUCTURE: "infrastructure",
            EXIT_GUEST_CRASH: "crash"}
TIMED = ("races", "stress-ng", "trinity")  # suites whose length is theirs to choose
GRAVITY = (EXIT_OK, EXIT_INFRASTRUCTURE, EXIT_REGRESSION, EXIT_GUEST_CRASH)
DETAILS = ("boots", "tests-*")  # what retention removes; verdicts and oopses stay
HOOK_SECONDS = 300.0


def nightly(
    hours: Annotated[
        float,
        typer.Option(
            "--hours", min=0,
            help="Time budget; suites that run for a time get their share of it [harness.toml].",
        ),
    ] = 0.0,
    new: Annotated[
        bool, typer.Option("--new", help="Do not go on with an unfinished night.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Only go on with an unfinished night, if there is one.")
    ] = False,
    ltp: Annotated[
        Path | None,
        typer.Option("--ltp", metavar="DIR", help="An installed LTP tree [harness.toml]."),
    ] = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run the plan [nightly] of harness.toml; goes on with a night that was killed.

    Example: harness nightly --hours 2
    """
    from harness.suites import history  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    plan = env.project.config.nightly
    if not plan.suites:
        raise UserError("harness.toml plans no night", hint="add [[nightly.suites]]")
    root = env.project.results / "nightly"

    def planned() -> list[NightlySuite]:
        possible = _possible(env, plan.suites, ltp)
        possible = in_time(possible, (hours or plan.hours) / plan.hours)
        return in_order(possible, history.yields(history.load(root)))

    if dry_run:
        for suite in planned():
            timed = f", {suite.minutes:.3g} minutes each" if suite.suite in TIMED else ""
            common.say(f"{suite.suite} on {', '.join(_variants(env, suite))}{timed}")
        return
    root.mkdir(parents=True, exist_ok=True)
    if resume and _Night.unfinished(root) is None:
        env.progress.say("no night is unfinished")
        return
    with env.workspace.sole("nightly", "a nightly runs"):
        night = None if new else _Night.unfinished(root)
        night = night or _Night.begin(root, planned(), ltp)
        code = _run(env, night, Deadline(3600 * (hours or plan.hours)))
        retain(root, plan.keep)
        page = history.write_page(root, history.load(root))
        if plan.hook:
            _hook(env, plan.hook, night, code)
    env.progress.say(f"{VERDICTS[code]}: {page}")
    if code:
        raise typer.Exit(code)


def _possible(
    env: common.Setup, suites: Sequence[NightlySuite], tree: Path | None
) -> list[NightlySuite]:
    """Without LTP where no tree of it is named: one cannot be got by any package."""
    if tree or env.project.config.ltp.path:
        return list(suites)
    if any(suite.suite == "ltp" for suite in suites):
        env.progress.warn("ltp is not planned: --ltp or [settings.ltp] path names its tree")
    return [suite for suite in suites if suite.suite != "ltp"]


def in_time(suites: Sequence[NightlySuite], share: float) -> list[NightlySuite]:
    """What runs for a time runs for ``share`` of it; the rest takes as long as its tests take."""
    return [
        suite.model_copy(update={"minutes": (suite.minutes or 10.0) * share})
        if suite.suite in TIMED else suite
        for suite in suites
    ]


def in_order(
    suites: Sequence[NightlySuite], found: dict[str, float]
) -> list[NightlySuite]:
    """What found most comes first; the rest keeps its order."""
    return sorted(suites, key=lambda suite: -found.get(suite.suite, 0.0))


@dataclass
class _Night:
    """One night: its directory and what is done of it."""

    directory: Path
    suites: list[NightlySuite]
    codes: dict[str, int]
    ltp: Path | None = None
    finished: bool = False

    @classmethod
    def begin(cls, root: Path, suites: list[NightlySuite], ltp: Path | None) -> _Night:
        """A new night, on disk."""
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
        night = cls(root / stamp, suites, {}, ltp.absolute() if ltp else None)
        night.directory.mkdir()
        night.save()
        return night

    @classmethod
    def unfinished(cls, root: Path) -> _Night | None:
        """The last night, when it was not finished, in the order it was begun with."""
        for state in sorted(root.glob(f"*/{STATE_FILE}"), reverse=True)[:1]:
            value: dict[str, Any] = json.loads(state.read_text())
            if not value["finished"]:
                plan = [NightlySuite.model_validate(suite) for suite in value["suites"]]
                tree = Path(value["ltp"]) if value.get("ltp") else None
                return cls(state.parent, plan, value["codes"], tree)
        return None

    def save(self) -> None:
        """Write what is done; a reader sees the old state or the new."""
        write_atomic(self.directory / STATE_FILE, json.dumps({
            "suites": [suite.model_dump() for suite in self.suites], "codes": self.codes,
            "ltp": str(self.ltp or ""), "finished": self.finished,
        }, indent=1) + "\n")


def _run(env: common.Setup, night: _Night, deadline: Deadline) -> int:
    """The suites that are not done yet; the gravest exit code of all.

    One that ended for want of a guest, a build or a network is gone on with once more at
    the end, when there is time: most such troubles have passed by then.
    """
    plan = {f"{number:02d}-{suite.suite}": suite for number, suite in enumerate(night.suites)}
    for key, suite in plan.items():
        if key in night.codes:
            continue
        if deadline.expired:
            env.progress.warn(f"not run, the time budget is used up: {suite.suite}")
            night.codes[key] = EXIT_REGRESSION  # what did not run is no pass
        else:
            night.codes[key] = _suite(env, night, suite, night.directory / key)
        night.save()
    for key, suite in plan.items():
        if night.codes[key] == EXIT_INFRASTRUCTURE and not deadline.expired:
            env.progress.say(f"nightly: {suite.suite} once more")
            night.codes[key] = _suite(env, night, suite, night.directory / key)
            night.save()
    night.finished = True
    night.save()
    return max(night.codes.values(), key=GRAVITY.index, default=EXIT_OK)


def _suite(env: common.Setup, night: _Night, suite: NightlySuite, directory: Path) -> int:
    """One suite; an infrastructure failure is recorded and the others go on."""
    from harness.cli import conduct, suites  # noqa: PLC0415
    from harness.records.old_verdicts import load_run  # noqa: PLC0415
    from harness.suites import history  # noqa: PLC0415

    env.progress.say(f"nightly: {suite.suite}")
    lists = suites.LtpRequest(night.ltp, suite.lists, None, 120.0)
    request = suites.Request(
        suite=suite.suite, variants=_variants(env, suite), tests=suite.tests,
        seconds=60 * (suite.minutes or 10.0), seed=_seed(night, directory.name),
        threads=0, accel="auto",
        smp=suite.smp or 0, memory=suite.memory or "", append="numa=fake=2", directory=directory,
        resume=True, jobs=suite.jobs or 1,
        ltp=lists if suite.suite == "ltp" else None,
    )
    try:
        outcome = conduct.conduct(env, request)
    except HarnessError as error:
        env.progress.warn(f"nightly: {suite.suite}: {error.line()}")
        (directory.parent / f"{directory.name}.error").write_text(error.line() + "\n")
        return EXIT_INFRASTRUCTURE
    common.say(outcome.words())
    regressions = {
        after: sum(d.kind == "regression" for d in found)
        for (_, after), found in outcome.differences.items()
    }
    run, _ = load_run(directory)
    kernels = {variant: str(build.get("key", "")) for variant, build in run.variants.items()}
    history.append(
        night.directory.parent,
        history.rows_of(
            night.directory.name, directory.name, outcome.verdicts, kernels, regressions
        ),
    )
    return outcome.exit_code


def _variants(env: common.Setup, suite: NightlySuite) -> list[str]:
    usual = env.project.suite(suite.suite).variants or env.project.config.defaults.variants
    names = suite.variants or usual
    for name in names:
        env.project.variant(name)
    return list(names)


def _seed(night: _Night, key: str) -> int:
    """The first seed of one part of a night: every night and part tries others.

    A resumed night tries the same. Nights begin at the same time of day, so that alone will not do.
    """
    return zlib.crc32(f"{night.directory.name}/{key}".encode()) % 1_000_000


def retain(root: Path, keep: int) -> None:
    """Remove logs and consoles of all but the last ``keep`` nights; verdicts are kept."""
    nights = sorted(path.parent for path in root.glob(f"*/{STATE_FILE}"))
    for night in nights[:-keep] if keep else []:
        for pattern in DETAILS:
            for path in night.glob(f"*/{pattern}"):
                shutil.rmtree(path, ignore_errors=True)


def _hook(env: common.Setup, hook: str, night: _Night, code: int) -> None:
    """Tell somebody: the verdict in the environment, the night's codes on standard input."""
    said = {"NIGHTLY_VERDICT": VERDICTS[code], "NIGHTLY_EXIT": str(code),
            "NIGHTLY_DIR": str(night.directory)}
    try:
        done = subprocess.run(
            ["sh", "-c", hook], env={**os.environ, **said}, input=json.dumps(night.codes),
            text=True, timeout=HOOK_SECONDS, check=False, cwd=env.project.root,
        )
        if done.returncode:
            env.progress.warn(f"the hook ended with {done.returncode}")
    except subprocess.TimeoutExpired:
        env.progress.warn(f"the hook was not done after {HOOK_SECONDS:.0f} s")
