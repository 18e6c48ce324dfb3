"""How a kernel is started on a real computer: by kexec, or by the boot loader for one time."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import dataclass
from typing import Protocol

from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.machine.keeper import MARK, HostKeeper

ENTRY = MARK
CUSTOM = "/boot/grub/custom.cfg"
GRUB_IMAGE, GRUB_INITRD = "/boot/pte-harness-bzImage", "/boot/pte-harness-initrd"
LOAD_S = 120.0


@dataclass(frozen=True)
class Placed:
    """What lies on the computer: paths; an empty one is none."""

    image: str
    initrd: str = ""


class Starter(Protocol):
    """A way to start a kernel, which leaves no trace behind the one boot."""

    def load(self, placed: Placed, words: str) -> None:
        """Have it ready; ``words`` are appended to the computer's own command line.

        Raises :class:`InfrastructureError` with the computer's words when it refuses.
        """
        ...

    def go(self) -> None:
        """Start it; the connection ends."""
        ...


class Kexec:
    """The running kernel starts the other one itself: no firmware, no boot loader, no trace."""

    def __init__(self, keeper: HostKeeper) -> None:
        self._keeper = keeper

    def load(self, placed: Placed, words: str) -> None:
        """``kexec -l``, with the command line of the kernel that runs."""
        argv = ["kexec", "-l", placed.image, "--reuse-cmdline", f"--append={words}"]
        if placed.initrd:
            argv.append(f"--initrd={placed.initrd}")
        self._keeper.run(shlex.join(argv), seconds=LOAD_S)

    def go(self) -> None:
        """What is in memory is written first: no service is stopped, nothing is unmounted."""
        self._keeper.tell("sync; kexec -e")


class GrubOnce:
    """GRUB is told to start an entry once: whatever happens, the start behind it is the usual one.

    The entry stands in a file that GRUB's own configuration reads where it is there; it and the
    kernel beside it are removed when the computer is given back.
    """

    def __init__(self, keeper: HostKeeper) -> None:
        self._keeper = keeper

    def works(self) -> bool:
        """Whether the computer has GRUB, with an environment that remembers one choice."""
        with contextlib.suppress(HarnessError):
            self._keeper.run(
                "command -v grub-reboot && [ -w /boot/grub/grubenv ] && "
                "grep -q next_entry /boot/grub/grub.cfg && grep -q custom.cfg /boot/grub/grub.cfg"
            )
            return True
        return False

    def load(self, placed: Placed, words: str) -> None:
        """Write the entry and choose it for the next start.

        Raises :class:`UserError` when somebody else's entries are in the way.
        """
        run = self._keeper.run
        theirs = f"[ ! -s {CUSTOM} ] || grep -q {MARK} {CUSTOM} || echo theirs"
        if run(theirs).stdout.strip():
            raise UserError(
                f"{CUSTOM} of {self._keeper.name} has entries of its own",
                hint="move them to /etc/grub.d, or use kexec",
            )
        for source, target in ((placed.image, GRUB_IMAGE), (placed.initrd, GRUB_INITRD)):
            if source:
                self._keeper.place(target)
                run(f"cp {source} {target}", seconds=LOAD_S)
        run(_entry(words, bool(placed.initrd)), seconds=LOAD_S)

    def go(self) -> None:
        """A reboot: GRUB forgets its choice before it starts the kernel."""
        self._keeper.tell("systemctl reboot || reboot")


def _entry(words: str, initrd: bool) -> str:
    """A script that writes the entry, chooses it, and sees that it is chosen.

    Raises :class:`InfrastructureError` for words that neither a here-document nor GRUB takes as
    they are.
    """
    if any(sign in words for sign in "`$\\\"'{};"):
        raise InfrastructureError(f"GRUB cannot be given `{words}`", hint="use kexec")
    second = f"initrd $(grub-mkrelpath {GRUB_INITRD})" if initrd else ""
    return f"""set -e
own=$(sed 's/^BOOT_IMAGE=[^ ]* *//' /proc/cmdline)
cat > {CUSTOM}.new << END
menuentry '{ENTRY}' --id {ENTRY} {{
    search --no-floppy --fs-uuid --set=root $(grub-probe --target=fs_uuid /boot)
    linux $(grub-mkrelpath {GRUB_IMAGE}) $own {words}
    {second}
}}
END
mv {CUSTOM}.new {CUSTOM}
grub-reboot {ENTRY}
sync
grub-editenv - list | grep -qx next_entry={ENTRY}"""
