"""`unstuck scenario …`: scenarios over real sockets, with what must be seen in each."""

import typer

app = typer.Typer(no_args_is_help=True, help="Scenarios that must run.")
