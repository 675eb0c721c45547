"""The password of Redis changes while everything runs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from freshet.commands.processes import Server
from freshet.core.settings import Settings
from freshet.core.state.client import connect

from .conftest import Measured, OpenStream
from .steps import Start, answered, exact
from .visitor import visiting

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

CHUNK = 500
OLD, NEW, AUDIT = "old-secret", "new-secret", "audit-secret"
OFFERED = tuple(f"item-{number}" for number in range(1, 11))


def with_password(settings: Settings, password: str, user: str = "default") -> Settings:
    """Return the settings of who names a user and a password in the URL."""
    url = f"{settings.redis_url}?username={user}&password={password}"
    return msgspec.structs.replace(settings, redis_url=url)


def change_rules(settings: Settings, *rules: str) -> None:
    """Change what Redis takes from those who name no user of their own."""
    with connect(settings) as client:
        client.execute_command("ACL", "SETUSER", "default", *rules)


@pytest.mark.fault(68, promise="both are good for a while; no request fails, nothing is lost")
def test_the_password_of_redis_is_changed_under_way(
    settings: Settings,
    streaming: OpenStream,
    worker: Start,
    server: Callable[[Settings], Server],
    measured: Measured,
) -> None:
    """As Redis is made for: the new one is added, processes take it in turn, the old one goes."""
    if settings.redis_url.startswith("redis+cluster"):
        pytest.skip("A CLUSTER HAS ITS PASSWORD IN ANOTHER PLACE OF ITS URL")
    with connect(settings) as client:
        rules = ("on", f">{AUDIT}", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "audit", *rules)
    audit = with_password(settings, AUDIT, "audit")
    old, new = with_password(settings, OLD), with_password(settings, NEW)
    change_rules(audit, "resetpass", f">{OLD}")
    stream = streaming(audit)
    stream.offer(*OFFERED)
    old_worker, old_server = worker(old), server(old)
    stream.send(CHUNK)
    stream.catch_up()
    change_rules(audit, f">{NEW}")
    with visiting(server(new).url, "user-1") as visits:
        old_server.child.stop()
        old_worker.stop()
        worker(new)
        stream.send(CHUNK)
        stream.catch_up()
        change_rules(audit, f"<{OLD}")
        with connect(audit) as client:
            client.client_kill_filter(_type="normal", skipme=True)  # who still has a connection
        stream.send(CHUNK)
        recovery_s = stream.catch_up()
    measured(recovery_s=recovery_s, **exact(stream), **answered(visits))
