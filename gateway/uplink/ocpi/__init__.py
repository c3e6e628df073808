"""The uplink of a site that has no hub of ours: OCPI, spoken by the gateway itself, as a CPO with one peer.

`settings` reads [uplink.ocpi], `peer` calls the peer, `acquaintance` learns or registers what it is, `crawl` reads its
tokens, `books` makes sessions and CDRs of the ledger's records, `delivery` brings them, `uplink` puts all of it
together.
"""
