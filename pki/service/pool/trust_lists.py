"""The signed list of roots: CMS SignedData over the content that `pki.verify.trust_list` describes and verifies.

Its version is the number of the newest change, its first instant the one of signing: the same version may be signed
again, with later instants, and never with other roots.
"""

from __future__ import annotations

from datetime import timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.certificate import parse_certificate
from pki.errors import IssueError
from pki.service.pool.pools import Pools, Signer
from pki.service.pool.roots import last_change, list_roots
from pki.verify.trust_list import TrustListContent, TrustListRoot, encode_trust_list


def signed_trust_list(pools: Pools) -> bytes:
    """The DER of the list as it stands now.

    Raises:
        StateError, KeyStoreError: the signer's certificate or key cannot be used; IssueError: "key-kind".
    """
    now = pools.now()
    with pools.writing():  # The version and the roots of one state, whatever another process does.
        version = last_change(pools)
        roots = list_roots(pools)
    content = TrustListContent(
        version=max(version, 1),
        issued_at=now,
        next_update=now + timedelta(hours=pools.settings.list_hours),
        roots=tuple(
            TrustListRoot(role=root.role, sha256=root.certificate.sha256, certificate=root.certificate.der)
            for root in roots
        ),
        crls=pools.own.list_uris(),
    )
    return sign_trust_list(content, pools.own.list_signer())


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
