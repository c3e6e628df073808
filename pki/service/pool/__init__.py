"""The pools: roots, provisioning certificates and contracts, the provisioning service that signs, and webhooks, as the
Open Plug & Charge Protocol (OPCP 1.0) describes them. docs/opcp.md says operation by operation what differs.

How to read: `pools` (the store, one act at a time), `tables`, `identities` (EMAID, PCID, namespaces), `clients` and
`tokens` (who calls, and what for); then a pool each: `roots` with `trust_lists`, `vehicles`, `contracts`, `signing`;
`endpoints`, `events` and `delivery` for webhooks; `own_pki` for what is asked of this service's own registry;
`messages` and the `*_routes` for HTTP.
"""
