"""A process that issues, and revokes every third, until it is killed or has done its number: FOLDER FIRST NUMBER.
It prints each serial number (hex) when it is told that it was issued, and `revoked` with it when it was revoked."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from pki.issue.keys import generate_key
from pki.issue.lists import Reason
from pki.profiles import profile_named
from pki.service.acts.issuing import Wanted, issue
from pki.service.acts.publishing import refresh
from pki.service.acts.revoking import revoke
from pki.service.registry import Actor
from pki.service.state_folder import open_registry
from pki.service.store.certificates import find_certificate

folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
profile, by = profile_named("iso15118-2-contract"), Actor(who="worker", why="test")
with open_registry(folder, now=lambda: datetime.now(UTC)) as registry:
    for number in range(first, first + count):
        key = generate_key().public_key()
        made = issue(registry, Wanted(profile=profile, common_name=f"DEABC{number:09}", public_key=key), by)
        print(f"{made.certificate.serial:x}", flush=True)
        if number % 3 == 0:
            with registry.reading() as connection:
                held = find_certificate(connection, made.authority, made.certificate.serial)
            assert held is not None
            revoke(registry, held, Reason.SUPERSEDED, by)
            print(f"revoked {held.serial:x}", flush=True)
            refresh(registry, by)
