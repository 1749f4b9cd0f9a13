"""The figures, a module for each question."""
