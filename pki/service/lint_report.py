"""A lint report as one object for machines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pki.service.naming import subject_text
from pki.verify.explain import Explained, explain_finding
from pki.verify.lint import LintReport


class LintedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate, the row that it was judged by (`guessed`: why this row, None when it was named), and every
    deviation from it."""

    index: int
    subject: str
    profile: str
    place: str
    guessed: str | None
    refused: int
    tolerated: int
    findings: tuple[Explained, ...]


class Linted(msgspec.Struct, frozen=True, kw_only=True):
    """The certificates of a file, in its order."""

    certificates: tuple[LintedCertificate, ...]


def lint_object(reports: Sequence[LintReport]) -> Linted:
    """The reports with the names of their certificates."""
    names = [subject_text(report.certificate) for report in reports]
    return Linted(
        certificates=tuple(
            LintedCertificate(
                index=report.index,
                subject=names[report.index],
                profile=report.row.profile.name,
                place=report.row.place.value,
                guessed=report.row.guessed,
                refused=report.refused,
                tolerated=len(report.findings) - report.refused,
                findings=tuple(explain_finding(finding, names) for finding in report.findings),
            )
            for report in reports
        )
    )
