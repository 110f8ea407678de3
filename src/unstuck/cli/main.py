"""`unstuck`: the commands. Each group is a file; this one only puts them together."""

import sys

import typer

from unstuck.cli import audit, cases, demo, orders, parts, policy, scenarios, sources, subscriptions, up, users
from unstuck.cli.said import COULD_NOT, fail

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Order fallout management: no stopped order is ever invisible.",
)
app.add_typer(orders.app, name="order")
app.add_typer(cases.app, name="case")
app.add_typer(sources.app, name="source")
app.add_typer(subscriptions.app, name="subscription")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(scenarios.app, name="scenario")
app.add_typer(users.app, name="user")
app.add_typer(parts.token, name="token")
app.add_typer(parts.config, name="config")
app.command("up")(up.up)
app.command("serve")(parts.serve)
app.command("worker")(parts.worker)
app.command("simulate")(parts.simulate)
app.command("demo")(demo.demo)
app.command("migrate")(parts.migrate)


def main() -> None:
    """The entry point: whatever is known to go wrong is one sentence and an exit code."""
    from unstuck.config import BadConfig
    from unstuck.kernel.refusal import Refused
    from unstuck.policy.pack import BadPack
    from unstuck.store.migrate import MigrationError

    try:
        app()
    except (BadConfig, BadPack, Refused) as error:
        _end(str(error), 2)
    except MigrationError as error:
        _end(str(error), COULD_NOT)
    except OSError as error:
        _end(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", COULD_NOT)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(sentence: str, code: int) -> None:
    try:
        fail(sentence, code)
    except typer.Exit as end:
        sys.exit(end.exit_code)


if __name__ == "__main__":
    main()
