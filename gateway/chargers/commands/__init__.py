"""What the gateway asks of stations on somebody's wish.

`table` says how each command is put in each version, by the functions of `ocpp16` and `ocpp2`; `asked` checks a payload
against the version's own types before it is sent; `outcome` reads the station's answer; `executor` does it, once.
"""
