"""Draw the dashboards with Grafana's own components over a sample month in a real Prometheus."""
