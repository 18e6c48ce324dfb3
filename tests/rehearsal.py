"""The letter's own series on the letter's own base, in the small and on 127.0.0.1.

The checkout is this one's harness.toml, URLs, message-id and all, and its compat rules; only
the pinned ids are those of a tree made here. A git configuration sends the URLs to stand-ins.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.standins import Archive, GitServer, git_server, mail_archive

ROOT = Path(__file__).parents[1]
TAG = "next-20210812"
THREAD = "20210819031858.98043-{}-zhengqi.arch@bytedance.com"
HOSTS = {"first": "https://git.kernel.org/pub/scm/linux/kernel/git/next/",
         "second": "https://kernel.googlesource.com/pub/scm/linux/kernel/git/next/"}
REPOSITORIES = {"first": "linux-next-history.git", "second": "linux-next-history"}
Mails = list[tuple[str, str]]  # subject, body


@dataclass
class Rehearsal:
    """A checkout and what stands in for the network; ``upstream`` is where the tag is made."""

    checkout: Path
    upstream: Path
    first: GitServer
    second: GitServer
    archive: Archive
    environment: dict[str, str]

    def git(self, *words: str) -> str:
        return git(self.upstream, *words)

    @property
    def commit(self) -> str:
        return self.git("rev-parse", f"{TAG}^{{commit}}")

    @property
    def tag(self) -> str:
        return self.git("rev-parse", TAG)

    def repository(self, which: str) -> Path:
        """The bare repository that one of the servers serves."""
        return self.upstream.parent / which / REPOSITORIES[which]

    def serve(self) -> None:
        """Give both servers what ``upstream`` has now."""
        for which in HOSTS:
            path = self.repository(which)
            shutil.rmtree(path, ignore_errors=True)
            git(self.upstream, "clone", "-q", "--bare", str(self.upstream), str(path))
            git(path, "config", "uploadpack.allowFilter", "true")

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "harness", *words,
             "--workspace", str(self.checkout.parent / "ws")],
            cwd=self.checkout, capture_output=True, text=True, check=False,
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
        )


@contextlib.contextmanager
def rehearse(folder: Path, kernel: Path | None = None) -> Iterator[Rehearsal]:
    """Servers, archive and checkout below ``folder``; guests boot ``kernel`` where it is given."""
    upstream = make_tree(folder / "upstream", kernel)
    with git_server(folder / "first") as first, git_server(folder / "second") as second, \
            mail_archive() as archive:
        servers = {"first": first, "second": second}
        lines = [f'[url "{servers[name].url}/"]\n\tinsteadOf = {url}\n'
                 for name, url in HOSTS.items()]
        configuration = folder / "gitconfig"
        configuration.write_text(
            "".join(lines) + f'[b4]\n\tmidmask = "{archive.url}/all/%s"\n'
        )
        made = Rehearsal(
            folder / "checkout", upstream, first, second, archive,
            {"GIT_CONFIG_GLOBAL": str(configuration), "HOME": str(folder)},
        )
        made.serve()
        make_checkout(made)
        thread = write_thread(folder / "thread.mbox", nine_patches(upstream))
        archive.holds(thread, *(THREAD.format(number) for number in range(1, 11)))
        yield made


def make_tree(tree: Path, kernel: Path | None) -> Path:
    """Three commits of a tree in the small; the second one has the tag, and the defect."""
    shutil.copytree(ROOT / "tests/fakelinux", tree)
    makefile = tree / "Makefile"
    text = makefile.read_text()
    for name, value in (("VERSION", "5"), ("PATCHLEVEL", "14"), ("SUBLEVEL", "0"),
                        ("EXTRAVERSION", "-rc5")):
        text = re.sub(rf"^{name} =.*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    makefile.write_text(text)
    (tree / "kernel/time").mkdir(parents=True)
    (tree / "kernel/time/hrtimer.c").write_text(defect())
    if kernel:
        (tree / ".kernel").write_text(f"{kernel}\n")
    git(tree, "init", "-q", "-b", "master")
    for day in (11, 12, 13):
        (tree / "localversion-next").write_text(f"-next-202108{day}\n")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "-m", f"Add linux-next specific files for 202108{day}")
        git(tree, "tag", "-a", "-m", f"next-202108{day}", f"next-202108{day}")
    return tree


def defect() -> str:
    """What the compat patch expects of kernel/time/hrtimer.c: the old side of its hunks."""
    text = (ROOT / "kernel/patches/compat/next-20210812-hrtimer.patch").read_text()
    hunks = text.split("\n@@ ")[1:]
    body = [line for hunk in hunks for line in hunk.partition("\n-- \n")[0].splitlines()[1:]]
    return "".join(f"{line[1:]}\n" for line in body if not line.startswith("+"))


def make_checkout(made: Rehearsal) -> None:
    """This checkout's harness.toml and compat rules; fragments that the small tree can meet."""
    root = made.checkout
    (root / "kernel/config").mkdir(parents=True)
    toml = (ROOT / "harness.toml").read_text()
    for key, value in (("commit", made.commit), ("tag", made.tag)):
        toml, count = re.subn(rf'^{key} = "[0-9a-f]{{40}}"', f'{key} = "{value}"', toml,
                              flags=re.MULTILINE)
        assert count == 1, f"{key} is not pinned in harness.toml"
    (root / "harness.toml").write_text(toml)
    for part in ("kernel/patches/compat", "tests/mutants"):
        shutil.copytree(ROOT / part, root / part)
    for name, symbol in (("guest", "SMP"), ("mm", "DEBUG_KERNEL"), ("lean", "DEBUG_VM")):
        (root / f"kernel/config/{name}.config").write_text(f"CONFIG_{symbol}=y # a test\n")


def nine_patches(upstream: Path) -> Mails:
    """A cover, nine patches one on another, a reply that quotes one."""
    text = git(upstream, "show", f"{TAG}:mm/memory.c") + "\n"
    mails = [("[PATCH v2 0/9] Free user PTE page table pages", "Cover.\n")]
    for number in range(1, 10):
        new = text.replace(f"address + {number}", f"address + {number + 1}")
        lines = difflib.unified_diff(
            text.splitlines(keepends=True), new.splitlines(keepends=True),
            "a/mm/memory.c", "b/mm/memory.c",
        )
        mails.append((
            f"[PATCH v2 {number}/9] mm: part {number}",
            "Why.\n\nSigned-off-by: A B <a@b.test>\n---\n"
            "diff --git a/mm/memory.c b/mm/memory.c\n" + "".join(lines) + "-- \n2.11.0\n",
        ))
        text = new
    quoted = "".join(f"> {line}\n" for line in mails[1][1].splitlines())
    return [*mails, ("Re: [PATCH v2 1/9] mm: part 1", f"{quoted}\nReviewed-by: C <c@d.test>\n")]


def write_thread(path: Path, mails: Mails) -> Path:
    """The mbox that an archive gives for the thread."""
    path.write_text("".join(
        f"From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: A B <a@b.test>\nSubject: {subject}\n"
        f"Date: Thu, 19 Aug 2021 11:18:{48 + number} +0800\n"
        f"Message-Id: <{THREAD.format(number + 1)}>\n"
        + (f"In-Reply-To: <{THREAD.format(1)}>\nReferences: <{THREAD.format(1)}>\n"
           if number else "")
        + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + body + "\n"
        for number, (subject, body) in enumerate(mails)
    ))
    return path


def git(where: Path, *words: str) -> str:
    """git in a repository, without the user's configuration; what it printed."""
    done = subprocess.run(
        ["git", "-C", str(where), *words], capture_output=True, text=True, check=True,
        env={
            **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null",
            **{f"GIT_{who}_{what}": "a@b.test" for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        },
    )
    return done.stdout.rstrip("\n")
