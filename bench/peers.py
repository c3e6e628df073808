"""What other engines take for the same chain, from DER: their own path validation, none of the ISO 15118 rules.

They are given what they need to accept at all: ClientVerifier a leaf policy without subject alternative name,
pyOpenSSL strict checking, pyhanko-certvalidator the instant and no revocation, the `openssl` program files.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from OpenSSL import crypto
from pyhanko_certvalidator import CertificateValidator, ValidationContext

from bench.material import AT, Family
from bench.timing import Job, each
from pki.pem import encode_pem

_PROCESSES = 20
_AUTHORITY = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.CRITICAL, None)


def peers_of(family: Family) -> dict[str, Job]:
    """The job of one chain for each engine that can judge this family at all."""
    made: dict[str, Callable[[Family], Callable[[], object]]] = {
        "cryptography ClientVerifier": _client_verifier,
        "pyOpenSSL, strict": _pyopenssl,
        "pyhanko-certvalidator": _pyhanko,
    }
    jobs: dict[str, Job] = {}
    for name, make in made.items():
        work = make(family)
        try:
            work()
        except VerificationError as error:  # ClientVerifier's word for a key it does not know
            print(f"# {name} does not take {family.name}: {str(error).splitlines()[0][:90]}")
            continue
        jobs[name] = each(work, 40)
    if shutil.which("openssl"):
        jobs["openssl verify, a process each"] = _openssl(family)
    return jobs


def _client_verifier(family: Family) -> Callable[[], object]:
    chains = cycle(family.chains)
    store = Store([family.root.parsed])

    def work() -> object:
        leaf, *above = [x509.load_der_x509_certificate(der) for der in next(chains)]
        builder = PolicyBuilder().store(store).time(AT).max_chain_depth(2)
        builder = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
        return builder.build_client_verifier().verify(leaf, above)

    return work


def _pyopenssl(family: Family) -> Callable[[], object]:
    chains = cycle(family.chains)
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(family.root.parsed))
    store.set_flags(crypto.X509StoreFlags.X509_STRICT)
    store.set_time(AT)

    def work() -> object:
        leaf, *above = [crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in next(chains)]
        return crypto.X509StoreContext(store, leaf, above).verify_certificate()

    return work


def _pyhanko(family: Family) -> Callable[[], object]:
    chains = cycle(family.chains)
    root = asn1_x509.Certificate.load(family.root.der)
    loop = asyncio.new_event_loop()

    def work() -> object:
        leaf, *above = [asn1_x509.Certificate.load(der) for der in next(chains)]
        context = ValidationContext(trust_roots=[root], moment=AT, revocation_mode="soft-fail")
        return loop.run_until_complete(CertificateValidator(leaf, above, context).async_validate_path())

    return work


def _openssl(family: Family) -> Job:
    def job() -> float:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            leaf, *above = family.chains[0]
            (folder / "root.pem").write_text(family.root.pem())
            (folder / "above.pem").write_text("".join(encode_pem(der) for der in above))
            (folder / "leaf.pem").write_text(encode_pem(leaf))
            command = ["openssl", "verify", "-x509_strict", "-attime", str(int(AT.timestamp()))]
            command += ["-CAfile", "root.pem", "-untrusted", "above.pem", "leaf.pem"]
            before = _children()
            for _ in range(_PROCESSES):
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
            return (_children() - before) / _PROCESSES

    return job


def _children() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
