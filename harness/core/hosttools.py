"""What the harness needs of the computer it runs on: one table.

`harness doctor` goes through it, an error about a missing program takes the package's name from it,
and scripts/setup.sh installs it (a test compares its list with this one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Need = Literal["always", "often", "sometimes"]


@dataclass(frozen=True)
class HostTool:
    """A program or a file, and the Debian packages that bring it."""

    name: str
    """Of the program; of a file what it is called in a report."""
    packages: str
    purpose: str
    version: str = "--version"
    """What makes the program say its version; empty: nothing does."""
    file: str = ""
    """Not a program: this file, which must exist."""
    need: Need = "always"
    """``always``: nothing goes without. ``often``: some commands do not, and it is installed all
    the same. ``sometimes``: an experiment may ask for it; it is not installed unasked."""


TOOLS: tuple[HostTool, ...] = (
    HostTool("gcc", "build-essential", "compiles kernels and guest programs"),
    HostTool("make", "build-essential", "drives the kernel's build"),
    HostTool("ld", "build-essential", "links kernels"),
    HostTool("flex", "flex", "the kernel's configuration parser"),
    HostTool("bison", "bison", "the kernel's configuration parser"),
    HostTool("bc", "bc", "the kernel's time constants"),
    HostTool("perl", "perl", "checkpatch and some kernel scripts"),
    HostTool("libelf", "libelf-dev", "objtool, which the kernel's static keys need",
             file="/usr/include/libelf.h"),
    HostTool("libssl", "libssl-dev", "the kernel's certificates and objtool",
             file="/usr/include/openssl/ssl.h"),
    HostTool("lz4", "lz4", "compresses the kernel image"),
    HostTool("xz", "xz-utils", "unpacks kernel sources"),
    HostTool("cpio", "cpio", "archives of the kernel's headers and initramfs"),
    HostTool("kmod", "kmod", "the kernel's modules"),
    HostTool("patch", "patch", "applies patches of the kernel's own scripts"),
    HostTool("git", "git", "applies a series without fuzz; work trees of a series"),
    HostTool("ccache", "ccache", "compiles nothing twice"),
    HostTool("mmdebstrap", "mmdebstrap", "makes the guest's image"),
    HostTool("mke2fs", "e2fsprogs", "makes the image a file system", version="-V"),
    HostTool("fakeroot", "fakeroot", "right owners in the image without being root"),
    HostTool("ssh-keygen", "openssh-client", "keys of the guest", version=""),
    HostTool("setpriv", "util-linux", "no child outlives the harness"),
    HostTool("gpgv", "gnupg", "verifies signatures of downloads"),
    HostTool("certificates", "ca-certificates", "downloads by https",
             file="/etc/ssl/certs/ca-certificates.crt"),
    HostTool("python3", "python3 python3-venv", "runs the harness"),
    HostTool("qemu-system-x86_64", "qemu-system-x86", "boots the guests"),
    HostTool("libcap", "libcap-dev", "the kernel's selftests (--suite selftests)",
             file="/usr/include/sys/capability.h", need="often"),
    HostTool("libnuma", "libnuma-dev", "the kernel's selftests (--suite selftests)",
             file="/usr/include/numa.h", need="often"),
    HostTool("apt-get", "apt", "fetches and verifies Debian's kernel sources", need="sometimes"),
    HostTool("dpkg-deb", "dpkg", "unpacks Debian's kernel sources", need="sometimes"),
    HostTool("zstd", "zstd", "compresses the kernel image, if it is told to", need="sometimes"),
    HostTool("lzop", "lzop", "compresses the kernel image, if it is told to", need="sometimes"),
    HostTool("gdb", "gdb", "debugs a guest's kernel", need="sometimes"),
)
BY_NAME = {tool.name: tool for tool in TOOLS}


def packages_of(name: str) -> str:
    """The Debian packages that bring a program; the program's own name for an unknown one."""
    return BY_NAME[name].packages if name in BY_NAME else name


def installed() -> set[str]:
    """Every package that setup installs."""
    return {
        package for tool in TOOLS if tool.need != "sometimes" for package in tool.packages.split()
    }
