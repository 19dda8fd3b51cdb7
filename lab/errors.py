"""What can go wrong with the lab itself.

LabError
├── MissingProgram    a program the lab needs is not installed
├── DaemonFailed      a daemon did not start, or died; carries the end of its log
├── NoFreePort        no free port was found
├── ControlRefused    a resolver refused a control command
├── Malformed         a notice that an ISP cannot read
└── FolderTaken       the folder belongs to another lab, or to something else
"""

from __future__ import annotations


class LabError(RuntimeError):
    """The lab cannot do its work."""


class MissingProgram(LabError):
    """A program is not installed; the message names the Debian package."""


class DaemonFailed(LabError):
    """A daemon did not start or died; the message ends with the tail of its log."""


class NoFreePort(LabError):
    """No port was free on all the addresses that must share it."""


class ControlRefused(LabError):
    """A resolver answered a control command with an error."""


class Malformed(LabError):
    """A notice that an ISP cannot read; the message names the field."""


class FolderTaken(LabError):
    """A lab runs in the folder already, or it holds files that no lab wrote."""
