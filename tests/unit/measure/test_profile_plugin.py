"""The plugin: what it makes of instructions, that it compiles, which QEMU it is for."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.measure.profiles import plugin, rawfile

FOLDER = Path(__file__).parents[3] / "guest/plugin"


@pytest.fixture(scope="module")
def x86(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The plugin's reader of instructions, as a library."""
    path = tmp_path_factory.mktemp("x86") / "x86.so"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Werror", "-fPIC", "-shared", "-o", path, FOLDER / "x86.c"],
        check=True,
    )
    return ctypes.CDLL(str(path))


CODES = [
    ("e8 00 00 00 00", rawfile.CALL, "call rel32"),
    ("ff d0", rawfile.CALL | rawfile.INDIRECT, "call *%rax"),
    ("41 ff 54 24 08", rawfile.CALL | rawfile.INDIRECT, "call *8(%r12)"),
    ("ff e0", rawfile.JMP | rawfile.INDIRECT, "jmp *%rax"),
    ("c3", rawfile.RET, "ret"),
    ("f3 c3", rawfile.RET, "rep ret"),
    ("eb fe", rawfile.JMP, "jmp"),
    ("74 05", rawfile.JCC, "je"),
    ("0f 84 00 00 00 00", rawfile.JCC, "je rel32"),
    ("f0 0f b1 17", rawfile.LOCKED, "lock cmpxchg %edx,(%rdi)"),
    ("f0 48 ff 07", rawfile.LOCKED, "lock incq (%rdi)"),
    ("48 87 07", rawfile.LOCKED, "xchg %rax,(%rdi)"),
    ("48 87 c7", 0, "xchg %rax,%rdi"),
    ("f3 aa", rawfile.REP, "rep stosb"),
    ("f3 48 ab", rawfile.REP | 3 << rawfile.WIDTH_SHIFT, "rep stosq"),
    ("f3 66 ab", rawfile.REP | 1 << rawfile.WIDTH_SHIFT, "rep stosw"),
    ("f3 a5", rawfile.REP | 2 << rawfile.WIDTH_SHIFT, "rep movsl"),
    ("aa", 0, "stosb"),
    ("0f 01 38", rawfile.TLB, "invlpg (%rax)"),
    ("0f 01 f8", 0, "swapgs"),
    ("0f 22 d8", rawfile.TLB, "mov %rax,%cr3"),
    ("0f 22 e0", 0, "mov %rax,%cr4"),
    ("66 0f 38 82 08", rawfile.TLB, "invpcid (%rax),%rcx"),
    ("0f 30", rawfile.MSR, "wrmsr"),
    ("0f ae f0", rawfile.FENCE, "mfence"),
    ("0f ae 07", 0, "fxsave (%rdi)"),
    ("48 cf", rawfile.IRET, "iretq"),
    ("48 0f 07", rawfile.IRET, "sysretq"),
    ("fa", rawfile.IRQFLAG, "cli"),
    ("ee", rawfile.IO, "out %al,(%dx)"),
    ("48 89 e5", 0, "mov %rsp,%rbp"),
    ("0f 1f 80 00 00 00 00", 0, "nopl 0(%rax)"),
    ("89 3c 25 00 d3 5f ff", rawfile.IPI, "mov %edi,0xffffffffff5fd300"),
    ("87 3c 25 00 d3 5f ff", rawfile.IPI | rawfile.LOCKED, "xchg %edi,0xffffffffff5fd300"),
    ("89 3c 25 10 d3 5f ff", 0, "mov %edi,0xffffffffff5fd310"),
    ("8b 3c 25 00 d3 5f ff", 0, "mov 0xffffffffff5fd300,%edi"),
]

R, W = rawfile.LOAD, rawfile.STORE
ACCESSES = [
    ("48 8b 07", R, "mov (%rdi),%rax"), ("48 89 07", W, "mov %rax,(%rdi)"),
    ("48 89 e5", 0, "mov %rsp,%rbp"), ("48 8d 07", 0, "lea (%rdi),%rax"),
    ("48 03 07", R, "add (%rdi),%rax"), ("48 01 07", R | W, "add %rax,(%rdi)"),
    ("48 39 07", R, "cmp %rax,(%rdi)"), ("48 83 3f 01", R, "cmpq $1,(%rdi)"),
    ("48 83 07 01", R | W, "addq $1,(%rdi)"), ("48 83 c0 01", 0, "add $1,%rax"),
    ("f6 07 01", R, "testb $1,(%rdi)"), ("f7 1f", R | W, "negl (%rdi)"),
    ("48 f7 37", R, "divq (%rdi)"), ("55", W, "push %rbp"), ("41 5c", R, "pop %r12"),
    ("ff 37", R | W, "push (%rdi)"), ("8f 07", R | W, "pop (%rdi)"), ("c3", R, "ret"),
    ("e8 00 00 00 00", W, "call"), ("ff d0", W, "call *%rax"), ("ff 10", R | W, "call *(%rax)"),
    ("ff e0", 0, "jmp *%rax"), ("ff 20", R, "jmp *(%rax)"), ("f0 48 ff 07", R | W, "lock incq"),
    ("f0 0f b1 17", R | W, "lock cmpxchg %edx,(%rdi)"), ("0f c1 07", R | W, "xadd %eax,(%rdi)"),
    ("0f b6 07", R, "movzbl (%rdi),%eax"), ("0f b6 c0", 0, "movzbl %al,%eax"),
    ("0f 94 07", W, "sete (%rdi)"), ("0f 44 07", R, "cmove (%rdi),%eax"),
    ("0f a3 07", R, "bt %eax,(%rdi)"), ("0f ab 07", R | W, "bts %eax,(%rdi)"),
    ("0f ba 27 03", R, "btl $3,(%rdi)"), ("0f ba 2f 03", R | W, "btsl $3,(%rdi)"),
    ("f3 aa", W, "rep stosb"), ("f3 48 a5", R | W, "rep movsq"), ("f3 a6", R, "rep cmpsb"),
    ("0f 1f 80 00 00 00 00", 0, "nopl 0(%rax)"), ("0f 18 0f", 0, "prefetcht0 (%rdi)"),
    ("0f 0d 0f", 0, "prefetchw (%rdi)"), ("0f ae 3f", 0, "clflush (%rdi)"),
    ("0f ae 07", W, "fxsave (%rdi)"), ("0f 01 38", 0, "invlpg (%rax)"), ("9c", W, "pushf"),
    ("48 c7 07 00 00 00 00", W, "movq $0,(%rdi)"), ("c9", R, "leave"), ("48 c1 27 03", R | W,
    "shlq $3,(%rdi)"), ("48 63 07", R, "movslq (%rdi),%rax"), ("e9 00 00 00 00", 0, "jmp"),
    ("48 cf", R, "iretq"), ("0f 0b", 0, "ud2"), ("65 48 8b 04 25 00 00 00 00", R, "mov %gs:0,%rax"),
]


@pytest.mark.parametrize(
    ("code", "access", "text"), ACCESSES, ids=[text for *_, text in ACCESSES]
)
def test_who_reads_and_writes_memory(
    x86: ctypes.CDLL, code: str, access: int, text: str
) -> None:
    data = bytes.fromhex(code)
    assert x86.x86_class(data, len(data)) & (rawfile.LOAD | rawfile.STORE) == access


@pytest.mark.parametrize(("code", "kind", "text"), CODES, ids=[text for *_, text in CODES])
def test_classes(x86: ctypes.CDLL, code: str, kind: int, text: str) -> None:
    data = bytes.fromhex(code)
    assert x86.x86_class(data, len(data)) & ~(rawfile.LOAD | rawfile.STORE) == kind


PLAIN = ["90", "48 89 e5", "8d 04 07", "48 8d 47 08", "b8 01 00 00 00", "83 c0 01", "0f b6 c0",
         "31 c0", "48 c1 e0 03", "0f 1f 44 00 00", "f7 d8", "ff c0", "0f 44 c2", "48 63 c7"]
STOPS = ["48 8b 07", "50", "c3", "e8 00 00 00 00", "74 02", "eb 02", "f3 aa", "83 07 01",
         "f0 48 ff 07", "48 f7 f1", "0f b6 07", "ff d0", "cc", "0f 05", "0f 0b", "0f 22 d8", "f4",
         "c5 f8 77", "0f a2", "fb", "48 87 07"]


@pytest.mark.parametrize(
    ("code", "plain"), [(c, True) for c in PLAIN] + [(c, False) for c in STOPS]
)
def test_straight_lines(x86: ctypes.CDLL, code: str, plain: bool) -> None:
    data = bytes.fromhex(code)
    x86.x86_is_plain.restype = ctypes.c_bool
    assert x86.x86_is_plain(data, len(data)) is plain


def test_markers(x86: ctypes.CDLL) -> None:
    x86.x86_marker.restype = ctypes.c_uint16
    assert x86.x86_marker(bytes.fromhex("0f1f8001307e6b"), 7) == 0x3001
    assert x86.x86_marker(bytes.fromhex("0f1f8001307e6c"), 7) == 0
    assert x86.x86_marker(bytes.fromhex("0f1f8101307e6b"), 7) == 0


def test_kinds_are_the_same_on_both_sides() -> None:
    header = (FOLDER / "x86.h").read_text()
    ours = {"CALL": rawfile.CALL, "RET": rawfile.RET, "JMP": rawfile.JMP, "JCC": rawfile.JCC,
            "INDIRECT": rawfile.INDIRECT, "LOCKED": rawfile.LOCKED, "REP": rawfile.REP,
            "TLB": rawfile.TLB, "MSR": rawfile.MSR, "FENCE": rawfile.FENCE, "IRET": rawfile.IRET,
            "IO": rawfile.IO, "IRQFLAG": rawfile.IRQFLAG, "LOAD": rawfile.LOAD,
            "STORE": rawfile.STORE, "IPI": rawfile.IPI}
    theirs = re.findall(r"#define X86_(\w+)\s+0x([0-9a-f]+)u", header)
    assert {name: int(value, 16) for name, value in theirs} == ours


def test_the_marks_of_guest_and_plugin_agree() -> None:
    guest = (FOLDER.parent / "mark.h").read_text()
    ours = (FOLDER / "x86.h").read_text()
    assert "0x6b7e0000" in guest and "MARK_MAGIC\t0x6b7eu" in ours
    names = re.search(r"enum mark \{ (.*?) \}", ours)
    assert names
    order = [name.partition(" ")[0].removeprefix("MARK_").lower() for name in names[1].split(", ")]
    numbers = dict(re.findall(r"#define mark_(\w+)\(\w*\)\s+MARK\((\d)", guest))
    assert {name: str(i) for i, name in enumerate(order, 1)} == numbers


@pytest.mark.parametrize("api", [2, 3, 4])
@pytest.mark.parametrize("name", list(plugin.LIBRARIES))
def test_it_compiles_for_each_interface(tmp_path: Path, api: int, name: str) -> None:
    subprocess.run([
        "gcc", *plugin.FLAGS, "-Werror", f"-DAPI_VERSION={api}", "-o", tmp_path / "p.so",
        *(FOLDER / part for part in plugin.LIBRARIES[name]),
    ], check=True)


def fake_qemu(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version} (Debian)'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("version", "api"), [
    ("9.0.0", 2), ("9.1.2", 3), ("9.2.0", 4), ("10.0.2", 4), ("10.2.1", 4),
])
def test_versions(tmp_path: Path, version: str, api: int) -> None:
    binary = fake_qemu(tmp_path / "qemu", version)
    assert plugin.api_version(plugin.qemu_version(binary)) == api
    assert plugin.why_not(binary) == ""


def test_an_old_qemu_is_told_so(tmp_path: Path) -> None:
    binary = fake_qemu(tmp_path / "qemu", "7.2.15")
    assert "QEMU 7.2 cannot say where instructions go" in plugin.why_not(binary)
    with pytest.raises(UserError, match=r"plugin interface"):
        plugin.build(Workspace(tmp_path / "ws"), FOLDER, binary)


def test_it_is_built_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    binary = fake_qemu(tmp_path / "qemu", "10.0.2")
    first = plugin.build(workspace, FOLDER, binary)
    made = first.stat().st_mtime_ns
    assert plugin.build(workspace, FOLDER, binary) == first
    assert first.stat().st_mtime_ns == made


def test_arguments() -> None:
    spec = plugin.PluginSpec(Path("/a,b/p.so"), Path("/out"), Path("/entries"), follow=2)
    assert spec.qemu_args() == [
        "-plugin", "/a,,b/p.so,out=/out,entries=/entries,follow=2",
    ]
