"""What the gateway keeps, in three SQLite files: the ledger (evidence and outbox, irreplaceable), the whitelist and the
evidence store (copies that can be fetched again). Only this package imports sqlite3.
"""
