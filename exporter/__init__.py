"""The exporter's package: SendGrid automation link clicks as Prometheus metrics."""
