"""`unstuck demo`: the life of a demo world beside a running Unstuck. `unstuck up` starts it by itself."""

import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from unstuck.cli.said import WRONG_USE, fail

SCENE = "demo-scene.json"


def demo(
    data: Annotated[Path, typer.Option(help="Where `unstuck up` keeps everything.")] = Path(".data"),
    url: Annotated[str, typer.Option(help="Another address than the one written down there.")] = "",
    seed: Annotated[int, typer.Option(help="Changes customers, addresses and what they order.")] = 1,
) -> None:
    """Orders that keep coming, colleagues who repair, cases to try. Example: unstuck demo --data .data"""
    import msgspec

    from unstuck.rehearsal.demo import Demo, Scene

    try:
        scene = msgspec.json.decode((data / SCENE).read_bytes(), type=Scene)
    except FileNotFoundError:
        fail(f"there is no demo in {data}: start `unstuck up` there first, without --no-demo", WRONG_USE)
    except msgspec.MsgspecError as error:
        fail(f"{data / SCENE} is not what `unstuck up` writes: {error}", WRONG_USE)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    scene = msgspec.structs.replace(scene, seed=seed, url=url or scene.url)
    Demo(scene, stop, lambda text: print(f"demo: {text}", file=sys.stderr, flush=True)).run()
