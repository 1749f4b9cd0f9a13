"""What watches the exporter: rules, the source they are generated from, and the judge of their quality."""
