"""Answers that say no. The edge alone knows what they look like over HTTP."""


class Refused(Exception):
    """A rule said no. Shown to the person, never logged as an error."""

    def __init__(self, rule: str, because: str) -> None:
        super().__init__(because)
        self.rule = rule
        self.because = because


class Forbidden(Refused):
    """The actor's roles do not allow it."""


class IllegalTransition(Refused):
    """The state table has no such row."""

    def __init__(self, machine: str, state: str, action: str) -> None:
        super().__init__("life-cycle", f"a {machine} that is {in_words(state)} cannot {in_words(action)}")
        self.machine, self.state, self.action = machine, state, action


class Stale(Refused):
    """Somebody changed it first; `current` is the version to read again."""

    def __init__(self, what: str, current: int) -> None:
        super().__init__("if-match", f"{what} has moved on to version {current}; read it again and decide on that")
        self.current = current


class Missing(Refused):
    """Nothing is known by that name, or the actor may not know of it."""

    def __init__(self, what: str) -> None:
        super().__init__("not-found", f"{what} is not known here")


class Invalid(Refused):
    """The input cannot be taken; each error is a JSON pointer and a sentence."""

    def __init__(self, because: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__("valid-input", because)
        self.errors = errors


def in_words(code: str) -> str:
    """A code of ours as people say it: `IN_PROGRESS` is "in progress"."""
    return code.replace("_", " ").lower()


class TooMany(Refused):
    """It was tried too often; it may be tried again after `wait_s` seconds."""

    def __init__(self, rule: str, because: str, wait_s: int) -> None:
        super().__init__(rule, because)
        self.wait_s = wait_s
