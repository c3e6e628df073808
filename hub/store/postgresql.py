"""PostgreSQL behind the hub's store: connections that look like SQLite's, for the threads that write and read.

Rules
1. A connection has an event loop of its own, and belongs to one thread at a time: a statement is one call that waits.
2. What is acknowledged was flushed: `fsync` and `synchronous_commit` are asked for at every connect, and a server that
   has them off is refused, as SQLite's settings are (hub.store.connection).
3. A transaction that may write is SERIALIZABLE: many processes on many machines have what the one writer of SQLite has.
   One that collides with another is undone and run again by hub.store.writer.
4. A server that cannot be reached is asked again later and later, up to MAX_PAUSE_S; whoever comes before that is told
   at once. A connection that is lost is never used again.
5. A URL may hold a password: no message says more of it than `PostgreSQL.place`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from hub.errors import StoreError
from hub.store.dialect import ESCAPE, escaped, migration, numbered, unescaped
from hub.store.engine import Away, Collision, Value
from hub.store.schema import BEFORE_POSTGRESQL, MIGRATIONS, ON_POSTGRESQL

if TYPE_CHECKING:
    from hub.store.intake import Intake

T = TypeVar("T")
CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 60.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 5.0
MAX_PREPARED = 256
LEAST_VERSION = 14
CHANNEL = "pnc_hub"
LEAST_CONNECTIONS = 6
_MIGRATING = 0x706E6368
"""The number of the advisory lock under which tables are changed."""
_BEGIN = {
    "BEGIN IMMEDIATE": "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "BEGIN": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
_REQUIRED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "server_encoding": "UTF8"}
_SETTINGS = {
    "application_name": "pnc-hub",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "60000",
}
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the connection was cut in the middle of an answer
)
_COLLIDED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)


class Telling:
    """Turns what asyncpg raises inside a `with` into errors of the store."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _COLLIDED):
            raise Collision(f"{self._place}: met another transaction: {error}") from error
        if isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)):
            raise Away(f"{self._place}: the connection is lost: {error}") from error
        if isinstance(error, OSError | asyncio.IncompleteReadError | TimeoutError):
            raise Away(f"{self._place}: cannot be reached: {str(error) or type(error).__name__}") from error
        if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
            raise StoreError(f"{self._place}: the database refused: {error}") from error


@dataclass(slots=True)
class _Rows:
    """What a statement found, all of it."""

    rows: Iterator[tuple[Any, ...]]
    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(self.rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left."""
        return list(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.rows


class PostgreSQLConnection:
    """One connection, for one thread at a time. Made by `PostgreSQL`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: asyncpg.Connection, place: str) -> None:
        self._loop, self._connection, self._telling = loop, connection, Telling(place)
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and has not ended."""
        return not self._connection.is_closed() and self._connection.is_in_transaction()

    def execute(self, sql: str, parameters: Sequence[Value] = (), /) -> _Rows:
        """What the statement finds. Raises StoreError: Collision, Away, or what was refused."""
        with self._telling:
            return self._loop.run_until_complete(self._execute(sql, parameters))

    async def _execute(self, sql: str, parameters: Sequence[Value]) -> _Rows:
        if not parameters and sql.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")):
            await self._connection.execute(_BEGIN.get(sql, sql))
            return _Rows(iter(()), -1)
        statement = self._prepared.get(sql)
        if statement is None:
            statement = await self._connection.prepare(numbered(sql))
            if len(self._prepared) >= MAX_PREPARED:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[sql] = statement
        rows = await statement.fetch(*_given(parameters))
        count = statement.get_statusmsg().rpartition(" ")[2]
        return _Rows(map(_read, rows), int(count) if count.isdigit() else -1)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Value]], /) -> _Rows:
        """Run the statement once for each sequence of values, in one go. Raises StoreError."""
        rows = [_given(each) for each in parameters]
        if rows:
            with self._telling:
                self._loop.run_until_complete(self._connection.executemany(numbered(sql), rows))
        return _Rows(iter(()), len(rows))

    def run_script(self, script: str) -> None:
        """Run statements without values, as they are. Raises StoreError."""
        if script:
            with self._telling:
                self._loop.run_until_complete(self._connection.execute(script))

    def close(self) -> None:
        """End the connection; one that hangs is cut."""
        self._prepared.clear()
        try:
            if not self._connection.is_closed():
                self._loop.run_until_complete(_ended(self._connection))
        finally:
            self._loop.close()


async def _ended(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2.0)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _given(parameters: Sequence[Value]) -> list[Value]:
    return [escaped(value) if type(value) is str else value for value in parameters]


def _read(row: asyncpg.Record) -> tuple[Any, ...]:
    return tuple([unescaped(value) if type(value) is str and ESCAPE in value else value for value in row])


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """Let a new connection be as ours are: sums are integers. Raises StoreError where rule 2 does not hold."""
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    for name, required in _REQUIRED.items():
        found = await connection.fetchval(f"SHOW {name}")
        if found != required:
            raise StoreError(f"PostgreSQL has {name} = {found!r}, it must be {required!r}: what is stored may be lost")
    if connection.get_server_version().major < LEAST_VERSION:
        raise StoreError(f"PostgreSQL {connection.get_server_version().major} is too old, {LEAST_VERSION} is needed")


@dataclass(slots=True)
class _Pause:
    """Rule 4."""

    until: float = 0.0
    length_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def require_over(self, place: str) -> None:
        left_s = self.until - time.monotonic()
        if left_s > 0:
            raise Away(f"{place}: cannot be reached; it is asked again in {left_s:.1f} s")

    def failed(self) -> None:
        with self.lock:
            self.length_s = min(MAX_PAUSE_S, max(FIRST_PAUSE_S, 2 * self.length_s))
            self.until = time.monotonic() + self.length_s

    def succeeded(self) -> None:
        with self.lock:
            self.until = self.length_s = 0.0


class PostgreSQL:
    """A database on a server. One of them for a process; its methods may be called from any thread."""

    is_shared = True

    def __init__(self, url: str, *, connections: int = LEAST_CONNECTIONS) -> None:
        """At most `connections` are opened at a time: one derives, one listens, one makes a snapshot of the token list,
        some write and read, and the rest, which is most of them, takes batches in."""
        self.url = url
        self.writers = self.readers = 2 if connections >= 2 * LEAST_CONNECTIONS else 1
        self.intake = connections - self.writers - self.readers - 3
        parts = urlsplit(url)
        self.place = f"PostgreSQL {parts.hostname or 'on a socket'}{parts.path}"
        self._pause = _Pause()

    def open_writer(self) -> PostgreSQLConnection:
        """A connection, the tables brought to the newest version by whoever comes first. Raises StoreError."""
        connection = self._open()
        try:
            _migrate(connection, self.place)
        except StoreError:
            connection.close()
            raise
        return connection

    def open_reader(self) -> PostgreSQLConnection:
        """A connection to tables that are there already. Raises StoreError."""
        connection = self._open()
        try:
            version = _version(connection)
            if version != len(MIGRATIONS):
                raise StoreError(f"{self.place}: tables of version {version}, this program reads {len(MIGRATIONS)}")
        except StoreError:
            connection.close()
            raise
        return connection

    def empty_log(self) -> bool:
        """True: what was let go is overwritten by the server, as its own vacuum and checkpoints come to it."""
        return True

    def open_intake(self) -> Intake:
        """What takes batches in. For the running loop."""
        from hub.store.intake import Intake

        return Intake(self, self.intake)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with what is notified on CHANNEL, and with "" after each connect; for ever."""
        while True:
            try:
                connection = await self.connect()
            except StoreError:
                await asyncio.sleep(MAX_PAUSE_S)
                continue
            try:
                await self._heard_on(connection, heard)
            except StoreError:
                continue
            finally:
                connection.terminate()

    async def _heard_on(self, connection: asyncpg.Connection, heard: Callable[[str], None]) -> None:
        """Listen on one connection until it ends."""
        ended = asyncio.Event()
        with Telling(self.place):
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(CHANNEL, lambda _, pid, channel, payload: heard(str(payload)))
        heard("")
        await ended.wait()

    async def pool(self, size: int) -> asyncpg.Pool:
        """Connections of the running loop, at most `size`. Nothing is reset between two users: ours change nothing."""
        return await asyncpg.create_pool(
            self.url,
            min_size=0,
            max_size=size,
            init=prepare_connection,
            reset=_keep,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            server_settings=_SETTINGS,
        )

    async def connect(self) -> asyncpg.Connection:
        """A connection of the running loop, as `open_reader` makes them. Raises StoreError."""
        return await self.attempt(self._connected())

    async def attempt(self, connecting: Awaitable[T]) -> T:
        """What connecting comes to. Rule 4. Raises StoreError."""
        try:
            self._pause.require_over(self.place)
        except Away:
            if isinstance(connecting, Coroutine):
                connecting.close()
            raise
        try:
            with Telling(self.place):
                result = await connecting
        except Away:
            self._pause.failed()
            raise
        self._pause.succeeded()
        return result

    async def _connected(self) -> asyncpg.Connection:
        connection: asyncpg.Connection = await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            statement_cache_size=0,
            server_settings=_SETTINGS,
        )
        try:
            await prepare_connection(connection)
        except StoreError:
            await connection.close()
            raise
        return connection

    def _open(self) -> PostgreSQLConnection:
        loop = asyncio.new_event_loop()
        try:
            return PostgreSQLConnection(loop, loop.run_until_complete(self.connect()), self.place)
        except (StoreError, ValueError) as error:
            loop.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"store.url: {type(error).__name__}: it is no URL of a PostgreSQL database") from error


async def _keep(connection: asyncpg.Connection) -> None:
    """Leave a connection as it is."""


def _version(connection: PostgreSQLConnection) -> int:
    """The version of the tables; 0 without any."""
    if connection.execute("SELECT to_regclass('hub_schema') IS NULL").fetchall() == [(True,)]:
        return 0
    return int(connection.execute("SELECT version FROM hub_schema").fetchall()[0][0])


def _migrate(connection: PostgreSQLConnection, place: str) -> None:
    """Bring the tables to the newest version, once, whoever comes at the same time."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.run_script("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(f"{place}: tables of version {version}, this program knows up to {len(MIGRATIONS)}")
    if version == 0:
        connection.run_script("CREATE TABLE hub_schema (version bigint NOT NULL); INSERT INTO hub_schema VALUES (0)")
    for number in range(version, len(MIGRATIONS)):
        script = migration(MIGRATIONS[number], before_postgresql=number < BEFORE_POSTGRESQL)
        connection.run_script(script + ON_POSTGRESQL.get(number, ""))
    connection.execute("UPDATE hub_schema SET version = ?", (len(MIGRATIONS),))
    connection.run_script("COMMIT")
