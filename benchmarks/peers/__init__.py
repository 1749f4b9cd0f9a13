"""The usual ways to expose the same links, each in a process of its own."""
