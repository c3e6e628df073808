"""The way out. To the hub: `link` talks, `backoff` says how long to wait after a failure. To the PKI: `refresh` fetches
lists and answers ahead, from hosts that are `allowed`, through `download`; `evidence` says what may take the place of
what is held, `known` and `met` which CAs and certificates that is about, `staples` hands the answers out.
"""
