"""The shape in which records lie in the file: rows in the order in which they came, their key an index beside them.

Earlier versions kept them WITHOUT ROWID. There a row above a quarter of a page, as nearly every record is, spills into
a page of its own: 4.7 KB for a record of 1 KB, where 2.2 KB do. Statements are the same for both shapes.

Rules
1. What is in the table stays letter for letter, and in one transaction: columns, rows and triggers.
2. A database of up to `RESHAPE_FREELY` records is reshaped when it is opened for writing. One of more keeps its shape
   until `pnc-hub retention --compact`: reshaping takes as much room again.
"""

from __future__ import annotations

import sqlite3

RESHAPE_FREELY = 5_000
"""Records, well below a second."""
_OLD_END = "WITHOUT ROWID"


def reshape_records(connection: sqlite3.Connection, most: int | None = RESHAPE_FREELY) -> bool:
    """Whether the records lie in the newer shape now; they keep the older one when they are more than `most`. About
    50 us a record. For the writer, outside a transaction."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'records'").fetchone()
    if not sql.endswith(_OLD_END):
        return True
    (held,) = connection.execute("SELECT coalesce(sum(acked_seq), 0) FROM gateways").fetchone()
    if most is not None and held > most:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        _reshape(connection, sql)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return True


def _reshape(connection: sqlite3.Connection, sql: str) -> None:
    triggers = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'records'"
    ).fetchall()
    connection.execute(sql.replace("records", "records_anew", 1).removesuffix(_OLD_END))
    connection.execute("INSERT INTO records_anew SELECT * FROM records ORDER BY gateway_id, epoch, seq")
    connection.execute("DROP TABLE records")
    connection.execute("ALTER TABLE records_anew RENAME TO records")
    connection.execute("CREATE INDEX records_of_session ON records (session_id) WHERE session_id IS NOT NULL")
    for (trigger,) in triggers:
        connection.execute(trigger)
