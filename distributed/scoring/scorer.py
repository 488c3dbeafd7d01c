"""Scores the sequences of a batch, each once in the whole cluster.

A batch goes through four steps: `prepare` finds the keys, `claim` asks the replay which of them
this scorer is to score, `score` calls the reward, `store` adds the rows to the replay and waits for
keys that other scorers are scoring. After `claim` no other scorer scores these keys, and after
`store` the replay keeps their scores.

An invalid sequence has no canonical form. Its key is made of its text, and is never the key of a
valid sequence.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Protocol

import numpy as np

from sequence_tutor.distributed.population import is_policy
from sequence_tutor.distributed.replay.claims import MAX_LOSSES
from sequence_tutor.distributed.replay.messages import AddResult, Claim, ClaimAnswer
from sequence_tutor.distributed.replay.worth.diversity import Diversity
from sequence_tutor.distributed.reward_spread import RewardSpread
from sequence_tutor.distributed.scoring.attachments import AttachmentStore
from sequence_tutor.distributed.scoring.columns import (
    condemned_scores,
    step_columns,
    unread_scores,
)
from sequence_tutor.distributed.scoring.earlier_values import EarlierValues
from sequence_tutor.distributed.types import (
    DURATIONS,
    SCORE_SECONDS,
    Generated,
    PolicySamples,
    Scored,
    ScoreReport,
    concatenate,
)
from sequence_tutor.policies.encodings.base import Encoding, Episodes, action_texts
from sequence_tutor.rewards.base import Identity, Outcome, Reward, Scores, Status, unpriced

# Seconds between two claims of a key that another scorer is scoring: at first, and at most.
FIRST_WAIT_S, LAST_WAIT_S = 0.02, 1.0
# Beginning of the key of an invalid sequence: canonical forms have no blank. And how many
# characters of the text follow it; a longer text is cut there, and a digest comes after it.
INVALID_KEY, INVALID_KEY_CHARACTERS = "invalid: ", 200

# From B sequences to their B identities.
Identify = Callable[[Sequence[str]], Sequence[Identity]]


class ScoreKeeper(Protocol):
    """The methods of the replay that a scorer calls, such as those of `ScorerClient`."""

    def claim(self, keys: Sequence[str]) -> ClaimAnswer: ...

    def release(self, keys: Sequence[str]) -> None: ...

    def add(self, scored: Scored) -> AddResult: ...


@dataclass
class Work:
    """A batch of B sequences on its way through a scorer's steps. Rows are numbered 0 to B - 1."""

    episodes: Episodes
    """The B episodes."""
    versions: np.ndarray
    """int32 [B] version of the behaviour policy, in updates; -1 where no policy made it."""
    actors: list[str]
    """Run id of the process that made each, or id of the scorer for lines of a file."""
    sources: list[str]
    """What made each: "policy", another proposer's name, "file" or "report"."""
    texts: list[str]
    """B sequences."""
    actions: list[list[str]] | None
    """B lists with the text of each action; None where the reward splits sequences itself."""
    keys: list[str]
    """B keys."""
    valid: np.ndarray
    """bool [B] whether a sequence is valid."""
    identities: Sequence[Identity]
    """B identities, each with the key or the reason why there is none."""
    allowance: int
    """How many more valid sequences of this batch may be scored."""
    open: list[int]
    """Rows whose keys have no outcome yet and aren't claimed by this scorer, one per key."""
    mine: list[int] = field(default_factory=list)
    """Rows whose keys this scorer has claimed."""
    paid: dict[int, Scored] = field(default_factory=dict)
    """By row of `mine`: the row of the replay, where the key is paid for already."""
    condemned: set[int] = field(default_factory=set)
    """Rows of `mine` that aren't scored, as too many scorers were lost with their keys."""
    refused: set[str] = field(default_factory=set)
    """Keys that aren't scored, as the allowance is used up."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """What became of each key."""
    seconds: float = 0.0
    """Seconds spent finding keys and scoring."""
    fresh: int = 0
    """New scores by this batch."""
    added: int = 0
    """Rows added to the replay."""
    used: int = 0
    """Added rows that count against the score budget."""
    sources_scored: Counter[str] = field(default_factory=Counter)
    """New scores, without invalid sequences, by what made the sequence."""
    new_by_policy: int = 0
    """Rows that this batch has added and that the policy made."""
    statuses: np.ndarray = field(default_factory=lambda: count_statuses([]))
    """int64 [len(Status)] new scores by the number of their status."""
    durations: np.ndarray = field(default_factory=lambda: count_durations([]))
    """int64 [DURATIONS] new scores by how long they took, as in `ScoreReport`."""
    calls_saved: int = 0
    """As in `ScoreReport`."""
    new_rewards: RewardSpread = RewardSpread()
    """As in `ScoreReport`."""


def count_statuses(status: Sequence[int] | np.ndarray) -> np.ndarray:
    """int64 [len(Status)]: how many there are of each status."""
    return np.bincount(np.asarray(status, np.int64), minlength=len(Status))


def count_durations(seconds: Sequence[float] | np.ndarray) -> np.ndarray:
    """int64 [DURATIONS]: how many are above the bound before and up to each of SCORE_SECONDS."""
    buckets = np.searchsorted(SCORE_SECONDS, np.asarray(seconds, np.float64))
    return np.bincount(buckets, minlength=DURATIONS)


def calls_saved(scores: Scores) -> int:
    """How many raw values sequences of Status.OK lack: their components weren't called."""
    ok = scores.status == Status.OK
    return sum(int((np.isnan(values) & ok).sum()) for values in scores.raw.values())


class Scorer:
    """Turns sequences into rows of the record. files: where to store what components keep for
    sequences; None where nothing is stored. earlier: raw values that aren't called for again."""

    def __init__(
        self,
        identify: Identify,
        reward: Reward,
        replay: ScoreKeeper,
        encoding: Encoding | None = None,
        files: AttachmentStore | None = None,
        diversity: Diversity | None = None,
        earlier: EarlierValues | None = None,
    ) -> None:
        self.encoding, self.reward, self.replay = encoding, reward, replay
        self.identify, self.files, self._diversity = identify, files, diversity
        self._earlier = earlier

    def prepare(self, batch: Generated, allowance: int | None = None) -> Work:
        """Decode a batch and find its keys; of valid sequences at most `allowance` are scored."""
        assert self.encoding is not None
        episodes, encoding = batch.episodes, self.encoding
        texts = [
            encoding.decode(t[:n]) for t, n in zip(episodes.tokens, episodes.lengths, strict=True)
        ]
        actions = [
            action_texts(encoding, t, n)
            for t, n in zip(episodes.tokens, episodes.lengths, strict=True)
        ]
        origin = (batch.versions, batch.actors, batch.sources)
        return self._work(texts, actions, episodes, origin, allowance)

    def prepare_texts(self, texts: list[str], actor: str, source: str) -> Work:
        """Find the keys of sequences that no policy made, and that aren't learned from."""
        n = len(texts)
        nothing = Episodes(
            np.zeros((n, 1), np.int16), np.zeros(n, np.int32), np.full(n, np.nan, np.float32)
        )
        origin = (np.full(n, -1, np.int32), [actor] * n, [source] * n)
        return self._work(texts, None, nothing, origin, None)

    def claim(self, work: Work) -> None:
        """Claim the open keys: known ones get their outcome, free ones are ours to score."""
        if not work.open:
            return
        claims = self.replay.claim([work.keys[i] for i in work.open])
        self._take_known(work, claims)
        paid = {int(at): i for i, at in enumerate(claims.already_scored_at)}
        ours, waiting, refused = [], [], []
        for at, i in enumerate(work.open):
            if claims.state[at] == Claim.BUSY:
                waiting.append(i)
            elif claims.state[at] == Claim.YOURS:
                if work.valid[i] and work.allowance < 1:
                    refused.append(work.keys[i])
                    continue
                work.allowance -= int(work.valid[i])
                ours.append(i)
                if at in paid:
                    assert claims.paid is not None
                    work.paid[i] = claims.paid.select([paid[at]])
                elif claims.losses[at] >= MAX_LOSSES:
                    work.condemned.add(i)
        if refused:
            work.refused.update(refused)
            self.replay.release(refused)
        work.mine, work.open = ours, waiting

    def score(self, work: Work) -> Scored | None:
        """The rows of our keys, in the order of the batch; None where there are none."""
        if not work.mine:
            return None
        parts: list[Scored] = [work.paid[i] for i in work.mine if i in work.paid]
        order = [i for i in work.mine if i in work.paid]
        lost = [i for i in work.mine if i not in work.paid and i in work.condemned]
        left = [i for i in work.mine if i not in work.paid and i not in work.condemned]
        unread = [i for i in left if work.identities[i].lost is not None]
        fresh = [i for i in left if work.identities[i].lost is None]
        if fresh:
            started = time.perf_counter()
            actions, keys = work.actions, [work.keys[i] for i in fresh]
            texts = [work.texts[i] for i in fresh]
            known = {} if self._earlier is None else self._earlier.of(keys, texts)
            scores = self.reward.score(
                texts,
                None if actions is None else [actions[i] for i in fresh],
                known,
            )
            work.calls_saved += sum(
                int((_is_known(values) & ~np.isnan(scores.raw[name])).sum())
                for name, values in known.items()
            )
            if scores.files is not None and self.files is not None:
                self.files.store(keys, scores.files)
            if scores.seconds is None:
                each = (time.perf_counter() - started) / len(fresh)
                scores = replace(scores, seconds=np.full(len(fresh), each, np.float32))
            parts.append(_rows(work, fresh, scores))
            work.fresh += len(fresh)
            # sequences that time out wait beside others, so their seconds are no scorer time
            busy = parts[-1].status != Status.TIMEOUT
            work.seconds += float(parts[-1].seconds[busy].sum())
        if lost:
            parts.append(_rows(work, lost, condemned_scores(len(lost))))
        if unread:
            parts.append(_rows(work, unread, unread_scores([work.identities[i] for i in unread])))
        order += fresh + lost + unread
        rows = concatenate(parts).select(np.argsort(order))
        return rows if self._diversity is None else self._diversity.grouped(rows)

    def store(self, work: Work, scored: Scored | None) -> ScoreReport:
        """Add the rows to the replay, wait for keys that other scorers hold, and report."""
        self._commit(work, scored)
        wait_s = FIRST_WAIT_S
        while work.open:
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_WAIT_S)
            self.claim(work)
            self._commit(work, self.score(work))
        return self._report(work)

    def _work(
        self,
        texts: list[str],
        actions: list[list[str]] | None,
        episodes: Episodes,
        origin: tuple[np.ndarray, list[str], list[str]],
        allowance: int | None,
    ) -> Work:
        started = time.perf_counter()
        found = self.identify(texts)
        named = [
            invalid_key(text) if one.key is None else one.key
            for one, text in zip(found, texts, strict=True)
        ]
        first: dict[str, int] = {}
        for i, key in enumerate(named):
            first.setdefault(key, i)
        return Work(
            episodes,
            *origin,
            texts=texts,
            actions=actions,
            keys=named,
            valid=np.array([one.key is not None for one in found], dtype=bool),
            identities=found,
            allowance=len(texts) if allowance is None else allowance,
            open=list(first.values()),
            seconds=time.perf_counter() - started,
        )

    def _take_known(self, work: Work, claims: ClaimAnswer) -> None:
        known = np.flatnonzero(claims.state == Claim.KNOWN)
        for at, row in enumerate(known.tolist()):
            work.outcomes[work.keys[work.open[row]]] = claims.known.row(at)

    def _commit(self, work: Work, scored: Scored | None) -> None:
        if scored is None:
            return
        result = self.replay.add(scored)
        work.added += result.added
        work.used += result.paid
        work.new_by_policy += sum(map(is_policy, scored.sources))
        judged = scored.status != Status.INVALID
        work.sources_scored.update(s for s, j in zip(scored.sources, judged, strict=True) if j)
        work.statuses += count_statuses(scored.status)
        ok = scored.rewards[scored.status == Status.OK]
        work.new_rewards = work.new_rewards.plus(RewardSpread.of(ok))
        work.calls_saved += calls_saved(scored.scores)
        work.durations += count_durations(scored.seconds[judged])
        scores = scored.scores
        for i, key in enumerate(scored.keys):
            work.outcomes[key] = scores.row(i)
        work.mine = []

    def _report(self, work: Work) -> ScoreReport:
        kept = [i for i, key in enumerate(work.keys) if key not in work.refused]
        found = [work.outcomes[work.keys[i]] for i in kept]
        by_policy = [i for i in kept if is_policy(work.sources[i])]
        rewards = np.array([o.reward for o in found], dtype=np.float64)
        status = np.array([o.status for o in found], dtype=np.int8)
        rewarded = ~np.isnan(rewards)
        failed = [o.error for o in found if o.status > Status.INVALID]
        return ScoreReport(
            rows=len(found),
            valid=int((status == Status.OK).sum()),
            failed=len(failed),
            repeated=len(found) - work.fresh,
            rewarded=int(rewarded.sum()),
            reward_sum=float(rewards[rewarded].sum()),
            seconds=work.seconds,
            added=work.added,
            paid=work.used,
            error=failed[0] if failed else "",
            statuses=tuple(work.statuses.tolist()),
            durations=tuple(work.durations.tolist()),
            unpriced=int(unpriced(rewards, status).sum()),
            scored_by=dict(work.sources_scored),
            calls_saved=work.calls_saved,
            new_rewards=work.new_rewards,
            # counted by what was added, so that a row that is paid for already is as new as before
            policy=PolicySamples(
                rows=len(by_policy),
                valid=int(work.valid[by_policy].sum()),
                repeated=len(by_policy) - work.new_by_policy,
            ),
        )


def invalid_key(text: str) -> str:
    """The key of an invalid sequence: the same for the same text."""
    plain = text.encode("utf-8", "backslashreplace")
    if len(text) <= INVALID_KEY_CHARACTERS:
        return INVALID_KEY + plain.decode()
    digest = blake2b(plain, digest_size=16).hexdigest()
    return f"{INVALID_KEY}{plain[:INVALID_KEY_CHARACTERS].decode('utf-8', 'ignore')} {digest}"


def _is_known(values: np.ndarray) -> np.ndarray:
    """bool [B]: which of B sequences have a known value, or values by the step."""
    known: np.ndarray = np.isfinite(values if values.ndim == 1 else values[:, 0])
    return known


def _rows(work: Work, rows: list[int], scores: Scores) -> Scored:
    episodes, n = work.episodes, len(rows)
    tokens = episodes.tokens[rows]
    if work.actions is None and scores.step_raw:  # of a file: no actions, but values by the step
        tokens = np.zeros((n, max(v.shape[1] for v in scores.step_raw.values())), np.int16)
    steps, step_raw = step_columns(scores, tokens.shape[1])
    assert scores.seconds is not None
    return Scored(
        tokens=tokens,
        lengths=episodes.lengths[rows],
        log_probs=episodes.log_probs[rows],
        rewards=scores.rewards,
        step_rewards=steps,
        status=scores.status,
        versions=work.versions[rows],
        scored_at=np.full(n, time.time()),
        seconds=scores.seconds,
        sequences=[work.texts[i] for i in rows],
        keys=[work.keys[i] for i in rows],
        errors=scores.errors,
        sources=[work.sources[i] for i in rows],
        actors=[work.actors[i] for i in rows],
        raw=scores.raw,
        transformed=scores.transformed,
        step_raw=step_raw,
    )
