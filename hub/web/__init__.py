"""The hub's two HTTPS servers: sync for gateways (mutual TLS) and the API for operators (bearer tokens)."""
