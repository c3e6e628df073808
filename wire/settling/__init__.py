"""Sessions and charge detail records, derived from records of evidence. Pure; the hub does it for its gateways, and a
gateway that speaks OCPI itself does it for its own site, by the same rules.

`arrival` reads a record, `ingest` says what it changes in what is held (`holdings`), `settle` makes the CDR of a
session that is over, `signed` and `judging` say what its signed values come to, `timeline` and `billing` what it costs
by the tariff that was pinned (`tariffs`); `objects` makes sessions and CDRs of OCPI of them.
"""
