"""The lines of a build log that say why it failed: the first error, with its context."""

from __future__ import annotations

import re

MAX_LINES = 25
BEFORE = 12  # lines of include stack and "In function" that may precede an error

# bison and fixdep do not pass on what the system told them.
FULL_DISK = re.compile(
    r"No space left on device|Disk quota exceeded|bison: input/output error"
    r"|fixdep: not all data was written"
)
C_ERROR = re.compile(
    r"^[^\s:][^:]*:\d+(?::\d+)?: (?:fatal )?error: |^(?:cc1|as|gcc|ccache): .*error"
)
ASSEMBLER = re.compile(r"^[^\s:][^:]*:\d+: Error: ")
LINK = re.compile(
    r"^(?:\S*ld|ld\.\w+|collect2)(?:\.bfd)?: (?!warning)(?!.*: warning: )"
    r"|: undefined reference to |: multiple definition of "
)
KCONFIG = re.compile(
    r"^\S*Kconfig\S*:\d+:\s*(?!warning)\S|^\S*Kconfig\S*: can't open|^\*\*\* .*Kconfig"
)
NO_TOOL = re.compile(
    r"(?:^|: )(?:\d+: )?[\w./+-]+: (?:command )?not found\b|^make.*: .*: No such file"
)
MAKE = re.compile(r"^make(?:\[\d+\])?: \*\*\* (?!.*Waiting for unfinished)")
SPECIFIC = (C_ERROR, ASSEMBLER, LINK, KCONFIG, NO_TOOL)

# What scripts/cc-version.sh and ld-version.sh of a kernel print before they fail.
TOO_OLD = re.compile(
    r"is too old\.\n\*\*\*\s+Your (?P<tool>.+?) version:\s+(?P<have>\S+)\n"
    r"\*\*\*\s+Minimum .+? version:\s+(?P<need>\S+)"
)

STEP = re.compile(r"^  [A-Z][A-Z_0-9]+ (?:\[M\])? *\S")
LEADING = re.compile(
    r"^In file included from |^ +from |: In function |: At top level:|: in function "
)
CONTINUES = re.compile(
    r"^\s|: note: |: warning: .*previous|^\S*ld: |undefined reference|^collect2"
    r"|^\S*Kconfig\S*:\d+:|^compilation terminated"
)


def first_error(log: str) -> str:
    """The first error of a build log with file, line, quoted source and notes.

    At most 25 lines; empty when no error is recognised.
    """
    lines = log.splitlines()
    start = _find(lines)
    if start is None:
        return ""
    begin = start
    while begin > 0 and start - begin < BEFORE and LEADING.search(lines[begin - 1]):
        begin -= 1
    end = start + 1
    while end < len(lines) and _belongs(lines[end]):
        end += 1
    block = lines[begin:end]
    if len(block) > MAX_LINES - 1:
        # The error line itself must stay, whatever the include stack before it.
        block = block[: MAX_LINES - 1]
    # Which object it was is only said by make, some lines later.
    verdict = next((line for line in lines[end:] if MAKE.match(line)), "")
    if verdict and verdict not in block:
        block.append(verdict)
    return "\n".join(block)


def too_old(log: str) -> str:
    """Which tool the kernel wants newer, and which one is here; empty when none is too old."""
    found = TOO_OLD.search(log)
    return "" if found is None else (
        f"this kernel needs {found['tool']} {found['need']} or newer; here it is {found['have']}"
    )


def _find(lines: list[str]) -> int | None:
    """The line to show: a full disk explains everything else, then the first specific error."""
    for number, line in enumerate(lines):
        if FULL_DISK.search(line):
            return number
    for number, line in enumerate(lines):
        if any(pattern.search(line) for pattern in SPECIFIC):
            return number
    for number, line in enumerate(lines):
        if MAKE.match(line):
            return number
    return None


def _belongs(line: str) -> bool:
    """Whether a line goes on explaining the error before it."""
    if STEP.match(line) or MAKE.match(line):
        return False
    return bool(CONTINUES.search(line))
