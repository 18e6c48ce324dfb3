"""``harness reproduce``: one test of an earlier run again, alone, in a fresh guest."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common
from harness.cli.stability_command import Out, results_directory
from harness.core.errors import EXIT_GUEST_CRASH, EXIT_REGRESSION, UserError

if TYPE_CHECKING:
    from harness.cli.suites import Request
    from harness.machine.guest import Guest
    from harness.records.old_verdicts import StabilityRun, Verdict

STAY = " panic=0"  # a panic that rebooted would end QEMU under the debugger's eyes


def reproduce(
    ident: Annotated[str, typer.Argument(metavar="ID", help="As printed with the verdict.")],
    until_fail: Annotated[
        int, typer.Option("--until-fail", min=1, metavar="N", help="Up to N times, until it fails.")
    ] = 1,
    gdb: Annotated[
        bool, typer.Option("--gdb", help="Wait for gdb; prints its line. No time limits.")
    ] = False,
    variant: Annotated[str, typer.Option("--variant", help="On another variant.")] = "",
    accel: Annotated[str, typer.Option("--accel", help="Another than the run's.")] = "",
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Where the run is [results/].")
    ] = None,
    out: Out = None,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot the variant of a verdict and run its test alone, with the same seed and limits.

    Example: harness reproduce 1f2e3d4c --until-fail 20
    """
    from harness.cli import conduct, machines, suites  # noqa: PLC0415
    from harness.measure.runner import now  # noqa: PLC0415
    from harness.records.old_runs import old_kernel  # noqa: PLC0415
    from harness.records.old_verdicts import BAD, VerdictWriter, load_run  # noqa: PLC0415
    from harness.suites.outcome import line  # noqa: PLC0415
    from harness.suites.suite import Queue, SuiteRunner, TestCase  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    root = run or env.project.results
    directory, old = find(root, ident)
    recorded, _ = load_run(directory)
    name = variant or old.variant
    # The base that the run was given, not harness.toml's default of today.
    base = str(recorded.variants.get(old.variant, {}).get("base", ""))
    env = replace(env, project=env.project.on_base(base))
    env.project.variant(name)
    where = results_directory(env, out, f"reproduce-{ident}")
    request = _request(recorded, old, name, where)
    request = replace(request, gdb=gdb, accel=accel or request.accel,
                      append=f"{request.append}{STAY if gdb else ''}")
    arrangement = suites.arrange(env, request)
    build = machines.need_build(env, name)
    boot = conduct.booter(env, request, arrangement, build, recorded)
    seconds, fixed = old.limits
    test = TestCase(
        old.test, old.command, seconds, old.seed, conduct.FOREVER if gdb else fixed
    )
    if gdb:
        _say_gdb(env, build.vmlinux, where, name)
    writer = VerdictWriter(where, recorded.model_copy(update={
        "started": now(), "finished": "", "variants": {name: old_kernel(build.kernel)},
        "planned": {name: [(old.test, old.seed)]},
    }))
    seen: list[Verdict] = []
    for attempt in range(until_fail):
        runner = SuiteRunner(arrangement.suite, name, boot, where / f"tests-{name}", attempt,
                             examine=partial(_leave, env) if gdb else None)
        for verdict in runner.run(Queue([test])):
            writer.add(verdict)
            seen.append(verdict)
            common.say(f"{attempt + 1}: {line(verdict)}")
        if any(verdict.verdict in BAD for verdict in seen):
            break
    _show(seen, where)


def find(root: Path, ident: str) -> tuple[Path, Verdict]:
    """The newest run below ``root`` that has a verdict of this ID, and its last one.

    Raises :class:`UserError` when there is none.
    """
    from harness.records.old_verdicts import VERDICTS_FILE, load_verdicts  # noqa: PLC0415

    files = sorted(root.rglob(VERDICTS_FILE), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        match = [v for v in load_verdicts(path.parent) if v.ident == ident and v.command]
        if match:
            return path.parent, match[-1]
    raise UserError(
        f"no run below {root} has a verdict with the ID {ident}",
        hint="IDs stand in brackets in a run's output and in its verdicts.json",
    )


def _request(run: StabilityRun, old: Verdict, variant: str, where: Path) -> Request:
    from harness.cli.suites import LtpRequest, Request  # noqa: PLC0415

    guest = run.guest
    races = run.suite in ("races", "piecewise")
    tree = Path(guest["ltp"]) if guest.get("ltp") else None
    return Request(
        suite=run.suite, variants=[variant], tests=[old.test] if races else [],
        seconds=run.seconds, seed=old.seed, threads=guest.get("threads", 0),
        accel=guest.get("accel", "auto"), smp=run.smp, memory=guest.get("memory", ""),
        append=guest.get("append", ""), directory=where,
        ltp=LtpRequest(tree, [], None, 120.0, whole=True) if run.suite == "ltp" else None,
    )


def _say_gdb(env: common.Setup, vmlinux: Path, where: Path, variant: str) -> None:
    stub = where / "boots" / f"{variant}-00" / "gdb.sock"
    line = ["gdb", str(vmlinux), "-ex", f"target remote {stub}", "-ex", "continue"]
    env.progress.say(f"the guest waits for:\n{shlex.join(line)}")


def _leave(env: common.Setup, guest: Guest) -> None:
    """Leave a dead guest to the debugger until that, or Ctrl-C, ends it."""
    with contextlib.suppress(KeyboardInterrupt):  # as soon as it is announced
        env.progress.say("the guest is dead and stays for gdb: its `kill`, or Ctrl-C here, ends it")
        guest.wait_end()


def _show(seen: list[Verdict], where: Path) -> None:
    """The last verdict's output and oopses, and the exit code it stands for."""
    bad: Iterator[Verdict] = (v for v in reversed(seen) if v.verdict != "pass")
    last = next(bad, None)
    if last is None:
        common.say(f"not reproduced in {len(seen)} attempts; record: {where}")
        return
    for text in last.splats:
        common.say(text)
    if last.log:
        common.say((where / last.log).read_text(errors="replace")[-4000:])
    common.say(f"record: {where}")
    raise typer.Exit(EXIT_GUEST_CRASH if last.verdict == "crash" else EXIT_REGRESSION)
