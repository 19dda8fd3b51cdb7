"""How a term is counted: from which day, to which moment, and over which days.

* Days run from the day after the event (*dies a quo non computatur*), and the term ends with the last moment of its
  last day, local time. Sources: Regulation (EEC, Euratom) No 1182/71 art. 3(1) and (2)(b); Peru, TUO of Law 27444
  (Supreme Decree 004-2019-JUS) arts. 144 and 145.
* Where that last day is none on which the authority works, the term ends with the next that is: Regulation 1182/71
  art. 3(4); TUO of Law 27444 art. 145.2.
* Working days are all days but Saturdays, Sundays and public holidays: Regulation 1182/71 art. 2(2); TUO of Law 27444
  arts. 145.1 and 149.
* Hours, minutes and seconds run from moment to moment and over any day: they end where they end. (Regulation 1182/71
  art. 3(1) leaves out the hour of the event itself. A procedure that must do so states an hour more.)

The Regulation also wants two working days in every period of two days or more (art. 3(5)); the procedures' own laws do
not, and nothing here does. The citations of the Peruvian law are still to be checked by counsel. Each country's own
law of procedure goes before the Regulation, which binds the Union's acts; it is cited because it says in one article
what these laws share.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from precinto.domain.errors import BadInput

_DAY = timedelta(days=1)
_LAST_MOMENT = timedelta(microseconds=1)
_SATURDAY = 5


@dataclass(frozen=True)
class Calendar:
    """The days of one authority.

    Attributes:
        zone: Where its days begin and end.
        holidays: Its public holidays, and other days on which it is closed.
        years: The years whose holidays are all in ``holidays``. Nothing is said of another.
    """

    zone: ZoneInfo
    holidays: Collection[date]
    years: Collection[int]

    def works_on(self, day: date) -> bool:
        """Whether the authority works on that day.

        Raises:
            BadInput: The holidays of that year are not known.
        """
        if day.year not in self.years:
            known = f"{min(self.years)} to {max(self.years)}" if self.years else "none"
            raise BadInput(f"the holidays of {day.year} are not known to this calendar (known: {known})")
        return day.weekday() < _SATURDAY and day not in self.holidays

    def after_days(self, start: datetime, days: int) -> datetime:
        """The end of a term of so many days, all of them counted; the last is one on which the authority works.

        Raises:
            BadInput: It ends in a year whose holidays are not known.
        """
        last = self._local(start) + days * _DAY
        while not self.works_on(last):
            last += _DAY
        return self._end_of(last)

    def after_working_days(self, start: datetime, days: int) -> datetime:
        """The end of a term of so many working days.

        Raises:
            BadInput: It runs into a year whose holidays are not known.
        """
        last = self._local(start)
        while days > 0:
            last += _DAY
            days -= self.works_on(last)
        return self._end_of(last)

    def _local(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def _end_of(self, day: date) -> datetime:
        # Counted back from the next day's first moment: where clocks change at midnight, a day has no 00:00 or two.
        return datetime.combine(day + _DAY, time(), self.zone).astimezone(UTC) - _LAST_MOMENT
