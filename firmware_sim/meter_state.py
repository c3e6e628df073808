"""What a meter keeps in its folder: its state, its journal of everything it signed, and the keys on its housings.

The journal decides. A state that is older than the journal's last line is brought up to it; a torn line never left the
meter.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path

import msgspec

from firmware_sim.lines import append_lines, cut_torn_line, journal_lines, kept, load_value, save_value
from wire.errors import MalformedValue, MeterRecordError
from wire.meter.draft import MeterPrivateKey, ReadingDraft, derive_private_key
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.record import PaginationContext, ReadingReason
from wire.records import Value, decode

KEY_FILE = "meter.pub"
"""The meter's public key, SubjectPublicKeyInfo as hex: what a real meter bears on its housing."""
KEY_FILES = "meter*.pub"
"""The same, and those of the meters that were here before."""

_SECRET_BITS = 190
"""Below the order of every curve that meters sign on."""


class OpenTransaction(Value, frozen=True, kw_only=True):
    """A transaction whose end is not signed: when and at which counts it began, how many readings were taken since,
    whether its tariff has changed, and, where one record holds all, the readings so far."""

    number: int
    began_at: datetime
    begin_mwh: int
    begin_loss_mwh: int
    readings_taken: int = 0
    tariff_changed: bool = False
    readings: tuple[ReadingDraft, ...] = ()


class MeterLine(Value, frozen=True, kw_only=True):
    """One line of a meter's journal: a record that was signed, whoever got to see it.

    `ocmf` is its exact text in `encoding`; `context` and `pagination` are the page as the record states it, `meter` the
    serial of the meter that signed. `register_mwh` and `loss_mwh` are what it had counted, `transaction` the one that
    the record belongs to. `faults` name what the meter did wrong.
    """

    charger_id: str
    meter: str
    context: PaginationContext
    pagination: int
    sha256: str
    ocmf: str
    at: datetime
    reason: ReadingReason
    register_mwh: int
    loss_mwh: int
    transaction: OpenTransaction | None = None
    encoding: str = "utf-8"
    faults: tuple[str, ...] = ()

    @property
    def record(self) -> bytes:
        """The exact bytes that were signed and written."""
        return self.ocmf.encode(self.encoding)

    @property
    def page(self) -> str:
        """PG as the record states it."""
        return f"{self.context.value}{self.pagination}"


class RetiredMeter(Value, frozen=True, kw_only=True):
    """A meter that was swapped out: its serial, and its key as hex."""

    serial: str
    public_key: str


class MeterState(Value, frozen=True, kw_only=True):
    """Where a meter stands. `lines` is how long the journal was then, `signed` how many of it are this meter's; the
    pages are the last number of each counter, `retired` the meters that were here before."""

    serial: str
    curve: str
    secret: str
    register_mwh: int
    loss_mwh: int = 0
    transaction_page: int = 0
    fiscal_page: int = 0
    signed: int = 0
    transactions: int = 0
    lines: int = 0
    transaction: OpenTransaction | None = None
    retired: tuple[RetiredMeter, ...] = ()

    @property
    def key(self) -> MeterPrivateKey:
        """The private key. Raises MeterRecordError, ValueError: it is none."""
        return derive_private_key(self.curve, int(self.secret, 16))

    def page(self, context: PaginationContext) -> int:
        """The number that the counter stands at."""
        return self.transaction_page if context is PaginationContext.TRANSACTION else self.fiscal_page

    def after(self, line: MeterLine) -> MeterState:
        """The state once this record is in the journal."""
        is_fiscal = line.context is PaginationContext.FISCAL
        return msgspec.structs.replace(
            self,
            register_mwh=max(self.register_mwh, line.register_mwh),
            loss_mwh=max(self.loss_mwh, line.loss_mwh),
            transaction_page=self.transaction_page if is_fiscal else line.pagination,
            fiscal_page=line.pagination if is_fiscal else self.fiscal_page,
            signed=self.signed + 1,
            transactions=max(self.transactions, 0 if line.transaction is None else line.transaction.number),
            lines=self.lines + 1,
            transaction=None if line.reason.is_end else line.transaction,
        )


def new_state(serial: str, curve: str, register_mwh: int, before: MeterState | None = None) -> MeterState:
    """A meter that has signed nothing, with a key of its own; `before` is the one in whose place it comes."""
    made = MeterState(
        serial=serial, curve=curve, secret=f"{secrets.randbits(_SECRET_BITS) | 1:x}", register_mwh=register_mwh
    )
    if before is None:
        return made
    gone = RetiredMeter(serial=before.serial, public_key=public_key_of(before.key.public_key()).spki.hex())
    return msgspec.structs.replace(
        made, lines=before.lines, transactions=before.transactions, retired=(*before.retired, gone)
    )


class MeterFolder:
    """`meter.json`, `meter.jsonl` and the keys in `folder`, which is made if need be. What is written is on the disk at
    once if `durable`.

    Every method raises StateError: no access. MalformedValue: a file is there and cannot be read.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder, self._durable = folder, durable
        self._state_path, self.journal_path = folder / "meter.json", folder / "meter.jsonl"
        with kept(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> MeterState | None:
        """The state as of the journal's last line; None for a folder without a meter."""
        state = load_value(MeterState, self._state_path)
        cut_torn_line(self.journal_path)
        lines = self.lines()
        if state is None:
            return None
        for line in lines[state.lines :]:
            if line.meter != state.serial:
                found = f"a record of meter {line.meter}; {self._state_path} is that of {state.serial}"
                raise MalformedValue(str(self.journal_path), "$.meter", found)
            state = state.after(line)
        try:
            state.key.public_key()
        except (MeterRecordError, ValueError) as error:
            raise MalformedValue(str(self._state_path), "$.secret", f"no key on {state.curve}: {error}") from error
        return state

    def save(self, state: MeterState) -> None:
        """Replaces the state."""
        save_value(self._state_path, state, mode=0o600, sync=self._durable)

    def append(self, line: MeterLine) -> None:
        """Adds a record."""
        append_lines(self.journal_path, line, sync=self._durable)

    def lines(self) -> tuple[MeterLine, ...]:
        """Every record, in the order of signing."""
        return load_meter_journal(self.journal_path)

    def show_keys(self, key: PublicKey, state: MeterState) -> None:
        """Writes the key of the meter, and for each that was here before `meter-N.pub`, counted from 1."""
        shown = {KEY_FILE: key.spki.hex()}
        shown |= {f"meter-{number}.pub": gone.public_key for number, gone in enumerate(state.retired, start=1)}
        for name, text in shown.items():
            with kept(self._folder / name):
                (self._folder / name).write_text(f"{text}\n", "ascii")


def load_meter_journal(path: Path) -> tuple[MeterLine, ...]:
    """Every record a meter signed, in order; empty when there is no journal yet.

    Raises:
        MalformedValue: a line cannot be read; names file and line. StateError: no access.
    """
    return tuple(decode(MeterLine, line, f"{path} line {number}") for number, line in journal_lines(path))
