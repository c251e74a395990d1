#!/usr/bin/env python3
"""Counts the instructions of an allocation and its release in a Rust program (tests/rust/program) under callgrind, and
compares them with the committed table, rust.txt.

    rust.py            fails when a path takes more instructions than the table allows
    rust.py --update   writes the table anew

Three builds: as cargo does it (`plain`), with lto = "fat" (`fat`), and compiled by clang and optimised together with the Rust
code (`cross`: docs/decisions/rust-fast-path.md), which is left out without clang and rust-lld. A count is the
difference between two runs of 10 000 and 30 000 rounds, so that start-up is not in it; the loop itself is (the path
`loop`). Counts repeat exactly for the same compilers.
"""
import os
import re
import subprocess
import sys

from run import TIMELESS

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "rust.txt")
PROGRAM = os.path.join(ROOT, "tests", "rust", "program")
PATHS = ["loop", "constant-64", "constant-4096", "constant-16384", "constant-300000", "aligned-64", "direct-64",
         "direct-16384", "dynamic-64", "dynamic-16384", "zeroed-64", "resized-in-place", "resized-64-to-128"]
BUILDS = ["plain", "fat", "cross"]


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def cross_environment():
    """The settings of the cross-language build, or None where its tools are missing."""
    sysroot = output_of("rustc", "--print", "sysroot").strip()
    target = re.search(r"host: (.+)", output_of("rustc", "-vV")).group(1)
    lld = os.path.join(sysroot, "lib", "rustlib", target, "bin", "gcc-ld")
    try:
        output_of("clang", "--version")
    except OSError:
        return None
    if not os.path.exists(os.path.join(lld, "ld.lld")):
        return None
    flags = f"-Clinker-plugin-lto -Clinker=clang -Clink-arg=-fuse-ld=lld -Clink-arg=-B{lld}"
    # With a target named, the flags are not those of build scripts.
    return {"CC": "clang", "CFLAGS": "-flto=thin", "RUSTFLAGS": flags, "CARGO_BUILD_TARGET": target}


def build(name):
    """The program's file, or None."""
    settings = {"plain": {}, "fat": {"CARGO_PROFILE_RELEASE_LTO": "fat"}, "cross": None}[name]
    if name == "cross":
        settings = cross_environment()
        if settings is None:
            return None
    target_dir = os.path.join(ROOT, "build", "rust", name)
    command = ["cargo", "build", "--quiet", "--release", "--target-dir", target_dir]
    subprocess.run(command, check=True, cwd=PROGRAM, env={**os.environ, **settings})
    return os.path.join(target_dir, settings.get("CARGO_BUILD_TARGET", ""), "release", "program")


def instructions(program, path, rounds):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, path, str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **TIMELESS})
    return int(re.search(r"Collected\s*:\s*(\d+)", done.stderr).group(1))


def compilers():
    rustc = output_of("rustc", "--version").strip()
    cc = output_of(os.environ.get("CC", "cc"), "--version").splitlines()[0]
    return f"{rustc}; {cc}"


def read_table():
    rows, made_by = {}, None
    with open(TABLE, encoding="utf-8") as f:
        for line in f:
            if line.startswith("# compilers: "):
                made_by = line[len("# compilers: "):].strip()
            elif not line.startswith("#") and line.strip():
                path, *figures = line.split()
                rows[path] = dict(zip(BUILDS, figures))
    return made_by, rows


def write_table(rows):
    with open(TABLE, "w", encoding="utf-8") as f:
        f.write("# Instructions of a round (allocate, free) in Rust, made by tests/instructions/rust.py --update; see there.\n")
        f.write(f"# compilers: {compilers()}\n")
        f.write(f"# {'path':<18}" + "".join(f"{name:>10}" for name in BUILDS) + "\n")
        for path, figures in rows.items():
            f.write(f"{path:<20}" + "".join(f"{figures[name]:>10.2f}" for name in BUILDS) + "\n")


def main():
    programs = {name: build(name) for name in BUILDS}
    rows = {}
    for path in PATHS:
        rows[path] = {}
        for name, program in programs.items():
            if program is not None:
                counts = [instructions(program, path, rounds) for rounds in (10_000, 30_000)]
                rows[path][name] = (counts[1] - counts[0]) / 20_000
    if sys.argv[1:] == ["--update"]:
        write_table(rows)
        return 0
    made_by, table = read_table()
    # Other compilers may take some instructions more; the same ones must repeat.
    slack = 0.05 if compilers() == made_by else 8.0
    failed = False
    for path, figures in rows.items():
        for name, figure in figures.items():
            allowed = float(table.get(path, {}).get(name, 0))
            bad = figure > allowed + slack
            failed |= bad
            print(f"{path:<20}{name:<6}{figure:>8.2f} instructions, {allowed:.2f} allowed{'   TOO MANY' if bad else ''}")
    if failed:
        print("A path became longer. If that is worth it, say why in the change and run rust.py --update.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
