"""Every code that a verdict can carry is explained in certs/README.md."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "pki" / "verify").glob("*.py"), *(ROOT / "pki" / name for name in ("certificate.py", "pem.py"))]
SOURCES += (ROOT / "pki" / "verify" / "rfc5280").glob("*.py")
SOURCES += [ROOT / "pki" / "service" / name for name in ("verdicts.py", "batch.py")]
RAISERS = {"refuse", "reject", "depart", "tolerate", "MalformedCertificate", "TrustError", "Finding"}


def codes() -> set[str]:
    """The first argument of everything that raises or notes, where it is written as a literal."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in RAISERS and isinstance(first, ast.Constant):
                found.add(str(first.value))
    return found


def test_every_code_is_explained() -> None:
    told = (ROOT / "certs" / "README.md").read_text()
    assert len(codes()) > 30
    assert sorted(code for code in codes() if f"`{code}`" not in told) == []
