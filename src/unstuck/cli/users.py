"""`unstuck user …`: people who sign in to the pages, kept in the database that this talks to."""

import asyncio
from collections.abc import Awaitable, Callable
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from unstuck.cli.parts import Json, database_of
from unstuck.cli.said import WRONG_USE, fail, show, table
from unstuck.config import from_environment

app = typer.Typer(no_args_is_help=True, help="People who sign in to the pages.")
Data = Annotated[str | None, typer.Option(help="The data directory of a running Unstuck.")]
Roles = Annotated[
    list[str] | None, typer.Option("--role", help="A role of the policy pack; may be given several times.")
]
Admin = Annotated[bool, typer.Option("--admin", help="The administrator's role.")]
Secret = Annotated[
    Path | None, typer.Option("--password-file", help="Where the password is; without it, it is asked for.")
]
T = TypeVar("T")


@app.command("add")
def add(
    name: str,
    role: Roles = None,
    admin: Admin = False,
    password_file: Secret = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let somebody in. Example: unstuck user add ana --role repair-agent"""
    from unstuck.service.access import people

    wish = people.NewPerson(name, _roles(role, admin), _password(password_file))
    made = _with(data, lambda ports: people.add(ports, wish, _me()))
    shown = {"name": made.name, "roles": list(made.roles)}
    show(shown, as_json, f"{made.name} can sign in as {', '.join(made.roles)}")


@app.command("list")
def list_people(data: Data = None, as_json: Json = False) -> None:
    """Who can sign in, and who could. Example: unstuck user list"""
    from unstuck.service.access import people

    rows: list[dict[str, Any]] = [
        {"name": one.name, "roles": list(one.roles), "demo": one.demo, "made": one.made_at, "disabled": one.disabled_at}
        for one in _with(data, people.listed)
    ]
    told = [row | {"roles": " ".join(row["roles"])} for row in rows]
    show({"people": rows}, as_json, table(told, ("name", "roles", "demo", "made", "disabled")))


@app.command("disable")
def disable(name: str, data: Data = None, as_json: Json = False) -> None:
    """Let somebody in no more; their sessions end at once. Example: unstuck user disable ana"""
    from unstuck.service.access import people

    _with(data, lambda ports: people.disable(ports, name, _me()))
    show({"name": name, "disabled": True}, as_json, f"{name} cannot sign in any more, and is signed out everywhere")


@app.command("enable")
def enable(name: str, data: Data = None, as_json: Json = False) -> None:
    """Let somebody in again. Example: unstuck user enable ana"""
    from unstuck.service.access import people

    _with(data, lambda ports: people.enable(ports, name, _me()))
    show({"name": name, "disabled": False}, as_json, f"{name} can sign in again")


@app.command("password")
def password(name: str, password_file: Secret = None, data: Data = None, as_json: Json = False) -> None:
    """Give somebody another password; their sessions end at once. Example: unstuck user password ana"""
    from unstuck.service.access import people

    new = _password(password_file)
    _with(data, lambda ports: people.set_password(ports, name, new, _me()))
    show({"name": name}, as_json, f"{name} has another password, and is signed out everywhere")


@app.command("roles")
def roles(name: str, role: Roles = None, admin: Admin = False, data: Data = None, as_json: Json = False) -> None:
    """Give somebody these roles and no others, at once. Example: unstuck user roles ana --role approver"""
    from unstuck.service.access import people

    given = _roles(role, admin)
    _with(data, lambda ports: people.change_roles(ports, name, given, _me()))
    show({"name": name, "roles": list(given)}, as_json, f"{name} is {', '.join(given)} from now on")


def _with(data: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    from unstuck.app import open_ports
    from unstuck.store.unit import AWAY

    settings, _ = from_environment({"data": data})
    url = database_of(settings)

    async def run() -> T:
        async with open_ports(settings, url, size=2) as ports:
            return await work(ports)

    try:
        return asyncio.run(run())
    except AWAY as error:
        fail(f"the database cannot be reached ({error}); start it, or check UNSTUCK_DATABASE_URL")


def _roles(role: list[str] | None, admin: bool) -> tuple[str, ...]:
    return (*(role or ()), *(("admin",) if admin else ()))


def _password(file: Path | None) -> str:
    if file is None:
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return given
    try:
        return file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the password cannot be read from {file} ({error})", WRONG_USE)


def _me() -> str:
    return f"person:{getuser()}"
