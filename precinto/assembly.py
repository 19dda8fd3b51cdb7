"""Where ports meet adapters: from settings to everything that activities are built from.

The only module that knows both sides. In lab mode it also closes the door: no connection leaves loopback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client

from precinto.adapters.blobs.local import LocalBlobStore
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.probers.dns import DnsProber
from precinto.domain.intake import TargetKind
from precinto.engine import TemporalSignals
from precinto.loopback import refuse_non_loopback
from precinto.ports import Ports
from precinto.registry import read_registry
from precinto.settings import Settings
from precinto.store import Database, Store

CAPTURE_LIMIT = timedelta(seconds=60)
"""Wall clock of one visit."""


@asynccontextmanager
async def assembled(settings: Settings, client: Client) -> AsyncGenerator[Ports]:
    """The ports of one process, closed when it ends.

    Raises:
        BadInput: The registry or a setting is wrong; names file and key.
    """
    if settings.lab:
        refuse_non_loopback()
    registry = read_registry(settings.registry)
    database = Database(settings.database)
    store = Store(database)
    crawler = WebCrawler(
        executable=settings.chromium,
        resolvers=registry.control_resolvers,
        ports=settings.lab_ports,
        ca=settings.lab_ca,
        timeout=CAPTURE_LIMIT,
    )
    try:
        yield Ports(
            registry=registry,
            crawlers={TargetKind.DOMAIN: crawler, TargetKind.URL: crawler},
            prober=DnsProber(registry.control_resolvers, canary=registry.canary),
            blobs=LocalBlobStore(settings.blob_folder),
            signals=TemporalSignals(client),
            intake=store.intake,
            evidence=store.evidence,
            review=store.review,
            notification=store.notification,
            verification=store.verification,
        )
    finally:
        await crawler.close()
        await database.close()
