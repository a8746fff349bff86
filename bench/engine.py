"""One engine process of a benchmark: reads its configuration from stdin, says `up` when it serves.

With the word `believing` it checks nobody's identity.
"""

import asyncio
import signal
import sys
from contextlib import nullcontext

import msgspec
from believing import believing

from workspaced.app.config import ServeConfig
from workspaced.app.run_loop import run_service
from workspaced.app.serve import Server


async def main() -> None:
    """Serve until SIGTERM."""
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServeConfig)
    server = Server(config)
    with believing() if "believing" in sys.argv else nullcontext():
        await server.start()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        print("up", server.http_url, flush=True)
        await stop.wait()
        await server.stop()


run_service(main())
