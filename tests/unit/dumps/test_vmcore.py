"""A dump of QEMU's becomes a file that drgn opens; the registers in it are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError
from harness.dumps import vmcore
from tests.unit.dumps import made


def test_pieces_come_to_their_places_and_the_machine_gets_its_name(tmp_path: Path) -> None:
    content = made.whole(made.state(rip=0xFFFFFFFF81000010, cr2=0x7F00, cr3=0x2000),
                         made.state(la57=True))
    raw, path = tmp_path / "raw", tmp_path / "dump"
    raw.write_bytes(made.flattened(content))
    vmcore.unflatten(raw, path, "6.1.192")
    data = path.read_bytes()
    assert len(data) == len(content)
    names = [data[12 + 65 * n:12 + 65 * (n + 1)].rstrip(b"\0") for n in range(6)]
    assert names == [b"Linux", b"guest", b"6.1.192", b"#1", b"x86_64", b"(none)"]
    first, second = vmcore.cpus(path)
    assert (first.rip, first.rsp, first.cr2, first.cr3) == \
        (0xFFFFFFFF81000010, 0x1000, 0x7F00, 0x2000)
    assert (first.levels, second.levels, second.number) == (4, 5, 1)


@pytest.mark.parametrize("cut", [0, 4095, 4100, 4096 + 16 + 999])
def test_a_torn_dump_is_none(tmp_path: Path, cut: int) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(made.flattened(made.whole())[:cut])
    with pytest.raises(InfrastructureError, match=r"not what QEMU writes|ends in the middle"):
        vmcore.unflatten(raw, tmp_path / "dump", "6.1")


def test_a_file_of_another_kind_has_no_registers(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(b"\x7fELF" + bytes(600))
    assert vmcore.cpus(tmp_path / "core") == []
