"""Makes the database that the door's benches start from: migrated, with one token that may do what they do."""

from __future__ import annotations

import argparse
import asyncio

from unstuck.app import add_account
from unstuck.config import Config
from unstuck.store.migrate import migrate

ROLES = ("integration", "repair-agent")


async def prepare(dsn: str, token: str) -> None:
    await migrate(dsn, single_role=True)
    await add_account(Config(), dsn, {"bench": (ROLES, token)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args()
    asyncio.run(prepare(options.dsn, options.token))


if __name__ == "__main__":
    main()
