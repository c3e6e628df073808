"""The way out: `link` talks to the hub, `backoff` says how long to wait after a failure."""
