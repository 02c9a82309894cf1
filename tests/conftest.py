"""What holds for every test."""

import pytest
from hypothesis import settings

# Failures in what the tests share show what was compared.
pytest.register_assert_rewrite("tests.cluster", "tests.followed")

# How long an example takes is the machine's business; that a test ends at all, pytest-timeout's.
settings.register_profile("clusterdns", deadline=None)
settings.load_profile("clusterdns")
