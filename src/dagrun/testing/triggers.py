# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every kind of trigger must do, as tests to inherit."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import pytest

from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.workflow import JSON
from dagrun.ports.trigger import TriggerKind
from dagrun.testing.limits import within

Options = Mapping[str, JSON]


class TriggerSuite(ABC):
    """Inherit it, and give options as they stand in documents."""

    @pytest.fixture(autouse=True)
    def _limited(self) -> Iterator[None]:
        with within():
            yield

    @abstractmethod
    def make_kind(self) -> TriggerKind:
        """Make the kind as the loader does: without arguments."""

    @abstractmethod
    def right(self) -> Sequence[Options]:
        """Give options that are right; one time with nothing but what is needed."""

    @abstractmethod
    def wrong(self) -> Sequence[tuple[Options, str]]:
        """Give options whose types are right, each with the name of the one that is wrong."""

    def test_options_that_are_right_get_no_complaint(self) -> None:
        for options in self.right():
            assert self._complaints(options) == {}

    def test_what_is_wrong_is_told_under_the_name_of_its_option(self) -> None:
        for options, name in self.wrong():
            complaints = self._complaints(options)
            assert list(complaints) == [name]
            assert complaints[name].strip()

    def test_a_complaint_is_one_line_of_bounded_length(self) -> None:
        for options, name in self.wrong():
            message = self._complaints(options)[name]
            assert "\n" not in message
            assert len(message) < 1000

    def test_checking_changes_nothing_and_says_the_same_again(self) -> None:
        kind = self.make_kind()
        for options in (*self.right(), *(options for options, _ in self.wrong())):
            before = copy.deepcopy(options)
            assert kind.check(options) == kind.check(options)
            assert options == before

    def _complaints(self, options: Options) -> Mapping[str, str]:
        """Check options as the loader does: first their types, which must be right here."""
        kind = self.make_kind()
        structure_options(getattr(type(kind), "options", None), options)
        return kind.check(options)
