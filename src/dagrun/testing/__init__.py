"""What plugin authors and our own tests need. Nothing imports it but tests.

A suite is a class of tests to inherit: :class:`~dagrun.testing.executors.ExecutorSuite`,
:class:`~dagrun.testing.balancers.BalancerSuite`, :class:`~dagrun.testing.stores.StoreSuite`,
:class:`~dagrun.testing.discoveries.DiscoverySuite`,
:class:`~dagrun.testing.subscribers.SubscriberSuite`,
:class:`~dagrun.testing.management.ManagementSuite`,
:class:`~dagrun.testing.transports.TransportSuite` and
:class:`~dagrun.testing.triggers.TriggerSuite`. They need pytest; those of executors, discoveries,
management, stores, subscribers and transports need pytest-trio, too, and ``trio_mode = true``.
"""

import sys
from typing import Final

_WITH_TESTS: Final = (
    "balancers",
    "discoveries",
    "executors",
    "journals",
    "management",
    "management_reruns",
    "management_runs",
    "management_streams",
    "management_workflows",
    "secrets",
    "stores",
    "subscribers",
    "transports",
    "triggers",
)
_SUITES: Final = tuple(f"{__name__}.{module}" for module in _WITH_TESTS)

if "pytest" in sys.modules:  # and not where a program only uses a part of this
    import pytest

    pytest.register_assert_rewrite(*_SUITES)  # else a failing test would not say what it compared
