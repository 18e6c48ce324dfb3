"""``reproducer.sh``: the plain commands that repeat a build without the harness."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from harness.kernel.build import gapped_ld, kbuild, layoutlink
from harness.kernel.series.patches import Series
from harness.kernel.source.sources import Source


def write(directory: Path, series: Series | None, source: Source, make: kbuild.Kbuild) -> None:
    """Put the script, and the patches it applies, into a build's directory."""
    patches = series.patches if series else []
    if patches:
        (directory / "patches").mkdir()
    if make.linker.layout:
        shutil.copyfile(gapped_ld.__file__, directory / layoutlink.SCRIPT)
    names = [f"{number:04}-{patch.path.name}" for number, patch in enumerate(patches, 1)]
    for name, patch in zip(names, patches, strict=True):
        shutil.copyfile(patch.path, directory / "patches" / name)
    exports = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in make.identity().items()
    )
    variables = " ".join(f"{k}={shlex.quote(v)}" for k, v in make.variables.items())
    applied = "".join(
        f'git apply -p1 --whitespace=nowarn "$here/patches/{name}"\n' for name in names
    )
    script = directory / "reproducer.sh"
    script.write_text(f"""#!/bin/sh
# Repeats this build without the harness: sh reproducer.sh TREE
# TREE is a fresh copy of the source below; it is patched and built in TREE/obj.
#   {_comment(source)}
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${{1:?usage: reproducer.sh TREE}}"
export GIT_CEILING_DIRECTORIES="$(dirname "$PWD")"
{applied}{exports}{_wrappers(make)}mkdir -p obj
cp "$here/config" obj/.config
make O="$PWD/obj" {variables} olddefconfig
cmp "$here/config" obj/.config
make -j"$(nproc)" O="$PWD/obj" {variables} bzImage
cmp "$here/bzImage" obj/arch/x86/boot/bzImage && echo "same kernel, bit for bit"
""")
    script.chmod(0o755)


def _wrappers(make: kbuild.Kbuild) -> str:
    """The lines that put the compiler's and the linker's wrapper on the PATH; none without any."""
    texts = {"gcc": make.wrapper.text}
    lines = ["mkdir -p obj/.wrapper"]
    if make.linker.layout:
        texts["ld"] = make.linker.text("python3", "/usr/bin/ld")
        lines.append(f'cp "$here/{layoutlink.SCRIPT}" obj/.wrapper/')
    wanted = {name: text for name, text in texts.items() if text}
    lines += [
        f"printf %s {shlex.quote(text)} >obj/.wrapper/{name}\nchmod +x obj/.wrapper/{name}"
        for name, text in wanted.items()
    ]
    lines.append('export PATH="$PWD/obj/.wrapper:$PATH"')
    return "".join(f"{line}\n" for line in lines) if wanted else ""


def _comment(source: Source) -> str:
    kind, details = source.record.kind, source.record.details
    if kind == "debian":
        return (f"{details['package']} {source.version} of Debian {details['suite']}, "
                f"package sha256 {source.digest}")
    if kind == "git":
        return f"commit {details['commit']} ({details['ref']}) of {details['url']}"
    if kind == "tarball":
        return f"tarball {Path(details['url']).name}, sha256 {details['sha256']}"
    return f"a local tree of version {source.version}, listing digest {source.digest}"
