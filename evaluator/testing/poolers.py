"""A real PgBouncer for tests, as a context manager that gives the address of its console.

It is always the binary of this machine: it has to reach a server on 127.0.0.1, which a container does not see.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from evaluator.testing.servers import answers, binary, folder, free_port, process

USERS = {"monitor": "monitor", "app": "app"}
"""Who may connect, with their passwords: `monitor` to the console, which it may only read, and both to databases."""


@contextmanager
def pgbouncer(server: str, *databases: str, port: int | None = None, **settings: str) -> Iterator[str]:
    """Run PgBouncer before a PostgreSQL server; give the address of its console.

    `server` is the address of a database, which clients find under each name of `databases` (default `shop`).
    `settings` are of pgbouncer.ini (`default_pool_size="2"`); `auth_file` and `stats_users` may be among them.
    """
    upstream = urlsplit(server)
    port = free_port() if port is None else port
    target = f"host={upstream.hostname} port={upstream.port} dbname={upstream.path[1:]} user={upstream.username}"
    if upstream.password:
        target += f" password={upstream.password}"
    with folder() as home:
        home.chmod(0o755)
        (home / "users").write_text("".join(f'"{user}" "{password}"\n' for user, password in USERS.items()))
        options = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "plain",
            "auth_file": str(home / "users"),
            "stats_users": "monitor",
            "pool_mode": "transaction",
            **settings,
        }
        lines = ["[databases]", *(f"{name} = {target}" for name in databases or ("shop",)), "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        (home / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        program = [binary("pgbouncer", "pgbouncer"), str(home / "pgbouncer.ini")]
        if os.geteuid() == 0:
            # It refuses to run as root.
            program = [binary("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups", *program]
        with process(program, lambda: answers(port), home / "log"):
            yield f"postgresql://monitor:monitor@127.0.0.1:{port}/pgbouncer"
