"""How far this machine's clock can be trusted, by the kernel itself: evidence says when, so it says how surely."""

from __future__ import annotations

import ctypes
import os
from typing import ClassVar

from precinto.domain.evidence import Clock

_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """``struct timex`` of Linux, as far as it is read here; the rest is padding (adjtimex(2))."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def clock() -> Clock:
    """The state of the system's clock: reading it (modes = 0) changes nothing and needs no right."""
    state = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if (answer := libc.adjtimex(ctypes.byref(state))) < 0:
        reason = os.strerror(ctypes.get_errno())
        return Clock(synchronised=False, offset_us=None, error_us=None, source=f"adjtimex: {reason}")
    offset = int(state.offset) // 1000 if state.status & _STA_NANO else int(state.offset)
    synchronised = answer != _TIME_ERROR and not state.status & _STA_UNSYNC
    return Clock(synchronised=synchronised, offset_us=offset, error_us=int(state.maxerror), source="adjtimex")
