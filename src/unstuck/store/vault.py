"""Secrets that must be read again (a digest would not do), locked with a key that is a file beside the database."""

import os
import secrets
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class WrongKey(Exception):
    """A secret was locked with another key than the one in the file."""


class FileVault:
    """AES-256-GCM, each secret bound to its owner's id. The key file is made at first use, its owner's alone (0600)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cipher: AESGCM | None = None

    def lock(self, secret: bytes, owner: UUID) -> bytes:
        """Nonce and ciphertext."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._key().encrypt(nonce, secret, owner.bytes)

    def unlock(self, locked: bytes, owner: UUID) -> bytes:
        """The secret; WrongKey when the file is not the one it was locked with, or the row not its own."""
        try:
            return self._key().decrypt(locked[:NONCE_BYTES], locked[NONCE_BYTES:], owner.bytes)
        except InvalidTag as error:
            raise WrongKey(f"{self._path} does not open this secret: bring back the key file, or rotate it") from error

    def _key(self) -> AESGCM:
        if self._cipher is None:
            if not self._path.exists():
                make_key(self._path)
            self._cipher = AESGCM(self._path.read_bytes())
        return self._cipher


def make_key(path: Path) -> None:
    """Write a new key, whole or not at all; of two processes at once one wins and both read its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
