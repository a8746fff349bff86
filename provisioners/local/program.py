"""The local provisioner as a program."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from msgspec import Struct
from nats.errors import Error

from workspaced.bus.connection import kept, servers_of
from workspaced.bus.lasting_client import LastingClient
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.provisioners.agent.config import NatsLogin
from workspaced.provisioners.agent.program import stop_on_signals
from workspaced.provisioners.local.limits import parse_limits
from workspaced.provisioners.local.provisioner import LocalProvisioner, end_all_agents

_log = logging.getLogger(__name__)


class ProvisionerConfig(Struct, frozen=True):
    """A local provisioner of one tag. Limits are those of domain.md section 11."""

    nats: NatsLogin
    agent_nats: NatsLogin
    """How agents connect; not as the provisioner does."""
    root: Path
    tag: str = "local"
    concurrency: int = 10
    supervise: bool = True
    end_agents: bool = False
    """End every agent when the provisioner ends; else workspaces outlive it."""
    drain_limit: timedelta = timedelta(seconds=20)
    """What jobs in hand get to finish when the provisioner is told to end."""
    startup_script_timeout: timedelta = timedelta(0)
    stop_grace: timedelta = timedelta(seconds=10)
    by_tag: bool = False
    """Reports name the tag in their subject; its user may say no others."""
    tenants: bool = False
    """Lines of logs go to their organization too."""
    agent_limits: str = ""
    """As `limits.parse_limits` reads it."""
    job_extend: timedelta | None = None
    job_attempts: int = 3
    cancel_grace: timedelta = timedelta(minutes=10)
    log_flush: timedelta = timedelta(milliseconds=250)


async def run_provisioner(config: ProvisionerConfig, stopping: asyncio.Event | None = None) -> int:
    """Take jobs until `stopping`, then drain; the exit code, 0 after a clean end.

    Without `stopping` SIGTERM and SIGINT stop it. A server that is down is tried again for ever.
    """
    stopping = stopping or stop_on_signals()
    provisioner = LocalProvisioner(
        config.root,
        config.agent_nats,
        supervise=config.supervise,
        startup_script_timeout=config.startup_script_timeout,
        stop_grace=config.stop_grace,
        limits=parse_limits(config.agent_limits),
    )
    await provisioner.take_over()
    told = asyncio.create_task(stopping.wait())
    try:
        while not told.done():
            # Once more only after the server closed the connection for good; jobs in hand come again.
            await _serve(config, provisioner, told)
    finally:
        told.cancel()
        provisioner.release()
        if config.end_agents:
            await end_all_agents(provisioner.root, config.stop_grace)
    return 0


async def _serve(config: ProvisionerConfig, provisioner: LocalProvisioner, told: asyncio.Task[bool]) -> None:
    """Over one connection, until it is told to end or the connection is closed for good."""
    nc = LastingClient()
    client = _client(nc, config)
    working = asyncio.create_task(_work(nc, client, config, provisioner))
    try:
        await asyncio.wait([working, told], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if nc.is_connected or nc.is_reconnecting:
                await client.drain(config.drain_limit)
            else:
                working.cancel()
        await working
    except Error as error:
        _log.warning("NATS: %s; connecting anew", _text(error))
    except asyncio.CancelledError:
        if not told.done():
            raise
    finally:
        if not nc.is_closed:
            await nc.close()


def _client(nc: LastingClient, config: ProvisionerConfig) -> ProvisionerClient:
    return ProvisionerClient(
        nc,
        config.tag,
        concurrency=config.concurrency,
        attempts=config.job_attempts,
        log_flush=config.log_flush,
        cancel_grace=config.cancel_grace,
        extend=config.job_extend,
        by_tag=config.by_tag,
        tenants=config.tenants,
    )


async def _work(
    nc: LastingClient, client: ProvisionerClient, config: ProvisionerConfig, provisioner: LocalProvisioner
) -> None:
    await nc.connect(
        servers_of(config.nats.url),
        reconnected_cb=client.reconnected,
        error_cb=_troubles(),
        **kept(),
        **config.nats.options(),
    )
    _log.info("provisioner %s takes jobs %r as %s", client.worker, config.tag, config.nats.user)
    await client.run(provisioner.handle)


def _troubles() -> Callable[[Exception], Awaitable[None]]:
    """Says each once in a row: while NATS is away the same one comes twice a second."""
    last = ""

    async def say(error: Exception) -> None:
        nonlocal last
        if (text := _text(error)) != last:
            last = text
            _log.warning("NATS: %s", text)

    return say


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
