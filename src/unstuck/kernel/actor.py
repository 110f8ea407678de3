"""Who acts, and what policy answered when asked whether they may."""

from collections.abc import Mapping

import msgspec

from unstuck.kernel.refusal import Forbidden, Refused


class Actor(msgspec.Struct, frozen=True):
    """A person, an integration or one of our own loops, with the roles it holds."""

    id: str
    roles: frozenset[str] = frozenset()
    source: str = ""  # the only source this actor speaks for; empty: it is no source's own

    @property
    def is_machine(self) -> bool:
        return self.id.startswith("unstuck:")


ENGINE = Actor("unstuck:engine")
CLASSIFIER = Actor("unstuck:classifier")


class Verdict(msgspec.Struct, frozen=True):
    """One action: allowed when `rule` is empty, else refused by that rule, for that reason."""

    rule: str = ""
    because: str = ""
    role: bool = False  # refused only because of who asks

    @property
    def allowed(self) -> bool:
        return not self.rule


class Grant(msgspec.Struct, frozen=True):
    """What policy answered for one actor and one case. `decide`, the API and the pages read the same one."""

    actor: Actor
    verdicts: Mapping[str, Verdict]

    def require(self, action: str) -> None:
        """Raise the refusal that policy gave for `action`; an action it does not know is refused too."""
        verdict = self.verdicts.get(action, Verdict("known-action", f"there is no action called {action}"))
        if not verdict.allowed:
            raise (Forbidden if verdict.role else Refused)(verdict.rule, verdict.because)
