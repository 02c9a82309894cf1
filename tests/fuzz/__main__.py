"""Feeds whatever reads input from outside with mutated input, each for so many seconds and with each engine.

What is wrong is kept as a file, with what was said about it; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ENGINES = ("hypothesis", "atheris")
SPARE = 180.0  # seconds more than were asked for, to start and to make a finding small on a busy machine
REPOSITORY = Path(__file__).parents[2]


def fuzz(target: str, engine: str, seconds: float, folder: Path) -> tuple[str, bool]:
    """A row of the table, and whether all is well."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.fuzz.one", target, engine, str(seconds), str(folder)]
    begun = time.monotonic()
    log = folder / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
        try:
            code = running.wait(seconds + SPARE)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()
    text = log.read_text(errors="replace")
    runs = re.findall(r"Done (\d+) runs|stat::number_of_executed_units:\s+(\d+)", text)
    tried = f"{int(''.join(runs[-1])):,}" if runs else ""
    told = "nothing" if code == 0 else f"**{_reason(text)}**, in {folder}"
    return f"| {target} | {engine} | {time.monotonic() - begun:.0f} | {tried} | {told} |", code == 0


def _reason(text: str) -> str:
    lines = [
        each.strip()
        for each in text.splitlines()
        if re.match(r"\s*[\w.]*(Error|Exception|Exit)\b|.*ERROR: libFuzzer", each)
    ]
    return (lines[-1] if lines else "it did not end")[:200].replace("|", "/")


def reproduce(target: str, file: Path) -> int:
    from tests.fuzz.targets import TARGETS

    try:
        TARGETS[target].check(file.read_bytes())
    except Exception:  # noqa: BLE001 - whatever it is, it is shown
        traceback.print_exc()
        return 1
    print("nothing is wrong with it")
    return 0


def main() -> int:
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=float, default=60, metavar="N", help="for each target and engine (%(default)s)")
    add("--target", action="append", choices=list(TARGETS), help="only this one; repeatable")
    add("--engine", action="append", choices=ENGINES, help="only this one")
    add("--reproduce", nargs=2, metavar=("TARGET", "FILE"), help="run a finding again, and nothing else")
    args = parser.parse_args()
    if args.reproduce:
        target, file = args.reproduce
        if target not in TARGETS or not Path(file).is_file():
            parser.error(f"--reproduce takes one of {', '.join(TARGETS)}, and a file")
        return reproduce(target, Path(file))
    if args.seconds <= 0:
        parser.error("--seconds is more than 0")
    engines = args.engine or ENGINES
    if "atheris" in engines and importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed here, so only hypothesis mutates", file=sys.stderr)
        engines = [each for each in engines if each != "atheris"]
    folder = Path(tempfile.mkdtemp(prefix="clusterdns-fuzz-"))
    print("| target | engine | seconds | inputs | found |\n|---|---|--:|--:|---|", flush=True)
    is_well = True
    for target in args.target or TARGETS:
        for engine in engines:
            row, was_well = fuzz(target, engine, args.seconds, folder / target.replace(" ", "-") / engine)
            is_well &= was_well
            print(row, flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
