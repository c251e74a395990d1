#!/usr/bin/env python3
"""Measures the programs of run.sh with the system's malloc, hakmem and other allocators preloaded, and prints a table.

    tests/programs/compare.py [--short] [--rounds N] [--library hakmem=PATH]... [PROGRAM...]

Each round runs a program once with each allocator, in an order that turns from round to round, so that what else the machine
does meets all of them. A cell says processor time (of the program and all that it starts, user and system) and peak resident
set (of the largest process) relative to the system's malloc, medians of the rounds; elapsed times, which other work on the
machine makes longer, go to standard error. An output that differs from the system's is marked with DIFFERENT, and the exit
status is 1 then. Without --library: build/libhakmem.so, and those of Debian's libmimalloc2.0, libjemalloc2,
libtcmalloc-minimal4 that are installed. What the programs need: run.sh.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RUN = HERE / "run.sh"
DEBIAN = pathlib.Path("/usr/lib") / (os.uname().machine + "-linux-gnu")
PEERS = {
    "hakmem": HERE.parent.parent / "build/libhakmem.so",
    "mimalloc 2": DEBIAN / "libmimalloc.so.2",
    "jemalloc": DEBIAN / "libjemalloc.so.2",
    "tcmalloc": DEBIAN / "libtcmalloc_minimal.so.4",
}
MISSING = 77
LIMIT_SECONDS = 900


def programs_of_run():
    for line in RUN.read_text().splitlines():
        if line.startswith("programs=("):
            return line[len("programs=(") : -1].split()
    raise SystemExit(f"{RUN} lists no programs")


def environment(options, shared):
    return {
        **os.environ,
        "LC_ALL": "C",
        "HAK_PROGRAMS_SHORT": str(int(options.short)),
        "HAK_PROGRAMS_SHARED": str(shared),
        "HAK_PROGRAMS_MEASURED": "1",
    }


def measure(name, library, folder, env):
    """Output, processor seconds, KiB, elapsed seconds of one run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    with open(folder.parent / "output", "wb+") as output:
        preload = ["env", f"LD_PRELOAD={library}"] if library else []
        cost = folder.parent / "cost"
        # Through `time`, since a process that this one starts has a peak of at least its parent's.
        command = ["time", "-q", "-o", str(cost), "-f", "%U %S %M", "timeout", "--kill-after=10", str(LIMIT_SECONDS)]
        command += [*preload, "bash", str(RUN), "--inside", name]
        ended = subprocess.run(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        elapsed = time.monotonic() - start
        output.seek(0)
        text = output.read() + f"exit status {ended.returncode}\n".encode()
    user, system, kib = cost.read_text().splitlines()[-1].split()
    return text, float(user) + float(system), int(kib), elapsed


def compare(name, libraries, options, work):
    """One row of the table, and whether all was well."""
    shared = work / "shared" / name
    shared.mkdir(parents=True)
    env = environment(options, shared)
    prepared = subprocess.run(["bash", str(RUN), "--prepare", name], env=env, cwd=shared, capture_output=True, text=True)
    if prepared.returncode != 0:
        print(f"{name}: left out: {prepared.stdout.strip()[-200:]}", file=sys.stderr)
        return None, prepared.returncode == MISSING
    kinds = list(libraries)
    runs = {kind: [] for kind in kinds}
    expected, different = None, set()
    for round_number in range(options.rounds):
        turned = round_number % len(kinds)
        # The first of all is the system's, which says what is right.
        for kind in kinds[turned:] + kinds[:turned]:
            text, *cost = measure(name, libraries[kind], work / "run" / name, env)
            if expected is None:
                expected = text
                if not text.endswith(b"exit status 0\n"):
                    print(f"{name} fails with the system's malloc:\n{text.decode()[-2000:]}", file=sys.stderr)
                    return None, False
            if text != expected:
                different.add(kind)
                (work / f"{name}.{kind}.different").write_bytes(text)
                (work / f"{name}.expected").write_bytes(expected)
            runs[kind].append(cost)
    median = {kind: [statistics.median(column) for column in zip(*runs[kind])] for kind in kinds}
    seconds, kib, elapsed = median["system"]
    cells = [name, f"{seconds:.1f} s, {kib / 1024:.0f} MiB"]
    for kind in kinds[1:]:
        cell = f"{median[kind][0] / seconds:.2f} / {median[kind][1] / kib:.2f}"
        cells.append(cell + (" DIFFERENT" if kind in different else ""))
    print(f"{name}: {prepared.stdout.strip().splitlines()[-1:]}", file=sys.stderr)
    for kind in kinds:
        print(f"  {kind}: elapsed {median[kind][2]:.2f} s, runs {runs[kind]}", file=sys.stderr)
    return cells, not different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the little work that CI does")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--library", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--keep", action="store_true", help="keep the work folder")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM")
    options = parser.parse_args()
    chosen = dict(item.split("=", 1) for item in options.library) or {n: p for n, p in PEERS.items() if p.exists()}
    work = pathlib.Path(tempfile.mkdtemp())
    work.chmod(0o711)  # postgres runs as another user
    libraries = {"system": None}
    for name, path in chosen.items():
        libraries[name] = work / f"{len(libraries)}-{pathlib.Path(path).name}"
        shutil.copyfile(path, libraries[name])
        maps = subprocess.run(
            ["env", f"LD_PRELOAD={libraries[name]}", "cat", "/proc/self/maps"], capture_output=True, text=True
        )
        if str(libraries[name]) not in maps.stdout:
            raise SystemExit(f"{path} is not loaded by LD_PRELOAD: {maps.stderr}")
    well = True
    print("| program | system | " + " | ".join(list(libraries)[1:]) + " |")
    print("|" + "---|" * (len(libraries) + 1))
    for name in options.programs or programs_of_run():
        cells, right = compare(name, libraries, options, work)
        well = well and right
        if cells:
            print("| " + " | ".join(cells) + " |", flush=True)
    if options.keep or not well:
        print(f"work folder: {work}", file=sys.stderr)
    else:
        shutil.rmtree(work)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
