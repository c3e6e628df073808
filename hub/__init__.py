"""The hub: where the evidence of many sites arrives, becomes sessions and charge detail records, and is read.

Reading order: ingest (what a record changes), settle (a session becomes a CDR), tokens (the whitelist and the answer to
an authorization), store (SQLite, one writer), web (sync with gateways, API for operators), __main__ (puts it together).
"""
