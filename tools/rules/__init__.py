"""The source of the rule files in prometheus/rules: PromQL that dashboards can share."""
