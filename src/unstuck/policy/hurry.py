"""A pack whose clocks run faster: every duration divided, for rehearsals. The result is a pack with its own hash."""

from collections.abc import Mapping
from typing import Any

import yaml

DURATIONS = ("reply", "expected", "warning", "breach")


def hurried(files: Mapping[str, str], speed: float) -> dict[str, str]:
    """The same files with every duration divided by `speed`; the very same texts when it is 1."""
    if speed == 1.0:
        return dict(files)
    return {
        name: yaml.safe_dump(_scaled(yaml.safe_load(text), speed, ""), sort_keys=False) for name, text in files.items()
    }


def _scaled(value: Any, speed: float, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _scaled(inner, speed, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_scaled(inner, speed, name) for inner in value]
    is_duration = name in DURATIONS or name.endswith("_s")
    return value / speed if is_duration and isinstance(value, int | float) and not isinstance(value, bool) else value
