#!/usr/bin/env python3
"""Checks that the C sources keep to their layers, and that each header compiles alone.

The folders of c_src are layers, bottom up; a file includes only headers of its own layer and below. The tiers do not
include each other: in tier/, a file includes headers of its own name (ace.c: ace.h, ace_policy.h), and those that
c_src/README.md lists on a line that starts with "Shared in tier/:", each in backquotes.

Usage: tests/layers.py [--self-test]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

LAYERS = ["base", "os", "core", "tier", "heap", "api", "override"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def shared_headers(sources):
    """The headers of tier/ that c_src/README.md allows every tier to include."""
    readme = sources / "README.md"
    if not readme.exists():
        return set()
    lines = [line for line in readme.read_text().splitlines() if line.startswith("Shared in tier/:")]
    return set(re.findall(r"`(?:tier/)?(\w+\.h)`", "\n".join(lines)))


def related(stem, other):
    return stem == other or stem.startswith(other + "_") or other.startswith(stem + "_")


def violations(sources):
    """Yields (file, line number, message) for every include that the layers forbid."""
    shared = shared_headers(sources)
    for path in sorted(sources.rglob("*.[ch]")):
        file = path.relative_to(sources)
        if file == pathlib.Path("hakmem.c"):
            continue  # the one translation unit: it includes everything
        layer = file.parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if layer not in LAYERS:
                yield file, number, f"{layer} is no layer; they are {', '.join(LAYERS)}"
                break
            if not match or match[1] == "hakmem.h":
                continue
            included = pathlib.PurePosixPath(match[1])
            target = included.parts[0]
            if included.suffix != ".h":
                yield file, number, f"includes {included}; only hakmem.c includes sources"
            elif len(included.parts) != 2 or target not in LAYERS or not (sources / included).exists():
                yield file, number, f'includes "{included}", which is not the path of a header from c_src on'
            elif LAYERS.index(target) > LAYERS.index(layer):
                yield file, number, f"{layer} includes {included}, a layer above it"
            elif layer == target == "tier" and included.name not in shared and not related(file.stem, included.stem):
                yield file, number, f"one tier includes another's {included}"


def headers_not_alone(sources, include):
    """Yields (file, 1, compiler's message) for every header that does not compile alone."""
    compiler = os.environ.get("CC", "cc")
    for path in sorted(sources.rglob("*.h")):
        command = [compiler, "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused", "-Werror", f"-I{include}"]
        command += [f"-I{sources}", "-x", "c", "-"]
        code = f'#include "{path.relative_to(sources)}"\n'
        result = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            yield path.relative_to(sources), 1, f"does not compile alone\n{result.stderr}"


def self_test():
    """Every kind of violation is found, and nothing else."""
    files = {
        "README.md": "Shared in tier/: `slab.h`\n",
        "hakmem.c": '#include "tier/pool.c"\n',
        "base/a.h": "#include <stddef.h>\n",
        "core/b.h": '#include "base/a.h"\n#include "hakmem.h"\n',
        "tier/slab.h": '#include "core/b.h"\n',
        "tier/pool.h": "",
        "tier/pool.c": '#include "tier/pool.h"\n#include "tier/slab.h"\n',
        "tier/ace_policy.h": "",
        "tier/ace.c": '#include "tier/ace_policy.h"\n#  include "tier/pool.h"  // wrong: another tier\n',
        "base/up.c": '#include "core/b.h"  // wrong: upwards\n',
        "core/bare.c": '#include "b.h"  // wrong: not from c_src on\n',
        "core/source.c": '#include "tier/pool.c"  // wrong: a source\n',
        "misc/d.c": "// wrong: no layer\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        sources = pathlib.Path(folder)
        for name, text in files.items():
            (sources / name).parent.mkdir(exist_ok=True)
            (sources / name).write_text(text)
        found = {(str(file), number) for file, number, _ in violations(sources)}
    expected = {
        (name, number)
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if "wrong" in line
    }
    assert found == expected, f"found {found}, expected {expected}"


def main():
    self_test()
    if sys.argv[1:] == ["--self-test"]:
        return 0
    sources = ROOT / "c_src"
    failures = 0
    for file, number, message in [*violations(sources), *headers_not_alone(sources, ROOT / "include")]:
        print(f"c_src/{file}:{number}: {message}")
        failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
