"""The service's own TLS certificate, renewed in time: no gateway could enrol at a server whose certificate has ended.

The key stays, so that only one file is replaced, in one step, and certificate and key fit together at every moment. A
certificate that this registry did not issue is its operator's business.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pki.certificate import Certificate, parse_certificate
from pki.errors import StateError
from pki.issue.lab import PUBLIC
from pki.pem import CHAIN_PEM_CAP, parse_chain_pem
from pki.service.acts.issuing import reissue
from pki.service.files import read_file
from pki.service.registry import Actor, Registry
from pki.service.store.certificates import find_by_hash

_ACTOR = Actor(who="service", why="two thirds of the life of its own TLS certificate are over")


def renew_own_certificate(registry: Registry) -> Certificate | None:
    """The new certificate, in its file, when two thirds of the life of the old one were over, or when it is not valid
    yet, because a clock that was ahead made it; None otherwise.

    Raises:
        TrustError, MalformedCertificate: the file cannot be read.
        IssueError, KeyStoreError, StateError: it cannot be issued, or the file cannot be written.
    """
    path = registry.folder / registry.settings.https.certificate
    leaf = parse_certificate(parse_chain_pem(read_file(path, CHAIN_PEM_CAP))[0])
    if leaf.not_before <= registry.now() < leaf.not_before + (leaf.not_after - leaf.not_before) * 2 / 3:
        return None
    with registry.reading() as connection:
        held = find_by_hash(connection, bytes.fromhex(leaf.sha256))
    if held is None:
        return None
    issued = reissue(registry, held, _ACTOR)
    _replace(path, "".join(each.pem() for each in issued.chain).encode())
    return issued.certificate


def _replace(path: Path, content: bytes) -> None:
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(beside, PUBLIC)
            os.replace(beside, path)
        except OSError:
            os.unlink(beside)
            raise
    except OSError as error:
        raise StateError("state-unusable", f"{path}: {error.strerror or error}") from error
