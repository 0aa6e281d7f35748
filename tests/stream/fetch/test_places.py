"""What URIs name, and what of it is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.faults import WarpError, WarpFault
from stream.fetch import Bucket, allowed_place
from stream.fetch.places import Object, local_path, object_of

NAMES = st.text("abcXYZ019-_=+,.:é ", min_size=1, max_size=8).filter(lambda n: n not in (".", ".."))
KEYS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
HOSTILE = st.text("/.%?#\\@:[]\0\n2eEfF~", max_size=20)


@given(KEYS)
def test_a_key_is_what_stands_there(key: str) -> None:
    """A key comes out of its URI character by character."""
    assert object_of(f"s3://sky/{key}") == Object("sky", key)


@given(st.one_of(st.text(max_size=60), HOSTILE), st.sampled_from(["", "s3://", "s3://sky/", "s3:"]))
def test_any_text_is_a_place_or_forbidden(text: str, head: str) -> None:
    """Whatever stands in a message is an object, an absolute path, or refused as forbidden."""
    uri = head + text
    try:
        named = object_of(uri)
        path = local_path(uri) if named is None else "/"
    except WarpError as error:
        refused = error.reason
        assert refused is WarpFault.FORBIDDEN
        return
    assert path.startswith("/")
    assert "\0" not in path
    if named is not None:
        assert f"s3://{named.bucket}/{named.key}" == uri
        assert not {"", ".", ".."} & set(named.key.split("/"))
        assert not set("%?#\\@:") & set(named.bucket)
        assert not set("%?#\\\n\0") & set(named.key)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3://sky",
        "s3://sky/",
        "s3:///key",
        "s3://sky//key",
        "s3://sky/a//b",
        "s3://sky/a/",
        "s3://sky/./a",
        "s3://sky/a/..",
        "s3://sky/%2e%2e/a",
        "s3://sky/a%2fb",
        "s3://sky/a?versionId=1",
        "s3://sky/a#b",
        "s3://sky/a\\b",
        "s3://key@sky/a",
        "s3://key:word@sky/a",
        "s3://sky:9000/a",
        "s3://SKY/a",
        "s3://s/a",
        "s3://sky.example.org:80/a",
        "s3://[::1]/a",
        "s3://sky/a\nb",
        "s3://sky/" + "a" * 1025,
        "s3://sky/" + "é" * 600,
        "s3://sky/" + "a" * 3000,
    ],
)
def test_tricks_are_forbidden(uri: str) -> None:
    """Credentials, ports, escapes, queries, and components that are empty or dots are refused."""
    with pytest.raises(WarpError) as caught:
        object_of(uri)
    assert caught.value.reason is WarpFault.FORBIDDEN


@pytest.mark.parametrize("uri", ["S3://sky/a", "s3:/sky/a", "s3a://sky/a", "gs://sky/a", "S3:sky"])
def test_other_schemes_are_not_s3(uri: str) -> None:
    """What looks like S3 and is not is no object, and no path either."""
    assert object_of(uri) is None
    with pytest.raises(WarpError):
        local_path(uri)


@given(KEYS, KEYS)
def test_a_prefix_counts_whole_components(prefix: str, key: str) -> None:
    """Below a prefix is what has all its components before its own name, and nothing else."""
    allowed = [Bucket("sky", tuple(prefix.split("/")))]
    assert Object("sky", f"{prefix}/{key}").within(allowed)
    assert not Object("sky", f"{prefix}{key}").within(allowed) or "/" in key
    assert not Object("sky", prefix).within(allowed)
    assert not Object("other", f"{prefix}/{key}").within(allowed)
    assert Object("sky", key).within([Bucket("sky")])


def test_places_that_operators_allow() -> None:
    """Folders and buckets are told apart, and a bucket is written as it was given."""
    assert allowed_place("/data") == Path("/data")
    assert allowed_place("data/warps") == Path("data/warps")
    assert allowed_place(Path("/data")) == Path("/data")
    for text in ("s3://sky", "s3://sky/night", "s3://sky/dr1/r"):
        found = allowed_place(text)
        assert isinstance(found, Bucket)
        assert str(found) == text
        assert allowed_place(found) == found == allowed_place(f"{text}/")


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:sky",
        "S3://sky",
        "s3a://sky/a",
        "s3://sky/../a",
        "s3://sky/./a",
        "s3://sky//a",
        "s3://key:word@sky",
        "s3://sky:9000/a",
        "s3://sky/a?b",
    ],
)
def test_other_buckets_are_refused(text: str) -> None:
    """What begins like S3 and is no bucket with a prefix is not taken for a folder."""
    with pytest.raises(ValueError, match="s3://BUCKET"):
        allowed_place(text)
