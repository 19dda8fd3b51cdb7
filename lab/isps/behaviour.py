"""How an ISP misbehaves when a story needs it to: each switch counts down and then the ISP is honest again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from lab.isps.orders import Order
from precinto.domain.notification import Action

_Key = TypeVar("_Key")


@dataclass
class Behaviour:
    """Switches; all off at first.

    Attributes:
        slow: Seconds that the ISP takes before it acts or answers.
        retry_after: Seconds that ``fail`` asks the sender to wait.
    """

    slow: float = 0.0
    retry_after: int = 1
    _lies: dict[Action, int] = field(default_factory=dict[Action, int])
    _stubborn: dict[Action, int] = field(default_factory=dict[Action, int])
    _counts: dict[str, int] = field(default_factory=dict[str, int])

    def lie(self, action: Action, times: int = 1, *, reminders: bool = False) -> None:
        """Say "enforced" and do nothing, for the next notices of this action.

        A reminder wakes the ISP up: it is carried out, unless ``reminders`` says that those are lied about too.
        """
        (self._stubborn if reminders else self._lies)[action] = times

    def fail(self, times: int = 1, retry_after: int = 1) -> None:
        """Answer 503 with Retry-After (seconds) and take nothing."""
        self.retry_after = retry_after
        self._counts["fail"] = times

    def silent(self, times: int = 1) -> None:
        """Take nothing and never answer; the connection stays open."""
        self._counts["silent"] = times

    def lose_answer(self, times: int = 1) -> None:
        """Take the order and carry it out, and hang up before the answer."""
        self._counts["lose_answer"] = times

    def honest(self) -> None:
        """All switches off."""
        self.slow = 0.0
        for switches in (self._lies, self._stubborn, self._counts):
            switches.clear()

    def lies_about(self, order: Order) -> bool:
        """Whether this order is lied about; counts down."""
        if order.reminder == 0 and _count_down(self._lies, order.action):
            return True
        return _count_down(self._stubborn, order.action)

    def does(self, switch: str) -> bool:
        """Whether ``fail``, ``silent`` or ``lose_answer`` holds for this request; counts down."""
        return _count_down(self._counts, switch)


def _count_down(counts: dict[_Key, int], key: _Key) -> bool:
    left = counts.get(key, 0)
    if left > 0:
        counts[key] = left - 1
    return left > 0
