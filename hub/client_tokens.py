"""The `[[api.client]]` table of hub.toml for a token: it holds the salted hash, never the token."""

from __future__ import annotations

import hashlib
import json


def client_table(name: str, token: str, salt: bytes) -> str:
    """The table, as text of hub.toml, for a client `name` that shows `token`."""
    digest = hashlib.sha256(salt + token.encode()).hexdigest()
    hashed = f"sha256${salt.hex()}${digest}"
    return f"[[api.client]]\nname = {json.dumps(name)}\ntoken_hash = {json.dumps(hashed)}\n"
