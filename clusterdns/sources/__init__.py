"""Where objects come from. Every source says the same: batches of events (events.py)."""
