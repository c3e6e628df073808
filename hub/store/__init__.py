"""The hub's database, SQLite or PostgreSQL: the only importer of either (engine says what both must be).

Connections in threads of their own write (writer); readers are read-only (database). Nothing is answered before COMMIT.
"""
