"""Conformance vectors on disk. They are public and are committed, so a file is written beside its place and renamed:
readers see the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pki.errors import TrustError
from pki.issue.lab import PUBLIC


def write_vectors(files: Mapping[str, bytes], folder: Path, *, force: bool = False) -> None:
    """Put these files into `folder`, which is made when it is not there; other files in it stay as they are.

    Raises:
        TrustError: "vectors-exist": one of them is there and `force` was not given; "unwritable". Names the path.
    """
    there = [folder / name for name in files if (folder / name).exists()]
    if there and not force:
        raise TrustError("vectors-exist", f"{there[0]} exists; --force replaces it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write(folder / name, content)
    except OSError as error:
        raise TrustError("unwritable", f"{folder}: {error.strerror or error}") from error


def _write(path: Path, content: bytes) -> None:
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        os.chmod(beside, PUBLIC)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise
