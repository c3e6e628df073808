"""What to do next, one sentence for each code; a code without a sentence fails the tests.

A sentence names who can act: the operator of the site, the issuer of the certificate, or whoever sent it. None of them
advises to switch a check off; where a policy switch exists, the sentence of its code names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_AUTHOR = "Ask the CA that issued this certificate to issue it again"
_FORM = {
    "empty-chain": "Send the certificates: leaf first, then its sub-CAs, each as one PEM block.",
    "size-limit": "Send only the certificates of the path; if that is what was sent, ask the issuer for smaller ones.",
    "size": "Send only the certificates of the path, and ask the issuer to keep each below the profile's size.",
    "malformed-pem": "Send plain PEM: CERTIFICATE blocks only, nothing between them, standard base64.",
    "malformed-certificate": "Fetch the certificate again from its issuer; these bytes are damaged or not DER.",
    "version": f"{_AUTHOR} as X.509 version 3.",
    "serial-number": f"{_AUTHOR} with a positive serial number of at most 20 octets.",
    "signature-algorithm-mismatch": "Do not use this certificate: it was altered or its issuer's software is broken.",
    "time-encoding": f"{_AUTHOR} with its dates in DER's one form: UTCTime to 2049, GeneralizedTime after.",
    "unique-identifier": f"{_AUTHOR} without unique identifiers.",
    "duplicate-extension": f"{_AUTHOR} with each extension once.",
}
_PROFILE = {
    "algorithm": "Check that the profile fits the generation (P-256 is -2, P-521 and Ed448 are -20); if it does, ask "
    "the issuer for a chain with the profile's one algorithm throughout.",
    "ca-flag": "Send the leaf first and only CAs after it; check that the leaf was not issued as a CA.",
    "path-length": "Ask the operator of the PKI to issue the sub-CA with the path length of its place: Sub1 1, Sub2 0.",
    "basic-constraints": f"{_AUTHOR} with a critical basicConstraints extension.",
    "key-usage": f"{_AUTHOR} with a critical keyUsage of exactly the bits that its role has.",
    "extension": f"{_AUTHOR} without this extension, or not critical where the profile permits that; "
    "extra-extension tolerates one that is not critical.",
    "extended-key-usage": f"{_AUTHOR} without an extended key usage; it is tolerated under extended-key-usage.",
    "aki-missing": f"{_AUTHOR} with an authorityKeyIdentifier, or tolerate it under aki-missing.",
    "ski-missing": f"{_AUTHOR} with a subjectKeyIdentifier, or tolerate it under ski-missing.",
    "revocation-pointer": f"{_AUTHOR} with a CRL distribution point or an OCSP address, or tolerate it under "
    "revocation-pointer-missing and supply lists yourself.",
    "subject": f"{_AUTHOR} with the subject that the profile asks for; dc-missing, organization-missing and "
    "subject-attribute tolerate what is only missing or added.",
    "emaid-format": "Check that this is a contract certificate; if it is, ask the mobility operator to put the EMAID "
    "into the common name.",
    "emaid-check-character": "Ask the mobility operator to correct the last character of the EMAID; the account is "
    "told by the 14 before it.",
    "evseid-format": "Correct the EVSEID, unless the operator names its chargers by a CPID; it does no harm then.",
    "seccid-format": f"{_AUTHOR} with the SECCID of the charger as its common name.",
    "evccid-format": f"{_AUTHOR} with the EVCCID of the car as its common name.",
    "pcid-format": f"{_AUTHOR} with the PCID of the car as its common name.",
}
_PATH = {
    "depth": "Send the leaf and its one or two sub-CAs; if they were sent, the PKI has another shape than the profile.",
    "duplicate": "Send each certificate once.",
    "chain-order": "Ask whoever sends the chain to send leaf, Sub2, Sub1; it does no harm where it is tolerated.",
    "unused-certificate": "Ask whoever sends the chain to leave it out; it does no harm where it is tolerated.",
    "name-chain": "Send the sub-CAs that issued this leaf; these belong to another branch or another key of that CA.",
    "anchor-unknown": "Get the root of this chain from its operator over a trusted channel and, if it is to be "
    "trusted, put it into the trust folder of its role.",
    "anchor-role": "Check the profile, and for which role the root is held: a private one only by name (pe). If both "
    "are right, do not use this certificate: its root does not stand for it.",
    "signature": "Do not use this chain: it is forged or damaged. Fetch it again, and report it if that does not help.",
    "expired": "Renew the certificate that expired; check the clock if its date has not come yet.",
    "not-yet-valid": "Check the clock; if it is right, wait until the certificate becomes valid.",
    "outlives-issuer": "Ask the issuer to end certificates with its own; lifetime-outside-issuer tolerates it.",
    "link-lifetime": "Ask the root CA for a link certificate that ends with the root that it certifies.",
    "emaid-mismatch": "Check which contract the car presents: the request and the certificate name different accounts.",
    "second-opinion": "Keep the chain and report it: two engines disagree about it, and that must be solved first.",
    "unsupported": "Use a chain without this feature: it is known but not processed here, so it is never accepted.",
    "budget": "Send fewer certificates: those of the path and no others.",
    "name-constraints": "Ask the issuer for a certificate whose names lie inside what its CAs are constrained to.",
    "policy": "Ask the issuer for a path with one valid certificate policy throughout.",
    "unusable-certificate": "Ask whoever sends the chain to leave it out; it cannot be read, and is not needed.",
    "time-form": f"{_AUTHOR} with UTCTime through 2049; it is read either way.",
    "key-identifier": f"{_AUTHOR} with key identifiers as RFC 5280 asks for them.",
}
_REVOCATION = {
    "revoked": "Do not accept this certificate; the holder must ask its issuer for a new one.",
    "revocation-unknown": "Supply the CRLs (--crl) or OCSP answers (--ocsp) of every CA on the path.",
    "revocation-stale": "Fetch the CRLs or OCSP answers again: those at hand are older than their issuers allow.",
    "crl-unusable": "Fetch this CRL again from its CA; see its reason, and replace it if that stays.",
    "crl-signature": "Fetch the CRL again from its CA; this one was altered or signed with another key.",
    "crl-issuer": "Supply the CRL of the CA that issued the certificate; this one is another CA's.",
    "crl-key-usage": "Ask the operator of the PKI for a CA certificate that may sign CRLs.",
    "crl-dates": "Fetch the CRL again, and check the clock; this one has no dates that can be used.",
    "crl-extension": "Ask the CA for a complete CRL without unknown critical extensions.",
    "crl-scope": "Ask the CA for a CRL that covers all its certificates and all reasons.",
    "crl-number": "Supply the newest CRL of that CA; this one is older than one that was seen already.",
    "ocsp-unusable": "Fetch the OCSP answer again from the responder of that CA; see its reason.",
    "ocsp-status": "Ask the responder again later; it answered that it cannot answer.",
    "ocsp-issuer": "Ask for the certificate by the identifiers of the CA that issued it; this answer is about another.",
    "ocsp-responder": "Ask the operator of the PKI: the responder may not answer for that CA.",
    "ocsp-signature": "Fetch the OCSP answer again; this one was altered or signed with another key.",
    "ocsp-dates": "Fetch the OCSP answer again, and check the clock; this one is not for this instant.",
    "ocsp-nonce": "Ask again; the answer belongs to another request.",
    "ocsp-extension": "Ask the responder's operator for answers without unknown critical extensions.",
    "ocsp-unknown": "Ask the responder of the CA that issued the certificate; this one does not know it.",
    "crl-invalid": "Ask the CA for a CRL as RFC 5280 asks for it; this one cannot be used, and no other speaks.",
    "revocation-grace": "Restore the way to the CRLs or responders before the leave to go on without them ends.",
}
_INPUT = {
    "anchor-malformed": "Replace the anchor by one PEM or DER root certificate as its operator publishes it.",
    "trust-folder": "Point --trust to a folder that can be read and holds v2g/, mo/, oem/ or PEM files.",
    "trust-file": "Take what is no root out of the trust folder; roots lie in v2g/, mo/, oem/, pe/ and backend/.",
    "trust-empty": "Put at least one root certificate into the trust folder.",
    "crl-file": "Point --crl to CRL files, PEM or DER, or to a folder of them.",
    "malformed-crl": "Fetch the CRL again from its CA; these bytes are damaged or no CRL.",
    "malformed-ocsp": "Fetch the OCSP answer again; in a batch it must be base64 of DER.",
    "malformed-instant": "Write the instant with its offset, like 2026-11-23T00:00:00Z.",
    "malformed-request": "Correct the line: one JSON object with id, chain, trust and at.",
    "unknown-profile": "Use one of the profile names that the message lists.",
    "unknown-switch": "Use one of the policy switches that the message lists.",
    "unreadable": "Check the path and the permissions of the file.",
}
_HASHES = {
    "malformed-hash-data": "Correct the field that the message names: the charger writes it in no form that is known.",
    "hash-data-count": "Let the charger send the hash data of leaf, Sub2 and Sub1, and nothing else.",
    "binding-unknown": "Let the charger send the certificate chain itself once; from then on its hashes are known.",
    "hash-data-ambiguous": "Let the charger send the certificate chain, or its serial numbers in hexadecimal with 0x.",
    "hash-data-foreign": "Let the charger send the certificate chain: these entries belong to different chains.",
}
_ROOT_LIST = {
    "trust-list-size": "Ask the operator of the root pool; a list of this size is not one of roots.",
    "trust-list-malformed": "Fetch the list again from its root pool; these bytes are damaged or something else.",
    "trust-list-signer": "Check that the backend root held here is the root pool's own, and fetch the list again.",
    "trust-list-signature": "Fetch the list again; this one was altered or signed with another key.",
    "trust-list-old": "Ask the root pool's operator: a list older than the last one was served, perhaps from a backup.",
    "trust-list-not-yet-valid": "Check the clock; this list was issued later than now.",
    "trust-list-expired": "Fetch the list again, and check the clock; else the root pool has stopped signing.",
    "trust-list-root": "Ask the root pool's operator to take the entry that the message names out of the list.",
}
_ALL = {**_FORM, **_PROFILE, **_PATH, **_REVOCATION, **_INPUT, **_HASHES, **_ROOT_LIST}
REMEDIES: Mapping[str, str] = MappingProxyType(_ALL)
"""Code to sentence, for every code in certs/README.md."""

_ACCEPTED = "Nothing must be done."


def remedy(code: str) -> str:
    """What to do about a code, one sentence or two; "accepted" needs nothing. A code without one sends to its list."""
    if code == "accepted":
        return _ACCEPTED
    return REMEDIES.get(code, f"Look up {code} in certs/README.md.")
