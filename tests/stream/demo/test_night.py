"""The night: a real service, warps in any order, and an end that is told apart from a failure."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

import schemas
from core.groups import Group, Header
from core.groups.changed import replace as changed
from stream.demo import night as nights
from stream.demo.night import Night, NightError, play
from stream.log.embedded import EmbeddedOwner
from stream.log.topics import Topics
from stream.simulate import GroupEntry, SurveyManifest
from stream.wiring import reader_log
from tests.stream.demo.conftest import Played, Watching, settings_of

STATES = ("filling", "matching", "published", "incomplete")


async def events_of(night: Night) -> list[tuple[int, schemas.Message]]:
    """Return what was announced, with its time of the log, partition by partition."""
    log = reader_log(night.settings)
    await log.start()
    try:
        found = log.read([Topics().warps], follow=False)
        return [(r.timestamp, schemas.decode(r.key, r.headers, r.value)[1]) async for r in found]
    finally:
        await log.close()


def announced(played: Played) -> Sequence[schemas.Message]:
    """Return what was announced, in the order in which it was."""
    found = asyncio.run(events_of(played.night))
    return [message for _, message in sorted(found, key=lambda pair: pair[0])]


# -- a night that comes to its end -----------------------------------------------------------------


def test_every_group_completes_by_its_own_rule(played: Played) -> None:
    """Each of the five rules completes the group that the survey meant for it, at revision 1."""
    found = {key: (one.trigger, one.revision) for key, one in played.summaries.items()}
    assert found == {entry.key: (entry.trigger, 1) for entry in played.night.survey.groups}
    assert {entry.trigger for entry in played.night.survey.groups} == {
        "manifest", "count", "closed", "quiet", "deadline",
    }  # fmt: skip


def test_every_visit_is_a_member_and_only_the_reference_has_no_match(played: Played) -> None:
    """The members of a group are its visits; all but one are matched, and that one is named."""
    for entry in played.night.survey.groups:
        summary = played.summaries[entry.key]
        assert tuple(member.visit for member in summary.members) == entry.visits
        unmatched = [m.visit for m in summary.members if m.status != "matched"]
        assert unmatched == [summary.reference]


def test_the_visit_that_never_comes_is_missed_by_name(played: Played) -> None:
    """The deadline's group lacks just the visit that its manifest names in vain; others lack none.

    Its completeness says so too.
    """
    for entry in played.night.survey.groups:
        summary = played.summaries[entry.key]
        never = set(entry.expected_visits or ()) - set(entry.visits)
        assert set(summary.missing) == never
        assert (summary.completeness < 1) == bool(never)


def test_sets_are_announced_first_and_closings_last(played: Played) -> None:
    """A manifest comes before its group's warps, a closing after them, and no group has both."""
    order = announced(played)
    for entry in played.night.survey.groups:
        kinds = [type(m).__name__ for m in order if getattr(m, "group", None) == _id(entry)]
        warps = ["WarpArrived"] * len(entry.visits)
        before = ["GroupManifest"] if entry.trigger in ("manifest", "deadline") else []
        after = ["GroupClosed"] if entry.trigger == "closed" else []
        assert kinds == before + warps + after


def _id(entry: GroupEntry) -> schemas.GroupId:
    return schemas.GroupId.parse(entry.key)


def test_every_warp_is_announced_once_in_no_order_of_time(played: Played) -> None:
    """All warps of the survey arrive, none twice, and not as the telescope took them."""
    arrived = [m for m in announced(played) if isinstance(m, schemas.WarpArrived)]
    names = [(m.group.key, m.visit) for m in arrived]
    listed = [(warp.key, warp.visit) for warp in played.night.survey.warps]
    assert sorted(names) == sorted(listed)
    assert names != listed
    assert [m.visit for m in arrived] != sorted(m.visit for m in arrived)


def test_an_announcement_says_what_the_survey_wrote(played: Played) -> None:
    """Checksum, shape and place are the list's, and only a counted group's warps carry a count."""
    listed = {(warp.key, warp.visit): warp for warp in played.night.survey.warps}
    counts = {entry.key: entry.expected_count for entry in played.night.survey.groups}
    for message in announced(played):
        if isinstance(message, schemas.WarpArrived):
            warp = listed[message.group.key, message.visit]
            assert message.checksum == warp.checksum
            assert message.uri.endswith(warp.file)
            assert message.expected == counts[warp.key]


def test_a_manifest_has_a_deadline_only_where_it_waits_in_vain(played: Played) -> None:
    """The manifest that can never be met ends soon after the last warp; no other has a deadline."""
    triggers = {entry.key: entry.trigger for entry in played.night.survey.groups}
    for message in announced(played):
        if isinstance(message, schemas.GroupManifest):
            waits = triggers[message.group.key] == "deadline"
            assert message.deadline == (played.night.seconds + 3.0 if waits else None)


# -- what is seen of it ----------------------------------------------------------------------------


def test_states_only_go_forward(played: Played) -> None:
    """A group fills, is matched and published, and never falls back, in what is shown."""
    for place, entry in enumerate(played.night.survey.groups):
        states = [STATES.index(views[place].state) for views in played.display.shown]
        assert {views[place].group for views in played.display.shown} == {entry.key}
        assert states == sorted(states)
        assert STATES[states[-1]] == "published"


def test_what_is_shown_last_is_what_was_published(played: Played) -> None:
    """The last table says of each group what its summary says."""
    for view in played.display.shown[-1]:
        summary = played.summaries[view.group]
        members = len(summary.members)
        assert (view.arrived, view.matched) == (members, members - 1)
        assert (view.trigger, view.reference) == (summary.trigger, summary.reference)
        assert view.revision == summary.revision


def test_how_many_are_expected_is_known_where_somebody_said(played: Played) -> None:
    """A manifest's group expects its names, a counted one its count, the others nobody knows."""
    expected = {view.group: view.expected for view in played.display.shown[0]}
    known = {"manifest": 3, "deadline": 4, "count": 3}
    for entry in played.night.survey.groups:
        assert expected[entry.key] == known.get(entry.trigger)


def test_the_note_counts_the_warps(played: Played) -> None:
    """The line below the table rises to all of the warps."""
    counts = [int(note.split()[0]) for note in played.display.notes]
    assert counts == sorted(counts)
    assert played.display.notes[-1] == "18 of 18 warps announced"


ENTRY = GroupEntry(
    campaign="live", skymap="s", tract=1, patch=2, band="r", visits=(1, 2, 3), trigger="quiet"
)
DONE = Header(present=3, frozen=1, published=1, opened_at=None)


@pytest.mark.parametrize(
    ("header", "revision", "status", "state"),
    [
        (Header(), 0, "", "filling"),
        (Header(present=2, opened_at=5), 0, "", "filling"),
        (Header(present=3, opened_at=5), 0, "", "filling"),
        (Header(present=3, frozen=1), 0, "", "matching"),
        (DONE, 0, "", "matching"),
        (DONE, 1, "complete", "published"),
        (DONE, 1, "incomplete", "incomplete"),
        (changed(DONE, present=2), 1, "complete", "filling"),
        (changed(DONE, changed=1), 1, "complete", "filling"),
        (changed(DONE, frozen=2), 1, "complete", "matching"),
        (changed(DONE, frozen=2, published=2), 1, "complete", "matching"),
        (changed(DONE, frozen=2, published=2), 2, "complete", "published"),
    ],
)
def test_a_group_is_over_when_all_of_it_is_out_and_read_back(
    played: Played, header: Header, revision: int, status: str, state: str
) -> None:
    """Published is: every visit in it, none changed since, and the newest revision read back."""
    like = next(iter(played.summaries.values()))
    summary = None
    if revision:
        summary = msgspec.structs.replace(like, revision=revision, status=status)
    assert nights._state(ENTRY, Group(header), summary) == state  # noqa: SLF001 - the rule, row by row


# -- a night that fails ----------------------------------------------------------------------------


def copied(survey: SurveyManifest, folder: Path) -> SurveyManifest:
    """Return a copy of the survey that a test may spoil."""
    shutil.copytree(survey.directory, folder)
    return dataclasses.replace(survey, directory=folder)


def children() -> set[int]:
    """Return the processes that this one has."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def test_groups_that_are_left_are_named(survey: SurveyManifest, tmp_path: Path) -> None:
    """A night out of patience says which groups are left and how far each is.

    Nothing of it goes on: no process is left, and the log may be opened by another.
    """
    before = children()
    night = Night(survey, settings_of(tmp_path, survey), 30.0, 0.5)
    with pytest.raises(NightError, match=r"not published after 0\.5 s: ") as caught:
        await play(night, Watching())
    for entry in survey.groups:
        assert f"{entry.key}  filling  " in str(caught.value)
    assert children() <= before
    owner = EmbeddedOwner(night.settings.log, Topics(), 8)
    await owner.start()
    await owner.close()


async def test_groups_that_are_done_are_not_among_those_left(
    survey: SurveyManifest, tmp_path: Path
) -> None:
    """Of two groups, one waiting for a visit in vain, the error names that one alone."""
    count, manifest = (
        next(one for one in survey.groups if one.trigger == trigger)
        for trigger in ("count", "manifest")
    )
    vain = dataclasses.replace(manifest, expected_visits=(*manifest.visits, 99_999))
    warps = (*survey.warps_of(count), *survey.warps_of(vain))
    two = dataclasses.replace(survey, groups=(count, vain), warps=warps)
    night = Night(two, settings_of(tmp_path, two), 0.3, 4.0)
    with pytest.raises(NightError) as caught:
        await play(night, Watching())
    assert f"{vain.key}  filling  3/4 visits" in str(caught.value)
    assert count.key not in str(caught.value)


async def test_a_file_that_is_gone_ends_the_night_at_once(
    survey: SurveyManifest, tmp_path: Path
) -> None:
    """A warp that cannot be described fails the night with its name, not with its patience."""
    broken = copied(survey, tmp_path / "survey")
    broken.path(broken.warps[7]).unlink()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(NightError, match=Path(broken.warps[7].file).name):
        await play(Night(broken, settings_of(tmp_path, broken), 1.0, 60.0), Watching())
    assert loop.time() - begun < 30
