"""Every dependency's licence against a list of those we may ship with: `python -m proof.licences requirements.lock`.

A `package-lock.json` beside it is what browsers load: its own words count.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

ALLOWED = frozenset(
    {
        *("MIT", "MIT-0", "ISC", "0BSD", "BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "PostgreSQL"),
        *("MPL-2.0", "Unlicense", "CC0-1.0", "Zlib"),
    }
)
NOTED = frozenset({"LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "LGPL"})  # allowed, and said
OURS = frozenset({"unstuck", "pip", "setuptools", "wheel"})
# How packages spell it that do not use SPDX yet; the first that fits counts.
SPELLINGS = (
    (re.compile(r"affero|agpl", re.IGNORECASE), "AGPL"),
    (re.compile(r"lesser|lgpl", re.IGNORECASE), "LGPL"),
    (re.compile(r"gnu general|\bgpl", re.IGNORECASE), "GPL"),
    (re.compile(r"apache", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"mozilla|mpl", re.IGNORECASE), "MPL-2.0"),
    (re.compile(r"python software foundation|psf", re.IGNORECASE), "PSF-2.0"),
    (re.compile(r"bsd", re.IGNORECASE), "BSD"),
    (re.compile(r"\bmit\b", re.IGNORECASE), "MIT"),
    (re.compile(r"\bisc\b", re.IGNORECASE), "ISC"),
)


def main(arguments: Sequence[str]) -> int:
    """Check the lock file's packages and whatever else is installed; 1 with the names of those that do not pass."""
    browsers = [package for file in arguments if file.endswith(".json") for package in _packages(Path(file))]
    locked = {_normal(name) for file in arguments if not file.endswith(".json") for name in _names(file)}
    installed = {_normal(found.metadata["Name"]) for found in distributions()}
    refused = sum(_refused(name, said) for name, said in browsers)
    for name in sorted((locked | installed) - OURS):
        problem, note = check(name)
        if problem:
            print(f"{name}: {problem}", file=sys.stderr)
            refused += 1
        elif note:
            print(f"{name}: {note}, noted")
    print(f"licences: {len(locked | installed) + len(browsers)} packages, {refused} refused")
    return 1 if refused else 0


def check(name: str) -> tuple[str, str]:
    """What is wrong with this package's licence, and what is to be noted of it; empty when nothing is."""
    try:
        said = licence_of(distribution(name))
    except PackageNotFoundError:
        return "it is locked and not installed, so its licence was not seen", ""
    if not said:
        return "it says nothing of its licence", ""
    choices = [[part.strip() for part in choice.split(" AND ")] for choice in said.split(" OR ")]
    if any(set(parts) <= ALLOWED for parts in choices):
        return "", ""
    if any(set(parts) <= ALLOWED | NOTED for parts in choices):
        return "", said
    return f"{said} is not on the list", ""


def licence_of(found: Distribution) -> str:
    """The SPDX expression, or the nearest to one that older metadata allows."""
    expression = found.metadata.get("License-Expression")
    if expression:
        return re.sub(r"[()]", "", expression)
    classifiers = [c for c in found.metadata.get_all("Classifier") or () if c.startswith("License ::")]
    words = [c.rpartition("::")[2] for c in classifiers] or [(found.metadata.get("License") or "").partition("\n")[0]]
    return " OR ".join(filter(None, (_spdx(word) for word in words)))


def _spdx(words: str) -> str:
    text = words.strip()
    return text if text in ALLOWED else next((name for spelling, name in SPELLINGS if spelling.search(text)), text)


def _refused(name: str, said: str) -> bool:
    refused = _spdx(said) not in ALLOWED
    if refused:
        print(f"{name}: {said or 'it says nothing of its licence'} is not on the list", file=sys.stderr)
    return refused


def _packages(lock: Path) -> Iterator[tuple[str, str]]:
    for path, package in json.loads(lock.read_text())["packages"].items():
        if path:
            yield path.removeprefix("node_modules/"), package.get("license", "")


def _names(lock: str) -> Iterator[str]:
    for line in Path(lock).read_text().splitlines():
        if match := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line):
            yield match[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
