"""`unstuck audit …`: prove it."""

import typer

app = typer.Typer(no_args_is_help=True, help="The history and its proof.")
