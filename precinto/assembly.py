"""Where ports meet adapters: from settings to everything that activities are built from.

The only module that knows both sides. In lab mode it also closes the door: no connection leaves loopback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import InterfaceError, OperationalError
from temporalio.client import Client

from precinto.adapters.archives.wire import WireArchiver
from precinto.adapters.blobs import blob_store
from precinto.adapters.crawlers.apps.crawler import AppCrawler
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.investigators.bootstrap import SHIPPED
from precinto.adapters.investigators.investigator import TargetInvestigator
from precinto.adapters.probers.dns import DnsProber
from precinto.adapters.seals.document import DocumentSigner
from precinto.adapters.seals.identity import CERTIFICATES, KEY
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.adapters.timestamps.rfc3161 import Rfc3161Timestamper
from precinto.domain.intake import TargetKind
from precinto.engine import TemporalSignals
from precinto.guardlists import read_guardlists
from precinto.loopback import refuse_non_loopback
from precinto.ports import Ports
from precinto.recipes import read_recipes
from precinto.registry import read_registry
from precinto.reports.chancery import TypstChancery
from precinto.runs import TemporalRuns
from precinto.settings import Settings
from precinto.store import Database, Store

CAPTURE_LIMIT = timedelta(seconds=180)
"""Wall clock of one visit."""


@asynccontextmanager
async def assembled(settings: Settings, client: Client) -> AsyncGenerator[Ports]:
    """The ports of one process, closed when it ends.

    Raises:
        BadInput: The registry or a setting is wrong; names file and key.
        CannotHere: The database has no tables yet, or those of another version.
    """
    if settings.lab:
        refuse_non_loopback()
    registry = read_registry(settings.registry)
    database = Database(settings.database)
    store = Store(database)
    pages = partial(
        WebCrawler,
        executable=settings.chromium,
        resolvers=registry.control_resolvers,
        ports=settings.lab_ports,
        ca=settings.lab_ca,
        timeout=CAPTURE_LIMIT,
    )
    crawler = pages(recipes=read_recipes(settings.recipes))
    key, certificates = settings.sealing_folder / KEY, settings.sealing_folder / CERTIFICATES
    apps = AppCrawler(pages(recipes=read_recipes(settings.recipes / "apps")))
    try:
        with suppress(OperationalError, InterfaceError):  # one that does not answer yet is waited for, at each act
            await database.check()
        yield Ports(
            registry=registry,
            guardlists=read_guardlists(settings.guardlists).joined(registry.protected),
            crawlers={
                TargetKind.DOMAIN: crawler,
                TargetKind.URL: crawler,
                TargetKind.MOBILE_APP: apps,
                TargetKind.DESKTOP_APP: apps,
            },
            archiver=WireArchiver(),
            investigator=TargetInvestigator(
                resolvers=registry.control_resolvers,
                ports=settings.lab_ports,
                networks=settings.networks,
                bootstrap=settings.rdap or SHIPPED,
                ca=settings.lab_ca,
            ),
            sealer=FileKeySealer(key, certificates),
            chancery=TypstChancery(DocumentSigner(key, certificates)),
            timestampers=tuple(
                Rfc3161Timestamper(one.name, one.url, one.ca_file) for one in registry.timestamp_authorities
            ),
            prober=DnsProber(registry.control_resolvers, canary=registry.canary),
            blobs=blob_store(settings.blob_place),
            signals=TemporalSignals(client),
            runs=TemporalRuns(client),
            intake=store.intake,
            evidence=store.evidence,
            review=store.review,
            gate=store.gate,
            documents=store.documents,
            notification=store.notification,
            verification=store.verification,
            anchors=store.anchors,
            watch=store.watch,
            escalations=store.escalations,
        )
    finally:
        await crawler.close()
        await apps.close()
        await database.close()
