"""Revocation lists, OCSP answers and lists of roots, fetched once for all gateways. A cache, and never an authority."""
