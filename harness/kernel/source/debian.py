"""Download a Debian package without root and without touching the system's apt.

apt itself does the work, with private directories and one private source, so
that the signature of the suite and the checksum of the package are verified by
the program that Debian trusts for it. The system's apt.conf is still read:
proxy and TLS settings are kept.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.deadline import Deadline
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.proc import need, run_logged
from harness.core.progress import Progress

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
IDLE_TIMEOUT = 15  # seconds without a byte before apt gives a connection up
DOWNLOAD_LIMIT = 7200.0  # seconds; apt's own idle time-out comes much sooner

# Hooks are cleared because the system's would run here too: a container's
# docker-clean deletes files of the system's package cache, for one.
CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{root}/state";
Dir::State::status "/dev/null";
Dir::Cache "{root}/cache";
Dir::Log "{root}/log";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Retries "1";
Acquire::http::Timeout "{timeout}";
Acquire::https::Timeout "{timeout}";
"""


@dataclass(frozen=True)
class Package:
    """A downloaded and verified Debian package."""

    path: Path
    name: str
    version: str
    sha256: str
    mirror: str
    suite: str


class _Apt:
    """apt-get with everything private to one directory."""

    def __init__(
        self, root: Path, mirror: str, suite: str, keyring: Path, security: str = ""
    ) -> None:
        self.root, self.mirror, self.suite = root, mirror, suite
        for part in ("state/lists/partial", "cache/archives/partial", "log"):
            (root / part).mkdir(parents=True)
        (root / "apt.conf").write_text(CONFIG.format(root=root, timeout=IDLE_TIMEOUT))
        # target=Packages: the system may have made apt fetch file lists and icons as well.
        options = f"arch=amd64 target=Packages lang=none signed-by={keyring}"
        text = f"deb [{options}] {mirror} {suite} main\n"
        if security:
            text += f"deb [{options}] {security} {suite}-security main\n"
        (root / "sources.list").write_text(text)

    def run(self, *arguments: str, progress: Progress, title: str) -> list[str]:
        """Run one apt-get command; its output. Raises the explained error when it fails."""
        lines: list[str] = []
        with progress.task(title, 100) as task:

            def on_line(line: str) -> None:
                fields = line.split(":", 3)
                if fields[0] == "dlstatus" and len(fields) == 4:
                    task.update(float(fields[2]))
                else:
                    lines.append(line)

            code = run_logged(
                [need("apt-get"), "-c", str(self.root / "apt.conf"), "-q",
                 "-o", "APT::Status-Fd=1", *arguments],
                self.root / "apt.log", cwd=self.root,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                on_line=on_line, deadline=Deadline(DOWNLOAD_LIMIT),
            )
            if code:
                raise explain(lines, self.mirror, self.suite, arguments[-1])
        return lines


    def sha256(self, what: str, progress: Progress) -> str:
        """What the signed package lists say of a package: a line with its SHA256."""
        lines = self.run("download", "--print-uris", what, progress=progress,
                         title=f"what {self.mirror} has of {what}")
        return "\n".join(line for line in lines if "SHA256:" in line)


def fetch_package(
    name: str, *, suite: str, mirror: str, into: Path, version: str = "",
    keyring: Path = KEYRING, progress: Progress | None = None, security: str = "", have: str = "",
) -> Package | None:
    """Download ``name`` of ``suite`` into the directory ``into``, verified by apt.

    ``security`` is a mirror of the security archive, looked into as well: apt takes
    the newer version. ``have`` is a sha256: None is returned, and nothing downloaded, when
    that is the package the mirror has.

    Raises :class:`UserError` for an unreachable mirror, a signature that does not
    verify, an unknown suite, package or version, and :class:`InfrastructureError`
    for a download that is damaged twice.
    """
    if not keyring.is_file():
        raise UserError(f"no keyring {keyring}", hint="apt-get install debian-archive-keyring")
    progress = progress or Progress(-1)
    into.mkdir(parents=True, exist_ok=True)
    what = f"{name}={version}" if version else name
    with tempfile.TemporaryDirectory(prefix=".apt.", dir=into) as scratch:
        apt = _Apt(Path(scratch), mirror, suite, keyring, security)
        apt.run("update", progress=progress, title=f"package lists of {suite} from {mirror}")
        if have and have in apt.sha256(what, progress):
            return None
        apt.run("download", what, progress=progress, title=f"download of {what}")
        found = sorted(Path(scratch).glob("*.deb"))
        if len(found) != 1:
            raise InfrastructureError(f"apt-get download {what} left {len(found)} packages")
        # The name is NAME_VERSION_ARCH.deb with the epoch's colon written as %3a.
        real_version = found[0].name.split("_")[1].replace("%3a", ":")
        final = into / found[0].name
        found[0].rename(final)
    return Package(final, name, real_version, digest.of_file(final), mirror, suite)


UNREACHABLE = re.compile(
    r"(Could not (?:connect|resolve|handshake)|Unable to connect|Network is unreachable"
    r"|Connection (?:failed|timed out|refused|reset)|Temporary failure resolving"
    r"|Certificate verification failed|Invalid response from proxy|Unsupported proxy)"
)
SIGNATURE = re.compile(
    r"is not signed|NO_PUBKEY|BADSIG|EXPKEYSIG|NODATA|invalid signature|is expired"
    r"|signatures? couldn't be verified|not valid yet|at least one invalid"
)
DAMAGED = re.compile(r"Hash Sum mismatch|unexpected size|Undetermined Error")
FULL = re.compile(r"No space left on device")
NO_PACKAGE = re.compile(r"Unable to locate package|no installation candidate|No packages found")
NO_VERSION = re.compile(r"Version '.*' for '.*' was not found|Can't find a source to download")
NO_SUITE = re.compile(r"404 +Not Found|does not have a Release file|File not found")
OTHER_MIRROR = "--mirror URL names another mirror"


def explain(lines: list[str], mirror: str, suite: str, what: str) -> HarnessError:
    """The one-line error that the output of a failed apt-get amounts to."""
    # In the order of what outweighs what: a bad signature is never called a network fault.
    verdicts: list[tuple[re.Pattern[str], type[HarnessError], str, str]] = [
        (SIGNATURE, UserError, f"the signature of {suite} on {mirror} cannot be verified",
         OTHER_MIRROR),
        (DAMAGED, InfrastructureError,
         f"{what} from {mirror} is damaged: its checksum or size is not the signed one",
         f"try again; {OTHER_MIRROR}"),
        (FULL, InfrastructureError, f"no space left for the download of {what}",
         "use --workspace on another disk"),
        (NO_PACKAGE, UserError, f"{mirror} has no package {what} in {suite}",
         "see `bases` in harness.toml"),
        (NO_VERSION, UserError, f"{mirror} has no {what} in {suite}",
         f"see `version` in harness.toml; {OTHER_MIRROR}"),
        (UNREACHABLE, UserError, f"the Debian mirror {mirror} cannot be reached",
         f"check the network; {OTHER_MIRROR}"),
        (NO_SUITE, UserError, f"{mirror} has no suite {suite}", OTHER_MIRROR),
    ]
    text = "\n".join(lines)
    for pattern, kind, message, hint in verdicts:
        if pattern.search(text):
            return kind(message, hint=hint)
    errors = [line for line in lines if line.startswith(("E:", "W:"))]
    return InfrastructureError(
        f"apt-get failed for {what} from {mirror}", excerpt="\n".join(errors[-5:])
    )
