"""Roaming over OCPI: who the partners are, what is derived for them, and what is asked of them.

Rules
1. Inside, objects are documents of OCPI 2.3.0 (wire.ocpi); a partner that speaks 2.2.1 meets an adapter at the edge.
2. What is ours is derived from what gateways brought, and never the other way; what is another's is kept as it came.
3. Calls go to registered https hosts of a partner only, with that partner's token only.
"""
