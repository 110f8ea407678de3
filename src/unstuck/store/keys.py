"""The signing keys as files, each readable to its owner alone; which of them signs is said by the database.

`signing.key` is the first. A new one is written beside it before the database hears of it, and takes its place
afterwards; the old one is kept as `signing.key.<id>`. Whatever crashes in between, the file of the key in force is there.
"""

import secrets
from pathlib import Path
from uuid import UUID

from unstuck.store.seal import Signer
from unstuck.store.vault import make_key

SEED_BYTES = 32
# The stream of what happens to the signing keys; one for each database, so its name can be the same in all.
STREAM = UUID("6b657900-0000-8000-8000-000000000000")


class KeyFiles:
    """All signing keys of this machine. Files that appear while it runs are found when they are asked for."""

    def __init__(self, origin: str, path: Path) -> None:
        self._origin, self._path = origin, path
        self._known: dict[str, Signer] = {}

    def signer(self, verifier: str | None) -> Signer | None:
        """The key of that verifier if its file is here; for None the first one, made when there is no file yet."""
        if verifier is None:
            if not self._path.exists():
                make_key(self._path)
            return self._read(self._path)
        if verifier not in self._known:
            self._known = {signer.verifier(): signer for _, signer in self._files()}
        return self._known.get(verifier)

    def verifiers(self) -> list[str]:
        """The public halves of all keys that are here."""
        self.signer(None)
        return [signer.verifier() for _, signer in self._files()]

    def seeds(self) -> list[bytes]:
        """The private halves: first of the key in force, then of those before it; a key that only waits is left out."""
        self.signer(None)
        waiting = f"{self._path.name}.new-"
        return [path.read_bytes() for path, _ in self._files() if not path.name.startswith(waiting)]

    def add(self) -> Signer:
        """A new key in a file of its own; it signs nothing before the database says so."""
        path = self._path.with_name(f"{self._path.name}.new-{secrets.token_hex(4)}")
        make_key(path)
        return self._read(path)

    def settle(self, verifier: str) -> None:
        """Make this key's file the one without a suffix; the one that was is kept aside under its id."""
        new = next(path for path, signer in self._files() if signer.verifier() == verifier)
        if new == self._path:
            return
        aside = self._read(self._path).verifier().split("+")[1]
        # By a link first: at no time is there a key without a file.
        self._path.with_name(f"{self._path.name}.{aside}").hardlink_to(self._path)
        new.replace(self._path)

    def _files(self) -> list[tuple[Path, Signer]]:
        paths = [self._path, *sorted(self._path.parent.glob(f"{self._path.name}.*"))]
        return [(path, self._read(path)) for path in paths if path.is_file() and path.stat().st_size == SEED_BYTES]

    def _read(self, path: Path) -> Signer:
        return Signer(self._origin, path.read_bytes())
