"""The whole way to the letter's base and series, over local servers that behave and misbehave."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core import versions
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build import compat
from harness.kernel.build.kconfig import load_fragments
from harness.kernel.series.patches import Series, apply
from harness.kernel.series.patchlist import get_series
from harness.kernel.source import gitfetch
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.gitfetch import Download
from harness.kernel.source.sources import Source, get_source
from harness.project.bases import GitBase
from harness.project.reading import load
from tests.rehearsal import HOSTS, ROOT, TAG, THREAD, Rehearsal, defect, git, rehearse
from tests.standins import git_daemon
from tests.unit.kernel.test_compat import reader

FIRST = f"{HOSTS['first']}linux-next-history.git"
RULE = f"{TAG}-hrtimer"
GCC = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40"
SECOND = f"{HOSTS['second']}linux-next-history"


@pytest.fixture
def letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with rehearse(tmp_path) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def fetch(letter: Rehearsal, workspace: Workspace, origin: str | None = None) -> Source:
    return get_source(
        workspace, load(letter.checkout), TAG, wanted=Wanted(origin=origin), progress=Progress(0)
    )


def fails(
    letter: Rehearsal, workspace: Workspace, kind: type[HarnessError], *words: str
) -> str:
    with pytest.raises(kind) as caught:
        fetch(letter, workspace)
    line = caught.value.line()
    for word in (*words, "--from DIR"):
        assert word in line
    assert "\n" not in line
    assert not list((workspace.root / "sources").iterdir())
    return line


def is_right(source: Source, letter: Rehearsal) -> bool:
    assert (source.path / "localversion-next").read_text() == "-next-20210812\n"
    files = set(git(letter.upstream, "ls-tree", "-r", "--name-only", TAG).splitlines())
    found = {str(f.relative_to(source.path)) for f in source.path.rglob("*") if f.is_file()}
    assert found == files
    return source.digest == letter.commit


def test_ids_of_the_real_one_are_pinned() -> None:
    base = load(ROOT).base(TAG)
    assert isinstance(base, GitBase)
    assert base.commit == "9b992972fb9c2a1bc3fb25bab70da8a4385e3abe"
    assert base.tag == "ce051601656d8255c50480b3352e3462db01acf0"
    assert base.urls == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("local_version", "source", "holds"),
    [
        ("-next-20210812", defect(), True),
        ("-next-20210811", defect(), False),
        ("-next-20210812", "static void __hrtimer_reprogram(struct x *x)\n", False),  # repaired
        ("", defect(), False),
    ],
)
def test_hrtimer_is_repaired_in_that_snapshot_only(
    tmp_path: Path, local_version: str, source: str, holds: bool
) -> None:
    (tmp_path / "kernel/time").mkdir(parents=True)
    (tmp_path / "kernel/time/hrtimer.c").write_text(source)
    (tmp_path / "localversion-next").write_text(f"{local_version}\n")
    chosen = compat.choose(ROOT, reader(tmp_path), "5.14.0-rc5", GCC)
    assert (RULE in {rule.name for rule in chosen.applied}) is holds
    if not holds:
        return
    (tmp_path / "new").mkdir()
    made = apply(Series(ROOT, list(chosen.patches)), tmp_path, tmp_path / "new", Progress(-1))
    text = str((made["kernel/time/hrtimer.c"] or tmp_path).read_text())
    assert "if (earlier_only && expires_next > cpu_base->expires_next)" in text
    assert "__hrtimer_reprogram(cpu_base, false, skip_equal," in text
    assert "__hrtimer_reprogram(cpu_base, true, true, timer, expires);" in text


@pytest.mark.parametrize("extra", ["debug", "ltp", "kasan", "preempt"])
def test_fragments_ask_for_nothing_that_came_later(extra: str) -> None:
    """Checked against Kconfig of 5.14.2 and 5.15.0, between which the snapshot lies."""
    names = ["guest", "mm", "lean", extra]
    project = load(ROOT)
    asked = {name for fragment in load_fragments(project, names, versions.parse("5.14.0-rc5"))
             for name in fragment.symbols}
    assert not asked & {"PAGE_TABLE_CHECK", "ANON_VMA_NAME", "DAMON", "SLUB_TINY"}
    later = {name for fragment in load_fragments(project, names, versions.parse("6.1"))
             for name in fragment.symbols}
    assert (asked - later) <= {"FRONTSWAP", "CRYPTO_LZO", "BASE_SMALL", "PAGE_TABLE_ISOLATION",
                               "RETPOLINE"}


def test_from_nothing_to_two_kernels_by_command(letter: Rehearsal) -> None:
    (status,) = json.loads(letter.harness("bases", TAG, "--json").stdout)
    assert status["reachable"] == "yes" and status["pinned"] and not status["cached"]
    assert status["series"] == f"letter (from {letter.archive.url}/all)"
    done = letter.harness("bases", "--fetch", TAG)
    assert done.returncode == 0, done.stderr
    assert f"{TAG}: 5.14.0-rc5" in done.stderr
    assert f"5.14.0-rc5 is here, pinned (commit {letter.commit})" in done.stdout
    asked = len(letter.first.asked)
    done = letter.harness("build", "--base", TAG, "--json")
    assert done.returncode == 0, done.stderr
    assert len(letter.first.asked) == asked and not letter.second.packs
    before, after = json.loads(done.stdout)
    for build in (before, after):
        assert build["source"]["details"] == {
            "url": FIRST, "ref": TAG, "commit": letter.commit, "tag": letter.tag, "pinned": "yes",
        }
        (rule,) = (rule for rule in build["compat"] if rule["name"] == f"{TAG}-hrtimer")
        assert "f80e21489590" in rule["reason"]
        assert build["patches"][0]["kind"] == "compat"
    assert len(before["patches"]) == 1 and len(after["patches"]) == 10
    said = after["series"]["details"]
    assert said["message_id"] == THREAD.format(1)
    assert said["from"] == f"{letter.archive.url}/all"
    again = letter.harness("build", "--base", TAG, "--dry-run")
    assert again.stdout.count("nothing to do") == 2
    assert len(letter.first.asked) == asked


def test_only_the_one_commit_comes(letter: Rehearsal, tmp_path: Path) -> None:
    download = Download(tmp_path / "store", tmp_path / "log", Progress(-1))
    assert download.begin(FIRST, TAG, "", "it") == letter.commit
    assert download.tag() == letter.tag
    assert download.missing(), "the server left nothing out"
    download.complete(FIRST, TAG, "it")
    assert not download.missing()
    assert download.git("rev-list", "--count", gitfetch.HERE).strip() == "1"


def test_server_without_the_tag_is_asked_for_the_commit(
    letter: Rehearsal, workspace: Workspace
) -> None:
    for which in HOSTS:
        git(letter.repository(which), "tag", "-d", TAG)
    source = fetch(letter, workspace)
    assert is_right(source, letter)
    assert source.record.details["url"] == FIRST and "tag" not in source.record.details


def test_server_that_gives_only_what_it_advertises(
    letter: Rehearsal, workspace: Workspace
) -> None:
    git(letter.repository("first"), "tag", "-d", TAG)
    letter.first.faults.old_protocol = True
    assert fetch(letter, workspace).record.details["url"] == SECOND
    git(letter.repository("second"), "tag", "-d", TAG)
    letter.second.faults.old_protocol = True
    shutil.rmtree(workspace.root)
    line = fails(letter, Workspace(workspace.root), UserError)
    assert line.count(f"it has no {TAG}, and it gives nothing by its id alone") == 2


@pytest.mark.parametrize("allows_filter", ["true", "false"])
def test_server_of_old_gives_everything_at_once(
    letter: Rehearsal, workspace: Workspace, allows_filter: str
) -> None:
    letter.first.faults.old_protocol = True
    git(letter.repository("first"), "config", "uploadpack.allowFilter", allows_filter)
    source = fetch(letter, workspace)
    assert is_right(source, letter) and source.record.details["url"] == FIRST


def test_wrong_commit_and_wrong_tag_are_refused(
    letter: Rehearsal, workspace: Workspace
) -> None:
    commit, tag = letter.commit, letter.tag
    git(letter.repository("first"), "tag", "-f", "-a", "-m", "another", TAG, commit)
    moved = git(letter.repository("first"), "rev-parse", TAG)
    git(letter.repository("second"), "tag", "-f", "-a", "-m", "moved", TAG, "next-20210813")
    other = git(letter.repository("second"), "rev-parse", f"{TAG}^{{commit}}")
    fails(letter, workspace, UserError,
          f"{FIRST}: its {TAG} is tag object {moved[:12]}, not the pinned {tag[:12]}",
          f"{SECOND}: its {TAG} is commit {other[:12]}, not the pinned {commit[:12]}")
    assert not letter.first.packs and not letter.second.packs, "it was downloaded all the same"
    git(letter.repository("second"), "tag", "-f", TAG, commit)  # the bare commit will do
    assert fetch(letter, workspace).record.details["url"] == SECOND


def test_slow_server(letter: Rehearsal, workspace: Workspace) -> None:
    letter.first.faults.answer_after = 1.0
    letter.first.faults.bytes_per_second = 2000
    assert is_right(fetch(letter, workspace), letter)


def test_broken_download_goes_on_where_it_was(
    letter: Rehearsal, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gitfetch, "PIECE", 4)
    git(letter.repository("second"), "tag", "-d", TAG)
    letter.second.faults.old_protocol = True  # it is of no use
    # 0: the commit; 1, 2: files; 3 and its second try break off.
    letter.first.faults.cut_packs = {3, 4}
    line = fails(letter, workspace, InfrastructureError, f"{FIRST}: the download broke",
                 "the same command goes on")
    assert "asked once more" in capsys.readouterr().err
    before = letter.first.packs
    source = fetch(letter, workspace)
    assert is_right(source, letter), line
    files = len(git(letter.upstream, "ls-tree", "-r", "--name-only", TAG).splitlines())
    assert letter.first.packs - before == (files - 8 + 3) // 4, "something came twice"
    assert f"asking for {TAG}" not in capsys.readouterr().err
    assert not list((workspace.root / "downloads").iterdir())


def test_another_server_goes_on_where_one_gave_up(
    letter: Rehearsal, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitfetch, "PIECE", 4)
    letter.first.faults.cut_packs = {0, 3}  # the commit at the first try, files at the second
    source = fetch(letter, workspace)
    assert is_right(source, letter) and source.record.details["url"] == SECOND
    assert letter.second.packs == 2, "what the first had sent was asked for again"


def test_killed_git_is_cleaned_up_behind(letter: Rehearsal, workspace: Workspace) -> None:
    store = workspace.dir("downloads") / f"git-{letter.commit}"
    Download(store, workspace.root / "log", Progress(-1)).begin(FIRST, TAG, "", "it")
    (store / "shallow.lock").write_text("")
    (store / "objects/pack/tmp_pack_x").write_text("half")
    assert is_right(fetch(letter, workspace), letter)


def test_git_daemon_and_a_clone_stand_in(letter: Rehearsal, tmp_path: Path) -> None:
    with git_daemon(tmp_path / "first") as url:
        workspace = Workspace(tmp_path / "one")
        assert is_right(fetch(letter, workspace, f"{url}/linux-next-history.git"), letter)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", "--branch", TAG,
        f"file://{letter.upstream}", str(shallow))
    assert is_right(fetch(letter, Workspace(tmp_path / "two"), str(shallow)), letter)


def test_archive_without_the_thread(letter: Rehearsal) -> None:
    letter.archive.threads.clear()
    done = letter.harness("series", "fetch", "letter")
    assert done.returncode == 2
    assert f"{letter.archive.url}/all has no mail {THREAD.format(1)}" in done.stderr
    letter.archive.broken = True
    done = letter.harness("series", "fetch", "letter")
    assert done.returncode == 3
    assert "Server returned an error: 503" in done.stderr and "--mailbox FILE" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("PATCH v2 5/9", "PATCH v2 4/9", "patches 4/9"), ("PATCH v2", "PATCH v3", "found no v2"),
     ("[PATCH v2 5/9]", "Re: [PATCH v2 5/9]", "patch 5/9 is missing")],
)
def test_thread_that_is_not_whole(
    letter: Rehearsal, workspace: Workspace, old: str, new: str, words: str
) -> None:
    path = letter.checkout.parent / "thread.mbox"
    path.write_text(path.read_text().replace(old, new))
    letter.archive.holds(path, THREAD.format(1))
    with pytest.raises(HarnessError, match=re.escape(words)):
        get_series(workspace, load(letter.checkout), "letter", Progress(-1), fetch=True)


def test_signatures_that_nobody_can_check_are_told(
    letter: Rehearsal, workspace: Workspace
) -> None:
    """Keys of 2021 are gone from DNS, and here there is none: b4 says so, in colour."""
    path = letter.checkout.parent / "thread.mbox"
    signature = ("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=b.test; s=2021;\n"
                 " h=from:subject:date; bh=AAAA; b=AAAA\n")
    path.write_text(path.read_text().replace("Subject: [PATCH", f"{signature}Subject: [PATCH"))
    letter.archive.holds(path, THREAD.format(1))
    series = get_series(workspace, load(letter.checkout), "letter", Progress(-1), fetch=True)
    assert series and series.record and len(series.patches) == 9
    assert series.record.details["attestation"] == "failed"
