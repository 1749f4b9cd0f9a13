"""Turning samples into the bytes of a scrape: pure functions over values."""
