"""A mint for revocation lists and OCSP answers, right and wrong. The library makes them; surgery changes any field and
signs again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.x509 import ocsp

from pki.certificate import Certificate, parse_certificate
from tests.pki.mint import AT, Branch, Key, Spec, content_of, name_of, sign, split, tlv

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
STATUS = {
    "good": ocsp.OCSPCertStatus.GOOD,
    "revoked": ocsp.OCSPCertStatus.REVOKED,
    "unknown": ocsp.OCSPCertStatus.UNKNOWN,
}
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
Surgery = Callable[[list[bytes]], list[bytes]]
EPOCH = datetime.fromisoformat("2020-01-01T00:00:00Z")


def list_of(
    issuer: Spec,
    *serials: int,
    number: int | None = 1,
    this_update: datetime = AT - DAY,
    next_update: datetime = AT + DAY,
    revoked_at: datetime = AT - DAY,
    key: Key | None = None,
    name: x509.Name | None = None,
    extra: Extensions = (),
    entry_extra: Extensions = (),
    hash_: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A CRL of `issuer`, right unless told otherwise."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or issuer.name)
        .last_update(this_update)
        .next_update(next_update)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked_at)
        for extension, critical in entry_extra:
            entry = entry.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(entry.build())
    signer = key or issuer.key
    hash_ = None if isinstance(signer, ed448.Ed448PrivateKey) else hash_ or _hash_of(signer)
    return builder.sign(signer, hash_).public_bytes(serialization.Encoding.DER)


def clean_lists(branch: Branch) -> list[bytes]:
    """Lists of the whole path on which nothing stands."""
    return [list_of(branch.sub2), list_of(branch.sub1), list_of(branch.root)]


def delta_of(base: int) -> Extensions:
    """What makes a list a delta."""
    return ((x509.DeltaCRLIndicator(base), True),)


def removal() -> Extensions:
    """What makes an entry of a delta a removal."""
    return ((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False),)


def point(**fields: object) -> Extensions:
    """An issuing distribution point."""
    given: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return ((x509.IssuingDistributionPoint(**given | fields), True),)


def delegate_of(issuer: Spec, **changed: object) -> Spec:
    """The specification of an OCSP signer below `issuer`, right unless told otherwise."""
    usages: list[x509.ObjectIdentifier] = [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    extra: list[tuple[x509.ExtensionType, bool]] = [(x509.ExtendedKeyUsage(usages), False), (x509.OCSPNoCheck(), False)]
    made = Spec(name_of("OCSP signer"), False, None, frozenset({"digital_signature"}), extra=extra)
    return replace(made, **changed)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An OCSP answer about `leaf`, to be made: right unless told otherwise. `signer`: a delegate; None: the issuer."""

    leaf: bytes
    issuer: bytes
    key: Key
    status: str = "good"
    algorithm: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    this_update: datetime = AT - DAY
    next_update: datetime | None = AT + DAY
    produced_at: datetime = AT - HOUR
    revoked_at: datetime = AT - DAY
    signer: bytes | None = None
    by_name: bool = False
    sent: bool = True
    nonce: bytes | None = None
    extra: Extensions = ()
    surgery: Surgery = list
    signing_key: Key | None = None

    def make(self) -> bytes:
        """The DER."""
        responder = x509.load_der_x509_certificate(self.signer or self.issuer)
        encoding = ocsp.OCSPResponderEncoding.NAME if self.by_name else ocsp.OCSPResponderEncoding.HASH
        revoked = self.status == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            x509.load_der_x509_certificate(self.leaf),
            x509.load_der_x509_certificate(self.issuer),
            self.algorithm,
            STATUS[self.status],
            self.this_update,
            self.next_update,
            self.revoked_at if revoked else None,
            x509.ReasonFlags.key_compromise if revoked else None,
        )
        builder = builder.responder_id(encoding, responder)
        if self.signer and self.sent:
            builder = builder.certificates([responder])
        if self.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce), critical=False)
        for extension, critical in self.extra:
            builder = builder.add_extension(extension, critical)
        hash_ = None if isinstance(self.key, ed448.Ed448PrivateKey) else _hash_of(self.key)
        return self._operate(builder.sign(self.key, hash_).public_bytes(serialization.Encoding.DER))

    def _operate(self, der: bytes) -> bytes:
        """The library dates every answer now: the true instant is written in, and whatever else the surgery wants."""

        def edit(parts: list[bytes]) -> list[bytes]:
            return self.surgery([parts[0], generalized(self.produced_at), *parts[2:]])

        return operate(der, edit, self.signing_key or self.key)


def answer_of(branch: Branch, which: str = "leaf", issuer: str = "sub2", **changed: object) -> Answer:
    """An answer about a certificate of the branch, given by its issuer."""
    order = {"leaf": ("sub2", "sub1"), "sub2": ("sub1", "root"), "sub1": ("root", "root")}
    above, higher = (getattr(branch, name) for name in order[which])
    made = Answer(leaf=getattr(branch, which).mint(above), issuer=above.mint(higher), key=above.key)
    return replace(made, **changed)


def delegated(branch: Branch, delegate: Spec, above: Spec | None = None, **changed: object) -> Answer:
    """An answer about the leaf, given by a delegate that `above` (Sub2 unless told otherwise) signed."""
    return answer_of(branch, signer=delegate.mint(above or branch.sub2), key=delegate.key, **changed)


def operate(der: bytes, surgery: Surgery, key: Key) -> bytes:
    """The answer with the fields of its response data edited, signed again."""
    basic = content_of(split(content_of(split(content_of(split(content_of(der))[1]))[0]))[1])
    data, algorithm, _, *rest = split(content_of(basic))
    edited = tlv(0x30, b"".join(surgery(split(content_of(data)))))
    signature = tlv(0x03, b"\0" + sign(key, _hash_of(key), edited))
    return wrapped(tlv(0x30, edited + algorithm + signature + b"".join(rest)))


def wrapped(basic: bytes, kind: str = "2b0601050507300101") -> bytes:
    """A successful response around the DER of a basic one."""
    body = tlv(0x30, tlv(0x06, bytes.fromhex(kind)) + tlv(0x04, basic))
    return tlv(0x30, b"\x0a\x01\x00" + tlv(0xA0, body))


def entry_surgery(edit: Surgery) -> Surgery:
    """Surgery on the fields of the answer's one entry."""

    def surgery(parts: list[bytes]) -> list[bytes]:
        entry = tlv(0x30, b"".join(edit(split(content_of(content_of(parts[2]))))))
        return [*parts[:2], tlv(0x30, entry), *parts[3:]]

    return surgery


def generalized(at: datetime) -> bytes:
    """A GeneralizedTime."""
    return tlv(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())


def certificates(branch: Branch) -> tuple[Certificate, Certificate]:
    """The leaf and its issuer."""
    return parse_certificate(branch.leaf.mint(branch.sub2)), parse_certificate(branch.sub2.mint(branch.sub1))


def entries_of(serials: list[int], ending: bytes = b"") -> bytes:
    """The DER of revokedCertificates with many entries, quicker than any builder; the dates repeat after 5,000."""
    times = [(EPOCH + timedelta(hours=7 * at, seconds=at)).strftime("%y%m%d%H%M%SZ").encode() for at in range(5000)]
    found: list[bytes] = []
    for at, serial in enumerate(serials):
        size = serial.bit_length() // 8 + 1
        body = b"\x02%c%b\x17\x0d%b%b" % (size, serial.to_bytes(size, "big"), times[at % 5000], ending)
        found.append(b"\x30%c%b" % (len(body), body))
    return tlv(0x30, b"".join(found))


def long_list(issuer: Spec, serials: list[int], ending: bytes = b"") -> bytes:
    """A CRL with many entries."""
    der = list_of(issuer, 1)
    tbs, algorithm, _ = split(content_of(der))
    parts = split(content_of(tbs))
    edited = tlv(0x30, b"".join([*parts[:5], entries_of(serials, ending), *parts[6:]]))
    signature = tlv(0x03, b"\0" + sign(issuer.key, _hash_of(issuer.key), edited))
    return tlv(0x30, edited + algorithm + signature)


def _hash_of(key: Key) -> hashes.HashAlgorithm:
    return hashes.SHA512() if getattr(key, "key_size", 0) == 521 else hashes.SHA256()
