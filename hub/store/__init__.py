"""The hub's SQLite database: the only importer of sqlite.

One connection in one thread writes (writer); readers are read-only (database). Nothing is answered before COMMIT.
"""
