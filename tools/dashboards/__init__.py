"""Generate the Grafana dashboards; their JSON is committed in `grafana/dashboards/`."""
