"""What a dump says, in words: who crashed, where, and what its page table holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from harness.dumps import pagewalk
from harness.dumps.vmcore import CpuState

MOST_TASKS = 64  # of those that wait, by their stacks
MOST_FRAMES = 40
_ADDRESS = re.compile(
    r"(?:for address: |NULL pointer dereference, address: |non-canonical address |at address )"
    r"(?:0x)?([0-9a-f]{8,16})"
)
_USER = re.compile(r"#\d+ +(0x[0-9a-f]{1,12})$")
NO_TYPES = "no types of this kernel are at hand, so drgn cannot tell its tasks"


def faulting_address(oops: str) -> int | None:
    """The address that an oops complains of; None where it names none."""
    match = _ADDRESS.search(oops)
    return int(match[1], 16) if match else None


def describe(program: Any, states: Sequence[CpuState], address: int | None, title: str) -> str:
    """All findings. What cannot be found is said in a line, and the rest goes on."""
    crashed = _tried(program.crashed_thread)
    thread = None if isinstance(crashed, str) else crashed
    parts = [
        [title] if title else [],
        _crashed(program, thread, str(crashed)),
        _tables(program, thread, states, address),
        _running(program, states, thread),
        _waiting(program),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _crashed(program: Any, thread: Any, why: str) -> list[str]:
    """The task that crashed, and its stack."""
    if thread is None:
        if not _has_types(program):
            return [NO_TYPES]
        return [f"no task crashed: {why}"]
    return [f"crashed: {_who(thread)}", *_stack(thread)]


def _has_types(program: Any) -> bool:
    return not isinstance(_tried(lambda: program.type("struct task_struct")), str)


def _who(thread: Any) -> str:
    task = thread.object
    cpu = _tried(lambda: _cpu_of(task))
    where = "" if isinstance(cpu, str) else f" on CPU {cpu}"
    kind = "kernel thread" if not task.mm else "task"
    return f"{kind} {task.pid.value_()} ({task.comm.string_().decode(errors='replace')}){where}"


def _cpu_of(task: Any) -> int:
    from drgn.helpers.linux.sched import task_cpu  # noqa: PLC0415

    return int(task_cpu(task))


def _stack(thread: Any) -> list[str]:
    trace = _tried(thread.stack_trace)
    if isinstance(trace, str):
        return [f"  its stack cannot be walked: {trace}"]
    rows = list(_kernel_part(str(trace).splitlines()))
    more = len(rows) - MOST_FRAMES
    return [f"  {row}" for row in rows[:MOST_FRAMES]] + (
        [f"  ... and {more} frames more"] if more > 0 else []
    )


def _kernel_part(rows: Sequence[str]) -> Iterator[str]:
    """The frames down to where the kernel was entered: programs have no ORC tables."""
    for row in rows:
        if match := _USER.match(row):
            yield f"user space, at {match[1]}"
            return
        yield row


def _tables(
    program: Any, thread: Any, states: Sequence[CpuState], address: int | None
) -> list[str]:
    """The page table of the faulting address, or else of the last one that the CPU faulted on."""
    if not states:
        return ["the dump has no registers of its CPUs, and so no page table"]
    number = None if thread is None else _tried(lambda: _cpu_of(thread.object))
    state = next((one for one in states if one.number == number), states[0])
    what = "the faulting address"
    if address is None:
        address = state.cr2
        what = f"the address of the last page fault of CPU {state.number}"
    steps = pagewalk.walk(
        lambda at: int(program.read_u64(at, physical=True)), state.cr3, address, state.levels
    )
    head = f"page table of {what}, {address:#x} (cr3 {state.cr3:#x} of CPU {state.number}):"
    return [head, *pagewalk.words(steps, address)]


def _running(program: Any, states: Sequence[CpuState], crashed: Any) -> list[str]:
    """What the other CPUs did."""
    lines = []
    mine = None if crashed is None else crashed.object.pid.value_()
    for state in states:
        task = _tried(partial(_current, program, state.number))
        if isinstance(task, str):
            symbol = _tried(partial(_name, program, state.rip))
            lines.append(f"CPU {state.number} at {state.rip:#x} ({symbol})")
        elif task.object.pid.value_() != mine or mine == 0:
            lines += [f"CPU {state.number} ran {_who(task)}", *_stack(task)]
    return lines


def _name(program: Any, address: int) -> str:
    return str(program.symbol(address).name)


def _current(program: Any, cpu: int) -> Any:
    from drgn.helpers.linux.sched import cpu_curr  # noqa: PLC0415

    return _Current(cpu_curr(program, cpu), program)


class _Current:
    """The task of a CPU, by its object: an idle one has no number that drgn could look up."""

    def __init__(self, task: Any, program: Any) -> None:
        self.object, self._program = task, program

    def stack_trace(self) -> Any:
        """As of a :class:`drgn.Thread`."""
        return self._program.stack_trace(self.object)


def _waiting(program: Any) -> list[str]:
    """The stacks of tasks that wait without being interruptible: who holds whom in a hang."""
    found = _tried(lambda: list(_blocked(program)))
    if isinstance(found, str) or not found:
        return []
    lines = ["tasks that wait and cannot be interrupted:"]
    for thread in found[:MOST_TASKS]:
        lines += [_who(thread), *_stack(thread)]
    return lines


def _blocked(program: Any) -> Iterator[Any]:
    uninterruptible, no_load = 0x2, 0x400
    for thread in program.threads():
        value = _state(thread.object)
        if value & uninterruptible and not value & no_load:
            yield thread


def _state(task: Any) -> int:
    """Its state bits: ``__state`` since 5.14."""
    try:
        return int(task.member_("__state").value_())
    except LookupError:
        return int(task.state.value_())


def _tried(ask: Callable[[], Any]) -> Any:
    """What is asked of drgn, or its complaint as a string: a broken kernel is what dumps are of."""
    try:
        return ask()
    except Exception as error:
        return str(error).strip() or type(error).__name__
