"""How a charger trusts a gateway, and proves itself with a certificate (security profiles 2 and 3).

It trusts the CA certificates it was given and the CSMS roots that were installed in its folder. Its own certificate is
the one it was given, or the ChargingStationCertificate that it got through OCPP: that is the newer one, so it wins.

Source: OCPP 2.0.1 Part 2 A00.FR.3xx, A00.FR.4xx; Improved Security for OCPP 1.6-J, 2.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from firmware_sim.errors import ChargerError

STATION = "station.pem"
"""The charger's own key and chain, as `Credentials` keeps them in the charger's folder."""


def client_context(charger_id: str, ca: Path | None, identity: Path | None, folder: Path) -> ssl.SSLContext:
    """TLS 1.2 or later; `ca` None: the system's CAs. `identity` is a PEM file with key and certificates.

    Raises:
        ChargerError: a file that cannot be used; names the option.
    """
    context = _trusting(charger_id, ca)
    for root in sorted((folder / "trust" / "CSMSRootCertificate").glob("*.pem")):
        context.load_verify_locations(root)
    own = folder / STATION if (folder / STATION).exists() else identity
    if own is not None:
        try:
            context.load_cert_chain(own)
        except (OSError, ssl.SSLError) as error:
            raise ChargerError("bad-input", charger_id, f"--identity {own}: {error}") from error
    return context


def _trusting(charger_id: str, ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise ChargerError("bad-input", charger_id, f"--ca {ca}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
