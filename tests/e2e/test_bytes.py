"""One set of files, three ways to its models: in batch, live on a file, live on Kafka."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stream.simulate import SurveyManifest
from tests.e2e.processes import MATCHING, Place, evensky, model_files, published, running, until
from tests.shared import shared_path


def in_batch(files: Sequence[Path], folder: Path, matching: Sequence[str]) -> Mapping[str, bytes]:
    """Return the models that the batch command writes."""
    evensky("match", *files, "-o", folder, "--workers", "1", *matching)
    return model_files(folder)


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
    found.hold_exactly_once()
    return found.bytes_of_models


def on_kafka(bootstrap: str, folder: Path) -> Place:
    """Make topics of its own on a broker, and say how to reach them."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    options = ("--bootstrap-servers", bootstrap, "--topic-prefix", name)
    told, _ = evensky("topics", "create", *options, "--partitions", "4")
    assert f"{name}.models" in told.split()
    return Place(options, ("--app", name, "--allow", str(folder)))


def test_batch_and_live_agree(survey: SurveyManifest, tmp_path: Path) -> None:
    """The service on the embedded log publishes the very bytes that the batch command writes."""
    files = [survey.path(warp) for warp in survey.warps]
    batch = in_batch(files, tmp_path / "out", MATCHING)
    assert len(batch) == len(files)
    assert live(Place.file(tmp_path / "evensky.db"), files, tmp_path) == batch


@pytest.mark.kafka
def test_batch_and_kafka_agree(survey: SurveyManifest, tmp_path: Path, kafka: str) -> None:
    """The service on Kafka publishes the very bytes that the batch command writes."""
    files = [survey.path(warp) for warp in survey.warps]
    batch = in_batch(files, tmp_path / "out", MATCHING)
    assert live(on_kafka(kafka, survey.directory), files, tmp_path) == batch


SDSS = ("-c", "bin_size=64")


@pytest.mark.shared
def test_real_warps_in_batch() -> None:
    """Of SDSS's warps each band is one group, with LSST's own figures: 1.004 to 1.039."""
    files = sorted(shared_path("warps", "sdss_s82").glob("*.fits.fz"))
    told, _ = evensky("match", *files, "--workers", "1", "--json", *SDSS)
    groups = json.loads(told)["groups"]
    assert sorted(group["band"] for group in groups) == ["g", "i", "r"]
    matched = [m for group in groups for m in group["members"] if m["status"] == "matched"]
    assert matched
    for member in matched:
        assert 1.003 < member["matched_mse"] / member["diff_im_var"] < 1.040
        assert member["verdict"] == "accept"


@pytest.mark.shared
def test_real_warps_agree(tmp_path: Path) -> None:
    """Real warps, from two surveys, have the same models in batch and live, byte for byte."""
    sdss = sorted(shared_path("warps", "sdss_s82").glob("sdss_r_*.fits.fz"))
    files = [*sdss, *sorted(shared_path("warps", "saao_kb13475").glob("*.fits.gz"))[:4]]
    batch = in_batch(files, tmp_path / "out", SDSS)
    assert len(batch) == len(files)
    place = Place.file(tmp_path / "evensky.db")
    assert live(place, files, tmp_path, *SDSS) == batch


@pytest.mark.shared
@pytest.mark.kafka
def test_real_warps_agree_on_kafka(tmp_path: Path, kafka: str) -> None:
    """Real warps have the same models in batch and live on Kafka, byte for byte."""
    folder = shared_path("warps", "sdss_s82")
    files = sorted(folder.glob("sdss_r_*.fits.fz"))
    batch = in_batch(files, tmp_path / "out", SDSS)
    assert live(on_kafka(kafka, folder), files, tmp_path, *SDSS) == batch
