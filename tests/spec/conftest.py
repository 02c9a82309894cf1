"""Failures in tests.cluster show what was compared."""

import pytest

pytest.register_assert_rewrite("tests.cluster")
