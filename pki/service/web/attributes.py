"""What a client is told to put into its request (EST csrattrs): the kind of key and the hash.

Nothing else of a request counts but its common name, which a client must know by itself.

Source: RFC 7030 4.5.2; RFC 9908 for how it is meant.
"""

from __future__ import annotations

from collections.abc import Collection

from pki.issue.der_writer import object_identifier, sequence, set_of
from pki.public_key import KeyKind

_EC_KEY = "1.2.840.10045.2.1"
_CURVES = {KeyKind.P256: "1.2.840.10045.3.1.7", KeyKind.P521: "1.3.132.0.35"}
_ALGORITHMS = {
    KeyKind.P256: "1.2.840.10045.4.3.2",
    KeyKind.P521: "1.2.840.10045.4.3.4",
    KeyKind.ED448: "1.3.101.113",
}


def csr_attributes(kinds: Collection[KeyKind]) -> bytes:
    """The DER of CsrAttrs where keys of these kinds are taken: the curves, and for each kind the signature algorithm
    that goes with it (for Ed448 one identifier says both)."""
    elements: list[bytes] = []
    curves = [_CURVES[kind] for kind in sorted(kinds) if kind in _CURVES]
    if curves:
        elements.append(sequence(object_identifier(_EC_KEY), set_of(*sorted(map(object_identifier, curves)))))
    elements += [object_identifier(_ALGORITHMS[kind]) for kind in sorted(kinds)]
    return sequence(*elements)
