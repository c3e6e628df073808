"""Private keys that stay in a PKCS#11 token: an HSM, a card, or SoftHSM2. Opened by `key_store.open_token`.

Rules of this file
1. A key signs inside the token and never leaves it; a token that would hand it out is refused.
2. It is a subclass of the key classes of `cryptography`, so an authority signs with it as with any other.
3. One session serves all threads, one at a time: PKCS#11 lets only one operation run in a session.
4. This module needs the extra `pkcs11`, so it is imported only when a token is opened.

Source: PKCS #11 v3.0 2.3; RFC 5480 2.2 and SEC 1 (signatures as a DER pair); RFC 8032 (Ed448).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import NoReturn, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, KeySerializationEncryption, PrivateFormat

from pki import der as outline
from pki.certificate import KeyKind
from pki.errors import KeyStoreError
from pki.issue.keys import PrivateKey, PublicKey, sign
from pki.public_key import algorithm_der, load_key, signature_kind, signed_by
from pki.service.key_store import check_name, is_name

try:
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error
    from pkcs11.types import SignMixin
except ImportError as error:
    raise KeyStoreError("token", "keys in a PKCS#11 token need the extra: pip install 'pncgate[pkcs11]'") from error

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview

_PARAMETERS = {
    KeyKind.P256: bytes.fromhex("06082a8648ce3d030107"),
    KeyKind.P521: bytes.fromhex("06052b81040023"),
    KeyKind.ED448: bytes.fromhex("06032b6571"),
}
"""CKA_EC_PARAMS: the object identifier of the curve."""
_KINDS = {parameters: kind for kind, parameters in _PARAMETERS.items()}
_SPKI = {
    KeyKind.P256: bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    KeyKind.P521: bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"),
    KeyKind.ED448: bytes.fromhex("3043300506032b6571033a00"),
}
"""What stands before the point in a SubjectPublicKeyInfo."""
_POINT_OCTETS = {KeyKind.P256: 65, KeyKind.P521: 133, KeyKind.ED448: 57}
_PROBE = b"Does this key sign what its public half verifies?"


class _Slot:
    """A logged-in session and its lock. Every call of the token goes through `call`."""

    def __init__(self, session: pkcs11.Session, token: str) -> None:
        self.session, self.token = session, token
        self._lock = Lock()

    def call(self, what: str, work: Callable[[], T]) -> T:
        """What the token answers to `work`; `what` says what it could not do, for the error.

        Raises:
            KeyStoreError: "token".
        """
        with self._lock:
            try:
                return work()
            except PKCS11Error as error:
                raise KeyStoreError("token", f"token {self.token!r} {what}: {_said(error)}") from error

    def refuse(self, message: str) -> NoReturn:
        raise KeyStoreError("token", f"token {self.token!r}: {message}")


class HardwareKeyStore:
    """The keys of one token by their labels. One program opens a token once."""

    def __init__(self, module: Path, token: str, pin: bytes) -> None:
        """`module` is the vendor's library, `token` the label of the token, `pin` that of its user, in UTF-8.

        Raises:
            KeyStoreError: "token": the library or the token is not there, the PIN is wrong, or the token is open.
        """
        try:
            session = pkcs11.lib(str(module)).get_token(token_label=token).open(rw=True, user_pin=pin.decode())
        except PKCS11Error as error:
            raise KeyStoreError(
                "token", f"token {token!r} cannot be opened through {module}: {_said(error)}"
            ) from error
        except UnicodeDecodeError as error:
            raise KeyStoreError("token", f"token {token!r}: the PIN is not UTF-8") from error
        self._slot = _Slot(session, token)

    def close(self) -> None:
        """Log out. Keys that were loaded raise "token" when they should sign afterwards."""
        self._slot.call("cannot be closed", self._slot.session.close)

    def create(self, name: str, kind: KeyKind) -> PrivateKey:
        """A new key, made inside the token, which has shown once that it signs.

        Raises:
            KeyStoreError: "key-name", "key-exists"; "token": it has no room, does not know the kind of key, or would
                hand the key out.
        """
        check_name(name)
        if name in self.names():
            raise KeyStoreError("key-exists", f"token {self._slot.token!r} has a key {name!r}; none is ever replaced")
        self._slot.call(f"cannot make a key of {kind.value}", lambda: self._generate(name, kind))
        key = self.load(name)
        algorithm = signature_kind(algorithm_der(kind))
        if not signed_by(kind, key.public_key(), algorithm, _PROBE, sign(key, _PROBE)):
            self._slot.refuse(f"its new key {name!r} of {kind.value} does not sign rightly")
        return key

    def load(self, name: str) -> PrivateKey:
        """The key of that label.

        Raises:
            KeyStoreError: "key-name", "key-missing"; "token": several keys of that name, one of another kind, or one
                that the token would hand out.
        """
        check_name(name)
        private, public = self._only(name, ObjectClass.PRIVATE_KEY), self._only(name, ObjectClass.PUBLIC_KEY)

        def read() -> tuple[bytes, bytes, bool]:
            locked = private[Attribute.SENSITIVE] and not private[Attribute.EXTRACTABLE]
            return bytes(public[Attribute.EC_PARAMS]), bytes(public[Attribute.EC_POINT]), bool(locked)

        parameters, point, locked = self._slot.call(f"cannot tell what {name!r} is", read)
        if not locked:
            self._slot.refuse(f"would hand out the key {name!r}; it must be sensitive and not extractable")
        kind = _KINDS.get(parameters, KeyKind.OTHER)
        found = _public_key(kind, point)
        if isinstance(found, ed448.Ed448PublicKey):
            return HardwareEd448Key(self._slot, private, found)
        if found is None:
            self._slot.refuse(f"{name!r} is no key of P-256, P-521 or Ed448")
        return HardwareECKey(self._slot, private, found)

    def names(self) -> tuple[str, ...]:
        """The labels of all private keys, sorted; a label that could be no name of a key is passed over.

        Raises:
            KeyStoreError: "token".
        """
        query = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}

        def read() -> list[str]:
            return [str(found[Attribute.LABEL]) for found in self._slot.session.get_objects(query)]

        return tuple(sorted(name for name in self._slot.call("cannot list its keys", read) if is_name(name)))

    def _generate(self, name: str, kind: KeyKind) -> None:
        of_edwards = kind is KeyKind.ED448
        parameters = self._slot.session.create_domain_parameters(
            KeyType.EC_EDWARDS if of_edwards else KeyType.EC, {Attribute.EC_PARAMS: _PARAMETERS[kind]}, local=True
        )
        parameters.generate_keypair(
            id=hashlib.sha256(name.encode()).digest()[:20],
            label=name,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN if of_edwards else Mechanism.EC_KEY_PAIR_GEN,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
        )

    def _only(self, name: str, which: ObjectClass) -> pkcs11.Object:
        query = {Attribute.CLASS: which, Attribute.LABEL: name}
        found = self._slot.call(f"cannot look for {name!r}", lambda: list(self._slot.session.get_objects(query)))
        if not found:
            part = "private" if which is ObjectClass.PRIVATE_KEY else "public"
            raise KeyStoreError("key-missing", f"token {self._slot.token!r} has no {part} key {name!r}")
        if len(found) > 1:
            self._slot.refuse(f"{len(found)} objects are called {name!r}")
        return found[0]


class HardwareECKey(ec.EllipticCurvePrivateKey):
    """A key of P-256 or P-521 in a token."""

    def __init__(self, slot: _Slot, key: pkcs11.Object, public_key: ec.EllipticCurvePublicKey) -> None:
        self._slot, self._key, self._public_key = slot, key, public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the public key."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """The signature as a DER pair; the token gets the digest alone.

        Raises:
            KeyStoreError: "token".
        """
        hash_ = signature_algorithm.algorithm
        digest = bytes(data) if isinstance(hash_, Prehashed) else _digest(hash_, bytes(data))
        raw = _sign(self._slot, self._key, digest, Mechanism.ECDSA)
        half = (self.key_size + 7) // 8
        if len(raw) != 2 * half:
            self._slot.refuse(f"a signature of {len(raw)} octets, expected {2 * half}")
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Never: a key of an authority signs."""
        self._slot.refuse("a key of an authority signs and does not agree on keys")

    def private_numbers(self) -> NoReturn:
        """Never."""
        _stays(self._slot)

    def private_bytes(
        self, encoding: Encoding, format: PrivateFormat, encryption_algorithm: KeySerializationEncryption
    ) -> NoReturn:
        """Never."""
        _stays(self._slot)

    def __copy__(self) -> HardwareECKey:
        return self

    def __deepcopy__(self, memo: dict[object, object]) -> HardwareECKey:
        return self


class HardwareEd448Key(ed448.Ed448PrivateKey):
    """An Ed448 key in a token."""

    def __init__(self, slot: _Slot, key: pkcs11.Object, public_key: ed448.Ed448PublicKey) -> None:
        self._slot, self._key, self._public_key = slot, key, public_key

    def public_key(self) -> ed448.Ed448PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: Buffer) -> bytes:
        """The signature, 114 octets.

        Raises:
            KeyStoreError: "token".
        """
        return _sign(self._slot, self._key, bytes(data), Mechanism.EDDSA)

    def private_bytes_raw(self) -> NoReturn:
        """Never."""
        _stays(self._slot)

    def private_bytes(
        self, encoding: Encoding, format: PrivateFormat, encryption_algorithm: KeySerializationEncryption
    ) -> NoReturn:
        """Never."""
        _stays(self._slot)

    def __copy__(self) -> HardwareEd448Key:
        return self

    def __deepcopy__(self, memo: dict[object, object]) -> HardwareEd448Key:
        return self


def _public_key(kind: KeyKind, point: bytes) -> PublicKey | None:
    """The key of CKA_EC_POINT: an OCTET STRING of the point, from some tokens the bare point. None: it is neither."""
    if kind is KeyKind.OTHER:
        return None
    try:
        if len(point) != _POINT_OCTETS[kind]:
            wrapped = outline.read_element(point, 0, len(point))
            point = point[wrapped.content : wrapped.end]
        return load_key(kind, _SPKI[kind] + point)
    except ValueError:
        return None


def _sign(slot: _Slot, key: pkcs11.Object, octets: bytes, mechanism: Mechanism) -> bytes:
    if not isinstance(key, SignMixin):
        slot.refuse("what is called a private key does not sign")
    return bytes(slot.call("does not sign", lambda: key.sign(octets, mechanism=mechanism)))


def _digest(hash_: hashes.HashAlgorithm, data: bytes) -> bytes:
    made = hashes.Hash(hash_)
    made.update(data)
    return made.finalize()


def _stays(slot: _Slot) -> NoReturn:
    slot.refuse("the private key does not leave the token")


def _said(error: PKCS11Error) -> str:
    """The binding's words; most of its errors have none but their name."""
    return str(error) or type(error).__name__
