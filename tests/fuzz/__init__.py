"""Mutated input from outside, for a bounded time: `python -m tests.fuzz --help`.

    targets: what is fed with bytes, and what must be true of whatever they are
    one: a target with one of two engines, in a process of its own: hypothesis mutates examples and makes the finding
        small; atheris mutates towards code that was not reached before
    __main__: all of them, one after the other, and a table of what was found

A finding is kept as a file, which `python -m tests.fuzz --reproduce TARGET FILE` runs again; once mended, it is a test.
"""
