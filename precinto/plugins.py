"""The plugin contract, whole: what third parties may add, and how it is found.

A plugin is a class that an installed package names in one of three groups of entry points::

    [project.entry-points."precinto.channels"]
    fax = "fax_for_precinto:FaxChannel"

From then on the registry may say ``channel = "fax"``. What a class must be, by group:

``precinto.crawlers``
    Port ``Crawler``: ``async def capture(self, target) -> Capture``.
``precinto.channels``
    Port ``Channel``: ``async def deliver(self, notice) -> Delivery``. Beside it a nested pydantic model ``Options``,
    which reads ``[isps.options]`` of the registry, and ``__init__(self, isp, options, folder)``: id of the ISP, its
    options, and the registry's folder, which relative paths start from. Neither may touch the network.
``precinto.probers``
    Port ``Prober``: ``async def measure(self, target, resolvers) -> Facts``.

``precinto.ports`` has the ports, ``precinto.domain.errors`` the only errors they may raise, and
``tests/contract`` the kits that show whether a plugin keeps its word.
"""

from __future__ import annotations

import inspect
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Protocol, cast

from pydantic import AfterValidator, BaseModel, ValidationInfo

from precinto.domain.errors import BadInput, NotFound
from precinto.ports import Channel


class Group(StrEnum):
    """The groups of entry points."""

    CRAWLERS = "precinto.crawlers"
    CHANNELS = "precinto.channels"
    PROBERS = "precinto.probers"


_DUTIES = {Group.CRAWLERS: "capture", Group.CHANNELS: "deliver", Group.PROBERS: "measure"}
"""The one coroutine that a plugin of each group must have."""


class ChannelPlugin(Protocol):
    """A class in the group ``precinto.channels``, seen as the factory that it is."""

    Options: type[BaseModel]

    def __call__(self, isp: str, options: BaseModel, folder: Path) -> Channel:
        """The channel to one ISP."""
        ...


def _must_exist(path: Path, info: ValidationInfo) -> Path:
    folder = info.context.get("folder") if isinstance(info.context, dict) else None  # pyright: ignore
    if isinstance(folder, Path) and not (folder / path).is_file():
        raise ValueError(f"there is no file {folder / path}")
    return path


ExistingFile = Annotated[Path, AfterValidator(_must_exist)]
"""For ``Options``: a file, relative to the registry's folder; that it exists is checked when the registry is read."""


def installed(group: Group) -> tuple[str, ...]:
    """Names of the installed plugins of a group, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load(group: Group, name: str) -> type[Any]:
    """The class of a plugin.

    Raises:
        NotFound: No installed package brings it; names those that there are.
        BadInput: It cannot be imported, is not what the contract asks, or two packages claim the name.
    """
    points = entry_points(group=group, name=name)
    if not points:
        raise NotFound(f"there is no plugin {name!r} in {group}; installed: {', '.join(installed(group)) or 'none'}")
    if len({point.value for point in points}) > 1:
        claims = ", ".join(sorted(point.value for point in points))
        raise BadInput(f"{group}: {name}: more than one package claims this name: {claims}")
    return _checked(group, next(iter(points)))


def load_channel(name: str) -> ChannelPlugin:
    """The factory of a channel; errors as in ``load``."""
    return cast(ChannelPlugin, load(Group.CHANNELS, name))


def _checked(group: Group, point: EntryPoint) -> type[Any]:
    where = f"{group}: {point.name} = {point.value}"
    try:
        found: object = point.load()
    except Exception as error:  # whatever a stranger's module does while it is imported
        raise BadInput(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(found, type):
        raise BadInput(f"{where}: is not a class")
    duty = _DUTIES[group]
    if not inspect.iscoroutinefunction(getattr(found, duty, None)):
        raise BadInput(f"{where}: has no coroutine {duty}()")
    if group is Group.CHANNELS:
        options = getattr(found, "Options", None)
        if not (isinstance(options, type) and issubclass(options, BaseModel)):
            raise BadInput(f"{where}: has no nested pydantic model Options")
    return found
