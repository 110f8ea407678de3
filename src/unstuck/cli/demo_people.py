"""The people of a demo: one for each role that people have, with passwords made with the data directory."""

import json
import secrets

PEOPLE = {
    "ana": "repair-agent",
    "budi": "fallout-manager",
    "citra": "approver",
    "dewi": "support",
    "eko": "auditor",
    "farah": "engineer",
    "gita": "operations-manager",
    "hadi": "finance",
    "admin": "admin",
}


def made() -> str:
    """All of them as they are kept: `{name: {role, password}}`, as JSON."""
    return json.dumps({name: {"role": role, "password": secrets.token_urlsafe(12)} for name, role in PEOPLE.items()})
