"""One target with one engine, for so many seconds, in this process."""

from __future__ import annotations

import hashlib
import logging
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

TOO_LONG = 10.0  # seconds for one input
AT_ONCE = 200  # examples in one run of hypothesis


def with_hypothesis(target: Target, seconds: float, folder: Path) -> int:
    """How many inputs were tried. Raises what the smallest one raises that is wrong, once it is kept in the folder."""
    end, tried, failing = time.monotonic() + seconds, 0, b""

    def attempt(data: bytes) -> None:
        nonlocal tried, failing
        tried += 1
        begun = time.monotonic()
        try:
            target.check(data)
            assert time.monotonic() - begun < TOO_LONG, "it took too long"
        except BaseException:
            failing = data
            raise

    while time.monotonic() < end:
        run = given(mutated(target.examples))(attempt)
        run = settings(
            max_examples=AT_ONCE, deadline=None, database=None, suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink], print_blob=False,
        )(run)  # fmt: skip
        try:
            seed(random.randrange(1 << 32))(run)()
        except BaseException:
            keep(failing, folder)
            raise
    return tried


@st.composite
def mutated(draw: st.DrawFn, examples: list[bytes]) -> bytes:
    """An example, some of whose bytes were replaced, removed, repeated or put elsewhere; or just bytes."""
    data = bytearray(draw(st.sampled_from([*examples, b""])))
    for _ in range(draw(st.integers(0, 8))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + length] = draw(st.binary(max_size=40))
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length] * draw(st.integers(1, 20))
            case 3:
                data[at:at] = draw(st.sampled_from(ODD))
            case _:
                other = draw(st.sampled_from(examples))
                start = draw(st.integers(0, len(other)))
                data[at:at] = other[start : start + length]
    return bytes(data)


ODD = [
    b"\0", b"\xff", b"\xc0\x0c", b"\xc0\x00", b"\n", b"\r\n", b"\t", b"{", b"}", b"[", b'"', b"'", b"\\", b"*", b"&a ",
    b"<<: ", b"!!int ", b"---\n", b"null", b"-1", b"1e999", b"99999999999999999999", b"0x10", b"$", b"#", b"|", b"%",
    b"{$HOME}", b"\xc3\x28", "é".encode(), b"::", b"/33", b"..", b"import ", b"template ",
]  # fmt: skip


def with_atheris(target: str, seconds: float, folder: Path) -> None:
    """Ends the process: with 0 if nothing was found, and what it was is kept in the folder."""
    import atheris

    with atheris.instrument_imports(include=["clusterdns"]):
        from tests.fuzz.targets import TARGETS
    found = TARGETS[target]
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for each in found.examples:
        (corpus / hashlib.sha256(each).hexdigest()[:16]).write_bytes(each)
    arguments = [
        sys.argv[0], f"-max_total_time={seconds:.0f}", f"-timeout={TOO_LONG:.0f}", "-max_len=65535",
        "-rss_limit_mb=2000", "-print_final_stats=1", f"-artifact_prefix={folder}/", str(corpus),
    ]  # fmt: skip
    atheris.Setup(arguments, found.check)
    atheris.Fuzz()


def keep(data: bytes, folder: Path) -> None:
    (folder / f"found-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)


def main() -> None:
    target, engine, seconds, folder = sys.argv[1:]
    logging.getLogger("clusterdns").setLevel(logging.CRITICAL)  # it would tell of each malformed query
    if engine == "atheris":
        with_atheris(target, float(seconds), Path(folder))
    else:
        from tests.fuzz.targets import TARGETS

        print(f"Done {with_hypothesis(TARGETS[target], float(seconds), Path(folder))} runs")


if __name__ == "__main__":
    main()
