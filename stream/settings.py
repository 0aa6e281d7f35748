"""The settings: frozen values, made once at the edge, refused where they cannot be.

`Settings` reads nothing by itself: no environment, no file. `stream.configure` gathers values from
the places where an operator can write them and remembers which came from where.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from core import MatchConfig, VerdictLimits
from core.quality import FLAGS
from schemas import STATE_FORMAT
from stream.address import Address, parse_address
from stream.crosschecks import fitting_workers, impossible
from stream.fetch.places import Bucket, allowed_place
from stream.machine import Machine
from stream.policies import (
    POLICY_SETTINGS,
    AtOnce,
    Margin,
    Members,
    Policies,
    PolicyRule,
    Quorum,
    Seconds,
    SecondsOrOff,
    off,
    policy_of,
)
from stream.problems import Problem, SettingsError
from stream.results.shared import shared_place

__all__ = [
    "Context",
    "Problem",
    "Settings",
    "SettingsError",
]

MIB = 2**20
GIB = 2**30

_PASSWORD = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")
_LEAST_SESSION_S = 6.0  # brokers refuse a shorter session unless configured otherwise


def _upper(value: object) -> object:
    """Let an operator write Kafka's names in small letters."""
    return value.strip().upper() if isinstance(value, str) else value


def _names(value: object) -> object:
    """Let an operator write names with commas between them, or ``none``."""
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",")]
    return () if names in ([""], ["none"]) else tuple(dict.fromkeys(names))


def _shared(value: str) -> str:
    """Refuse what is no place for results."""
    return str(shared_place(value))


Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$")]
User = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,255}$")]
Size = Annotated[ByteSize, Field(ge=MIB)]
Chi2OrOff = Annotated[
    Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False)] | None, BeforeValidator(off)
]
SigmasOrOff = Annotated[
    Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None, BeforeValidator(off)
]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Flags = Annotated[tuple[Literal["edge_step", "sources_unmasked"], ...], BeforeValidator(_names)]
Loss = Annotated[str, Field(pattern=r"^[0-9]{1,4}:[0-9]{1,18}$")]


@dataclass(frozen=True, slots=True)
class Context:
    """What settings are judged against, handed to `Settings.model_validate` as its context.

    Attributes
    ----------
    machine : Machine
        The machine they are meant for.
    origins : mapping of str to str
        Where each setting was given: ``evensky.toml``, ``EVENSKY_WORKERS`` or ``--workers``.
    """

    machine: Machine
    origins: Mapping[str, str]


class Settings(BaseModel):
    """Everything an operator may choose.

    Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_bytes`` bytes (``"2GiB"`` is
    understood), ``_px`` pixels.

    Raises
    ------
    SettingsError
        From a combination that cannot work; each problem names its settings and the remedy.
    pydantic.ValidationError
        From a value that is impossible by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # -- the log
    log: Path = Field(
        default=Path("evensky.db"), description="file of the embedded log, made at its first use"
    )
    bootstrap_servers: str | None = Field(
        default=None,
        description="Kafka brokers as host:port[,host:port...]; without it the embedded log",
    )
    app: Name = Field(
        default="evensky",
        description="name of the consumer group and stem of the transactional ids",
    )
    instance: Name | None = Field(
        default=None, description="stable name of this copy (Kafka's group.instance.id)"
    )
    topic_prefix: Name = Field(
        default="evensky", description="stem of the topic names, as in PREFIX.warps"
    )
    partitions: int = Field(
        default=8, ge=1, le=1024, description="partitions of an embedded log when it is made"
    )
    broker_grace_s: Annotated[Seconds, Field(le=86_400)] = Field(
        default=120.0, description="time without a broker after which the service exits with code 3"
    )
    session_timeout_s: Annotated[float, Field(ge=0, le=1800, allow_inf_nan=False)] = Field(
        default=0.0,
        validate_default=True,
        description="silence after which Kafka gives this copy's partitions to another; 0: 10 s, "
        "or less where broker_grace_s is short",
    )
    max_message_bytes: Annotated[ByteSize, Field(ge=65_536, le=64 * MIB)] = Field(
        default=ByteSize(4 * MIB),
        description="largest model message (the models topic's max.message.bytes)",
    )

    state_format: Annotated[
        Annotated[int, Field(ge=1, le=STATE_FORMAT)] | None, BeforeValidator(off)
    ] = Field(
        default=None,
        description="format in which the state is written, for the time of an upgrade; off: that "
        "of the state that is there, else the newest",
    )

    accept_loss: Annotated[tuple[Loss, ...], BeforeValidator(_names)] = Field(
        default=(),
        max_length=1024,
        description="PARTITION:OFFSET, with commas: go on though input before that is lost unread",
    )

    # -- the way to the brokers
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(_upper)
    ] = Field(
        default="PLAINTEXT",
        description="what the brokers' listener speaks: SSL is TLS, SASL a user with a password",
    )
    ssl_ca_file: Path | None = Field(
        default=None,
        description="certificate that signed the brokers', PEM; default: those that the system "
        "trusts",
    )
    ssl_certificate_file: Path | None = Field(
        default=None, description="our own certificate, PEM, for brokers that want one"
    )
    ssl_key_file: Path | None = Field(
        default=None, description="key of our own certificate, PEM, not encrypted"
    )
    sasl_mechanism: Annotated[
        Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], BeforeValidator(_upper)
    ] = Field(default="SCRAM-SHA-512", description="how the password is proved to the brokers")
    sasl_user: User | None = Field(default=None, description="user that the brokers know us as")
    sasl_password_file: Path | None = Field(
        default=None, description="file that holds the user's password, and nothing else"
    )
    sasl_password: SecretStr | None = Field(
        default=None,
        description="the user's password, by EVENSKY_SASL_PASSWORD or sasl_password_file only",
    )

    # -- pixels and the processes that work on them
    allow: tuple[Annotated[Path | Bucket, BeforeValidator(allowed_place)], ...] = Field(
        default=(),
        description="folders, and s3://BUCKET[/PREFIX], that warps may be read from; keys, region "
        "and endpoint of S3 come from AWS_ variables; default: the embedded log's folder",
    )
    max_warp_bytes: Size = Field(
        default=ByteSize(512 * MIB), description="largest file of a warp, before it is inflated"
    )
    max_warp_side_px: int = Field(
        default=8192, ge=1, le=65_536, description="longest side of a warp's image"
    )
    fetch_in_flight_bytes: Size = Field(
        default=ByteSize(GIB),
        description="bytes of warps read ahead and not yet decoded, all together",
    )
    spool_dir: Path | None = Field(
        default=None,
        description="folder on tmpfs or a scratch disk for warps at work, fetched and decoded; "
        "default: spool in local_dir",
    )
    spool_bytes: Annotated[ByteSize, Field(ge=0, le=1024 * 1024 * GIB)] = Field(
        default=ByteSize(4 * GIB),
        description="decoded warps kept there, 12 bytes a pixel: best a whole group; 0: none",
    )
    missing_grace_s: Seconds = Field(
        default=5.0, description="time for which a missing file is asked for again"
    )
    failing_grace_s: Seconds = Field(
        default=600.0,
        description="time for which a file is asked for again that fails while its folder or "
        "bucket gives others; then it fails alone",
    )
    storage_stall_s: Annotated[Seconds, Field(le=3600)] = Field(
        default=20.0,
        description="time without 50 kB/s of a file after which its folder or bucket counts as "
        "away and is waited for",
    )
    worker_memory_bytes: Annotated[ByteSize, Field(ge=256 * MIB)] = Field(
        default=ByteSize(2 * GIB),
        description="memory that a worker may have; libraries and machine code take 170 MiB of it, "
        "and it keeps the most that a job of it needed",
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=1024,
        validate_default=True,
        description="processes that decode and match; 0: one a core, as far as memory allows",
    )
    job_timeout_s: Seconds = Field(
        default=120.0,
        description="time after which a job's process is ended and the job tried again",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="deaths of a job after which its warp is given up"
    )
    max_due_groups: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="complete groups of a partition that are worked on at the same time, at most",
    )

    ahead: Literal["on", "off"] = Field(
        default="on", description="measure and match warps before their group is complete"
    )
    ahead_groups: AtOnce = Field(default=16, description="groups of a partition worked on ahead")
    ahead_jobs: AtOnce = Field(default=64, description="jobs that one of them asks for at once")
    ahead_max_bytes: Annotated[ByteSize, Field(ge=0, le=1024 * GIB)] = Field(
        default=ByteSize(GIB // 16), description="matches made ahead that are kept in memory"
    )

    # -- what is kept beside the log
    local_dir: Path | None = Field(
        default=None,
        description="folder of this host for finished results and the list of what runs; default: "
        "LOG.local beside the embedded log, with Kafka .cache/evensky/APP in the home folder",
    )
    results_max_bytes: Annotated[ByteSize, Field(ge=0, le=1024 * 1024 * GIB)] = Field(
        default=ByteSize(GIB), description="finished results kept on this host; 0: none"
    )
    results_shared: Annotated[str, AfterValidator(_shared)] | None = Field(
        default=None,
        description="folder, or s3://BUCKET/PREFIX, in which all copies keep finished results; "
        "keys, region and endpoint of S3 come from AWS_ variables",
    )

    # -- taking events in
    ingest_max_records: int = Field(
        default=1000, ge=1, le=10_000, description="records of one ingest transaction"
    )
    ingest_max_ms: int = Field(
        default=100, ge=1, le=10_000, description="longest wait for an ingest transaction to fill"
    )

    # -- when a group is complete
    quorum: Quorum = Field(default=3, description="members a group needs to end by quiet")
    quiet_s: SecondsOrOff = Field(
        default=600.0, description="time without an arrival that completes a group; off: never"
    )
    deadline_s: Seconds = Field(
        default=43_200.0,
        description="time since its first event after which a group is complete anyway",
    )
    min_members: Members = Field(
        default=2, description="members below which a group ends as incomplete"
    )
    update_quiet_s: Seconds = Field(
        default=600.0, description="time after the last late change before a group's update is made"
    )
    update_max_s: Seconds = Field(
        default=3600.0, description="longest wait of a late change for its group's update"
    )

    reference_margin: Margin = Field(
        default=0.2,
        description="cost by which another must be better to take the place of a published "
        "reference; inf: never, 0: chosen anew at each revision",
    )
    seal_after_s: SecondsOrOff = Field(
        default=None,
        description="time since its last revision after which a group takes no more events; "
        "off: never",
    )
    seal_retention_s: Seconds = Field(
        default=2_592_000.0,
        description="time after which a sealed group's members are forgotten, and it can no "
        "longer be reopened",
    )
    policies: tuple[PolicyRule, ...] = Field(
        default=(),
        max_length=1000,
        description="what is different for some campaigns, skymaps or bands; tables [[policies]] "
        "of the file, the first that fits counts",
    )

    # -- the matching
    match: Annotated[Mapping[str, object], AfterValidator(MappingProxyType)] = Field(
        default_factory=dict, description="how backgrounds are matched: LSST's names in snake_case"
    )
    verdict_profile: Literal["survey", "lsst2017", "none"] = Field(
        default="survey",
        description="rule by which a model is accepted or rejected: survey judges the sky that it "
        "leaves, lsst2017 is LSST's old rule",
    )
    verdict_max_sky_chi2: Chi2OrOff = Field(
        default=2.0,
        description="largest sky_chi2 that survey accepts, where 1 is pure noise; off: any",
    )
    verdict_sky_chi2_spread: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        default=12.0,
        description="what survey allows for few tiles: a sky_chi2 of 1 + this / sqrt(tiles)",
    )
    verdict_max_worst_block: SigmasOrOff = Field(
        default=6.0,
        description="largest departure of a 3 x 3 block of tiles, in its errors, that survey "
        "accepts; off: any",
    )
    verdict_max_extrapolated_fraction: Fraction = Field(
        default=0.15, description="largest share of pixels in empty bins that survey accepts"
    )
    verdict_min_coverage: Fraction = Field(
        default=0.2, description="smallest share of good pixels that survey accepts"
    )
    verdict_flags: Flags = Field(
        default=FLAGS,
        description=f"flags that survey rejects for, of {', '.join(FLAGS)}, with commas; or none",
    )

    # -- the service and its operators
    http: str = Field(
        default="127.0.0.1:9797",
        description="where /metrics, /healthz, /readyz, /groups listen; port 0: any free; or off",
    )
    grace_s: Seconds = Field(
        default=30.0, description="time for running jobs to finish when the service is told to stop"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="form of the log on stderr; auto: console on a terminal, json elsewhere",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe line that is logged"
    )

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("bootstrap_servers")
    @classmethod
    def _brokers(cls, value: str | None) -> str | None:
        return None if value is None else ",".join(map(str, map(parse_address, value.split(","))))

    @field_validator("sasl_password")
    @classmethod
    def _password(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _PASSWORD.fullmatch(value.get_secret_value()):
            raise ValueError("a password is one line of 1 to 1024 characters")
        return value

    @field_validator("http")
    @classmethod
    def _listen(cls, value: str) -> str:
        return "off" if value.strip().lower() == "off" else str(parse_address(value))

    @field_validator("session_timeout_s")
    @classmethod
    def _shorter_than_grace(cls, value: float, info: ValidationInfo) -> float:
        if value > 0 or "broker_grace_s" not in info.data:
            return value
        grace: float = info.data["broker_grace_s"]
        return min(10.0, max(_LEAST_SESSION_S, grace / 2), 0.9 * grace)

    def model_post_init(self, context: Context | None, /) -> None:
        """Take as many workers as fit, and refuse what cannot work together."""
        self._origins = {} if context is None else context.origins
        machine = Machine.here() if context is None else context.machine
        if not self.workers:  # which hangs on settings that stand behind it
            object.__setattr__(self, "workers", fitting_workers(self, machine))
        problems = tuple(impossible(self, machine))
        if problems:
            raise SettingsError(problems)

    @property
    def brokers(self) -> tuple[str, ...]:
        """Kafka's brokers as host:port; empty for the embedded log."""
        return () if self.bootstrap_servers is None else tuple(self.bootstrap_servers.split(","))

    @property
    def address(self) -> Address | None:
        """Where the service listens for operators, or None."""
        return None if self.http == "off" else parse_address(self.http)

    @property
    def roots(self) -> tuple[Path | Bucket, ...]:
        """Real folders, and buckets, that warps may be read from."""
        allowed = self.allow or (self.log.parent,)
        return tuple(one if isinstance(one, Bucket) else one.resolve() for one in allowed)

    @property
    def local_folder(self) -> Path | None:
        """Folder of this host; None if nobody named one and there is no home folder."""
        if self.local_dir is not None:
            return self.local_dir
        if not self.brokers:
            return self.log.parent / f"{self.log.name}.local"
        try:
            return Path.home() / ".cache" / "evensky" / self.app
        except RuntimeError:
            return None

    @property
    def spool_folder(self) -> Path:
        """Folder for warps at work, of all processes that may share it."""
        local = self.local_folder or Path(tempfile.gettempdir()) / f"evensky-{self.app}"
        return self.spool_dir or local / "spool"

    def match_config(self) -> MatchConfig:
        """How backgrounds are matched."""
        return MatchConfig.from_mapping(dict(self.match))

    def verdict_limits(self) -> VerdictLimits:
        """Limits of the rule ``survey``."""
        chi2, block = self.verdict_max_sky_chi2, self.verdict_max_worst_block
        return VerdictLimits(
            sky_chi2=math.inf if chi2 is None else chi2,
            sky_chi2_spread=self.verdict_sky_chi2_spread,
            worst_block=math.inf if block is None else block,
            extrapolated_fraction=self.verdict_max_extrapolated_fraction,
            coverage=self.verdict_min_coverage,
            flags=self.verdict_flags,
        )

    def policy_values(self) -> dict[str, Any]:
        """Return the settings that make the policy of a group which no rule takes."""
        return {name: getattr(self, name) for name in POLICY_SETTINGS}

    def policy_for(self) -> Policies:
        """Return what gives the policy of a group by its key."""
        values = self.policy_values()
        rules = [(one, policy_of(values | one.given, self.max_attempts)) for one in self.policies]
        return Policies(rules, policy_of(values, self.max_attempts))

    def origin(self, name: str) -> str:
        """Tell where a setting was given: a file, a variable, an option, or ``default``."""
        return self._origins.get(name, "default")
