"""The worker: settings -> ports -> client -> workers -> drain on SIGTERM.

``python worker.py`` serves every queue and probes from every vantage that ``PRECINTO_VANTAGES`` names, or all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog

from precinto.assembly import assembled
from precinto.domain.errors import PrecintoError
from precinto.engine import connect, workers
from precinto.observability import set_up_logging
from precinto.settings import Settings, load_settings

log = structlog.get_logger("precinto.worker")


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let running activities finish."""
    import activities
    import workflows

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    async with assembled(settings, client) as ports:
        vantages = settings.vantages or tuple(isp.id for isp in ports.registry.isps)
        async with workers(
            client,
            workflows.WORKFLOWS,
            activities.build(ports),
            vantages,
            cached_workflows=settings.cached_workflows,
        ):
            log.info("worker_ready", temporal=settings.temporal_address, vantages=list(vantages))
            await stop.wait()
            log.info("worker_draining")


def main() -> int:
    """Entry point; the exit code."""
    set_up_logging("INFO")
    try:
        settings = load_settings()
        set_up_logging(settings.log_level)
        asyncio.run(serve(settings))
    except PrecintoError as error:  # what a person can mend is told in a line
        log.error("worker_cannot_serve", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # an interpreter that is taken apart after Temporal's SDK was used can crash (sdk-python#300)
