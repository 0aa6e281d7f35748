"""Fetching warps: from allowed folders and buckets into files of this host, verified."""

from stream.fetch.fetcher import Fetcher, Held, Hooks
from stream.fetch.limits import FetchLimits, Want
from stream.fetch.places import Bucket, allowed_place

__all__ = ["Bucket", "FetchLimits", "Fetcher", "Held", "Hooks", "Want", "allowed_place"]
