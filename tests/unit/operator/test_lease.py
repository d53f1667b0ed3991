"""Leader election: never two leaders, by whatever clock."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runwright_operator.adapters.kubernetes import Kubernetes
from runwright_operator.lease import Lease, LeaseLost, LeaseTimes
from runwright_operator.resources import LEASE
from tests.doubles.apiserver import ApiServer, failing

TIMES = LeaseTimes(duration=15, renew=10, retry=0.005)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Election:
    """Replicas over one API server, with one clock that the test moves."""

    def __init__(self, api: ApiServer, kubernetes: Kubernetes) -> None:
        self.api = api
        self.clock = Clock()
        self.lost: list[str] = []
        self._kubernetes = kubernetes

    def replica(self, name: str, clock: Callable[[], float] | None = None) -> Lease:
        return Lease(
            self._kubernetes,
            namespace="n",
            name="operator",
            holder=name,
            times=TIMES,
            on_lost=self.lost.append,
            clock=clock or self.clock,
        )

    @property
    def holder(self) -> str:
        return str(self.api.objects["coordination.k8s.io", "leases", "n", "operator"]["spec"]["holderIdentity"])


def drive(test: Callable[[Election], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), ApiServer(LEASE) as api:
            kubernetes = Kubernetes(api.access(), timeout=0.2)
            try:
                await test(Election(api, kubernetes))
            finally:
                await kubernetes.close()

    asyncio.run(run())


def test_one_of_two_becomes_the_leader() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        assert a.is_held
        assert not await b._try()
        a.guard()
        with pytest.raises(LeaseLost):
            b.guard()
        assert election.lost == []

    drive(test)


def test_a_released_lease_is_taken_at_once() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        await a.release()
        assert not a.is_held
        assert await b._try()
        assert election.holder == b.holder

    drive(test)


def test_a_silent_leader_has_stopped_before_another_starts() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        for _ in range(40):
            election.clock.now += 0.5
            await b._try()
            assert not (a.is_held and b.is_held)
        assert b.is_held
        with pytest.raises(LeaseLost):
            a.guard()
        assert election.lost == ["the lease ran out"]

    drive(test)


def test_others_are_judged_by_when_they_were_seen_to_move_not_by_what_they_write() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        lease = election.api.objects["coordination.k8s.io", "leases", "n", "operator"]
        await election.api.put(
            LEASE, "n", "operator", spec={**lease["spec"], "renewTime": "1970-01-01T00:00:00.000000Z"}
        )
        assert not await b._try()
        election.clock.now += 14
        assert not await b._try()
        election.clock.now += 2
        assert await b._try()

    drive(test)


def test_a_leader_that_renews_stays() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        holding = asyncio.ensure_future(a.hold())
        for _ in range(10):
            election.clock.now += 5
            await asyncio.sleep(0.02)
            assert a.is_held
            assert not await b._try()
        holding.cancel()

    drive(test)


def test_a_leader_that_cannot_renew_ends() -> None:
    async def test(election: Election) -> None:
        a = election.replica("a")
        await a.acquire()
        election.api.faults.append(failing(503, times=1000))
        holding = asyncio.ensure_future(a.hold())
        await asyncio.sleep(0.03)
        assert a.is_held
        election.clock.now += 11
        with pytest.raises(LeaseLost, match="could not be renewed"):
            await holding
        assert not a.is_held
        assert len(election.lost) == 1

    drive(test)


def test_a_leader_whose_lease_another_took_ends() -> None:
    async def test(election: Election) -> None:
        a, b = election.replica("a"), election.replica("b")
        await a.acquire()
        lease = election.api.objects["coordination.k8s.io", "leases", "n", "operator"]
        await election.api.put(LEASE, "n", "operator", spec={**lease["spec"], "holderIdentity": b.holder})
        with pytest.raises(LeaseLost, match="holds it"):
            await a.hold()

    drive(test)


def test_a_leader_whose_lease_was_deleted_ends() -> None:
    async def test(election: Election) -> None:
        a = election.replica("a")
        await a.acquire()
        await election.api.remove(LEASE, "n", "operator")
        with pytest.raises(LeaseLost, match="deleted"):
            await a.hold()

    drive(test)


def test_somebody_elses_edit_or_a_lost_answer_does_not_end_the_leader() -> None:
    async def test(election: Election) -> None:
        a = election.replica("a")
        await a.acquire()
        lease = election.api.objects["coordination.k8s.io", "leases", "n", "operator"]
        await election.api.put(LEASE, "n", "operator", spec=lease["spec"], metadata={"labels": {"seen": "yes"}})
        election.clock.now += 9
        assert await a._renew() == ""
        election.clock.now += 9
        assert a.is_held

    drive(test)


def test_a_paused_process_does_not_write_after_its_time() -> None:
    async def test(election: Election) -> None:
        a = election.replica("a")
        await a.acquire()
        a.guard()
        election.clock.now += 10
        with pytest.raises(LeaseLost):
            a.guard()

    drive(test)


def test_a_lease_that_makes_no_sense_is_waited_for_like_any_other() -> None:
    async def test(election: Election) -> None:
        spec = {"holderIdentity": "x", "leaseDurationSeconds": "many", "leaseTransitions": -3}
        await election.api.put(LEASE, "n", "operator", spec=spec)
        a = election.replica("a")
        assert not await a._try()
        election.clock.now += 16
        assert await a._try()

    drive(test)


def test_an_api_server_that_is_away_is_waited_for() -> None:
    async def test(election: Election) -> None:
        election.api.faults.append(failing(500, times=5))
        a = election.replica("a")
        await a.acquire()
        assert a.is_held

    drive(test)


def test_two_replicas_that_race_for_an_old_lease() -> None:
    async def test(election: Election) -> None:
        old = election.replica("old")
        await old.acquire()
        await old.release()
        replicas = [election.replica(str(number)) for number in range(5)]
        for _ in range(3):
            await asyncio.gather(*(replica._try() for replica in replicas))
        assert sum(replica.is_held for replica in replicas) == 1

    drive(test)
