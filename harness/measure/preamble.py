"""A guest's history before it is measured, made from a seed.

Instruction counts repeat exactly only for an identical history: the state of the
page allocator's lists shifts them by percents. One history says little of
another, so each boot first does a seeded lot of allocating and freeing, the same
for every variant, and results are compared in pairs of equal seed.
"""

from __future__ import annotations

import random

from harness.image.programs import GUEST_DIR
from harness.machine.session import Session

STEPS = 6
LISTS = "/proc/sys/vm/percpu_pagelist_high_fraction"
LONGEST = 8  # a CPU's list may hold its share of an eighth of each zone; 0: the kernel's own choice


def commands(seed: int) -> list[str]:
    """The shell commands of a history."""
    chance = random.Random(seed)
    found = []
    for step in range(STEPS):
        kind = chance.choice(("faults", "files", "processes"))
        if kind == "faults":
            found.append(
                f"{GUEST_DIR}/multi-fault --rounds {chance.randint(1, 6)} {chance.randint(1, 12)}"
            )
        elif kind == "files":
            size = chance.randint(1, 24)
            found.append(f"head -c {size}M /dev/zero > /tmp/p{step}; rm -f /tmp/p{step}")
        else:
            found.append(f"for i in $(seq {chance.randint(2, 12)}); do cat /proc/self/maps; done")
    return found


def lengthen_lists(session: Session) -> str:
    """Keep the buddy allocator out of the counts; returns what the guest then says.

    ``absent`` before 5.14, which has no such switch.
    """
    return session.run(
        f"if [ -e {LISTS} ]; then echo {LONGEST} > {LISTS}; cat {LISTS}; else echo absent; fi"
    ).stdout.strip()


def play(session: Session, seed: int) -> None:
    """Give the guest the history of a seed; multi-fault must have been pushed."""
    for command in commands(seed):
        session.run(f"{{ {command}; }} > /dev/null")
