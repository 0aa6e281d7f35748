"""What is wrong with a topic: what would lose data, and what merely shortens its history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from stream.log.seam import TopicSpec

__all__ = ["Finding", "TopicFound", "judge", "missing", "moved", "torn"]

_EXACT: Final = ("cleanup.policy", "message.timestamp.type")
_AT_LEAST_MS: Final = ("retention.ms", "min.compaction.lag.ms")
_FOR_EVER: Final = -1
_MANY_COPIES: Final = 3


@dataclass(frozen=True, slots=True)
class TopicFound:
    """A topic as it is.

    Attributes
    ----------
    partitions : int
    copies : int
        Replicas of the partition that has the fewest.
    config : mapping of str to str
        Kafka's names, with the broker's defaults filled in.
    """

    partitions: int
    copies: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a topic that is not as it should be.

    Attributes
    ----------
    topic : str
    setting : str
        Kafka's name of what is wrong; ``partitions``, ``replication.factor``, ``topic``, or
        ``offsets``.
    found, wanted : str
        As it is, and as it should be.
    sentence : str
        What is wrong, with the topic for its subject.
    remedy : str
        What would be right.
    refused : bool
        It would lose data, so that the service does not start; otherwise it is a warning.
    """

    topic: str
    setting: str
    found: str
    wanted: str
    sentence: str
    remedy: str
    refused: bool

    def __str__(self) -> str:
        return f"topic {self.topic} {self.sentence}: {self.remedy}"


def missing(spec: TopicSpec) -> Finding:
    """Say that a topic is not there."""
    remedy = "create it with `evensky topics create`"
    return Finding(spec.name, "topic", "missing", "there", "is missing", remedy, refused=True)


def moved(topic: str, partitions: int, recorded: int) -> Finding:
    """Say that a changelog was written for another number of partitions than there are.

    Parameters
    ----------
    topic : str
        The changelog.
    partitions : int
        As found.
    recorded : int
        What the state's position says.
    """
    return Finding(
        topic,
        "partitions",
        str(partitions),
        str(recorded),
        f"has {partitions} partitions and holds a state that was written for {recorded}, so that "
        "the same keys are elsewhere now",
        "restore the former number, or begin anew under another topic_prefix and app",
        refused=True,
    )


def torn(topic: str, lost: Mapping[int, tuple[int, int]]) -> Finding:
    """Say that records are gone which the state has not read.

    Parameters
    ----------
    topic : str
        The input.
    lost : mapping of int to (int, int)
        By partition the offset where the state goes on, and where the input begins.
    """
    count = sum(begin - at for at, begin in lost.values())
    where = ", ".join(f"{one} ({at} to {begin - 1})" for one, (at, begin) in lost.items())
    begins = ",".join(f"{one}:{begin}" for one, (_, begin) in lost.items())
    return Finding(
        topic,
        "offsets",
        begins,
        ",".join(f"{one}:{at}" for one, (at, _) in lost.items()),
        f"has lost {count} records that nobody has read, in partition {where}",
        f"announce them again, and go on without them by `evensky run --accept-loss {begins}`",
        refused=True,
    )


def judge(spec: TopicSpec, found: TopicFound) -> Iterator[Finding]:
    """Compare a topic with what it should be.

    Parameters
    ----------
    spec : TopicSpec
        As it should be; its partition count is the one that all ours must share.
    found : TopicFound
        As it is.

    Yields
    ------
    Finding
        First what is refused: what would lose data or break a promise. Then what an operator may
        have chosen, and should know: a shorter history, fewer copies.
    """
    yield from _losing(spec, found)
    yield from _shortening(spec, found)
    yield from _thin(spec, found)


def _losing(spec: TopicSpec, found: TopicFound) -> Iterator[Finding]:
    if found.partitions != spec.partitions:
        yield Finding(
            spec.name,
            "partitions",
            str(found.partitions),
            str(spec.partitions),
            f"has {found.partitions} partitions and should have {spec.partitions}, as all ours",
            "if nothing in it is needed, delete it and run `evensky topics create`",
            refused=True,
        )
    for name in _EXACT:
        if found.config.get(name) != spec.config[name]:
            yield _alter(spec, name, found, refused=True)
    if _number(found, "max.message.bytes") < int(spec.config["max.message.bytes"]):
        yield _alter(spec, "max.message.bytes", found, refused=True)
    if found.copies > 1 and found.config.get("unclean.leader.election.enable") == "true":
        yield _altered(spec, "unclean.leader.election.enable", found, "false", refused=True)


def _shortening(spec: TopicSpec, found: TopicFound) -> Iterator[Finding]:
    for name in _AT_LEAST_MS:
        wanted = int(spec.config.get(name, 0))
        kept = _number(found, name)
        if wanted and kept != _FOR_EVER and kept < wanted:
            yield _alter(spec, name, found, refused=False)
    if not spec.compacted and _number(found, "retention.bytes", _FOR_EVER) != _FOR_EVER:
        yield _altered(spec, "retention.bytes", found, str(_FOR_EVER), refused=False)


def _thin(spec: TopicSpec, found: TopicFound) -> Iterator[Finding]:
    """Warn of records that one broker's death takes along."""
    if found.copies == 1:
        yield Finding(
            spec.name,
            "replication.factor",
            "1",
            str(_MANY_COPIES),
            "has one copy of each record, which goes with its broker's disk",
            "kafka-reassign-partitions.sh adds copies on other brokers",
            refused=False,
        )
    if found.copies >= _MANY_COPIES and _number(found, "min.insync.replicas") < _MANY_COPIES - 1:
        wanted = str(_MANY_COPIES - 1)
        yield _altered(spec, "min.insync.replicas", found, wanted, refused=False)


def _number(found: TopicFound, name: str, default: int = 0) -> int:
    return int(found.config.get(name, default))


def _alter(spec: TopicSpec, name: str, found: TopicFound, *, refused: bool) -> Finding:
    return _altered(spec, name, found, spec.config[name], refused=refused)


def _altered(
    spec: TopicSpec, name: str, found: TopicFound, wanted: str, *, refused: bool
) -> Finding:
    value = found.config.get(name, "unset")
    verb = "needs" if refused else "should have"
    return Finding(
        spec.name,
        name,
        value,
        wanted,
        f"has {name}={value} and {verb} {wanted}",
        "kafka-configs.sh --bootstrap-server HOST:PORT --alter "
        f"--topic {spec.name} --add-config {name}={wanted}",
        refused=refused,
    )
