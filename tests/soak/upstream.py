"""The upstream of a soak, as a process that can be killed: it does what each line of its input says.

python -m tests.soak.upstream PORT
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.upstreams import Faulty, behaviours

if TYPE_CHECKING:
    from tests.upstreams.faulty import Behaviour

HONEST = "honest"
WRONG: dict[str, Behaviour] = {
    "slow": behaviours.later(behaviours.honest, 0.4),
    "failing": behaviours.fails("SERVFAIL"),
    "refusing": behaviours.fails("REFUSED"),
    "silent": behaviours.silent,
    "truncating": behaviours.truncated,
    "talking garbage": behaviours.garbage,
    "cutting off": behaviours.cut_off,
    "giving wrong IDs": behaviours.wrong_id,
    "answering other questions": behaviours.wrong_question,
    "answering from elsewhere": behaviours.wrong_port,
}
"""What is wrong with it, in words that complete `an upstream that is …`."""


def main() -> None:
    known = {HONEST: behaviours.honest, **WRONG}
    with Faulty(behaviours.honest, port=int(sys.argv[1])) as upstream:
        print("ready", flush=True)
        for line in sys.stdin:
            upstream.behaviour = known[line.strip()]
            upstream.queries.clear()
            print("ready", flush=True)


if __name__ == "__main__":
    main()
