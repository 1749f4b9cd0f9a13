"""A month of clicks and of an exporter that polls them, for the pictures and the tests of the dashboards."""
