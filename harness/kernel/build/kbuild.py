"""How the kernel's make is called: environment, variables, configuration, compilation."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.core import digest
from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import look_in_sbin, need, run_logged, tail
from harness.core.progress import Progress
from harness.kernel.build import compile_errors, kconfig
from harness.kernel.build.layoutlink import AS_IT_IS, LayoutLinker

IMAGE = "bzImage"  # not `all`, which makes modules and reads every makefile of the tree twice
CONFIG_FILE = ".config"
CONFIG_STAMP = ".harness-config"
WRAPPER = ".wrapper/gcc"
CONFIG_LIMIT, BUILD_LIMIT = 1800.0, 6 * 3600.0  # seconds: a make that hangs must not hang us
FULL_DISK = 32 * 2**20  # bytes free below which a failure is put down to the disk
STEP = re.compile(r"^  (?:HOSTCC|CC|AS|LD|AR|GEN|HOSTLD|OBJCOPY|UPD|CALL)\b\S*\s+(.*)")
COMPILING = ("gcc", "ld", "make", "flex", "bison", "bc", "perl")
COMPRESSORS = {"KERNEL_LZ4": "lz4", "KERNEL_XZ": "xz", "KERNEL_ZSTD": "zstd", "KERNEL_LZO": "lzop"}


def check_tools(requested: Mapping[str, str]) -> None:
    """Raise :class:`UserError` naming the first missing tool and its package.

    Without a look beforehand the compressor would be missed at the very end.
    """
    for program in COMPILING:
        need(program)
    for symbol, program in COMPRESSORS.items():
        if requested.get(symbol) == "y":
            need(program)


def compiler_version() -> str:
    """The first lines of gcc's and ld's --version: both shape the kernel."""
    check = [[need("gcc"), "--version"], [need("ld"), "-v"]]
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
class Wrapper:
    """A ``gcc`` that comes first on the PATH and takes another C standard for granted.

    No variable of make reaches the places of old trees that set their own flags. A standard
    that is named later on the command line wins.
    """

    text: str = ""

    @staticmethod
    def of(language: str, compiler: str) -> Wrapper:
        """None for no language. ``compiler`` in the text makes ccache see an update of gcc."""
        if not language:
            return Wrapper()
        gcc = need("gcc")
        return Wrapper(f'#!/bin/sh\n# {compiler}\nexec {gcc} -std={language} "$@"\n')

    def install(self, folder: Path) -> str:
        """Write it; what to put before the PATH."""
        if not self.text:
            return ""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "gcc"
        if not path.exists() or path.read_text() != self.text:
            path.write_text(self.text)
            path.chmod(0o755)
        return f"{folder}:"


@dataclass(frozen=True)
class Kbuild:
    """One source and object tree, and everything that make is to know."""

    src: Path
    obj: Path
    log: Path
    key: str
    jobs: int
    ccache_dir: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables on make's command line, the same when configuring and compiling."""
    wrapper: Wrapper = Wrapper()
    linker: LayoutLinker = AS_IT_IS
    own_release: bool = False
    """Whether the release ends with the key."""

    @property
    def wrappers(self) -> Path:
        """The folder of programs that come first on the PATH."""
        return (self.obj / WRAPPER).parent

    def identity(self) -> dict[str, str]:
        """What the kernel says about its making. All of it is fixed by the inputs.

        The build's key stands where the host name would: the first line of every
        boot log and /proc/version then prove which build is running.
        """
        return {
            "KBUILD_BUILD_USER": "harness", "KBUILD_BUILD_HOST": self.key,
            "KBUILD_BUILD_VERSION": "1",
            "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
            "KCFLAGS": "", "LOCALVERSION": f"-{self.key}" if self.own_release else "",
        }

    def environment(self) -> dict[str, str]:
        """A clean environment: an inherited MAKEFLAGS, ARCH or KCFLAGS would be an unseen input."""
        kept = ("HOME", "TMPDIR")
        ahead = self.wrapper.install(self.wrappers)
        ahead = self.linker.install(self.wrappers) or ahead
        return {
            **{key: os.environ[key] for key in kept if key in os.environ},
            "PATH": ahead + os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "CCACHE_DIR": str(self.ccache_dir), "CCACHE_NOHASHDIR": "true",
            "CCACHE_BASEDIR": str(self.src.parent), "CCACHE_COMPILERCHECK": "content",
            # No preprocessor run of its own at a miss: kbuild's dependency files tell the headers.
            "CCACHE_DEPEND": "true", "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime",
            **self.identity(),
        }

    def configure(
        self, requested: Mapping[str, str], optional: Collection[str], stamp: str,
        progress: Progress, *, tolerant: bool = False, start: Path | None = None,
    ) -> str:
        """Make ``obj/.config`` from tinyconfig and the requested symbols; its text.

        ``start`` is a whole configuration that takes tinyconfig's place. The tree need not have
        those of ``optional``, and if it is ``tolerant`` none at all.
        ``stamp`` names all inputs: nothing is done when they are those of last time.
        A .config that would not change is not touched, or make would look at
        everything again. Raises :class:`UserError` when Kconfig drops a symbol and when the
        kernel wants newer tools, and :class:`InfrastructureError` when it fails.
        """
        config, stamp_file = self.obj / CONFIG_FILE, self.obj / CONFIG_STAMP
        if config.exists() and stamp_file.exists():
            made, _, result = stamp_file.read_text().partition(" ")
            if made == stamp and result == digest.of_file(config):
                return config.read_text()
        new = self.obj / ".config.harness"
        with progress.task("configuring"):
            if start is not None:
                self._begin_with(start, new)
            else:
                with _nothing_to_start_from(config):
                    self._make_config("tinyconfig", new)
            new.write_text(kconfig.overlay(new.read_text(), requested))
            self._make_config("olddefconfig", new)
        text = new.read_text()
        missing = kconfig.unmet(requested, kconfig.parse_config(text), optional)
        if missing and not tolerant:
            raise kconfig.explain_unmet(missing, self.src)
        if not config.exists() or config.read_text() != text:
            new.replace(config)
        else:
            new.unlink()
        stamp_file.write_text(f"{stamp} {digest.of_bytes(text.encode())}")
        return text

    def _begin_with(self, start: Path, config: Path) -> None:
        """A whole configuration; with a list of modules beside it only those stay modules.

        As `make localmodconfig` does it, which asks questions: `olddefconfig` answers them.
        """
        modules = modules_beside(start)
        if not modules.exists():
            shutil.copyfile(start, config)
            return
        with tempfile.TemporaryDirectory(dir=self.obj) as folder:
            shutil.copyfile(start, Path(folder) / CONFIG_FILE)
            script = 'exec perl "$1/scripts/kconfig/streamline_config.pl" --localmodconfig "$1" ' \
                     'Kconfig > "$2"'
            code = run_logged(
                ["sh", "-c", script, "sh", str(self.src), str(config)], self.log, cwd=Path(folder),
                env={**self.environment(), "srctree": str(self.src), "objtree": ".",
                     "SRCARCH": "x86", "LSMOD": str(modules)},
                deadline=Deadline(CONFIG_LIMIT),
            )
        if code:
            raise self._failure(f"{start} cannot be reduced to the modules of {modules}", code)

    def _make_config(self, target: str, config: Path) -> None:
        code = run_logged(
            ["make", "--no-print-directory", "-C", str(self.src), f"O={self.obj}",
             *self.assignments(), target],
            self.log, env={**self.environment(), "KCONFIG_CONFIG": str(config)},
            deadline=Deadline(CONFIG_LIMIT),
        )
        if code:
            if old := compile_errors.too_old(self.log.read_text(errors="replace")):
                raise UserError(old, hint="install a newer one, first in PATH, and build again")
            raise self._failure(f"make {target} failed", code)

    def compile(
        self, steps: int | None, title: str, progress: Progress, *, modules: bool = False
    ) -> int:
        """Compile; the number of steps that make took.

        ``steps`` is how many are expected, None when nobody can know; ``modules``: compile those,
        too.

        Raises :class:`InfrastructureError` with the first error of the log.
        """
        done = 0
        with progress.task(title, steps) as task:

            def on_line(line: str) -> None:
                nonlocal done
                if match := STEP.match(line):
                    done += 1
                    task.update(min(done, steps or done), match[1])

            targets = [IMAGE, "modules"] if modules else [IMAGE]
            code = run_logged(
                self.make(*targets), self.log, cwd=self.src, env=self.environment(),
                on_line=on_line, deadline=Deadline(BUILD_LIMIT),
            )
            if code:
                raise self._failure("the kernel does not build", code)
        return done

    def pack_modules(self, archive: Path) -> None:
        """Put the compiled modules into a tar file, as lib/modules/RELEASE.

        Raises :class:`InfrastructureError` when they cannot be installed.
        """
        look_in_sbin()  # depmod
        with tempfile.TemporaryDirectory(dir=self.obj) as folder:
            words = [f"INSTALL_MOD_PATH={folder}", "INSTALL_MOD_STRIP=1", "modules_install"]
            pack = ["tar", "-C", folder, "-czf", str(archive), "lib"]
            for argv in (self.make(*words), pack):
                code = run_logged(
                    argv, self.log, cwd=self.src, env=self.environment(),
                    deadline=Deadline(CONFIG_LIMIT),
                )
                if code:
                    raise self._failure("the kernel's modules cannot be packed", code)

    def make(self, *targets: str) -> list[str]:
        """The command that makes some targets.

        Plain make: all that tuxmake would add is toolchains in containers, other architectures and
        a choice of targets, none of which is wanted here, and a second of its own.
        """
        argv = ["make", f"--jobs={self.jobs}", f"O={self.obj}", *self.assignments()]
        if shutil.which("ccache"):
            argv += ["CC=ccache gcc", "HOSTCC=ccache gcc"]
        return [*argv, *targets]

    def assignments(self) -> list[str]:
        """The variables as words of a command line."""
        return [f"{name}={value}" for name, value in self.variables.items()]

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
            f"{message} (exit code {code})", hint=hint,
            excerpt=excerpt or tail(self.log, 20), log=self.log,
        )


def modules_beside(start: Path) -> Path:
    """Where a whole configuration has its list of modules, as lsmod prints it, if it has one."""
    return start.with_name(f"{start.name}.lsmod")


@contextlib.contextmanager
def _nothing_to_start_from(config: Path) -> Iterator[None]:
    """Have ``config`` empty for a while; then it is back, as old as it was.

    Older kernels (6.1 does, 7.3 does not) merge tiny.config into ``.config`` whatever
    KCONFIG_CONFIG says: what an earlier build in the same tree was configured with would
    stay, and 5.15 fails where there is none.
    """
    kept = config.with_name(f"{config.name}.kept")
    if config.exists():
        config.replace(kept)
    config.touch()
    try:
        yield
    finally:
        config.unlink(missing_ok=True)
        if kept.exists():
            kept.replace(config)

