from benchmarks.profiling import summed

STACKS = [
    "main (benchmarks/api.py:3);poll (exporter/poller.py:70);Page.parse (exporter/sendgrid/wire.py:12) 6",
    "poll (exporter/poller.py:70);Page.parse (exporter/sendgrid/wire.py:19) 2",
    "poll (exporter/poller.py:70);send (http/client.py:9) 2",
    "work (exporter/workers.py:9);Condition.wait (threading.py:320) 90",
]


def test_samples_are_added_up_by_function_and_by_package_without_those_that_wait():
    profile = summed(STACKS)

    assert profile.samples == 10
    assert profile.by_function == [("Page.parse (exporter/sendgrid/wire.py)", 8), ("send (http/client.py)", 2)]
    assert profile.by_package == [("exporter.sendgrid", 8), ("http", 2)]


def test_tables_show_shares():
    text = summed(STACKS).to_markdown("One sweep")

    assert text.startswith("**One sweep** (10 samples)")
    assert "| `send (http/client.py)` | 20% |" in text
