"""OCPI 2.3.0 as values, with an adapter for 2.2.1: what roaming partners say to each other. Pure.

An object is met twice: as its document, the JSON that came, in which unknown fields are kept and which is what is
stored, merged by PATCH and sent on; and as its value, the typed view that rules are applied to.

    a request     headers (ids of messages), routing (from whom, to whom), authorization (the token), urls, paging
    a document    document (bytes to JSON to value), v221 (up from 2.2.1, down to it, with losses), quirks (what a
                  partner does otherwise), checks (what is wrong, and where), merge (PUT, PATCH), keys (ids)
    a value       types, tokens, locations, tariffs, sessions, commands, partners; envelope around an answer
    the tables    fields (each text's length and form), words (enumerations), shapes (what the types say), census
                  (modules and sides: docs/ocpi.md)
"""
