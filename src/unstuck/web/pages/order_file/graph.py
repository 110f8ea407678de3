"""A plan as a picture: what the template draws for each step, edge and lane, and the sentence that says it all."""

from collections.abc import Sequence
from unicodedata import east_asian_width

import msgspec

from unstuck.order.layout import Edge, Layout, Node, Sizes, arrange, columns
from unstuck.order.lifecycle import TaskState
from unstuck.order.standing import STOPPED, blocked
from unstuck.service.looks.shown import Graph, GraphTask
from unstuck.web.pages.marks import Mark, mark
from unstuck.web.pages.texts import text, word

LINE, BELOW_TITLE, LINES = 17, 50, 3
LEAST = 0.917  # of its size: smaller, 12 px of a letter would be less than 11
HEAD = 6  # of an arrow
NAMED = 3  # steps that the sentence names before it counts
RUNNING = Mark("half", "info")
DUE = {TaskState.READY: "call", TaskState.WAITING_CALLBACK: "answer", TaskState.UNKNOWN: "question"}


class Form(msgspec.Struct, frozen=True):
    """How wide a box and the gap beside it are, and how many letters of a title go into a line of it."""

    width: float
    gap: float
    letters: int


SHORT, LONG = Form(200, 38, 22), Form(184, 20, 19)
MANY_COLUMNS = 4  # a plan with more is drawn narrower, so that most of them fit the screen


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One box. `standing` is its state, with what is not a state but stands out: BLOCKED and RUNNING.

    `due` says what is to happen at the time the step is due; empty when nothing is.
    """

    task: GraphTask
    standing: str
    look: Mark
    word: str
    lines: tuple[str, ...]
    x: float
    y: float
    stopped: bool
    waits_for: tuple[str, ...]
    said: str
    due: str


class Line(msgspec.Struct, frozen=True):
    """One edge: its path and the triangle at its end, and whether what it waits for is `met`, `open` or `stopped`."""

    path: str
    head: str
    kind: str


class Band(msgspec.Struct, frozen=True):
    """One lane, with what was ordered there."""

    title: str
    item: str
    y: float
    height: float


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is drawn. `root` is the number of the step to look at first; -1 when nothing stands out.

    `least` is the part of its width below which it is scrolled and no more made smaller; `due_line` the room for when a step is due.
    `kinds` and `edges` are what the legend explains: nothing that is not in the picture.
    """

    width: float = 0
    height: float = 0
    least: float = LEAST
    box_width: float = SHORT.width
    box_height: float = 0
    due_line: float = 0
    steps: tuple[Step, ...] = ()
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    caption: str = ""
    root: int = -1
    kinds: tuple[tuple[Mark, str], ...] = ()
    edges: tuple[str, ...] = ()


def drawn(graph: Graph) -> Picture:
    """The picture of a plan as it stands; an empty one for an order without a plan."""
    if not graph.tasks:
        return Picture(caption=text("graph.no_plan"))
    items = {item.id: number for number, item in enumerate(graph.items)}
    nodes = [Node(tuple(task.after), items[task.item]) for task in graph.tasks]
    form = LONG if columns(nodes) > MANY_COLUMNS else SHORT
    titles = [_lines(task.title, form.letters) for task in graph.tasks]
    due_line = LINE if any(map(_due, graph.tasks)) else 0
    sizes = Sizes(form.width, BELOW_TITLE + LINE * max(map(len, titles)) + due_line, form.gap)
    layout = arrange(nodes, sizes)
    stuck = blocked([task.state for task in graph.tasks], [task.after for task in graph.tasks])
    steps = tuple(_step(graph, layout, no, titles[no], no in stuck) for no in range(len(graph.tasks)))
    lines = tuple(Line(_path(edge), _head(edge), _kind(steps[edge.start])) for edge in layout.edges)
    return Picture(
        width=layout.width,
        height=layout.height,
        box_width=form.width,
        due_line=due_line,
        box_height=sizes.height,
        steps=steps,
        lines=tuple(sorted(lines, key=lambda line: _KINDS.index(line.kind))),
        bands=_bands(graph, layout),
        caption=_caption(steps),
        root=next((step.task.no for step in _by_urgency(steps) if step.standing in _FIRST), -1),
        kinds=tuple(dict.fromkeys((step.look, step.word) for step in steps)),
        edges=tuple(kind for kind in _KINDS if any(line.kind == kind for line in lines)),
    )


_KINDS = ("met", "open", "stopped")
_FIRST = (TaskState.FAILED.value, TaskState.UNKNOWN.value, "RUNNING", TaskState.WAITING_CALLBACK.value)


def _by_urgency(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: _FIRST.index(step.standing) if step.standing in _FIRST else len(_FIRST))


def _step(graph: Graph, layout: Layout, no: int, lines: tuple[str, ...], stuck: bool) -> Step:
    task, box = graph.tasks[no], layout.boxes[no]
    standing = "BLOCKED" if stuck else "RUNNING" if task.running else task.state.value
    called = text("graph.running") if standing == "RUNNING" else word("state", standing)
    waits_for = tuple(graph.tasks[before].title for before in task.after)
    said = text("graph.said", title=task.title, target=task.target, state=called, n=task.attempts)
    return Step(
        task=task,
        standing=standing,
        look=RUNNING if standing == "RUNNING" else mark(standing),
        word=called,
        lines=lines,
        x=box.x,
        y=box.y,
        stopped=task.state in STOPPED and not task.running,
        waits_for=waits_for,
        said=said,
        due=_due(task),
    )


def _due(task: GraphTask) -> str:
    what = DUE.get(task.state, "") if task.due and not task.running else ""
    return text(f"graph.due_{what}") if what else ""


def _kind(start: Step) -> str:
    if start.task.state is TaskState.COMPLETED:
        return "met"
    return "stopped" if start.stopped or start.standing == "BLOCKED" else "open"


def _bands(graph: Graph, layout: Layout) -> tuple[Band, ...]:
    return tuple(
        Band(graph.items[lane.item].title, graph.items[lane.item].id, lane.y, lane.height) for lane in layout.lanes
    )


def _caption(steps: Sequence[Step]) -> str:
    done = sum(step.task.state is TaskState.COMPLETED for step in steps)
    stuck = sum(step.standing == "BLOCKED" for step in steps)
    running = sum(step.standing == "RUNNING" for step in steps)
    stopped = [text("graph.is", title=_named(step, steps), state=step.word.lower()) for step in steps if step.stopped]
    more = [text("graph.more", n=len(stopped) - NAMED)] if len(stopped) > NAMED else []
    parts = [
        text("graph.done", n=done, all=len(steps)),
        *([text("graph.under_way", n=running)] if running else []),
        *stopped[:NAMED],
        *more,
        *([text("graph.blocked", n=stuck)] if stuck else []),
    ]
    return text("graph.sentence", parts="; ".join(parts))


def _named(step: Step, steps: Sequence[Step]) -> str:
    """The title of a step; with its item where others are called the same."""
    title, item = step.task.title, step.task.item
    alone = sum(other.task.title == title for other in steps) == 1
    return title if alone else text("graph.titled", title=title, id=item)


def _path(edge: Edge) -> str:
    """Curves in the gaps, straight lines past the boxes; the last curve ends where the arrow begins."""
    (x, y), *rest = edge.points
    said = f"M{x:g} {y:g}"
    for place, (to_x, to_y) in enumerate(rest):
        last = place == len(rest) - 1
        if place % 2:
            said += f"H{to_x:g}"
        else:
            end = to_x - HEAD if last else to_x
            middle = (x + end) / 2
            said += f"H{end:g}" if y == to_y else f"C{middle:g} {y:g} {middle:g} {to_y:g} {end:g} {to_y:g}"
        x, y = to_x, to_y
    return said


def _head(edge: Edge) -> str:
    x, y = edge.points[-1]
    return f"M{x:g} {y:g}l{-HEAD - 2} -4v8z"


def _lines(title: str, letters: int) -> tuple[str, ...]:
    """The title in as many lines as the box has, the last one cut when that is not enough."""
    lines, line = [], ""
    for part in title.split():
        wider = f"{line} {part}".strip()
        if line and _wide(wider) > letters:
            lines.append(line)
            wider = part
        line = wider
    lines.append(line)
    kept, rest = lines[: LINES - 1], " ".join(lines[LINES - 1 :])
    return tuple(_cut(one, letters) for one in (*kept, rest) if one)


def _cut(line: str, letters: int) -> str:
    if _wide(line) <= letters:
        return line
    while _wide(line) >= letters:
        line = line[:-1]
    return f"{line.rstrip()}…"


def _wide(line: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in line)
