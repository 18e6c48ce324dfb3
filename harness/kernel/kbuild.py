"""How the kernel's make is called: environment, variables, configuration, compilation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.core import digest
from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.core.proc import need, run_logged, tail
from harness.core.progress import Progress
from harness.kernel import compile_errors, kconfig

# tools/objtool of older trees does not compile without warnings under newer compilers.
MAKE_VARIABLES = {"WERROR": "0"}
CONFIG_FILE = ".config"
CONFIG_STAMP = ".harness-config"
CONFIG_LIMIT, BUILD_LIMIT = 1800.0, 6 * 3600.0  # seconds: a make that hangs must not hang us
FULL_DISK = 32 * 2**20  # bytes free below which a failure is put down to the disk
STEP = re.compile(r"^  (?:HOSTCC|CC|AS|LD|AR|GEN|HOSTLD|OBJCOPY|UPD|CALL)\b\S*\s+(.*)")
TOOLS = {"gcc": "gcc", "ld": "binutils", "make": "make", "flex": "flex", "bison": "bison",
         "bc": "bc", "perl": "perl"}
COMPRESSORS = {"KERNEL_LZ4": ("lz4", "lz4"), "KERNEL_XZ": ("xz", "xz-utils"),
               "KERNEL_ZSTD": ("zstd", "zstd"), "KERNEL_LZO": ("lzop", "lzop")}


def check_tools(requested: Mapping[str, str]) -> None:
    """Raise :class:`UserError` naming the first missing tool and its package.

    Without a look beforehand the compressor would be missed at the very end.
    """
    for program, package in TOOLS.items():
        need(program, package=package)
    for symbol, (program, package) in COMPRESSORS.items():
        if requested.get(symbol) == "y":
            need(program, package=package)


def compiler_version() -> str:
    """The first lines of gcc's and ld's --version: both shape the kernel."""
    check = [[need("gcc", package="gcc"), "--version"], [need("ld", package="binutils"), "-v"]]
    return ", ".join(first_line(argv) for argv in check)


def first_line(argv: list[str]) -> str:
    """The first line that a quick command prints; empty when it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=20, check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).split("\n", 1)[0].strip()


@dataclass(frozen=True)
class Kbuild:
    """One source and object tree, and everything that make is to know."""

    src: Path
    obj: Path
    log: Path
    key: str
    jobs: int
    ccache_dir: Path

    def identity(self) -> dict[str, str]:
        """What the kernel says about its making. All of it is fixed by the inputs.

        The build's key stands where the host name would: the first line of every
        boot log and /proc/version then prove which build is running.
        """
        return {
            "KBUILD_BUILD_USER": "harness", "KBUILD_BUILD_HOST": self.key,
            "KBUILD_BUILD_VERSION": "1",
            "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
            "KCFLAGS": "", "LOCALVERSION": "",
        }

    def environment(self) -> dict[str, str]:
        """A clean environment: an inherited MAKEFLAGS, ARCH or KCFLAGS would be an unseen input."""
        kept = ("PATH", "HOME", "TMPDIR")
        return {
            **{key: os.environ[key] for key in kept if key in os.environ},
            "LC_ALL": "C", "PYTHONUNBUFFERED": "1",
            "XDG_CONFIG_HOME": str(self.obj / ".no-config"),  # the user's tuxmake defaults
            "CCACHE_DIR": str(self.ccache_dir), "CCACHE_NOHASHDIR": "true",
            "CCACHE_BASEDIR": str(self.src.parent), "CCACHE_COMPILERCHECK": "content",
            # No preprocessor run of its own at a miss: kbuild's dependency files tell the headers.
            "CCACHE_DEPEND": "true", "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime",
            **self.identity(),
        }

    def configure(self, requested: Mapping[str, str], stamp: str, progress: Progress) -> str:
        """Make ``obj/.config`` from tinyconfig and the requested symbols; its text.

        ``stamp`` names all inputs: nothing is done when they are those of last time.
        A .config that would not change is not touched, or make would look at
        everything again. Raises :class:`UserError` when Kconfig drops a symbol and
        :class:`InfrastructureError` when it fails.
        """
        config, stamp_file = self.obj / CONFIG_FILE, self.obj / CONFIG_STAMP
        if config.exists() and stamp_file.exists():
            made, _, result = stamp_file.read_text().partition(" ")
            if made == stamp and result == digest.of_file(config):
                return config.read_text()
        new = self.obj / ".config.harness"
        with progress.task("configuring"):
            self._make_config("tinyconfig", new)
            new.write_text(kconfig.overlay(new.read_text(), requested))
            self._make_config("olddefconfig", new)
        text = new.read_text()
        missing = kconfig.unmet(requested, kconfig.parse_config(text))
        if missing:
            raise kconfig.explain_unmet(missing, self.src)
        if not config.exists() or config.read_text() != text:
            new.replace(config)
        else:
            new.unlink()
        stamp_file.write_text(f"{stamp} {digest.of_bytes(text.encode())}")
        return text

    def _make_config(self, target: str, config: Path) -> None:
        code = run_logged(
            ["make", "--no-print-directory", "-C", str(self.src), f"O={self.obj}",
             *_assignments(), target],
            self.log, env={**self.environment(), "KCONFIG_CONFIG": str(config)},
            deadline=Deadline(CONFIG_LIMIT),
        )
        if code:
            raise self._failure(f"make {target} failed", code)

    def compile(self, steps: int | None, title: str, progress: Progress) -> int:
        """Compile with tuxmake; the number of steps that make took.

        ``steps`` is how many are expected, None when nobody can know.

        Raises :class:`InfrastructureError` with the first error of the log.
        """
        out = self.obj / ".tuxmake"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        done = 0
        with progress.task(title, steps) as task:

            def on_line(line: str) -> None:
                nonlocal done
                if match := STEP.match(line):
                    done += 1
                    task.update(min(done, steps or done), match[1])

            code = run_logged(
                self.tuxmake(out), self.log, cwd=self.src, env=self.environment(),
                on_line=on_line, deadline=Deadline(BUILD_LIMIT),
            )
            # The status file counts as well as the exit code: a build that failed
            # has been seen to end with 0, and a killed one leaves no file.
            if code or _status(out / "metadata.json") != "PASS":
                raise self._failure("the kernel does not build", code)
        return done

    def tuxmake(self, out: Path) -> list[str]:
        """The tuxmake command.

        Make target bzImage instead of tuxmake's `kernel`: that one runs the default
        target first and so reads every makefile of the tree twice. `config` must be
        named, or all of tuxmake's default targets are added to a --make-target.
        """
        argv = [
            sys.executable, "-m", "tuxmake", "--directory", str(self.src),
            "--build-dir", str(self.obj), "--output-dir", str(out), "--runtime", "null",
            "--jobs", str(self.jobs), "--fail-fast", "--verbose", "--color", "never",
            "--make-target", "bzImage",
        ]
        if shutil.which("ccache"):
            argv += ["--wrapper", "ccache"]
        for name, value in self.identity().items():
            argv += ["--environment", f"{name}={value}"]
        return [*argv, "config", *_assignments()]

    def release(self) -> str:
        """The kernel release that was built, such as 6.1.176."""
        return (self.obj / "include/config/kernel.release").read_text().strip()

    def _failure(self, message: str, code: int) -> InfrastructureError:
        """The error for a make that failed, with the first thing that went wrong in its log."""
        excerpt = compile_errors.first_error(self.log.read_text(errors="replace"))
        hint = ""
        if shutil.disk_usage(self.obj).free < FULL_DISK:
            hint = f"the disk of {self.obj} is full: free some with `harness cache prune`"
        return InfrastructureError(
            f"{message} (exit code {code}), log in {self.log}", hint=hint,
            excerpt=excerpt or tail(self.log, 20), log=self.log,
        )


def _assignments() -> list[str]:
    return [f"{name}={value}" for name, value in MAKE_VARIABLES.items()]


def _status(status_file: Path) -> str:
    try:
        return str(json.loads(status_file.read_text())["results"]["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return "none"


def tuxmake_version() -> str:
    """The version of the installed tuxmake."""
    return metadata.version("tuxmake")
