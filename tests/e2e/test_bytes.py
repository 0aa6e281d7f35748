"""One set of files, three ways to its models: in batch, live on a file, live on Kafka."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream.simulate import SurveyManifest
from tests.e2e.processes import (
    MATCHING,
    Place,
    evensky,
    honest,
    model_files,
    published,
    running,
    until,
)
from tests.shared import shared_path

SDSS = ("-c", "bin_size=64")


@dataclass(frozen=True)
class Batch:
    """Files, and what the batch command made of them."""

    files: Sequence[Path]
    models: Mapping[str, bytes]
    groups: Sequence[Mapping[str, Any]]


def in_batch(files: Sequence[Path], folder: Path, matching: Sequence[str]) -> Batch:
    """Match files in batch."""
    told, _ = evensky("match", *files, "-o", folder, "--json", "--workers", "1", *matching)
    models = model_files(folder)
    assert len(models) == len(files)
    return Batch(files, models, json.loads(told)["groups"])


@pytest.fixture(scope="module")
def simulated(survey: SurveyManifest, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Match half of the simulated survey in batch."""
    files = [survey.path(warp) for entry in survey.groups[:3] for warp in survey.warps_of(entry)]
    return in_batch(files, tmp_path_factory.mktemp("simulated"), MATCHING)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Match real warps in batch: all of SDSS's, some of SAAO's."""
    sdss = sorted(shared_path("warps", "sdss_s82").glob("*.fits.fz"))
    saao = sorted(shared_path("warps", "saao_kb13475").glob("*.fits.gz"))
    return in_batch([*sdss, *saao[:3]], tmp_path_factory.mktemp("real"), SDSS)


def live(place: Place, files: Sequence[Path], folder: Path, *more: str) -> Mapping[str, bytes]:
    """Return the models that a service publishes for files announced to it."""
    told, _ = evensky("announce", *files, *place.options, "--manifest", "--json")
    groups = {
        tuple(one[name] for name in ("campaign", "skymap", "tract", "patch", "band"))
        for one in json.loads(told)["announced"]
    }
    with running(place, folder, *more) as service:
        service.until_it_says("started")
        until(lambda: len(published(place).summaries) == len(groups))
        assert service.stop() == 0
    found = published(place)
    honest(place)
    return found.bytes_of_models


def on_kafka(bootstrap: str, folder: Path) -> Place:
    """Make topics of its own on a broker, and say how to reach them."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    options = ("--bootstrap-servers", bootstrap, "--topic-prefix", name)
    told, _ = evensky("topics", "create", *options, "--partitions", "4")
    assert f"{name}.models" in told.split()
    return Place(options, ("--app", name, "--allow", str(folder)))


def test_batch_and_live_agree(simulated: Batch, tmp_path: Path) -> None:
    """The service on the embedded log publishes the very bytes that the batch command writes."""
    found = live(Place.file(tmp_path / "evensky.db"), simulated.files, tmp_path)
    assert found == simulated.models


@pytest.mark.kafka
def test_batch_and_kafka_agree(simulated: Batch, tmp_path: Path, kafka: str) -> None:
    """The service on Kafka publishes the very bytes that the batch command writes."""
    place = on_kafka(kafka, simulated.files[0].parent)
    assert live(place, simulated.files, tmp_path) == simulated.models


@pytest.mark.shared
def test_real_figures(real: Batch) -> None:
    """Of SDSS's warps each band is one group, with LSST's own figures: 1.004 to 1.039."""
    groups = [group for group in real.groups if group["band"] in {"g", "r", "i"}]
    assert sorted(group["band"] for group in groups) == ["g", "i", "r"]
    matched = [m for group in groups for m in group["members"] if m["status"] == "matched"]
    assert len(matched) >= 3
    for member in matched:
        assert 1.0035 < member["matched_mse"] / member["diff_im_var"] < 1.0395
        assert member["verdict"] == "accept"


@pytest.mark.shared
def test_real_warps_agree(real: Batch, tmp_path: Path) -> None:
    """Real warps of two surveys have the same models in batch and live, byte for byte."""
    place = Place.file(tmp_path / "evensky.db")
    assert live(place, real.files, tmp_path, *SDSS) == real.models


@pytest.mark.shared
@pytest.mark.kafka
def test_real_warps_agree_on_kafka(real: Batch, tmp_path: Path, kafka: str) -> None:
    """Real warps have the same models in batch and live on Kafka, byte for byte."""
    files = [file for file in real.files if file.name.startswith("sdss_r_")]
    found = live(on_kafka(kafka, files[0].parent), files, tmp_path, *SDSS)
    assert len(found) == len(files)
    assert found.items() <= real.models.items()
