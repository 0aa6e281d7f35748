"""Where groups stand, read by whoever does not own them, and what follows of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from core import groups
from core.groups.changed import replace
from stream.log.seam import LogRefusedError, Places, Record
from stream.reopen import reopening
from stream.replay import Judge, Refusal, judge
from stream.standing import Standing, Standings, read_partition
from tests.schemas import examples
from tests.stream.letterbox import TOPICS, Shelf
from tests.stream.records import PARTITIONS, record

GROUP = examples.arrived().group
KEY = GROUP.key
HOME = schemas.partition_of(KEY.encode(), PARTITIONS)
OPEN = groups.Header(opened_at=5)
SEALED = groups.Header(sealing=3, sealed_at=1_000_000)
FORGOTTEN = replace(SEALED, forgotten=True)
POLICY = groups.Policy(seal_retention_ms=60_000)


class StateShelf(Shelf):
    """A log that holds some state, and knows where reading of it starts."""

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield the records of the topics from the given offsets on."""
        assert (topics, follow, from_end) == ([TOPICS.state], False, False)
        for one in self.records:
            if one.offset >= (starts or {}).get((one.topic, one.partition), 0):
                self.ended += 1
                yield one


def shelf_of(*puts: tuple[bytes, object], partition: int = HOME) -> StateShelf:
    """Return a log with some records of the state."""
    return StateShelf(
        [
            Record(
                TOPICS.state, partition, offset, 0, key,
                value if value is None or isinstance(value, bytes) else schemas.pack_state(value),
            )
            for offset, (key, value) in enumerate(puts)
        ]
    )  # fmt: skip


def position(state_format: int = schemas.STATE_FORMAT, clock: int = 0) -> schemas.Position:
    """Return a position."""
    return schemas.Position(
        next_offset=1, partitions=PARTITIONS, clock=clock, state_format=state_format
    )


def header_put(header: groups.Header, key: str = KEY) -> tuple[bytes, object]:
    """Return the record of a header."""
    return schemas.header_key(key), header


# -- reading ---------------------------------------------------------------------------------------


async def test_the_last_header_stands() -> None:
    """Of several values of a header the last one counts, and other records are passed over."""
    member = (schemas.member_key(KEY, 3), b"\x80")
    shelf = shelf_of(
        header_put(SEALED), member, header_put(OPEN), (schemas.POSITION_KEY, position(clock=9))
    )
    found = await read_partition(shelf, TOPICS.state, HOME, lambda key, _: key == KEY)
    assert (found.headers, found.position) == ({KEY: OPEN}, position(clock=9))


async def test_a_partition_is_read_once_and_no_other_is() -> None:
    """However many groups are asked for, each partition's state is read once, and only if asked."""
    shelf = shelf_of(header_put(SEALED), header_put(OPEN, "live/a/0/0/r"))
    shelf.records = [
        *shelf.records,
        *shelf_of(header_put(SEALED), partition=(HOME + 1) % PARTITIONS).records,
    ]
    standings = Standings(shelf, TOPICS.state)
    assert (await standings.of(KEY)).header == SEALED
    assert (await standings.of(KEY)).header == SEALED
    assert shelf.ended == 2


async def test_a_group_that_was_reopened_is_not_sealed() -> None:
    """A seal that a later record takes back does not stand."""
    shelf = shelf_of(header_put(SEALED), header_put(replace(SEALED, sealed_at=None, reopened=True)))
    assert (await Standings(shelf, TOPICS.state).of(KEY)).header is None


@pytest.mark.parametrize(
    "put",
    [
        (b"Z|what", b"\x80"),
        (schemas.header_key(KEY), b"\xc1"),
        (schemas.POSITION_KEY, position(schemas.STATE_FORMAT + 1)),
    ],
)
async def test_state_that_cannot_be_read_is_refused(put: tuple[bytes, object]) -> None:
    """Nothing is concluded from state of a newer version, or of another program."""
    with pytest.raises(LogRefusedError, match="the state cannot be read"):
        await Standings(shelf_of(put), TOPICS.state).of(KEY)


# -- reopening -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(), "there is no group"),
        (Standing(OPEN), "is not sealed"),
        (Standing(FORGOTTEN), "cannot be reopened"),
        (Standing(SEALED, position(clock=1_060_000)), "seal_retention_s, 60 s, is over"),
        (Standing(replace(SEALED, sealing=2**63 - 1, reopened=True)), "no version is left"),
    ],
)
def test_what_cannot_be_reopened_is_refused(standing: Standing, words: str) -> None:
    """An unknown group, one that is not sealed, and one that was sealed too long ago."""
    with pytest.raises(LogRefusedError, match=words) as caught:
        reopening(GROUP, standing, POLICY, 1_000_001)
    assert KEY in str(caught.value)


def test_time_is_over_by_our_clock_too() -> None:
    """Where the partition's clock stands still, ours says what its next record will say."""
    assert reopening(GROUP, Standing(SEALED), POLICY, 1_059_999).version == 3
    with pytest.raises(LogRefusedError):
        reopening(GROUP, Standing(SEALED), POLICY, 1_060_000)


_SEALS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=6)


@given(_SEALS, st.booleans())
def test_a_reopening_counts(said: list[tuple[int, bool]], by_policy: bool) -> None:
    """Whatever seals and reopenings came before, and in whatever order, this one takes effect."""
    policy = groups.Policy(quorum=1, quiet_ms=1, seal_after_ms=10 if by_policy else None)
    state = groups.Partition(lambda _: policy)
    state.feed(KEY, groups.Arrived(0, 1, 0, 0, "d", b""))
    for version, opens in said:
        kind = groups.Reopened if opens else groups.Sealed
        state.feed(KEY, kind(0, version))
    for _ in state.advance(1000):
        pass
    header = state.groups[KEY].header
    if header.sealed_at is None:
        return
    message = reopening(GROUP, Standing(header), policy, header.sealed_at)
    outcome = state.feed(KEY, groups.Reopened(1000, message.version)).outcome
    assert outcome is groups.Outcome.REOPENED
    assert state.groups[KEY].header.sealed_at is None


# -- replaying -------------------------------------------------------------------------------------


def letter_of(message: schemas.Message, reason: schemas.DeadReason) -> schemas.DeadLetter:
    """Return the letter of an event that was refused when it came."""
    error = schemas.SchemaError(reason, "it was not taken")
    return schemas.DeadLetter.of(record(message), error, "group")


def fate_of(standing: Standing | None, message: schemas.Message | None = None) -> str:
    """Return what stands against sending a sealed letter again; nothing, if nothing does."""
    letter = letter_of(message or examples.arrived(), schemas.DeadReason.SEALED)
    fate = judge(letter, TOPICS.warps, PARTITIONS, standing)
    return str(fate) if isinstance(fate, Refusal) else ""


def test_a_sealed_letter_stays_while_its_group_is_sealed() -> None:
    """It would only come back; what to do is said with the group's name."""
    assert f"run `evensky reopen {KEY}`, and replay it after that" in fate_of(Standing(SEALED))
    for standing in (Standing(OPEN), Standing(), None):
        assert fate_of(standing) == ""


def test_what_can_never_be_taken_is_not_put_off() -> None:
    """For a group that was forgotten no reopening is advised, nor for one that came late."""
    late = schemas.GroupReopened(**GROUP.fields, version=9)
    for said in (fate_of(Standing(FORGOTTEN)), fate_of(Standing(SEALED), late)):
        assert "too long to be reopened" in said
        assert "evensky reopen" not in said


def test_a_seal_itself_may_come_again() -> None:
    """A seal is not refused by a sealed group."""
    assert fate_of(Standing(SEALED), schemas.GroupSealed(**GROUP.fields, version=9)) == ""


def test_a_letter_of_an_old_state_waits_for_the_new_format() -> None:
    """While the service cannot remember a seal, a seal would come back."""
    letter = letter_of(
        schemas.GroupSealed(**GROUP.fields, version=9), schemas.DeadReason.UNSUPPORTED_TYPE
    )
    fate = judge(letter, TOPICS.warps, PARTITIONS, Standing(None, position(1)))
    assert isinstance(fate, Refusal)
    assert "raise the service's state_format" in fate.advice
    raised = judge(letter, TOPICS.warps, PARTITIONS, Standing(None, position(2)))
    assert not isinstance(raised, Refusal)


async def test_the_state_is_only_read_for_letters_that_hang_on_it() -> None:
    """Whoever replays what went astray needs no right on the state."""
    shelf = shelf_of(header_put(SEALED))
    judged = Judge(TOPICS.warps, PARTITIONS, Standings(shelf, TOPICS.state).of)
    astray = letter_of(examples.arrived(), schemas.DeadReason.MISROUTED)
    assert not isinstance(await judged(astray), Refusal)
    broken = letter_of(examples.arrived(), schemas.DeadReason.BAD_MSGPACK)
    assert isinstance(await judged(broken), Refusal)
    assert shelf.ended == 0
    sealed = letter_of(examples.arrived(), schemas.DeadReason.SEALED)
    assert isinstance(await judged(sealed), Refusal)
    assert shelf.ended == 1
