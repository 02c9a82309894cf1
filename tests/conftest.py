"""What holds for every test."""

import os
import signal

import pytest
from hypothesis import settings

# Failures in what the tests share show what was compared.
pytest.register_assert_rewrite("tests.cluster", "tests.followed")

# How long an example takes is the machine's business; that a test ends at all, pytest-timeout's.
settings.register_profile("clusterdns", deadline=None)
settings.load_profile("clusterdns")

# A shell that starts the tests in the background has SIGINT ignored, and so would every command that a test starts and
# interrupts: what is ignored is inherited, a handler is not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of servers are started: each would compile two hundred modules anew, which takes longer than all the rest.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
