"""ClaimTable: which holder may score a key, and when it loses the claim."""

import threading
from collections import Counter

import pytest
from shards import open_shard

from sequence_tutor.distributed.replay.claims import MAX_LOSSES, ClaimTable
from sequence_tutor.distributed.replay.messages import Claim

KNOWN, YOURS, BUSY = Claim


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leases(clock):
    return ClaimTable(lease_s=10.0, clock=clock)


def ask(leases: ClaimTable, holder: str, *keys: str) -> list[int]:
    return leases.ask(holder, keys)[0].tolist()


def test_a_key_is_claimed_once_and_its_holder_may_ask_again(leases):
    assert ask(leases, "a", "x", "y") == [YOURS, YOURS]
    assert ask(leases, "b", "y", "z") == [BUSY, YOURS]
    assert ask(leases, "a", "x", "x", "z") == [YOURS, YOURS, BUSY]
    assert len(leases) == 3


def test_released_and_settled_keys_are_free(leases):
    ask(leases, "a", "x", "y", "z")
    leases.release("b", ["x"])  # another holder's
    leases.release("a", ["y", "unknown"])
    leases.settle(["z"])
    assert ask(leases, "b", "x", "y", "z") == [BUSY, YOURS, YOURS]


def test_a_silent_holder_loses_a_key_to_the_next_claim(leases, clock):
    ask(leases, "a", "x", "y")
    clock.now += 10.0
    assert ask(leases, "b", "x") == [BUSY]
    clock.now += 0.1
    state, losses = leases.ask("b", ["x", "z"])
    assert (state.tolist(), losses.tolist(), leases.losses) == ([YOURS, YOURS], [1, 0], 1)
    assert ask(leases, "a", "x", "y") == [BUSY, YOURS]  # no other holder asked for y
    assert leases.losses == 1


@pytest.mark.parametrize(
    "sign",
    [
        lambda leases: leases.renew("a", []),
        lambda leases: leases.release("a", ["other"]),
        lambda leases: leases.ask("a", []),
        lambda leases: leases.heard("a"),
    ],
)
def test_any_call_of_a_holder_keeps_all_its_keys(leases, clock, sign):
    ask(leases, "a", "x")
    for _ in range(3):
        clock.now += 9.0
        sign(leases)
    assert ask(leases, "b", "x") == [BUSY]
    clock.now += 10.1  # the control
    assert ask(leases, "b", "x") == [YOURS]


def test_losses_of_a_key_add_up_until_it_is_settled(leases, clock):
    for loss in range(MAX_LOSSES + 2):
        state, losses = leases.ask(f"holder {loss}", ["poison"])
        assert (state.tolist(), losses.tolist()) == ([YOURS], [loss])
        clock.now += 11
    assert leases.losses == MAX_LOSSES + 1
    leases.release("holder 4", ["poison"])
    assert leases.ask("b", ["poison"])[1].tolist() == [MAX_LOSSES + 1]
    leases.settle(["poison"])
    assert leases.ask("b", ["poison"])[1].tolist() == [0]


def test_after_a_restart_holders_renew_before_new_claims(clock):
    leases = ClaimTable(lease_s=10.0, grace_s=5.0, clock=clock)
    clock.now += 6.0  # holders need some time to find the shard again
    assert ask(leases, "a", "x", "y") == [BUSY, BUSY]
    leases.renew("a", ["x"])
    assert ask(leases, "a", "x", "y") == [YOURS, BUSY]
    assert ask(leases, "b", "x", "y") == [BUSY, BUSY]
    clock.now += 5.0
    assert ask(leases, "b", "x", "y") == [BUSY, YOURS]
    assert ask(ClaimTable(lease_s=10.0, clock=clock), "b", "x") == [YOURS]  # the control


def test_renewing_does_not_take_a_key_of_another_holder(leases, clock):
    ask(leases, "a", "x")
    clock.now += 11
    ask(leases, "b", "x")
    leases.renew("a", ["x", "y"])  # it was only slow
    assert ask(leases, "b", "x", "y") == [YOURS, BUSY]


def test_an_empty_holder_and_a_lease_of_0_raise(leases):
    with pytest.raises(ValueError, match="name"):
        leases.ask("", ["x"])
    with pytest.raises(ValueError, match="lease_s"):
        ClaimTable(0.0)


def test_a_shard_answers_with_outcomes_and_claims(tmp_path, make_scored, clock):
    shard = open_shard(tmp_path, clock=clock)
    scored = make_scored(["a", "b"])
    shard.add(scored)
    claims = shard.claim("me", ["x", "b", "a", "x", "b"])
    assert claims.state.tolist() == [YOURS, KNOWN, KNOWN, YOURS, KNOWN]
    assert claims.known.rewards.tolist() == scored.rewards[[1, 0, 1]].tolist()
    assert claims.paid is None and len(claims.already_scored_at) == 0
    assert shard.claim("you", ["x", "y"]).state.tolist() == [BUSY, YOURS]
    assert shard.stats().claimed_keys == 2

    # adding a key ends the claim on it, whichever holder adds it
    shard.add(make_scored(["x"]), "you")
    assert shard.claim("me", ["x"]).state.tolist() == [KNOWN]
    shard.release("you", ["y"])
    assert shard.claim("me", ["y"]).state.tolist() == [YOURS]
    clock.now += 9
    shard.add(make_scored(["z"]), "me")  # counts as a sign of life, too
    clock.now += 9
    assert shard.claim("you", ["y"]).state.tolist() == [BUSY]
    clock.now += 11
    claims = shard.claim("you", ["y"])
    assert (claims.state.tolist(), claims.losses.tolist()) == ([YOURS], [1])
    assert (shard.stats().claimed_keys, shard.stats().losses) == (1, 1)
    shard.renew("you", ["a", "q"])  # known ones aren't claimed
    assert shard.stats().claimed_keys == 2


def test_a_restarted_shard_waits_half_a_lease_for_holders(tmp_path, clock):
    shard = open_shard(tmp_path, lease_s=4.0, restarted=True, clock=clock)
    shard.renew("a", ["x"])
    assert shard.claim("b", ["x", "y"]).state.tolist() == [BUSY, BUSY]
    clock.now += 2.0
    assert shard.claim("b", ["x", "y"]).state.tolist() == [BUSY, YOURS]


def test_concurrent_claims_never_give_a_key_twice(tmp_path, make_scored):
    shard = open_shard(tmp_path)
    lock = threading.Lock()  # a shard does one thing at a time
    paid: Counter[str] = Counter()
    keys = [f"key {i}" for i in range(200)]

    def score(holder: str) -> None:
        left = list(keys)
        while left:
            batch, left = left[:7], left[7:]
            with lock:
                state = shard.claim(holder, batch).state
            mine = [k for k, s in zip(batch, state, strict=True) if s == YOURS]
            with lock:
                paid.update(mine[:5])
                shard.release(holder, mine[5:])
                shard.add(make_scored(mine[:5]), holder)
            known = {k for k, s in zip(batch, state, strict=True) if s == KNOWN}
            left += [k for k in batch if k not in known and k not in mine[:5]]

    threads = [threading.Thread(target=score, args=(f"holder {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paid == Counter(keys)
    assert shard.stats().claimed_keys == 0
