"""What makes the assets that a user takes: dashboards, pictures, rules, documents. Nothing here ships."""
