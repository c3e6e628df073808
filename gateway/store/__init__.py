"""What the gateway keeps, in two SQLite files: the ledger (evidence and outbox, irreplaceable) and the whitelist (a
copy that can be fetched again). Only this package imports sqlite3.
"""
