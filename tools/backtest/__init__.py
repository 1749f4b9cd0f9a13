"""The judge: click histories, run through promtool's rule engine, and a table of how good the alerts are."""
