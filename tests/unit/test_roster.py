from dagrun.domain.entry import NOTHING
from dagrun.domain.ids import RunId
from dagrun.ports.frames import Hello
from dagrun.services.dispatcher.places import Places
from dagrun.services.fleet.mailbox import Mailbox
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.roster import Roster


class Rig:
    """A roster, what it told, and the places that hear of its engines."""

    def __init__(self):
        self.told = []
        self.places = Places(lambda _name: None)
        self.roster = Roster(placer=self, announce=self._announce, make=self._make)

    def _announce(self, kind, *, engine_id, data=None):
        self.told.append(kind)

    def _make(self, hello):
        return RemoteEngine(hello, lambda *_args, **_options: None, Mailbox(None, None))

    def add_engine(self, engine):
        self.places.add(engine)

    def remove_engine(self, engine):
        self.places.remove(engine)

    def engine_changed(self, engine):
        self.places.update(engine)

    def expect(self, instance, *runs):
        engine = self.roster.expect("e", instance)
        for run_id in runs:
            engine.runs[RunId(run_id)] = Assigned(RunId(run_id), 1, 0.0)
            self.places.assume(engine, RunId(run_id), NOTHING)
        return engine

    def attach(self, instance):
        engine = self.roster.admit(Hello(engine_id="e", instance=instance, release="", capacity=2))
        engine.attach(Outbox(), address="", close=lambda: None)
        self.engine_changed(engine)
        return engine


async def test_of_two_lives_in_the_store_the_one_that_greets_is_given_runs():
    for order in (("old", "new"), ("new", "old")):
        rig = Rig()
        lives = {instance: rig.expect(instance, f"run of {instance}") for instance in order}
        assert not rig.places.have_room()
        assert rig.attach("new") is lives["new"]
        assert (rig.places.free(), rig.places.running()) == (1, 2)
        assert set(rig.roster.all()) == set(lives.values())
        assert [(one.id, one.active_runs) for one in rig.roster.views()] == [("e", 1)]


async def test_an_engine_is_lost_with_the_last_of_its_lives():
    rig = Rig()
    old, new = rig.expect("old", "a"), rig.expect("new", "b")
    for engine in (old, new):
        engine.runs.clear()
        rig.roster.forget(engine, lost=True)
    assert rig.told == ["engine.lost"]
    assert rig.roster.views() == []


async def test_an_engine_from_before_this_orchestrator_joins_when_it_greets_and_only_once():
    rig = Rig()
    engine = rig.expect("i", "a")
    assert rig.told == []
    assert rig.attach("i") is engine
    rig.attach("i")
    assert rig.told == ["engine.joined"]


async def test_an_engine_that_was_lost_joins_anew():
    rig = Rig()
    rig.roster.forget(rig.attach("i"), lost=True)
    rig.attach("i")
    assert rig.told == ["engine.joined", "engine.lost", "engine.joined"]


async def test_an_earlier_life_that_comes_back_has_joined_already():
    rig = Rig()
    old = rig.attach("old")
    old.runs[RunId("a")] = Assigned(RunId("a"), 1, 0.0)
    for instance in ("new", "old"):
        rig.roster.all()[0].outbox = None
        rig.attach(instance)
    assert rig.told == ["engine.joined"] * 2


async def test_an_earlier_life_that_comes_back_still_has_its_runs():
    rig = Rig()
    old = rig.attach("old")
    old.runs[RunId("a")] = Assigned(RunId("a"), 1, 0.0)
    rig.places.assume(old, RunId("a"), NOTHING)
    old.outbox = None
    rig.attach("new").outbox = None
    assert rig.attach("old") is old
    assert rig.places.free() == 1
    rig.places.give_back(old, RunId("a"))
    assert rig.places.free() == 2
