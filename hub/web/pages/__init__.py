"""Pages for a browser: what the hub holds, for people with a name and a role, and the few acts that they may do.

Reading order: `site` (the routes with what each asks for), `guard` (who asks, and whether the act was meant),
`sign_in`, `tables` (lists that sort, filter and page by their URL), then one module for each kind of thing.

Rules
1. Pages are whole HTML made here: no script, nothing from elsewhere, every text escaped by the template engine.
2. A page reads; only a POST with the token of its form changes something, and what it does stands in the audit log
   before it is done.
3. Instants are shown in the zone of `[pages] time_zone`, which stands beside each.
"""
