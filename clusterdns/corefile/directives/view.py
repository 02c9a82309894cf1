"""`view`: which queries a server block is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdns.around.expressions import NotAnExpression, condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clusterdns.corefile.directives.surroundings import Surroundings
    from clusterdns.corefile.reading import Reading
    from clusterdns.corefile.settings import Settings


def view(readings: Sequence[Reading], _: Surroundings) -> Settings:
    conditions: list[str] = []
    for reading in readings:
        reading.count("a name", 1, 1)
        for line in reading.lines():
            if line.keyword != "expr":
                line.unsupported()
            elif line.count("an expression", 1):
                conditions += _condition(line)
        reading.understood(*reading.words, *conditions)
    return {"view.name": " ".join(readings[-1].words), "view.conditions": conditions}


def _condition(line: Reading) -> list[str]:
    text = " ".join(line.words)
    if "metadata(" in text:
        line.unsupported("metadata()")
        return []
    try:
        condition(text)
    except NotAnExpression as error:
        line.fault(str(error))
        return []
    return [text]
