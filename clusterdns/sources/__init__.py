"""Where objects come from. Every source says the same: batches of events (events.py)."""


class NoCredentials(Exception):
    """There is nothing to reach an API server with; the message says what was looked for, and where.

    It stands here so that whoever catches it need not load what only a cluster takes.
    """
