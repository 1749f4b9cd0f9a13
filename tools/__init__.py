"""The generators of what users install: dashboards, rules, pictures. Nothing here ships."""
