"""A series from the kernel's mail archive: fetched by b4, with what b4 says of its signatures."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture, run_logged, tail
from harness.core.progress import Progress
from harness.project.tables import SeriesTable

ARCHIVE = "https://lore.kernel.org/all"
REACH_LIMIT = 8.0  # seconds
B4_LIMIT = 300.0
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # b4 0.16 colours its marks in a log file, too


def archive() -> str:
    """The archive that b4 will ask: what the user's git configuration names, or lore."""
    # As b4 will see it: not from within this checkout.
    said = capture(["git", "config", "--get", "b4.midmask"], cwd=Path("/"), check=False)
    masks = [line for line in said.splitlines() if line.startswith("http")]
    return masks[-1].removesuffix("/%s").rstrip("/") if masks else ARCHIVE


def unreachable(limit: float = REACH_LIMIT) -> str:
    """Why the archive cannot be reached; empty when it can."""
    request = urllib.request.Request(f"{archive()}/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=limit):
            return ""
    except urllib.error.HTTPError:
        return ""  # it answered
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def fetch(
    table: SeriesTable, into: Path, progress: Progress, mailbox: Path | None = None
) -> dict[str, str]:
    """Leave the series in ``into/series.mbx``; for its record: from where, what b4 said of it.

    ``mailbox`` stands in for the archive. Raises :class:`UserError` when the archive
    cannot be reached and :class:`InfrastructureError` when b4 fails.
    """
    if mailbox is None and (reason := unreachable()):
        raise UserError(
            f"{archive()} cannot be reached ({reason}): no series {table.message_id}",
            hint="save the thread as a mailbox where it can, and give --mailbox FILE",
        )
    log = into / "b4.log"
    with tempfile.TemporaryDirectory(prefix=".b4.", dir=into) as scratch:
        argv = [
            sys.executable, "-m", "b4.command", "am", "--no-cover",
            # What others replied later must not change what was sent.
            "--no-add-trailers", "--use-version", str(table.version),
            "--outdir", scratch, "--mbox-name", "series",
            *(["--use-local-mbox", str(mailbox.absolute())] if mailbox else []),
            table.message_id,
        ]
        with progress.task(f"b4 am {table.message_id}"):
            code = run_logged(
                argv, log, cwd=Path(scratch), env={**os.environ, "LC_ALL": "C.UTF-8"},
                deadline=Deadline(B4_LIMIT),
            )
        made = sorted(Path(scratch).glob("*.mbx"))
        if code or len(made) != 1:
            raise _explain(table, log)
        shutil.move(made[0], into / "series.mbx")
    word, lines = attestation(log.read_text(errors="replace"))
    return {
        "message_id": table.message_id, "version": str(table.version),
        "from": str(mailbox) if mailbox else archive(),
        "attestation": word, "attestation_lines": "\n".join(lines),
    }


def _explain(table: SeriesTable, log: Path) -> UserError | InfrastructureError:
    text = COLOUR.sub("", tail(log, 12))
    if re.search(r"No module named '?b4", text):
        return UserError("b4 is not installed", hint="make setup")
    if re.search(r"^Could not retrieve thread: .*\b404\b", text, re.MULTILINE):
        return UserError(f"{archive()} has no mail {table.message_id}")
    if match := re.search(r"^Could not retrieve thread: (.*)$", text, re.MULTILINE):
        return InfrastructureError(
            f"{archive()} did not give {table.message_id}: {match[1].strip()}",
            hint="try again later, or save the thread elsewhere and give --mailbox FILE",
        )
    # It ends with 0 then, too, and leaves no file.
    if match := re.search(r"^.*(?:Unable to find|could not find|No messages|No patches).*$", text,
                          re.MULTILINE | re.IGNORECASE):
        return UserError(f"b4 found no v{table.version} of {table.message_id}: {match[0].strip()}")
    return InfrastructureError(f"b4 failed for {table.message_id}", excerpt=text, log=log)


def attestation(output: str) -> tuple[str, list[str]]:
    """What b4 said: one word that sums it up, and its marks per patch.

    ``verified`` when every patch has a good mark, ``failed`` when one has a bad mark,
    ``none`` when b4 said nothing of signatures, else ``partial``.
    """
    output = COLOUR.sub("", output)
    block = output.partition("Checking attestation")[2].partition("Total patches")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip(" -")][1:]
    patches = [line for line in lines if re.search(r"\[[^\]]*PATCH[^\]]*\]", line)]
    good = [line for line in patches if line.startswith("✓")]
    if any(line.startswith("✗") for line in lines):
        word = "failed"
    elif patches and len(good) == len(patches):
        word = "verified"
    else:
        word = "partial" if good else "none"
    return word, lines
