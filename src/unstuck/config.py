"""One frozen Config, read once: defaults < unstuck.toml < UNSTUCK_* < flags. Every value knows where it is from."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

SECRETS = ("database_url", "migrate_url", "callback_secret")


class BadConfig(Exception):
    """A setting is unknown or cannot be read; the sentence names it and where it came from."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The effective settings. Durations in seconds. `targets` maps a system of the pack to its base URL."""

    data: str = ".data"
    database_url: str = ""
    migrate_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    workers: int = 1
    pack: str = "minimal"
    targets: dict[str, str] = {}
    callback_secret: str = ""
    signing_key_file: str = ""
    secrets_key_file: str = ""
    webhook_allow: str = ""
    checkpoint_dir: str = ""
    checkpoint_url: str = ""
    origin: str = "unstuck.local"
    lease_s: float = 30.0
    speed: float = 1.0
    room: int = 0
    body_limit: int = 10_000_000
    log: str = "info"
    demo: bool = False

    @property
    def data_dir(self) -> Path:
        return Path(self.data)


def read_config(flags: Mapping[str, Any], environ: Mapping[str, str], toml: Path) -> tuple[Config, dict[str, str]]:
    """The settings and, for each, where it comes from. Raises BadConfig for an unknown key or a wrong value."""
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    layers = ((str(toml), _toml(toml)), ("environment", _environment(environ)), ("flag", _given(flags)))
    for name, layer in layers:
        for key, value in layer.items():
            if key not in Config.__struct_fields__:
                raise BadConfig(f"{name}: there is no setting {key!r}; `unstuck config show` lists them")
            values[key], origin[key] = value, name
    try:
        return msgspec.convert(values, Config, strict=False), origin
    except msgspec.ValidationError as error:
        raise BadConfig(f"settings: {error}") from error


def shown(config: Config, origin: Mapping[str, str]) -> list[dict[str, str]]:
    """The settings for people, secrets hidden."""
    rows = []
    for name in Config.__struct_fields__:
        value = getattr(config, name)
        text = "(set)" if name in SECRETS and value else str(value)
        rows.append({"setting": name, "value": text, "from": origin.get(name, "default")})
    return rows


def _toml(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: {error}") from error


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in environ.items():
        key = name.removeprefix("UNSTUCK_").lower()
        if not name.startswith("UNSTUCK_") or key in OTHERS:
            continue
        if key.endswith("_file") and key not in Config.__struct_fields__:
            key, value = key.removesuffix("_file"), _secret(name, value)
        found[key] = msgspec.json.decode(value) if key == "targets" else value
    return found


OTHERS = ("url", "token", "pg_bin")


def _secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise BadConfig(f"{name}: {path} cannot be read ({error.strerror})") from error


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flags.items() if value is not None}


def from_environment(flags: Mapping[str, Any] | None = None) -> tuple[Config, dict[str, str]]:
    """`read_config` of this process: its environment and the unstuck.toml of its folder."""
    return read_config(flags or {}, os.environ, Path("unstuck.toml"))
