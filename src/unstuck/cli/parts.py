"""The parts of a running Unstuck, one process each, and what belongs to them: migrate, config, accounts."""

import asyncio
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from unstuck.cli.said import fail, show, table
from unstuck.config import Config, from_environment, shown

token = typer.Typer(no_args_is_help=True, help="API tokens of programs.")
config = typer.Typer(no_args_is_help=True, help="Effective settings and where each comes from.")
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def serve(
    host: Annotated[str | None, typer.Option()] = None, port: Annotated[int | None, typer.Option()] = None
) -> None:
    """The web server alone. Example: UNSTUCK_DATABASE_URL=… unstuck serve --port 8080"""
    from unstuck.app import serve as run

    settings = _settings(host=host, port=port)
    _run(run(settings, database_of(settings)))


def worker() -> None:
    """One worker: runs orders, timers and the sealer. Example: UNSTUCK_DATABASE_URL=… unstuck worker"""
    from unstuck.app import work

    settings = _settings()
    _run(work(settings, database_of(settings)))


def simulate(file: Annotated[Path | None, typer.Option("--config", help="World as JSON or YAML.")] = None) -> None:
    """The faulty downstream world, for rehearsals. Example: unstuck simulate --config world.yaml"""
    from unstuck.simulator.main import run

    run(file)


def migrate(as_json: Json = False) -> None:
    """Bring the database to this version. Example: UNSTUCK_MIGRATE_URL=… unstuck migrate"""
    from unstuck.store.migrate import MigrationError
    from unstuck.store.migrate import migrate as apply

    settings = _settings()
    url = settings.migrate_url or database_of(settings)
    try:
        applied = asyncio.run(apply(url))
    except MigrationError as error:
        fail(str(error))
    show({"applied": applied}, as_json, f"applied: {', '.join(applied) or 'nothing, it is current'}")


@token.command("add")
def add_token(
    name: str,
    role: Annotated[list[str] | None, typer.Option("--role", help="A role id; may be given several times.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The administrator's role.")] = False,
    data: Annotated[str | None, typer.Option(help="The data directory of a running Unstuck.")] = None,
    as_json: Json = False,
) -> None:
    """Make an API token and print it, once. Example: unstuck token add reporting --role auditor"""
    from unstuck.app import add_account

    settings = _settings(data=data)
    secret = f"unst_{secrets.token_urlsafe(32)}"
    roles = (*(role or ()), *(("admin",) if admin else ()))
    asyncio.run(add_account(settings, database_of(settings), {name: (roles, secret)}))
    show({"name": name, "roles": roles, "token": secret}, as_json, f"token of {name} (shown once): {secret}")


@config.command("show")
def show_config(as_json: Json = False) -> None:
    """Every setting, its value and where it comes from. Example: unstuck config show --json"""
    rows = shown(*from_environment())
    show(rows, as_json, table(rows, ("setting", "value", "from")))


def _settings(**flags: object) -> Config:
    return from_environment(flags)[0]


def database_of(settings: Config) -> str:
    """The configured database, else the one that `unstuck up` runs in the data directory."""
    from unstuck.store.binaries import ServerError
    from unstuck.store.server import EmbeddedServer

    if settings.database_url:
        return settings.database_url
    try:
        return EmbeddedServer.urls_in(Path(settings.data)).app
    except ServerError as error:
        fail(f"no database: set UNSTUCK_DATABASE_URL, or start `unstuck up`, which brings its own ({error})")


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    from unstuck.store.unit import AWAY

    try:
        uvloop.run(work)
    except AWAY as error:
        fail(f"the database cannot be reached ({error}); start it, or check UNSTUCK_DATABASE_URL")
