"""The benchmarks: what a scrape and a poll cost, against the usual ways of doing it."""
