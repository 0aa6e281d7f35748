"""The exposure: what is accepted, what is refused and how."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from core import ImageError, ImageTypeError, MaskedImage


def arguments(**changes: Any) -> dict[str, Any]:
    """Return arguments of a good exposure of 3 rows and 4 columns, some of them changed."""
    good: dict[str, Any] = {
        "image": np.zeros((3, 4), dtype=np.float32),
        "mask": np.zeros((3, 4), dtype=np.int32),
        "variance": np.ones((3, 4), dtype=np.float32),
        "planes": {"BAD": 0},
    }
    return good | changes


def test_an_exposure_keeps_its_arrays_without_a_copy() -> None:
    """The planes given are the planes kept, so that memory maps stay memory maps."""
    given = arguments()
    exposure = MaskedImage(**given)
    for name in ("image", "mask", "variance"):
        assert np.shares_memory(getattr(exposure, name), given[name])
    assert exposure.shape == (3, 4)
    assert exposure.origin == (0, 0)


def test_views_and_read_only_arrays_are_accepted() -> None:
    """Planes need be neither contiguous nor writable."""
    image = np.zeros((6, 8), dtype=np.float32)[::2, ::2]
    image.setflags(write=False)
    assert MaskedImage(**arguments(image=image)).shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", np.zeros((3, 4))),
        ("image", np.zeros((3, 4), dtype=">f4")),
        ("image", np.ma.masked_array(np.zeros((3, 4), dtype=np.float32))),
        ("image", [[0.0] * 4] * 3),
        ("mask", np.zeros((3, 4), dtype=np.int64)),
        ("mask", np.zeros((3, 4), dtype=np.uint32)),
        ("mask", np.zeros((3, 4), dtype=">i4")),
        ("variance", np.zeros((3, 4), dtype=np.float64)),
        ("variance", None),
        ("planes", ["BAD"]),
    ],
)
def test_another_type_is_refused_by_name(name: str, value: Any) -> None:
    """An array of another dtype or byte order is a TypeError that names the argument."""
    with pytest.raises(ImageTypeError, match=name) as caught:
        MaskedImage(**arguments(**{name: value}))
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", np.zeros(12, dtype=np.float32)),
        ("mask", np.zeros((4, 3), dtype=np.int32)),
        ("mask", np.zeros((1, 3, 4), dtype=np.int32)),
        ("variance", np.zeros((3, 5), dtype=np.float32)),
        ("planes", {"BAD": 32}),
        ("planes", {"BAD": -1}),
        ("planes", {"BAD": True}),
        ("planes", {"BAD": 1.0}),
        ("planes", {"": 1}),
        ("planes", {7: 1}),
        ("origin", (1,)),
        ("origin", (1, 2.5)),
        ("origin", None),
    ],
)
def test_an_impossible_value_is_refused_by_name(name: str, value: Any) -> None:
    """A wrong shape, bit number or origin is a ValueError that names the argument."""
    with pytest.raises(ImageError, match=name):
        MaskedImage(**arguments(**{name: value}))


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0)])
def test_an_exposure_without_pixels_is_refused(shape: tuple[int, int]) -> None:
    """An exposure has at least one pixel."""
    empty = {name: np.zeros(shape, dtype=np.float32) for name in ("image", "variance")}
    with pytest.raises(ImageError, match="image is empty"):
        MaskedImage(**arguments(**empty, mask=np.zeros(shape, dtype=np.int32)))


def test_bits_are_looked_up_by_name() -> None:
    """Planes that the exposure does not define are absent; the others are their bits' OR."""
    exposure = MaskedImage(**arguments(planes={"BAD": 0, "CR": 5, "SIGN": 31}))
    assert exposure.bits(["BAD", "CR", "NEVER_HEARD_OF"]) == 0b100001
    assert exposure.bits([]) == 0
    assert exposure.bits(["SIGN"]) == np.iinfo(np.int32).min


def test_the_planes_given_are_not_watched() -> None:
    """Changing the dictionary afterwards changes nothing, and the exposure's own is read-only."""
    planes = {"BAD": 0}
    exposure = MaskedImage(**arguments(planes=planes))
    planes["BAD"] = 7
    assert exposure.planes["BAD"] == 0
    with pytest.raises(TypeError):
        exposure.planes["BAD"] = 7  # type: ignore[index]  # the law itself


def test_an_exposure_passes_between_processes() -> None:
    """Pickling keeps planes, dictionary and origin."""
    exposure = MaskedImage(**arguments(origin=(np.int64(-3), 9)))
    twin = pickle.loads(pickle.dumps(exposure))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(twin.image, exposure.image)
    assert (dict(twin.planes), twin.origin) == ({"BAD": 0}, (-3, 9))


def test_a_text_is_no_names_of_planes() -> None:
    """A single string is refused, rather than taken for planes named by its letters."""
    exposure = MaskedImage(**arguments(planes={"SAT": 3}))
    assert exposure.bits(["SAT"]) == 8
    with pytest.raises(ImageTypeError, match="names is the text 'SAT'"):
        exposure.bits("SAT")
