"""The signed list of roots: CMS SignedData over the content that `pki.verify.trust_list` describes and verifies.

Its version is the number of the newest change, its first instant the one of signing: the same version may be signed
again, with later instants, and never with other roots. A list is signed once and handed out until something in it is
another one, or a quarter of its life is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.certificate import parse_certificate
from pki.errors import IssueError
from pki.service.pool.pools import Pools, Signer
from pki.service.pool.roots import last_change, list_roots
from pki.verify.trust_list import TrustListContent, TrustListRoot, encode_trust_list


class TrustLists:
    """The list of some pools, signed when it must be."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._last: tuple[object, datetime, bytes] | None = None

    def current(self) -> bytes:
        """The DER of the list as it stands now.

        Raises:
            StateError, KeyStoreError: the signer's certificate or key cannot be used; IssueError: "key-kind".
        """
        pools, now = self._pools, self._pools.now()
        life = timedelta(hours=pools.settings.list_hours)
        with pools.one_state():
            version = last_change(pools)
            roots = list_roots(pools)
        signer, uris = pools.own.list_signer(), pools.own.list_uris()
        subject = (version, uris, signer.chain)
        if self._last is not None and self._last[0] == subject and self._last[1] <= now < self._last[1] + life / 4:
            return self._last[2]
        content = TrustListContent(
            version=max(version, 1),
            issued_at=now,
            next_update=now + life,
            roots=tuple(
                TrustListRoot(role=root.role, sha256=root.certificate.sha256, certificate=root.certificate.der)
                for root in roots
            ),
            crls=uris,
        )
        made = sign_trust_list(content, signer)
        self._last = subject, now, made
        return made


def sign_trust_list(content: TrustListContent, signer: Signer) -> bytes:
    """The content under the signer's signature, without signed attributes: the one form that is verified.

    Raises:
        IssueError: "key-kind": the signer's key is not on P-256.
    """
    key = signer.key
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise IssueError("key-kind", "a list of roots is signed with a key on P-256")
    certificate = parse_certificate(signer.chain[0]).parsed
    builder = pkcs7.PKCS7SignatureBuilder().set_data(encode_trust_list(content))
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    return builder.add_signer(certificate, key, hashes.SHA256()).sign(Encoding.DER, options)
