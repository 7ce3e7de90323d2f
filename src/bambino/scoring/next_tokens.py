"""A model's distribution over the next token of *another* tokenizer, at places in texts.

The speaker of the other tokenizer has said the bytes x, by tokens of its own, so its next token begins where x ends.
What the model expects of the text is a sum over covers of x (`covers`): a row of its tokens, and a token that goes on
beyond x by the bytes r. It votes for the token that the other tokenizer has after x in x + r:

    p(b | x)  proportional to  sum of p(cover) over covers after which b is the other tokenizer's next token.

Covers after which the other tokenizer would not have ended a token at x are impossible after x and count for nothing.
Where some token of the other tokenizer begins with r and is longer, what comes next decides. The covers for which this
is least certain are followed one token further. For the others the share that ends the other's token there is taken
from what the model expects after the cover's last token alone; the rest is dropped, and counted.

Covers that hold little are looked up by r alone, without x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bambino.scoring.covers import Beginnings, Covers, states_of
from bambino.scoring.forward import eval_mode, lm_logits
from bambino.scoring.prepacked import prepacked
from bambino.text.vocabulary import Vocabulary

SIGNIFICANT = 1e-3
"""Share of a place's probability from which on a cover is looked at by itself."""
LIGHTEST = 2e-6
"""Share of a place's probability from which on what follows an open cover is looked at."""
AFTER_ALONE = 3e-3
"""The same of what follows a token alone."""
FOLLOWED = 4
"""Covers of a place that are followed one token further, at most."""
RATES_AT_ONCE = 64
"""Tokens that are read alone together, always the same ones: how a batch is made up changes rounding."""
TAIL = 32
"""Bytes of what was said that decide how what follows is split, at most."""


@dataclass(frozen=True)
class NextTokens:
    """Distributions over the other tokenizer's next token, at N places."""

    ids: Int[Tensor, "N K"]
    """The likeliest tokens, likeliest first."""
    probs: Float[Tensor, "N K"]
    """Their probabilities, what was dropped left out of the whole."""
    dropped: Float[Tensor, " N"]
    """Share of the probability of which it was not known which token it votes for; 1 where nothing is known."""
    tokens_read: int
    """Tokens that the model read."""


class NextTokenReader:
    """One model, and the tokenizer of another.

    Args:
        eos: whether the model's EOS votes for the other's; else texts are taken to go on.
        rule: exact by covers, or cheap: one cover a place, by the tokens of the whole text, which know the future;
            nothing is followed or dropped.

    Raises:
        TextError: a tokenizer whose tokens are no bytes of texts.
    """

    def __init__(
        self,
        lm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        other: PreTrainedTokenizerBase,
        *,
        eos: bool,
        rule: Literal["covers", "cheap"] = "covers",
        top: int = 64,
    ) -> None:
        self.lm, self.rule, self.top = lm, rule, top
        self.covers = Covers(lm, tokenizer)
        self.vocabulary, self.other = self.covers.vocabulary, Vocabulary(other)
        self.eos: int | None = tokenizer.eos_token_id if eos else None
        self.other_eos: int | None = other.eos_token_id if eos else None
        self._votes: dict[tuple[bytes, bytes], int] = {}
        self._by_rest: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        device = lm.device
        self.has_bytes = torch.tensor([bool(piece) for piece in self.vocabulary.pieces], device=device)
        joins = np.zeros((256, 257), dtype=bool)
        joins[:, :256] = self.other.may_join
        self._joins = torch.from_numpy(joins).to(device)
        self._first_bytes = torch.from_numpy(self.vocabulary.first_bytes).to(device)
        self._read_alone = 0
        self._rates = np.full(len(self.vocabulary), np.nan)
        self._nexts_alone: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._alone: dict[tuple[bytes, int], tuple[np.ndarray, np.ndarray]] = {}
        self._further: dict[bytes, dict[int, int]] = {}
        self._first: Tensor | None = None

    def __call__(self, texts: Sequence[bytes], ends: Sequence[Sequence[int]]) -> NextTokens:
        """The distributions after the first `end` bytes of each text, for all its ends; text after text."""
        width = min(self.top, len(self.other))
        nothing = torch.empty(0, width, device=self.lm.device)
        parts = [NextTokens(nothing.long(), nothing, nothing[:, 0], 0)]
        before = self._read_alone
        with eval_mode(self.lm), prepacked(self.lm), torch.no_grad():
            for first, group in self.covers.groups(ends):
                if any(map(len, group)):
                    parts.append(self._group(texts[first : first + len(group)], group))
        return NextTokens(
            torch.cat([part.ids for part in parts]),
            torch.cat([part.probs for part in parts]),
            torch.cat([part.dropped for part in parts]),
            sum(part.tokens_read for part in parts) + self._read_alone - before,
        )

    def _group(self, texts: Sequence[bytes], ends: Sequence[Sequence[int]]) -> NextTokens:
        found = self.covers.read(texts, ends, whole=self.rule == "cheap")
        tally = _Tally(len(found.places), len(self.other), self.lm.device)
        tails = [self._tail(texts[i], end) for i, end in found.places]
        heavy = self._count(found, tally)
        read = found.columns + self._settle(found, heavy, tails, tally)
        return tally.result(self.top, read)

    def _count(self, found: Beginnings, tally: _Tally) -> _Heavy:
        """Let all covers vote that hold little; the others are returned."""
        weight = _weights(found)
        is_any = np.array([not rest for rest in found.rest], dtype=bool)
        masses = self._masses_of_any(found, np.flatnonzero(is_any), weight, tally)
        cover, token, log_probs = self.covers.gather(found, np.flatnonzero(~is_any))
        mass, place = weight[cover] * np.exp(log_probs), found.place[cover]
        np.add.at(tally.total, place, mass)
        is_heavy = mass >= SIGNIFICANT * tally.total[place]
        per_rest = [self._votes_of_rest(found.rest[c]) for c in np.flatnonzero(~is_any)]
        votes, is_open = (
            np.concatenate([np.empty(0, dtype), *(part[k] for part in per_rest)])
            for k, dtype in enumerate((np.int64, bool))
        )
        light = ~is_heavy & (votes >= 0)
        mass[light & is_open] *= self._rates_of(token[light & is_open])
        tally.add(place[light], votes[light], mass[light])
        some = _Heavy(cover[is_heavy], token[is_heavy], mass[is_heavy])
        return some.joined(self._heavy_of_any(found, np.flatnonzero(is_any), masses, tally))

    def _masses_of_any(self, found: Beginnings, covers: np.ndarray, weight: np.ndarray, tally: _Tally) -> Tensor:
        """Mass of each token after the rows of covers without a rest; counted in the total, EOS by itself."""
        device = self.lm.device
        probs = found.log_probs[torch.from_numpy(found.row[covers]).to(device)].exp()
        probs *= torch.from_numpy(weight[covers]).to(device, probs.dtype)[:, None]
        if self.eos is not None:
            ends = probs[:, self.eos].cpu().double().numpy()
            tally.total[found.place[covers]] += ends
            tally.add(found.place[covers], np.full(len(covers), self.other_eos), ends)
        probs *= self.has_bytes
        tally.total[found.place[covers]] += probs.sum(1).cpu().double().numpy()
        return probs

    def _heavy_of_any(self, found: Beginnings, covers: np.ndarray, masses: Tensor, tally: _Tally) -> _Heavy:
        """Of covers without a rest: let the light ones vote and return the others."""
        place = found.place[covers]
        limit = torch.from_numpy(SIGNIFICANT * tally.total[place]).to(masses)
        is_heavy = masses >= limit[:, None].clamp(min=1e-30)
        row, token = is_heavy.nonzero(as_tuple=True)
        heavy = masses[row, token].cpu().double().numpy()
        light = masses.masked_fill(is_heavy, 0.0)
        tally.add_rows(place, torch.sparse.mm(self._first_votes(), light.T).T)
        return _Heavy(covers[row.cpu().numpy()], token.cpu().numpy(), heavy)

    def _settle(self, found: Beginnings, heavy: _Heavy, tails: list[bytes], tally: _Tally) -> int:
        """Let covers vote that hold much, following those that do not decide; how many tokens were read for it."""
        pieces, lead = self.vocabulary.pieces, self.other.lead
        open_: dict[int, list[tuple[float, float, int, int, bytes]]] = {}
        decided: list[tuple[int, bytes, float]] = []
        rates = self._rates_of(heavy.token)
        columns = (of.tolist() for of in (heavy.cover, heavy.token, heavy.mass, rates))
        for cover, token, mass, rate in zip(*columns, strict=True):
            place = int(found.place[cover])
            beyond = pieces[token][len(found.rest[cover]) :]
            if found.places[place][1] == 0:
                beyond = lead + beyond
            if self.rule == "covers" and self.other.begins_a_token(beyond):
                unknown = mass * (1 - rate)
                open_.setdefault(place, []).append((unknown, mass, int(found.row[cover]), token, beyond))
            else:
                decided.append((place, beyond, mass))
        followed: list[tuple[int, float, int, int, bytes]] = []
        for place, of in open_.items():
            for k, (unknown, mass, row, token, beyond) in enumerate(sorted(of, reverse=True)):
                if k < FOLLOWED and unknown >= SIGNIFICANT * tally.total[place]:
                    followed.append((place, mass, row, token, beyond))
                else:
                    decided.append((place, beyond, mass - unknown))
                    votes, shares = self._after_alone(beyond, token)
                    tally.add(np.full(len(votes), place), votes, mass * shares)
        further, read = self._follow(found, followed, tally)
        self._vote(decided + further, tails, tally)
        return read

    def _follow(
        self, found: Beginnings, followed: list[tuple[int, float, int, int, bytes]], tally: _Tally
    ) -> tuple[list[tuple[int, bytes, float]], int]:
        """What covers that do not decide become with one token more, where that decides; and the tokens read."""
        if not followed:
            return [], 0
        number: dict[tuple[int, int], int] = {}
        of_row = [number.setdefault((row, token), len(number)) for _, _, row, token, _ in followed]
        rows = [found.rows[row] + [token] for row, token in number]
        share = np.zeros(len(rows))
        masses, places = (np.array([entry[k] for entry in followed]) for k in (1, 0))
        np.maximum.at(share, of_row, masses / tally.total[places])
        last = np.array([self.vocabulary.pieces[token][-1] for _, token in number])
        ends, nexts, columns = self._next(rows, share, last)
        self._rates_of(np.concatenate([tokens for tokens, _ in nexts]))
        result = []
        for (place, mass, _, _, beyond), r in zip(followed, of_row, strict=True):
            result.append((place, beyond, mass * ends[r]))
            tokens, probs = nexts[r]
            votes, known = self._votes_further(beyond, tokens)
            is_heavy = probs * mass >= SIGNIFICANT * tally.total[place]
            tally.add(np.full(len(votes), place)[~is_heavy], votes[~is_heavy], (mass * probs * known)[~is_heavy])
            heavy = (of[is_heavy].tolist() for of in (tokens, probs, known))
            for token, prob, share_known in zip(*heavy, strict=True):
                result.append((place, beyond + self.vocabulary.pieces[token], mass * prob * share_known))
        return result, columns

    def _next(
        self, rows: list[list[int]], share: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], int]:
        """After each row: the probability that the other tokenizer's token ends there, the likeliest tokens that it may
        go on with and their probabilities, and the columns read."""
        device = self.lm.device
        found = states_of(self.lm, [row[: self.covers.room] for row in rows])
        ends, nexts = np.zeros(len(rows)), list[tuple[np.ndarray, np.ndarray]]()
        at_once = max(1, (1 << 24) // len(self.vocabulary))
        for first in range(0, len(rows), at_once):
            part = slice(first, first + at_once)
            states = found.states[torch.from_numpy(found.after[part]).to(device)]
            probs, ended = self._probs_and_ends(states, last[part])
            ends[part] = ended.cpu().double().numpy()
            nexts += _likely(probs, LIGHTEST / torch.from_numpy(share[part]).to(probs))
        return ends, nexts, found.forest.columns

    def _probs_and_ends(self, states: Tensor, last: np.ndarray) -> tuple[Tensor, Tensor]:
        """After each state, the text's last byte given: the probability of each token that the other tokenizer's token
        may go on with, and of all others that say something together: the other's token ends."""
        probs = lm_logits(self.lm, states).float().softmax(-1)
        joins = self._joins[torch.from_numpy(last).to(probs.device)][:, self._first_bytes]
        says = self.has_bytes.clone()
        if self.eos is not None:
            says[self.eos] = True
        return probs * joins, (probs * (says & ~joins)).sum(1) / (probs * says).sum(1)

    def _rates_of(self, tokens: np.ndarray) -> np.ndarray:
        """For each token of the model's: how likely the other's token ends where it ends, after it alone."""
        order, place = self._reading_order
        blocks = np.unique(place[tokens[np.isnan(self._rates[tokens])]] // RATES_AT_ONCE)
        for block in blocks.tolist():
            part = order[block * RATES_AT_ONCE : (block + 1) * RATES_AT_ONCE].tolist()
            ids = [token for token in part if self.vocabulary.pieces[token]]
            found = states_of(self.lm, [[*self.covers.head, token] for token in ids])
            self._read_alone += found.forest.columns
            last = np.array([self.vocabulary.pieces[token][-1] for token in ids])
            states = found.states[torch.from_numpy(found.after).to(self.lm.device)]
            probs, ends = self._probs_and_ends(states, last)
            self._rates[ids] = ends.cpu().double().numpy()
            limit = torch.full_like(ends, AFTER_ALONE)
            self._nexts_alone.update(zip(ids, _likely(probs, limit), strict=True))
        rates: np.ndarray = self._rates[tokens]
        return rates

    @cached_property
    def _reading_order(self) -> tuple[np.ndarray, np.ndarray]:
        """The model's tokens, those first that are always needed, and the place of each."""
        order = np.argsort(~self._votes_of_rest(b"")[1], kind="stable")
        return order, np.argsort(order)

    def _after_alone(self, beyond: bytes, token: int) -> tuple[np.ndarray, np.ndarray]:
        """What an open cover votes for if the other's token goes on, by what follows the cover's last token alone."""
        if (beyond, token) not in self._alone:
            self._rates_of(np.array([token]))
            tokens, probs = self._nexts_alone[token]
            self._rates_of(tokens)
            votes, known = self._votes_further(beyond, tokens)
            self._alone[beyond, token] = votes, probs * known
        return self._alone[beyond, token]

    def _votes_further(self, beyond: bytes, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What an open cover votes for with each of these tokens after it, and how much of that vote is known."""
        of = self._further.setdefault(beyond, {})
        missing = [token for token in tokens.tolist() if token not in of]
        if missing:
            longer = [beyond + self.vocabulary.pieces[token] for token in missing]
            for token, piece, ids in zip(missing, longer, self.other.split(longer), strict=True):
                of[token] = 2 * ids[0] + self.other.begins_a_token(piece)
        codes = np.array([of[token] for token in tokens.tolist()], dtype=np.int64)
        return codes // 2, np.where(codes % 2 == 1, self._rates[tokens], 1.0)

    def _first_votes(self) -> Tensor:
        """(tokens of the other, V), sparse: what each token votes for where a cover has no rest."""
        if self._first is None:
            votes, is_open = self._votes_of_rest(b"")
            own, open_ = np.flatnonzero(votes >= 0), np.flatnonzero(is_open & (votes >= 0))
            rates = np.ones(len(votes))
            rates[open_] = self._rates_of(open_)
            parts = [(own, votes[own], rates[own])]
            for token in open_.tolist():
                ids, shares = self._after_alone(self.vocabulary.pieces[token], token)
                parts.append((np.full(len(ids), token), ids, shares))
            row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True))
            size = (len(self.vocabulary), len(self.other))
            where = torch.from_numpy(np.stack([column, row]))
            sums = torch.sparse_coo_tensor(where, torch.from_numpy(value).float(), size[::-1], check_invariants=True)
            self._first = sums.coalesce().to(self.lm.device)
        return self._first

    def _vote(self, decided: list[tuple[int, bytes, float]], tails: list[bytes], tally: _Tally) -> None:
        """Each piece votes for the token that begins it after what was said; impossible ones are left out."""
        missing = {(tails[place], beyond) for place, beyond, _ in decided} - self._votes.keys()
        keys = list(missing)
        for (tail, beyond), ids in zip(keys, self.other.split([tail + beyond for tail, beyond in keys]), strict=True):
            self._votes[tail, beyond] = _token_at(ids, self.other.pieces, len(tail))
        votes = np.array([self._votes[tails[place], beyond] for place, beyond, _ in decided], dtype=np.int64)
        places = np.array([place for place, *_ in decided], dtype=np.int64)
        masses = np.array([mass for *_, mass in decided])
        is_possible = votes >= 0
        tally.add(places[is_possible], votes[is_possible], masses[is_possible])
        np.subtract.at(tally.total, places[~is_possible], masses[~is_possible])

    def _votes_of_rest(self, rest: bytes) -> tuple[np.ndarray, np.ndarray]:
        """What the tokens that begin with a rest and go on vote for (-1: nothing), and whether that is open."""
        if rest not in self._by_rest:
            tokens = self.vocabulary.extensions(rest) if rest else np.arange(len(self.vocabulary))
            beyond = [self.vocabulary.pieces[token][len(rest) :] for token in tokens.tolist()]
            firsts = [ids[0] if ids else -1 for ids in self.other.split(beyond)]
            longer = [bool(piece) and self.rule == "covers" and self.other.begins_a_token(piece) for piece in beyond]
            self._by_rest[rest] = np.array(firsts, dtype=np.int64), np.array(longer, dtype=bool)
        return self._by_rest[rest]

    def _tail(self, text: bytes, end: int) -> bytes:
        """The end of what was said that decides how what follows is split."""
        if end == 0 or self.rule == "cheap":
            return b""
        said = self.other.lead + text[:end]
        begin = len(said) - 1
        while begin > max(0, len(said) - TAIL) and self.other.may_join[said[begin - 1], said[begin]]:
            begin -= 1
        while begin > 0 and said[begin] & 0xC0 == 0x80:
            begin -= 1
        return said[begin:]


@dataclass(frozen=True)
class _Heavy:
    """Covers with their last token that hold much."""

    cover: np.ndarray
    token: np.ndarray
    mass: np.ndarray

    def joined(self, other: _Heavy) -> _Heavy:
        return _Heavy(*(np.concatenate(both) for both in zip(vars(self).values(), vars(other).values(), strict=True)))


class _Tally:
    """Votes at the places of a group."""

    def __init__(self, places: int, tokens: int, device: torch.device) -> None:
        self.votes = torch.zeros(places, tokens, device=device)
        self.total = np.zeros(places)
        """Mass of each place, what is impossible left out."""
        self._triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, place: np.ndarray, token: np.ndarray, mass: np.ndarray) -> None:
        self._triples.append((place, token, mass))

    def add_rows(self, place: np.ndarray, counts: Tensor) -> None:
        self.votes[torch.from_numpy(place).to(counts.device)] += counts

    def result(self, top: int, tokens_read: int) -> NextTokens:
        place, token, mass = (np.concatenate(part) for part in zip(*self._triples, strict=True))
        where = tuple(torch.from_numpy(part).to(self.votes.device) for part in (place, token))
        self.votes.index_put_(where, torch.from_numpy(mass).to(self.votes), accumulate=True)
        kept = self.votes.sum(1)
        total = torch.from_numpy(self.total).to(kept)
        dropped = (1 - kept / total).clamp(0, 1).nan_to_num(1.0)
        probs, ids = (self.votes / kept[:, None]).nan_to_num(0.0).topk(min(top, self.votes.shape[1]))
        return NextTokens(ids, probs, dropped, tokens_read)


def _weights(found: Beginnings) -> np.ndarray:
    """How likely each cover's row is, as a share of the likeliest row of its place."""
    log_prob = found.log_prob[found.row]
    largest = np.full(len(found.places), -np.inf)
    np.maximum.at(largest, found.place, log_prob)
    weights: np.ndarray = np.exp(log_prob - largest[found.place])
    return weights


def _token_at(ids: list[int], pieces: list[bytes], begin: int) -> int:
    """The token that begins at a byte; -1 where none does."""
    done = 0
    for token in ids:
        if done >= begin:
            return token if done == begin else -1
        done += len(pieces[token])
    return -1


def _likely(probs: Float[Tensor, "N V"], limit: Float[Tensor, " N"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each row: the tokens that are at least so likely, and their probabilities."""
    row, token = (probs >= limit[:, None].clamp(min=1e-30)).nonzero(as_tuple=True)
    counts = np.bincount(row.cpu().numpy(), minlength=len(probs))
    cuts = np.cumsum(counts)[:-1]
    values = probs[row, token].cpu().double().numpy()
    return list(zip(np.split(token.cpu().numpy(), cuts), np.split(values, cuts), strict=True))
