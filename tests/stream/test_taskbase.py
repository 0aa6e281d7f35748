"""What every task has: names, family, fields, metadata, timers, structs."""

from __future__ import annotations

import copy
import gc
import resource
import time
from typing import Any

import pytest
import structlog

from stream.task import MatchBackgroundsTask
from stream.taskbase import (
    ConfigurableField,
    ConfigurableInstance,
    Struct,
    Task,
    TaskError,
    TaskMetadata,
)
from stream.taskconfig import MatchBackgroundsConfig


class DetectConfig:
    """A config of somebody else's."""

    def __init__(self) -> None:
        self.threshold = 5


class DetectTask(Task):
    """A task of somebody else's."""

    ConfigClass = DetectConfig
    _DefaultName = "detect"

    def __init__(self, *, verbose: bool = False, **keyArgs: Any) -> None:
        super().__init__(**keyArgs)
        self.verbose = verbose


class StackConfig:
    """A config with subtasks."""

    match = MatchBackgroundsTask.makeField("how backgrounds are matched")
    detect = DetectTask.makeField("how sources are found")


class StackTask(Task):
    """A task with subtasks."""

    ConfigClass = StackConfig
    _DefaultName = "stack"
    match: MatchBackgroundsTask
    detect: DetectTask

    def __init__(self, **keyArgs: Any) -> None:
        super().__init__(**keyArgs)
        self.makeSubtask("match")
        self.makeSubtask("detect", verbose=True)


class NightConfig:
    """A config whose subtask has subtasks."""

    stack = StackTask.makeField("how a patch is stacked")


class NightTask(Task):
    """A task whose subtask has subtasks."""

    ConfigClass = NightConfig
    stack: StackTask

    def __init__(self, name: str = "night") -> None:
        super().__init__(name=name)
        self.makeSubtask("stack")


# --- names and family


def test_full_names_go_down_from_the_top() -> None:
    """The full name is top.sub.sub2, the name the last of it."""
    night = NightTask()
    assert [one.getFullName() for one in (night, night.stack, night.stack.match)] == [
        "night",
        "night.stack",
        "night.stack.match",
    ]
    assert night.stack.match.getName() == "match"


def test_the_whole_family_is_in_the_task_dict() -> None:
    """Every member lists all by full name, as weak references; the dictionary is a copy."""
    night = NightTask("n")
    names = ["n", "n.stack", "n.stack.detect", "n.stack.match"]
    for member in (night, night.stack, night.stack.match):
        found = member.getTaskDict()
        assert sorted(found) == names
        assert found["n.stack.match"]() is night.stack.match
        found.clear()
    assert sorted(night.getTaskDict()) == names


def test_a_family_does_not_keep_its_members_alive() -> None:
    """Who lets go of a task frees it; what is gone has no metadata."""
    night = NightTask()
    with night.stack.match.timer("match"):
        pass
    gone = night.getTaskDict()["night.stack.match"]
    del night.stack.match
    gc.collect()
    assert gone() is None
    assert not any(":match" in key for key in night.getFullMetadata())
    night.emptyMetadata()


def test_a_subtask_needs_a_name_and_so_does_a_task_without_a_usual_one() -> None:
    """Without a name there is a TaskError, a RuntimeError."""
    with pytest.raises(TaskError, match="needs a name"):
        Task()
    with pytest.raises(RuntimeError, match="needs a name"):
        DetectTask(parentTask=StackTask())
    assert Task(name="mine").getFullName() == "mine"
    assert DetectTask(name="mine").getName() == "mine"
    assert DetectTask().getName() == "detect"


# --- config


def test_a_config_is_given_or_the_parent_s_or_new() -> None:
    """The argument comes first, then the parent's field of that name, then ConfigClass."""
    mine = DetectConfig()
    assert DetectTask(config=mine).config is mine
    assert DetectTask().config.threshold == 5
    parent = Task(config=Struct(seek=mine), name="top")
    assert DetectTask(name="seek", parentTask=parent).config is mine
    assert isinstance(DetectTask(name="other", parentTask=parent).config, DetectConfig)


def test_fields_make_subtasks_with_their_config() -> None:
    """What is set on a field's attributes is the subtask's config, and no other config's."""
    config = StackConfig()
    config.match.binSize = 64
    config.detect.threshold = 7
    stack = StackTask(config=config)
    assert stack.match.config.settings.bin_size == 64
    assert stack.match.config is config.match.value
    assert (stack.detect.config.threshold, stack.detect.verbose) == (7, True)
    assert StackTask().match.config.settings.bin_size == 256
    assert config.match.binSize == 64


def test_a_field_may_be_retargeted_or_given_another_config() -> None:
    """Another class brings a new config of its own; a config may be replaced as a whole."""
    config = StackConfig()
    config.detect.threshold = 9
    config.detect.retarget(MatchBackgroundsTask)
    assert config.detect.target is MatchBackgroundsTask
    assert config.detect.binSize == 256
    assert isinstance(config.detect.apply(name="other"), MatchBackgroundsTask)
    config.match = MatchBackgroundsConfig(order=3)
    assert config.match.order == 3
    other = StackConfig()
    other.match = config.match
    assert other.match.order == 3
    with pytest.raises(AttributeError, match="retarget"):
        config.match.target = DetectTask


def test_a_field_of_the_class_is_the_field() -> None:
    """It tells what it is for and what task it makes."""
    field: Any = StackConfig.match
    assert isinstance(field, ConfigurableField)
    assert (field.target, field.__doc__) == (MatchBackgroundsTask, "how backgrounds are matched")


def test_configs_with_fields_can_be_copied() -> None:
    """A deep copy has settings of its own."""
    config = StackConfig()
    config.match.binSize = 64
    twin = copy.deepcopy(config)
    twin.match.binSize = 32
    assert config.match.binSize == 64
    with pytest.raises(AttributeError):
        _ = ConfigurableInstance.__new__(ConfigurableInstance).value


@pytest.mark.parametrize("name", ["nothing", "threshold"])
def test_a_subtask_needs_a_field(name: str) -> None:
    """Without a field of that name there is a KeyError that says whose config lacks it."""
    with pytest.raises(KeyError, match=f"config of detect has no field '{name}'"):
        DetectTask().makeSubtask(name)


# --- metadata


def test_metadata_keeps_all_values_and_shows_the_newest() -> None:
    """What is added lines up; what is set stands alone."""
    metadata = TaskMetadata()
    metadata.add("n", 1)
    metadata.add("n", 2)
    assert metadata["n"] == 2
    assert metadata.getArray("n") == [1, 2]
    metadata["n"] = 7
    assert metadata.getArray("n") == [7]
    assert (list(metadata), len(metadata), metadata.get("m")) == (["n"], 1, None)
    assert "[7]" in repr(metadata)
    del metadata["n"]
    with pytest.raises(KeyError):
        metadata.getArray("n")


def test_full_metadata_has_the_names_of_all() -> None:
    """Keys are top:sub.item, for every member, whoever is asked."""
    night = NightTask()
    night.metadata["clouds"] = 3
    night.stack.detect.metadata.add("found", 1)
    night.stack.detect.metadata.add("found", 2)
    full = night.stack.match.getFullMetadata()
    assert dict(full) == {"night.clouds": 3, "night:stack:detect.found": 2}
    assert full.getArray("night:stack:detect.found") == [1, 2]


def test_emptying_is_for_the_family() -> None:
    """After it nobody has noted anything."""
    night = NightTask()
    night.metadata["clouds"] = 3
    with night.stack.match.timer("match"):
        pass
    night.stack.emptyMetadata()
    assert dict(night.getFullMetadata()) == {}
    assert night.stack.match.timings() == {}


# --- timers


ENDINGS = {
    "Utc", "CpuTime", "UserTime", "SystemTime", "MaxResidentSetSize", "MinorPageFaults",
    "MajorPageFaults", "BlockInputs", "BlockOutputs", "VoluntaryContextSwitches",
    "InvoluntaryContextSwitches", "WallTime",
}  # fmt: skip


def test_a_timer_notes_lsst_s_items() -> None:
    """Each item has a start and an end, and no clock runs backwards."""
    task = DetectTask()
    with task.timer("find"):
        time.sleep(0.01)
    assert set(task.metadata) == {f"find{e}{end}" for e in ("Start", "End") for end in ENDINGS}
    for ending in ENDINGS:
        assert task.metadata[f"findStart{ending}"] <= task.metadata[f"findEnd{ending}"]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert task.metadata["findEndUserTime"] == pytest.approx(usage.ru_utime, abs=0.2)
    assert task.metadata["findEndMaxResidentSetSize"] == pytest.approx(usage.ru_maxrss * 1024)
    assert task.metadata["findEndMinorPageFaults"] == pytest.approx(usage.ru_minflt, rel=0.1)
    assert "T" in task.metadata["findStartUtc"]


def test_timings_are_wall_time_summed_over_uses() -> None:
    """Seconds by name, in the order of first use; a block that raised counts too."""
    task = DetectTask()
    with pytest.raises(LookupError), task.timer("b"):
        raise LookupError
    for _ in range(2):
        with task.timer("a"):
            time.sleep(0.02)
    spent = task.timings()
    assert list(spent) == ["b", "a"]
    assert 0.04 <= spent["a"] < 1
    assert 0 <= spent["b"] < 0.02


def test_a_timer_that_runs_has_no_time_yet() -> None:
    """Only closed timers are summed; a nested one of the same name counts twice."""
    task = DetectTask()
    with task.timer("outer"), task.timer("same"):
        with task.timer("same"):
            time.sleep(0.01)
        assert task.timings() == {}
    assert task.timings()["same"] >= 0.02
    assert set(task.timings()) == {"outer", "same"}


# --- struct and log


def test_a_struct_has_attributes() -> None:
    """Attributes are what was given; getDict is a copy of them."""
    struct = Struct(fitRMS=1.5, isReference=False)
    assert (struct.fitRMS, struct.isReference) == (1.5, False)
    struct.getDict()["fitRMS"] = 3
    assert struct.getDict() == {"fitRMS": 1.5, "isReference": False}
    assert struct == Struct(isReference=False, fitRMS=1.5)


def test_a_task_logs_under_its_name() -> None:
    """Lines of a task's log are structlog's."""
    with structlog.testing.capture_logs() as lines:
        NightTask().stack.log.warning("clouds", cover=0.5)
    assert lines == [{"event": "clouds", "cover": 0.5, "log_level": "warning"}]
