"""Reconciliation: what is wrong with a CDR, ours or a partner's, before anybody pays for it. Pure but for `judge`."""
