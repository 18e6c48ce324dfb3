"""All patches of a variant: where its series comes from, and what is applied beside it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.compat import Compat
from harness.kernel.series import branch, lore, mailseries
from harness.kernel.series.patches import Series, load_patches, load_series
from harness.project.config import Project, nearest
from harness.project.tables import SeriesTable
from harness.records.kernels import SeriesRecord

RECIPE = 1  # goes up when mailboxes are turned into patches in another way
META_FILE = "series.json"
MAILBOX_FILE = "series.mbx"


def table(project: Project, name: str) -> SeriesTable:
    """The series of that name in harness.toml; a directory is one without a table.

    Raises :class:`UserError` when it is neither.
    """
    if name in project.config.series:
        return project.config.series[name]
    if "/" in name or (project.root / name).is_dir():
        return SeriesTable(kind="dir", path=name)
    raise UserError(f"unknown series '{name}'", hint=nearest(name, project.config.series))


def own_series(
    workspace: Workspace, project: Project, variant: str, progress: Progress, *, fetch: bool
) -> Series | None:
    """The series of a variant; None for one without, or, unless ``fetch``, one not fetched yet.

    Raises :class:`UserError` for one that is missing, empty or not whole.
    """
    name = project.series_name(variant)
    return get_series(workspace, project, name, progress, fetch=fetch) if name else None


def get_series(
    workspace: Workspace, project: Project, name: str, progress: Progress, *, fetch: bool,
    mailbox: Path | None = None,
) -> Series | None:
    """A series of harness.toml; ``mailbox`` stands in for the mail archive.

    None when it would have to be fetched and ``fetch`` does not allow it.
    """
    wanted = table(project, name)
    if wanted.kind == "dir":
        series = load_series(project.path(wanted.path))
        if wanted.patches and len(series.patches) != wanted.patches:
            raise UserError(
                f"series {name} has {len(series.patches)} patches, not {wanted.patches}"
            )
        return replace(series, record=SeriesRecord(kind="dir", name=name))
    source = project.path(wanted.path)
    if wanted.kind == "git":
        commits = branch.find(wanted, source, name)
        series = load_series(branch.published(workspace, commits))
        return replace(
            series, record=SeriesRecord(kind="git", name=name, details=commits.details())
        )
    where = _published_name(wanted, source)
    published = workspace.published(*where)
    if published is None and wanted.kind == "lore" and not fetch:
        return None
    if published is None or mailbox:
        with workspace.lock("-".join(where)):
            _publish(workspace, where, wanted, mailbox or source, progress)
        published = workspace.root.joinpath(*where)
    series = load_series(published)
    return replace(series, record=_record(published / META_FILE, name))


def _record(path: Path, name: str) -> SeriesRecord:
    """What was noted when a series was made from a mailbox."""
    value = json.loads(path.read_text())
    if "details" not in value:  # as the first version of the harness wrote it
        value = {"kind": value["kind"], "details": {
            key: str(what.get("result") if isinstance(what, dict) else what)
            for key, what in value.items() if key != "kind"
        }}
    return SeriesRecord.model_validate({**value, "name": name})


def base_commit(directory: Path) -> str:
    """The id behind ``base-commit:`` in a series' mails or files; empty when none names one."""
    for path in [directory / MAILBOX_FILE, *sorted(directory.glob("[0-9]*.patch"))]:
        if path.is_file():
            found = re.search(
                r"^base-commit: ([0-9a-f]{12,64})$", path.read_text(errors="replace"), re.MULTILINE
            )
            if found:
                return found[1]
    return ""


def is_here(workspace: Workspace, project: Project, name: str) -> bool:
    """Whether a series can be had without the network.

    Raises :class:`UserError` for a range of commits that is not as it should be.
    """
    wanted = table(project, name)
    source = project.path(wanted.path)
    if wanted.kind == "lore":
        return workspace.published(*_published_name(wanted, source)) is not None
    if wanted.kind == "git":
        branch.find(wanted, source, name)
    return source.exists()


def _published_name(wanted: SeriesTable, source: Path) -> tuple[str, str]:
    """Below series/: by content for a mailbox, by what is asked for of the archive."""
    if wanted.kind == "lore":
        what: list[object] = [wanted.message_id]
    else:
        if not source.is_file():
            raise UserError(f"no mailbox {source}")
        what = [digest.of_file(source)]
    return "series", f"{wanted.kind}-{digest.key([RECIPE, what, wanted.version, wanted.patches])}"


def _publish(
    workspace: Workspace, where: tuple[str, str], wanted: SeriesTable, mailbox: Path,
    progress: Progress,
) -> None:
    with tempfile.TemporaryDirectory(prefix="series.", dir=workspace.dir("tmp")) as folder:
        scratch = Path(folder)
        details: dict[str, str] = {}
        if wanted.kind == "lore":
            given = mailbox if mailbox.is_file() else None
            details = lore.fetch(wanted, scratch, progress, given)
            mailbox = scratch / MAILBOX_FILE
        details["mailbox_sha256"] = digest.of_file(mailbox)
        with workspace.publish(*where) as staging:
            shutil.copyfile(mailbox, staging / MAILBOX_FILE)
            notes = mailseries.split(
                mailbox, staging, version=wanted.version, patches=wanted.patches
            )
            record = SeriesRecord(kind=wanted.kind, details=details)
            (staging / META_FILE).write_text(record.model_dump_json(indent=1) + "\n")
        for note in notes:
            progress.say(note)
        if said := details.get("attestation"):
            progress.say(f"signatures of the series, says b4: {said}")


def stack(
    project: Project, variant: str, series: Series | None, compat: Compat, count: int | None = None
) -> Series | None:
    """All that is applied to a base, in order: compat patches, the series, the variant's own.

    ``count`` takes only so many patches after those of compat. None when there is none.
    """
    extra = load_patches(
        project.root, project.variant(variant).patches, f"variant {variant}", "extra"
    )
    changing = [*(series.patches if series else []), *extra]
    patches = [*compat.patches, *changing[:count]]
    if not patches:
        return None
    directory = series.directory if series else project.root
    return Series(directory, patches, series.record if series else None)
