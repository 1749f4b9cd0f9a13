"""The web server: metrics, health, reload and the landing page over HTTP and HTTPS."""
