"""What a charger says in OCPP 2.1, as far as it differs from 2.0.1. Source: OCPP 2.1 edition 1 Part 2, C01, C07, E."""

from __future__ import annotations

from firmware_sim.dialect import Answer, Presented, Transaction
from firmware_sim.ocpp201 import OCPP201, token_answer
from wire.ocpp.v21 import AuthorizeAnswer, TransactionEventAnswer
from wire.records import decode


class OCPP21(OCPP201):
    """The words of OCPP 2.1: those of 2.0.1, with longer texts and answers that may say more."""

    version = "2.1"
    subprotocol = "ocpp2.1"

    def read_authorization(self, presented: Presented, payload: bytes) -> Answer:
        """AuthorizeResponse. Raises MalformedValue."""
        answer = decode(AuthorizeAnswer, payload, "Authorize answer")
        return token_answer(answer.id_token_info, answer.certificate_status)

    def read_delivery(self, tx: Transaction, action: str, payload: bytes) -> Answer | None:
        """TransactionEventResponse: what is thought of the token now (E05)."""
        info = decode(TransactionEventAnswer, payload, "TransactionEvent answer").id_token_info
        return None if info is None else token_answer(info)
