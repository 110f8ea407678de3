"""`unstuck subscription …`: who is told what happens, through the API."""

from typing import Annotated, Any

import typer

from unstuck.cli.http import Api
from unstuck.cli.orders import Json, Token, Url
from unstuck.cli.said import NO, fail, show, table

app = typer.Typer(no_args_is_help=True, help="Receivers of published events.")
SUBSCRIPTIONS = "/api/v1/subscriptions"
COLUMNS = ("id", "name", "state", "url", "behind", "waiting", "dead", "held_until", "because")


@app.command("list")
def list_subscriptions(url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Receivers, and how far behind each is. Example: unstuck subscription list"""
    found = Api(url, token).get(SUBSCRIPTIONS)
    show(found, as_json, table(found["subscriptions"], COLUMNS))


@app.command()
def add(
    name: str,
    receiver: Annotated[str, typer.Argument(help="https://…, where messages are sent.")],
    type: Annotated[list[str] | None, typer.Option(help="A type, or several by *; may be given again.")] = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Send published events somewhere. Example: unstuck subscription add crm https://crm.example/hook --type 'unstuck.fallout-case.*'"""
    body = {"name": name, "url": receiver, **({"types": type} if type else {})}
    made = Api(url, token).call("POST", SUBSCRIPTIONS, body)
    show(made, as_json, f"{made['id']}  {name}\nsigned with {made['secret']}  (shown this once)")


@app.command()
def dead(subscription: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Messages a receiver refused too often, and those behind them. Example: unstuck subscription dead crm"""
    api = Api(url, token)
    found = api.get(f"{SUBSCRIPTIONS}/{_named(api, subscription)['id']}/dead")
    show(found, as_json, table(found["dead"], ("leaf", "event", "type", "tries", "status", "because", "at")))


@app.command()
def replay(
    subscription: str,
    since: Annotated[
        int | None, typer.Option("--from", help="The sealed event to begin at; else what is dead.")
    ] = None,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Send again what is dead, or everything from a sealed event on. Example: unstuck subscription replay crm"""
    _command(Api(url, token), subscription, "replay", {"dead": True} if since is None else {"from": since}, as_json)


@app.command()
def drop(subscription: str, leaf: int, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Give up a dead message, so that those behind it go on. Example: unstuck subscription drop crm 1042"""
    _command(Api(url, token), subscription, "drop", {"leaf": leaf}, as_json)


@app.command()
def pause(subscription: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Send a receiver nothing until it is resumed. Example: unstuck subscription pause crm"""
    _command(Api(url, token), subscription, "pause", {}, as_json)


@app.command()
def resume(subscription: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Send again, at once. Example: unstuck subscription resume crm"""
    _command(Api(url, token), subscription, "resume", {}, as_json)


@app.command("rotate-secret")
def rotate_secret(subscription: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """A new secret; for a day both sign. Example: unstuck subscription rotate-secret crm"""
    api = Api(url, token)
    one = _named(api, subscription)
    made = api.call("POST", f"{SUBSCRIPTIONS}/{one['id']}/rotate-secret", {}, version=one["version"])
    show(made, as_json, f"signed with {made['secret']}  (shown this once)")


def _command(api: Api, subscription: str, command: str, body: Any, as_json: bool) -> None:
    one = _named(api, subscription)
    made = api.call("POST", f"{SUBSCRIPTIONS}/{one['id']}/{command}", body, version=one["version"])
    show(made, as_json, table([made], COLUMNS))


def _named(api: Api, subscription: str) -> Any:
    """A receiver by its id or its name."""
    found = [one for one in api.get(SUBSCRIPTIONS)["subscriptions"] if subscription in (one["id"], one["name"])]
    if len(found) != 1:
        what = "no receiver" if not found else "several receivers, give an id:"
        fail(f"{subscription} names {what} (`unstuck subscription list` shows them)", NO)
    return found[0]
