"""What the tests of apps share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.crawlers.apps.samples import Missing, sample


def _or_skip(name: str) -> Path:
    try:
        return sample(name)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def settings_apk() -> Path:
    """Android Debug key, scheme v2, nine dex files."""
    return _or_skip("settings.apk")


@pytest.fixture(scope="session")
def three_schemes_apk() -> Path:
    """Schemes v1, v2 and v3."""
    return _or_skip("test.apk")


@pytest.fixture(scope="session")
def signed_exe() -> Path:
    """A program signed by a public authority's customer."""
    return _or_skip("signed.exe")


@pytest.fixture(scope="session")
def forms_exe() -> Path:
    """A .NET program with a version resource, signed by itself."""
    return _or_skip("forms.exe")


@pytest.fixture(scope="session")
def msi() -> Path:
    """An installer made by the WiX toolset."""
    return _or_skip("dummy.msi")


@pytest.fixture(scope="session")
def appx() -> Path:
    """A package of the Windows store, whose directory is in 64-bit form."""
    return _or_skip("app.appx")
