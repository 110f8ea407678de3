"""F10, F11, F12: what is killed or stopped, and when. Drawn from the seed before the run starts, so it can be replayed."""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from proof.stack import LEASE_S, Stack

WORKER, SERVE, ZOMBIE, DATABASE = "worker", "serve", "zombie", "database"
WEIGHTS = {WORKER: 62, SERVE: 22, ZOMBIE: 16}


@dataclass(frozen=True)
class Step:
    """After `wait_s`, do this to the part that `draw` in [0, 1) chooses; a zombie sleeps for `for_s`."""

    wait_s: float
    what: str
    draw: float
    for_s: float = 0.0


@dataclass
class Harm:
    """What was done: to which process, from when until when."""

    what: str
    part: str
    pid: int
    at: float
    until: float


@dataclass
class Chaos:
    """The plan and what came of it."""

    steps: list[Step]
    harms: list[Harm] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """F10 and F12; zombies are counted apart."""
        return sum(harm.what != ZOMBIE for harm in self.harms)

    def count(self, what: str) -> int:
        """How often this was done."""
        return sum(harm.what == what for harm in self.harms)


def draw_plan(
    seed: int, kills: int, *, every_s: float, database_kills: int = 1, weights: dict[str, int] | None = None
) -> Chaos:
    """`kills` kills, the database's among them spread evenly, zombies beside them."""
    chance = random.Random(f"chaos {seed}")
    shares = weights or WEIGHTS
    steps: list[Step] = []
    done = 0
    at_database = {(n + 1) * kills // (database_kills + 1) for n in range(database_kills)}
    while done < kills:
        what = DATABASE if done in at_database else chance.choices(list(shares), list(shares.values()))[0]
        at_database.discard(done) if what == DATABASE else None
        wait = every_s * (0.5 + chance.random())
        steps.append(Step(wait, what, chance.random(), LEASE_S + 0.3 + chance.random() if what == ZOMBIE else 0.0))
        done += what != ZOMBIE
    return Chaos(steps)


async def unleash(chaos: Chaos, stack: Stack, said: Callable[[str], None]) -> None:
    """Carry the plan out. Parts that end by themselves are started again, as a supervisor would."""
    zombies: set[asyncio.Task[None]] = set()
    for number, step in enumerate(chaos.steps, 1):
        await asyncio.sleep(step.wait_s)
        for name in stack.revive():
            print(f"  {name} had ended by itself", file=sys.stderr)
        if step.what == DATABASE:
            await _kill_database(chaos, stack)
        elif step.what == ZOMBIE:
            task = asyncio.create_task(_zombie(chaos, stack, step))
            zombies.add(task)
            task.add_done_callback(zombies.discard)
        else:
            _kill(chaos, stack, step)
        said(f"{number}/{len(chaos.steps)} {step.what}")
    if zombies:
        await asyncio.gather(*zombies)


def _kill(chaos: Chaos, stack: Stack, step: Step) -> None:
    names = stack.names(step.what)
    name = names[int(step.draw * len(names))]
    at = time.time()
    if stack.parts[name].stopped:
        stack.go_on(name)
    pid = stack.kill(name)
    chaos.harms.append(Harm(step.what, name, pid, at, time.time()))


async def _zombie(chaos: Chaos, stack: Stack, step: Step) -> None:
    names = stack.names(WORKER)
    name = names[int(step.draw * len(names))]
    if stack.parts[name].stopped:
        return
    harm = Harm(ZOMBIE, name, stack.halt(name), time.time(), time.time() + step.for_s)
    chaos.harms.append(harm)
    await asyncio.sleep(step.for_s)
    if stack.parts[name].process.pid == harm.pid:  # it may have been killed in its sleep
        stack.go_on(name)
    harm.until = time.time()


async def _kill_database(chaos: Chaos, stack: Stack) -> None:
    at = time.time()
    pid = await asyncio.to_thread(stack.kill_database)
    chaos.harms.append(Harm(DATABASE, "database", pid, at, time.time()))
