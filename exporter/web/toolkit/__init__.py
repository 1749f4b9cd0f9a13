"""Prometheus's exporter-toolkit in Python: TLS, passwords, headers and a rate limit from the web config file.

It imports nothing of the exporter, so that another exporter can take the folder as it is.
"""
