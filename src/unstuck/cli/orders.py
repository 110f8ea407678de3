"""`unstuck order …`: orders through the API."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from unstuck.cli.http import Api
from unstuck.cli.said import WRONG_USE, fail, show, table

app = typer.Typer(no_args_is_help=True, help="Orders.")
Url = Annotated[str | None, typer.Option("--url", help="Default UNSTUCK_URL, else http://127.0.0.1:8080.")]
Token = Annotated[str | None, typer.Option("--token", help="Default UNSTUCK_TOKEN.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ORDERS = "/tmf-api/serviceOrdering/v4/serviceOrder"


@app.command()
def submit(file: Path, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """Send a TMF641 service order. Example: unstuck order submit examples/fiber.json"""
    if not file.is_file():
        fail(f"{file} is no file", WRONG_USE)
    api = Api(url, token)
    order = api.call("POST", ORDERS, file.read_bytes())
    known = api.get(f"/api/v1/orders/{order['id']}")
    text = f"{known['number']}  {known['state']}  {order['id']}  (received {known['received_at']})"
    show(order, as_json, text)


@app.command("list")
def list_orders(
    state: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option()] = 20,
    url: Url = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Orders, newest first. Example: unstuck order list --state in_progress"""
    found = Api(url, token).get("/api/v1/orders", state=state, limit=limit)
    text = table(found["orders"], ("number", "state", "customer", "external_id", "received_at", "finished_at"))
    show(found, as_json, text)


@app.command("show")
def show_order(order: str, url: Url = None, token: Token = None, as_json: Json = False) -> None:
    """One order with its tasks and cases. Example: unstuck order show ORD-1001"""
    found = Api(url, token).get(f"/api/v1/orders/{quote(order)}")
    head = f"{found['number']}  {found['state']}  customer {found['customer']}  ({found['external_id']})"
    tasks = table(found["graph"]["tasks"], ("key", "target", "state", "attempts"))
    cases = table(found["cases"], ("number", "state", "step", "code", "queue"))
    show(found, as_json, f"{head}\n\n{tasks}\n\ncases\n{cases}")
