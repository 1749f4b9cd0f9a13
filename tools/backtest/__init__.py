"""The backtest: click histories, run through promtool's rule engine, and a table of the alerts' accuracy."""
