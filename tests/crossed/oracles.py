"""Three foreign judges of certification paths, each asked the same: is there a path from this leaf to this root?

    openssl   OpenSSL's X509_verify_cert through pyOpenSSL, X509_STRICT, every certificate's revocation checked
    pyca      the path builder of `cryptography`, any leaf extension allowed, what RFC 5280 asks of CAs asked; it knows
              no revocation
    pyhanko   pyhanko-certvalidator, revocation mode "require"

Each answer is "accept" or what the judge said when it refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509 import verification
from OpenSSL import crypto
from pyhanko_certvalidator import CertificateValidator, ValidationContext, errors

ACCEPT = "accept"
Oracle = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes], datetime], str]


def openssl(chain: Sequence[bytes], roots: Sequence[bytes], lists: Sequence[bytes], at: datetime) -> str:
    """OpenSSL; the bytes it cannot load are "unreadable"."""
    flags = crypto.X509StoreFlags
    store = crypto.X509Store()
    try:
        leaf, *others = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in chain]
        for root in roots:
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, root))
        for der in lists:
            store.add_crl(x509.load_der_x509_crl(der))
    except (crypto.Error, ValueError) as error:
        return f"unreadable: {error}"
    store.set_flags(flags.X509_STRICT | ((flags.CRL_CHECK | flags.CRL_CHECK_ALL) if lists else 0))
    store.set_time(at)
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    return ACCEPT


def pyca(chain: Sequence[bytes], roots: Sequence[bytes], lists: Sequence[bytes], at: datetime) -> str:
    """`cryptography`, which is also the parser of what it judges."""
    policy = verification.ExtensionPolicy
    try:
        leaf, *others = [x509.load_der_x509_certificate(der) for der in chain]
        store = verification.Store([x509.load_der_x509_certificate(root) for root in roots])
        builder = verification.PolicyBuilder().store(store).time(at).max_chain_depth(16)
        builder = builder.extension_policies(ca_policy=policy.webpki_defaults_ca(), ee_policy=policy.permit_all())
        builder.build_client_verifier().verify(leaf, others)
    except (verification.VerificationError, ValueError) as error:
        return str(error)
    return ACCEPT


def pyhanko(chain: Sequence[bytes], roots: Sequence[bytes], lists: Sequence[bytes], at: datetime) -> str:
    """pyhanko-certvalidator; it may fail with any error on odd input, which counts as a refusal."""
    try:
        leaf, *others = [asn1.Certificate.load(der, strict=True) for der in chain]
        context = ValidationContext(
            trust_roots=[asn1.Certificate.load(root, strict=True) for root in roots],
            other_certs=others,
            moment=at,
            crls=list(lists),
            revocation_mode="require" if lists else "soft-fail",
            weak_hash_algos={"md5"},
        )
        asyncio.run(CertificateValidator(leaf, others, validation_context=context).async_validate_usage(set()))
    except (errors.ValidationError, errors.PathError, ValueError, TypeError, AttributeError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return ACCEPT


ORACLES: dict[str, Oracle] = {"openssl": openssl, "pyca": pyca, "pyhanko": pyhanko}
