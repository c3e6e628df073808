"""Which command is put how in which version: one literal table."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chargers.commands import ocpp2, ocpp16
from gateway.chargers.commands.asked import Asked, Facts, refuse
from gateway.errors import CommandRefused
from wire import commands
from wire.commands import Command, ResultCode
from wire.errors import WireError
from wire.ocpp import v16, v21, v201

_BOTH = frozenset({v201.VERSION, v21.VERSION})
_NEWEST = frozenset({v21.VERSION})

# Each row: the command, how 1.6 puts it (None: it cannot), how 2.x does, and which of these.
# A function takes the very command of its row, which the type of a whole table cannot say.
_Row = tuple[type[Any], Any, Any, frozenset[str]]
# fmt: off
TABLE: tuple[_Row, ...] = (
    (commands.StartSession,         ocpp16.start,               ocpp2.start,               _BOTH),
    (commands.StopSession,          ocpp16.stop,                ocpp2.stop,                _BOTH),
    (commands.ReserveNow,           ocpp16.reserve,             ocpp2.reserve,             _BOTH),
    (commands.CancelReservation,    ocpp16.cancel_reservation,  ocpp2.cancel_reservation,  _BOTH),
    (commands.UnlockConnector,      ocpp16.unlock,              ocpp2.unlock,              _BOTH),
    (commands.Reset,                ocpp16.reset,               ocpp2.reset,               _BOTH),
    (commands.ChangeAvailability,   ocpp16.availability,        ocpp2.availability,        _BOTH),
    (commands.Trigger,              ocpp16.trigger,             ocpp2.trigger,             _BOTH),
    (commands.ClearCache,           ocpp16.clear_cache,         ocpp2.clear_cache,         _BOTH),
    (commands.GetVariables,         ocpp16.get_variables,       ocpp2.get_variables,       _BOTH),
    (commands.SetVariables,         ocpp16.set_variables,       ocpp2.set_variables,       _BOTH),
    (commands.GetReport,            ocpp16.report,              ocpp2.report,              _BOTH),
    (commands.SetNetworkProfile,    None,                       ocpp2.network_profile,     _BOTH),
    (commands.UpdateFirmware,       ocpp16.firmware,            ocpp2.firmware,            _BOTH),
    (commands.GetLog,               ocpp16.log,                 ocpp2.log,                 _BOTH),
    (commands.GetTransactionStatus, None,                       ocpp2.transaction_status,  _BOTH),
    (commands.CustomerInformation,  None,                       ocpp2.customer,            _BOTH),
    (commands.DataTransfer,         ocpp16.data_transfer,       ocpp2.data_transfer,       _BOTH),
    (commands.Call,                 ocpp16.call,                ocpp2.call,                _BOTH),
    (commands.ListCertificates,     ocpp16.list_certificates,   ocpp2.list_certificates,   _BOTH),
    (commands.InstallCertificate,   ocpp16.install_certificate, ocpp2.install_certificate, _BOTH),
    (commands.DeleteCertificate,    ocpp16.delete_certificate,  ocpp2.delete_certificate,  _BOTH),
    (commands.ShowMessage,          None,                       ocpp2.show_message,        _BOTH),
    (commands.ListMessages,         None,                       ocpp2.list_messages,       _BOTH),
    (commands.ClearMessage,         None,                       ocpp2.clear_message,       _BOTH),
    (commands.ShowCost,             ocpp16.cost,                ocpp2.cost,                _BOTH),
    (commands.SetTariff,            None,                       ocpp2.set_tariff,          _NEWEST),
    (commands.GetTariffs,           None,                       ocpp2.get_tariffs,         _NEWEST),
    (commands.ClearTariffs,         None,                       ocpp2.clear_tariffs,       _NEWEST),
    (commands.WebPaymentStarted,    None,                       ocpp2.web_payment,         _NEWEST),
)
# fmt: on
_ROWS = {row[0]: row for row in TABLE}


def translate(ocpp: str, command: Command, facts: Facts) -> tuple[Asked, ...]:
    """What is sent to a station of version `ocpp`, in this order.

    Raises:
        CommandRefused: the version cannot say it, or the values are out of its bounds.
    """
    try:
        return _put(ocpp, command, facts)
    except (ArithmeticError, RecursionError, ValueError, WireError, msgspec.MsgspecError) as error:
        message = f"{command.__struct_config__.tag} cannot be put into OCPP {ocpp}: {error}"
        raise CommandRefused(ResultCode.MALFORMED, message) from error


def _put(ocpp: str, command: Command, facts: Facts) -> tuple[Asked, ...]:
    _, in_16, in_2, versions = _ROWS[type(command)]
    if ocpp == v16.VERSION and in_16 is not None:
        asked: tuple[Asked, ...] = in_16(command, facts)
        return asked
    if ocpp in versions:
        asked = in_2(ocpp, command, facts)
        return asked
    raise refuse(command, ocpp)
