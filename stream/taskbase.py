"""What every LSST task has: a name, a config, subtasks, a log, metadata with timings.

The names are LSST's, so that who knows `lsst.pipe.base` knows these; all is written anew, and is no
more than `stream.task` and tasks around it need.
"""

from __future__ import annotations

import resource
import time
import weakref
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import structlog

__all__ = [
    "ConfigurableField",
    "ConfigurableInstance",
    "Struct",
    "Task",
    "TaskError",
    "TaskMetadata",
]

_USAGE = {
    "UserTime": "ru_utime",
    "SystemTime": "ru_stime",
    "MaxResidentSetSize": "ru_maxrss",
    "MinorPageFaults": "ru_minflt",
    "MajorPageFaults": "ru_majflt",
    "BlockInputs": "ru_inblock",
    "BlockOutputs": "ru_oublock",
    "VoluntaryContextSwitches": "ru_nvcsw",
    "InvoluntaryContextSwitches": "ru_nivcsw",
}
_KILOBYTE = 1024
_WALL = "WallTime"


class TaskError(RuntimeError):
    """A task was asked for something that cannot be done."""


class Struct(SimpleNamespace):
    """A result with named attributes."""

    def getDict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary, a copy."""
        return dict(vars(self))


class TaskMetadata(MutableMapping[str, Any]):
    """Facts that a task notes of itself; a name may have several values.

    ``metadata[name]`` is the newest value of a name, and setting it forgets the older ones.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> Any:
        return self._values[name][-1]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = [value]

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"TaskMetadata({self._values})"

    def add(self, name: str, value: Any) -> None:
        """Add one more value to a name.

        Parameters
        ----------
        name : str
        value : object
        """
        self._values.setdefault(name, []).append(value)

    def getArray(self, name: str) -> list[Any]:
        """Return all values of a name, the oldest first.

        Parameters
        ----------
        name : str

        Raises
        ------
        KeyError
            If it has none.
        """
        return list(self._values[name])


class Task:
    """Base of tasks.

    Parameters
    ----------
    config : optional
        Its settings; by default the parent's of that name, or else a new `ConfigClass`.
    name : str, optional
        Its short name; by default `_DefaultName`.
    parentTask : Task, optional
        Of which this is a subtask; then the name is needed.

    Attributes
    ----------
    config
        As given.
    log
        A structlog logger of the full name, below "evensky".
    metadata : TaskMetadata
        What it noted since it was made, or emptied. It grows by each timer: who runs a task for
        ever empties it.

    Raises
    ------
    TaskError
        If it would have no name (a `RuntimeError`).
    """

    ConfigClass: ClassVar[type[Any]] = Struct
    _DefaultName: ClassVar[str | None] = None

    def __init__(
        self, config: Any = None, name: str | None = None, parentTask: Task | None = None
    ) -> None:
        if name is None and (parentTask is not None or self._DefaultName is None):
            raise TaskError("a subtask, and a task without _DefaultName, needs a name")
        self._name: str = name or self._DefaultName or ""
        self._tasks: dict[str, weakref.ref[Task]] = {}
        self._full_name = self._name
        if parentTask is not None:
            self._full_name = f"{parentTask.getFullName()}.{self._name}"
            self._tasks = parentTask._tasks  # noqa: SLF001 - the family's one register
            config = getattr(parentTask.config, self._name, None) if config is None else config
        self.config: Any = self.ConfigClass() if config is None else config
        self.log = structlog.get_logger(f"evensky.{self._full_name}")
        self.metadata = TaskMetadata()
        self._tasks[self._full_name] = weakref.ref(self)

    def getName(self) -> str:
        """Return the name without those of its parents."""
        return self._name

    def getFullName(self) -> str:
        """Return the names from the topmost task to this, as ``top.sub.sub2``."""
        return self._full_name

    def getTaskDict(self) -> dict[str, weakref.ref[Task]]:
        """Return all tasks of the family, full name to weak reference, as a copy."""
        return dict(self._tasks)

    def makeSubtask(self, name: str, **keyArgs: Any) -> None:
        """Make a subtask by the config's field of its name, and keep it as attribute ``name``.

        Parameters
        ----------
        name : str
            Name of the field (`makeField`) and of the subtask.
        **keyArgs
            Further arguments for its constructor.

        Raises
        ------
        KeyError
            If the config has no such field.
        """
        field = getattr(self.config, name, None)
        if not isinstance(field, ConfigurableInstance):
            raise KeyError(f"the config of {self._full_name} has no field {name!r} for a subtask")
        setattr(self, name, field.apply(name=name, parentTask=self, **keyArgs))

    @classmethod
    def makeField(cls, doc: str) -> ConfigurableField:
        """Return a field of a config class, for a subtask that is by default of this class.

        Parameters
        ----------
        doc : str
            What the subtask is for.
        """
        return ConfigurableField(doc, cls)

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        """Note how long a block takes, and what it costs.

        Parameters
        ----------
        name : str
            Items ``<name>Start...`` and ``<name>End...`` are added to the metadata, also if the
            block raises, with LSST's endings: Utc (ISO), CpuTime, UserTime, SystemTime (seconds of
            this process), MaxResidentSetSize (bytes), MinorPageFaults, MajorPageFaults,
            BlockInputs, BlockOutputs, VoluntaryContextSwitches, InvoluntaryContextSwitches; and
            WallTime, seconds of a clock whose zero means nothing.
        """
        self._note(f"{name}Start")
        try:
            yield
        finally:
            self._note(f"{name}End")

    def _note(self, prefix: str) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.metadata.add(f"{prefix}Utc", datetime.now(UTC).isoformat())
        self.metadata.add(f"{prefix}{_WALL}", time.monotonic())
        self.metadata.add(f"{prefix}CpuTime", time.process_time())
        for ending, field in _USAGE.items():
            unit = _KILOBYTE if ending == "MaxResidentSetSize" else 1
            self.metadata.add(f"{prefix}{ending}", getattr(usage, field) * unit)

    def timings(self) -> dict[str, float]:
        """Return the wall time of each timer of this task, in the order of first use.

        Returns
        -------
        seconds : dict of str to float
            Summed over all uses since the metadata was emptied; not of timers that still run.
        """
        ending = f"Start{_WALL}"
        names = [name.removesuffix(ending) for name in self.metadata if name.endswith(ending)]
        seconds = {name: self._seconds(name) for name in names}
        return {name: spent for name, spent in seconds.items() if spent is not None}

    def _seconds(self, name: str) -> float | None:
        starts = self.metadata.getArray(f"{name}Start{_WALL}")
        ends = (
            self.metadata.getArray(f"{name}End{_WALL}")
            if f"{name}End{_WALL}" in self.metadata
            else []
        )
        if len(starts) != len(ends):
            return None
        return float(sum(end - start for start, end in zip(starts, ends, strict=True)))

    def emptyMetadata(self) -> None:
        """Forget what all tasks of the family noted."""
        for task in self._family():
            task.metadata = TaskMetadata()

    def getFullMetadata(self) -> TaskMetadata:
        """Return what all tasks of the family noted.

        Returns
        -------
        metadata : TaskMetadata
            Keys ``top:sub.item``: the full name with ``:`` for ``.``, a dot, and the item.
        """
        full = TaskMetadata()
        for task in self._family():
            prefix = task.getFullName().replace(".", ":")
            for item in task.metadata:
                for value in task.metadata.getArray(item):
                    full.add(f"{prefix}.{item}", value)
        return full

    def _family(self) -> Iterator[Task]:
        for reference in self._tasks.values():
            task = reference()
            if task is not None:
                yield task


class ConfigurableField:
    """A field of a config class: which task a subtask is, and its config.

    Parameters
    ----------
    doc : str
        What the subtask is for.
    target : type of Task
        Its class unless another is chosen.

    Notes
    -----
    Any class will do as a config class, as long as its instances have a ``__dict__``::

        class StackConfig:
            match = MatchBackgroundsTask.makeField("how backgrounds are matched")

        config = StackConfig()
        config.match.binSize = 128
    """

    def __init__(self, doc: str, target: type[Task]) -> None:
        self.__doc__ = doc
        self.target = target

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, config: Any, owner: type | None = None) -> Any:
        if config is None:
            return self
        return config.__dict__.setdefault(self._name, ConfigurableInstance(self.target))

    def __set__(self, config: Any, value: Any) -> None:
        """Take over another's task and settings, or settings alone."""
        if isinstance(value, ConfigurableInstance):
            config.__dict__[self._name] = value
        else:
            self.__get__(config).value = value


class ConfigurableInstance:
    """What a `ConfigurableField` holds in one config; other attributes are those of `value`.

    Parameters
    ----------
    target : type of Task
        The subtask's class.

    Attributes
    ----------
    target
        As given, or as chosen since.
    value
        The config for it, at first a new one.
    """

    target: type[Task]
    value: Any

    def __init__(self, target: type[Task]) -> None:
        self.retarget(target)

    def retarget(self, target: type[Task]) -> None:
        """Choose another task, with a new config of its own.

        Parameters
        ----------
        target : type of Task
        """
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "value", target.ConfigClass())

    def apply(self, **keyArgs: Any) -> Task:
        """Return a new task of the class and config chosen.

        Parameters
        ----------
        **keyArgs
            Further arguments for its constructor.
        """
        return self.target(config=self.value, **keyArgs)

    def __getattr__(self, name: str) -> Any:
        if name in {"target", "value"}:
            raise AttributeError(name)  # not made yet: a copy or unpickling asks
        return getattr(self.value, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "target":
            raise AttributeError("target: use retarget, which gives it a config of its own")
        if name == "value":
            object.__setattr__(self, name, value)
        else:
            setattr(self.value, name, value)
