"""What runs in a cell's own environment: asks its servers who they are, and runs its tests.

    python -m tests.matrix.inside OUTPUT [--servers NAME ...] -- ARGUMENTS of pytest

OUTPUT gets, as JSON, versions as servers, interpreter and drivers tell them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from lionagi_qe.testing.servers import (
    CLUSTER_VARIABLE,
    PostgresServer,
    RedisCluster,
    RedisServer,
)
from lionagi_qe.testing.servers.redis import execute

_DRIVERS = ("apsw", "asyncpg", "redis", "pydantic", "orjson")


def versions(servers: list[str]) -> dict[str, str]:
    """Return {what: version} of the interpreter, of drivers, and of servers started for that."""
    told = {"Python": platform.python_version()}
    if "sqlite" in servers:
        import apsw

        told["SQLite"] = apsw.sqlite_lib_version()
    if "postgresql" in servers:
        with PostgresServer() as postgres:
            told["PostgreSQL"] = postgres.version
    if "redis" in servers:
        with RedisServer() as redis:
            lines = str(execute(redis.url, "INFO", "server"))
            told["Valkey" if "valkey_version" in lines else "Redis"] = redis.version
    if "pgbouncer" in servers:
        said = subprocess.run(
            ["pgbouncer", "--version"], capture_output=True, text=True, check=True
        )
        told["PgBouncer"] = said.stdout.split()[1]
    return told | {name: metadata.version(name) for name in _DRIVERS}


def main() -> int:
    """Tell and run; the exit code is pytest's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--servers", nargs="*", default=[])
    split = sys.argv.index("--")
    options = parser.parse_args(sys.argv[1:split])
    told = versions(options.servers)
    options.output.write_text(json.dumps(told), encoding="utf-8")
    with ExitStack() as stack:
        environment = dict(os.environ)
        if "cluster" in options.servers:
            cluster = stack.enter_context(RedisCluster(replicas=1))
            environment[CLUSTER_VARIABLE] = cluster.url
        command = [sys.executable, "-m", "pytest", *sys.argv[split + 1 :]]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
