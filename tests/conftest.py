"""What holds for every test."""

from hypothesis import settings

# How long an example takes is the machine's business; that a test ends at all, pytest-timeout's.
settings.register_profile("clusterdns", deadline=None)
settings.load_profile("clusterdns")
