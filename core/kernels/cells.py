"""Quantiles and clipping of the pixels of cells (MATCHING.md sections 2 and 3).

A plane is float32 ``[y, x]``, C-contiguous; what is not finite is not accepted. A cell is
``(bottom, top, left, right)``, upper edges exclusive; a small one is copied into the cache first.

Sums are one double for each of `_LANES` places along a row: so the compiler can take several pixels
at once and keep the order of every sum. For a quantile a sample gives a range, a histogram over it
the bucket, and the bucket's few pixels are sorted. Where that fails (a rank beyond the range, many
equal pixels) the bucket becomes the range, until its pixels are few or equal.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel
from core.kernels.memory import BUCKETS, COPIED, KEPT, PIECE, Found, Room

__all__ = ["order_statistics"]

_FEW = 256  # pixels of a cell that are sorted without more ado
_SAMPLE = 32, 256  # about so many pixels are a sample, of small cells and of large ones
_TRIES = 1024  # pixels that are looked at for a sample
_FEWEST_BUCKETS = 64
_LANES = 256
_PIXELS_A_BUCKET = 16
_INSERTED = 32  # numbers that are sorted by insertion
_SIGMA_PER_IQR = 0.741301109252802

_Plane = NDArray[np.float32]
_Edges = tuple[NDArray[np.int64], NDArray[np.int64]]
_Cell = tuple[int, int, int, int]
_Sums = tuple[int, float, float]


@kernel
def order_statistics(
    plane: _Plane,
    edges: _Edges,
    how: tuple[NDArray[np.float64], float, int],
    room: Room,
    found: Found,
) -> None:
    """Find quantiles of every cell, and the moments of what clipping from the quartiles leaves.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, read-only, NaN where a pixel is not accepted.
    edges : tuple of `numpy.ndarray`
        int64, edges of the ny cells along y and of the nx along x, not descending.
    how : tuple
        Ascending fractions of the quantiles, 0 - 1, float64; the clipping limit in standard
        deviations; and the number of passes. If that is not 0 the fractions are 1/4, 1/2, 3/4.
    room : Room
        For the largest cell.
    found : Found
        Takes the quantiles, and if there are passes counts, means, variances of the pixels that
        the last one leaves, and its limits (MATCHING.md sections 2 and 3).
    """
    fractions, sigma, passes = how
    y_edges, x_edges = edges
    for j in range(y_edges.size - 1):
        for i in range(x_edges.size - 1):
            cell = (y_edges[j], y_edges[j + 1], x_edges[i], x_edges[i + 1])
            here, pixels = _near(plane, cell, room.copy, room.seen)
            count = _quantiles(here, pixels, fractions, room, found.quantiles[j, i])
            if passes > 0 and count > 0:
                lower, centre, upper = found.quantiles[j, i]
                limit = (centre, sigma * _SIGMA_PER_IQR * (upper - lower))
                sums, limit = _clipped(here, pixels, limit, (sigma, passes, count), room.lanes)
                found.counts[j, i], found.means[j, i], found.variances[j, i] = sums
                found.limits[0, j, i], found.limits[1, j, i] = limit


@kernel
def _near(plane: _Plane, cell: _Cell, copy: _Plane, seen: _Plane) -> tuple[_Plane, _Cell]:
    """Return a plane and a cell of it with the same pixels, in the cache if they fit."""
    bottom, top, left, right = cell
    width = right - left
    if (top - bottom) * width > COPIED or width == plane.shape[1]:
        return plane, cell
    line = copy[0]
    for y in range(bottom, top):
        row = plane[y, left:right]
        into = line[(y - bottom) * width : (y - bottom + 1) * width]
        for i in range(row.size):
            into[i] = row[i]
    return seen, (0, 1, 0, (top - bottom) * width)


@kernel
def _moments_about(
    plane: _Plane, cell: _Cell, limit: tuple[float, float], lanes: NDArray[np.float64]
) -> _Sums:
    """Moments of the pixels with ``|x - centre| <= width``, in one pass about the centre."""
    bottom, top, left, right = cell
    centre, width = limit
    sums, squares = lanes[0], lanes[1]
    used = min(_LANES, right - left)
    for i in range(used):
        sums[i] = squares[i] = 0.0
    count = 0
    for y in range(bottom, top):
        for start in range(left, right, _LANES):
            row = plane[y, start : min(start + _LANES, right)]
            count += _add(row, centre, width, sums, squares)
    total, total_of_squares = 0.0, 0.0
    for i in range(used):
        total += sums[i]
        total_of_squares += squares[i]
    return _from_sums(count, centre, total, total_of_squares)


@kernel
def _add(
    row: _Plane,
    centre: float,
    width: float,
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> int:
    sums, squares = sums[: row.size], squares[: row.size]
    count = 0
    for i in range(row.size):
        offset = float(row[i]) - centre
        inside = abs(offset) <= width  # never of NaN
        offset = offset if inside else 0.0
        count += int(inside)
        sums[i] += offset
        squares[i] += offset * offset
    return count


@kernel
def _from_sums(count: int, centre: float, total: float, squares: float) -> _Sums:
    if count == 0:
        return count, math.nan, math.nan
    n = float(count)
    offset = total / n
    if count == 1:
        return count, centre + offset, math.nan
    return count, centre + offset, (squares / n - offset * offset) * n * n / (n * n - n)


@kernel
def _clipped(
    plane: _Plane,
    cell: _Cell,
    limit: tuple[float, float],
    how: tuple[float, int, int],
    lanes: NDArray[np.float64],
) -> tuple[_Sums, tuple[float, float]]:
    """Moments within a limit that follows from the last, from a first one on; and the last limit.

    Each pass looks at all pixels again, so that one may return.
    """
    sigma, passes, count = how
    sums = _moments_about(plane, cell, limit, lanes)
    for _ in range(passes - 1):
        width = sigma * math.sqrt(max(sums[2], 0.0)) if count > 1 else limit[1]
        limit = (sums[1], width)
        if math.isnan(sums[1]) or math.isnan(width):
            return (0, math.nan, math.nan), (math.nan, math.nan)
        sums = _moments_about(plane, cell, limit, lanes)
    return sums, limit


@kernel
def _quantiles(
    plane: _Plane,
    cell: _Cell,
    fractions: NDArray[np.float64],
    room: Room,
    found: NDArray[np.float64],
) -> int:
    """Find the quantiles of a cell, and return how many accepted pixels it has."""
    count = _count(plane, cell)
    if count == 0:
        return count
    few = count <= _FEW
    if few:
        _sort(room.bits, room.keys, room.places, _sample(plane, cell, 1, room.kept))
    else:
        _spread(plane, cell, count, fractions, room)
    for k in range(fractions.size):
        place = fractions[k] * (count - 1)
        low = min(int(place), count - 1)
        high = min(low + 1, count - 1)
        lower = room.kept[low] if few else _ranked(plane, cell, low, room)
        upper = room.kept[high] if few else _ranked(plane, cell, high, room)
        # + 0.0: among equal zeros either sign may be first
        found[k] = (low + 1 - place) * lower + (place - low) * upper + 0.0
    return count


@kernel
def _count(plane: _Plane, cell: _Cell) -> int:
    bottom, top, left, right = cell
    count = 0
    for y in range(bottom, top):
        row = plane[y, left:right]
        for i in range(row.size):
            count += int(abs(row[i]) < math.inf)
    return count


@kernel
def _sample(plane: _Plane, cell: _Cell, step: int, kept: _Plane) -> int:
    """Keep an accepted pixel of about every so many, scattered, and return how many are kept."""
    bottom, top, left, right = cell
    width = right - left
    size = 0
    for k in range((top - bottom) * width // step):
        place = k * step + (k * 2654435761) % step  # not always the same column
        pixel = plane[bottom + place // width, left + place % width]
        if abs(pixel) < math.inf and size < KEPT:
            kept[size] = pixel
            size += 1
    return size


@kernel
def _spread(
    plane: _Plane, cell: _Cell, count: int, fractions: NDArray[np.float64], room: Room
) -> None:
    """Make the histogram around the quantiles, and keep the pixels of their buckets if few."""
    area = (cell[1] - cell[0]) * (cell[3] - cell[2])
    wished = min(max(count // 32, _SAMPLE[0]), _SAMPLE[1])
    size = _sample(plane, cell, max(count // wished, area // _TRIES), room.kept)
    _sort(room.bits, room.keys, room.places, size)
    first, last = fractions[0], fractions[fractions.size - 1]
    low = int(first * size - 4.0 * math.sqrt(size * first * (1.0 - first)) - 2.0)
    high = int(last * size + 4.0 * math.sqrt(size * last * (1.0 - last)) + 2.0)
    if size == 0:
        room.kept[0] = 0.0  # a range as good as any
    span = (room.kept[max(low, 0)], room.kept[max(min(high, size - 1), 0)])
    buckets = min(max(count // _PIXELS_A_BUCKET, _FEWEST_BUCKETS), BUCKETS)
    room.scale[3] = buckets + 2
    _histogram(plane, cell, span, room)
    for k in range(fractions.size):
        rank = int(fractions[k] * (count - 1))
        room.wanted[_bucket(room.ends, int(room.scale[3]), rank)] = 1
        room.wanted[_bucket(room.ends, int(room.scale[3]), min(rank + 1, count - 1))] = 1
    _keep(plane, cell, room)


@kernel
def _ranked(plane: _Plane, cell: _Cell, rank: int, room: Room) -> float:
    """Return the pixel of a rank, from 0, among those of the cell of the histogram."""
    bucket = _bucket(room.ends, int(room.scale[3]), rank)
    while room.wanted[bucket] == 0:
        if not math.isnan(room.equal[bucket]):
            equal: float = room.equal[bucket]
            return equal
        if room.ends[bucket] - room.ends[bucket - 1] <= room.keys.size:
            for other in range(int(room.scale[3]) + 1):
                room.wanted[other] = np.uint8(other == bucket)
            _keep(plane, cell, room)
        else:
            low, high = _extremes(plane, cell, bucket, room)
            if low == high:
                room.equal[bucket] = low
            else:
                _histogram(plane, cell, (low, high), room)
                bucket = _bucket(room.ends, int(room.scale[3]), rank)
    pixel: float = room.kept[rank - int(room.skipped[bucket])]
    return pixel


@kernel
def _bucket(ends: NDArray[np.int64], last: int, rank: int) -> int:
    """Return the bucket of a rank: the first that ends beyond it."""
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        if ends[middle] > rank:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _histogram(plane: _Plane, cell: _Cell, span: tuple[np.float32, np.float32], room: Room) -> None:
    """Count the pixels of buckets over a span, of what is below it and above."""
    bottom, top, left, right = cell
    last = int(room.scale[3])
    _set_scale(span[0], span[1], room.scale)
    for i in range(4 * last + 4):
        room.tallies[i] = 0
    for y in range(bottom, top):
        for start in range(left, right, PIECE):
            row = plane[y, start : min(start + PIECE, right)]
            _index(row, room.scale, room.buckets)
            _tally(room.buckets[: row.size], room.tallies)
    end = 0
    for bucket in range(last + 1):
        if bucket > 0:  # 0 is of pixels that are not accepted
            for lane in range(4):
                end += int(room.tallies[4 * bucket + lane])
        room.ends[bucket] = end
        room.wanted[bucket] = 0
        room.equal[bucket] = math.nan


@kernel
def _set_scale(low: np.float32, high: np.float32, scale: NDArray[np.float32]) -> None:
    """Set the factors of `_index`, none of which leaves float32, whatever the span."""
    span = np.float64(high) - np.float64(low)
    stretch = np.float32(1.0)
    if 0.0 < span < 2.0**-100:
        stretch = np.float32(2.0**60)
    elif span > 2.0**100:
        stretch = np.float32(2.0**-30)
    width = high * stretch - low * stretch
    scale[0] = stretch
    scale[1] = low * stretch
    scale[2] = (scale[3] - np.float32(2.0)) / width if width > 0 else np.float32(1.0)


@kernel
def _index(row: _Plane, scale: NDArray[np.float32], index: NDArray[np.uint16]) -> None:
    """Find the bucket of every pixel: never a smaller one of a larger pixel, in any rounding."""
    stretch, low, per, last = scale[0], scale[1], scale[2], scale[3]
    none, below, first = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    index = index[: row.size]
    for i in range(row.size):
        place = (row[i] * stretch - low) * per + first
        place = min(max(place, below), last)
        place = place if abs(row[i]) < math.inf else none
        index[i] = np.uint16(np.int32(place))


@kernel
def _tally(index: NDArray[np.uint16], tallies: NDArray[np.uint32]) -> None:
    """Count buckets, in four tallies in turn: neighbours are often of one bucket."""
    for i in range(index.size):
        index[i] = np.uint16(4) * index[i] + np.uint16(i & 3)
    for i in range(index.size):
        tallies[index[i]] += np.uint32(1)


@kernel
def _keep(plane: _Plane, cell: _Cell, room: Room) -> None:
    """Keep the pixels of the wanted buckets, ascending; if they are too many, of none."""
    size = _skip(room)
    if size > room.keys.size:
        for bucket in range(int(room.scale[3]) + 1):
            room.wanted[bucket] = 0
        return
    bottom, top, left, right = cell
    kept = 0
    for y in range(bottom, top):
        for start in range(left, right, PIECE):
            row = plane[y, start : min(start + PIECE, right)]
            _index(row, room.scale, room.buckets)
            kept = _filter(row, room.buckets, room.wanted, room.kept, kept)
    _sort(room.bits, room.keys, room.places, size)


@kernel
def _skip(room: Room) -> int:
    """Count the pixels of the buckets that are not wanted, and return how many of the others."""
    size, skipped = 0, 0
    for bucket in range(1, int(room.scale[3]) + 1):
        room.skipped[bucket] = skipped
        pixels = room.ends[bucket] - room.ends[bucket - 1]
        if room.wanted[bucket]:
            size += pixels
        else:
            skipped += pixels
    return size


@kernel
def _filter(
    row: _Plane,
    buckets: NDArray[np.uint16],
    wanted: NDArray[np.uint8],
    kept: _Plane,
    size: int,
) -> int:
    """Append the pixels of wanted buckets, which are few, and return how many there are now."""
    buckets[row.size : row.size + 8] = 0
    for start in range(0, row.size, 8):
        eight = buckets[start : start + 8]
        hit = np.uint8(0)
        for i in range(8):
            hit |= wanted[eight[i]]
        if hit:
            for i in range(8):
                if wanted[eight[i]]:
                    kept[size] = row[start + i]
                    size += 1
    return size


@kernel
def _extremes(plane: _Plane, cell: _Cell, bucket: int, room: Room) -> tuple[np.float32, np.float32]:
    """Return the least and the largest pixel of a bucket."""
    bottom, top, left, right = cell
    lows, highs = room.lanes[0], room.lanes[1]
    for i in range(PIECE):
        lows[i], highs[i] = math.inf, -math.inf
    for y in range(bottom, top):
        for start in range(left, right, PIECE):
            row = plane[y, start : min(start + PIECE, right)]
            _index(row, room.scale, room.buckets)
            _widen(row, room.buckets, np.uint16(bucket), lows, highs)
    for i in range(PIECE):
        lows[0], highs[0] = min(lows[0], lows[i]), max(highs[0], highs[i])
    return np.float32(lows[0]), np.float32(highs[0])


@kernel
def _widen(
    row: _Plane,
    buckets: NDArray[np.uint16],
    bucket: np.uint16,
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
) -> None:
    buckets, lows, highs = buckets[: row.size], lows[: row.size], highs[: row.size]
    for i in range(row.size):
        inside = buckets[i] == bucket
        lows[i] = min(lows[i], float(row[i]) if inside else math.inf)
        highs[i] = max(highs[i], float(row[i]) if inside else -math.inf)


@kernel
def _sort(
    bits: NDArray[np.uint32], keys: NDArray[np.uint32], places: NDArray[np.int64], size: int
) -> None:
    """Sort what is kept, in time that grows with the size: by one byte of its bits after another.

    The bits of a float, seen as an unsigned integer, are in the order of the floats once the sign
    is turned over, and all bits of a negative one.
    """
    bits = bits[:size]
    for i in range(size):
        bits[i] ^= np.uint32(0xFFFFFFFF) if bits[i] >> np.uint32(31) else np.uint32(0x80000000)
    if size <= _INSERTED:
        _insert(bits)
    else:
        _sort_keys(bits, keys[:size], places)
    for i in range(size):
        bits[i] ^= np.uint32(0x80000000) if bits[i] >> np.uint32(31) else np.uint32(0xFFFFFFFF)


@kernel
def _insert(keys: NDArray[np.uint32]) -> None:
    for i in range(1, keys.size):
        key = keys[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key


@kernel
def _sort_keys(
    keys: NDArray[np.uint32], other: NDArray[np.uint32], places: NDArray[np.int64]
) -> None:
    source, target = keys, other
    swapped = False
    for shift in range(0, 32, 8):
        if _by_byte(source, np.uint32(shift), target, places):
            source, target = target, source
            swapped = not swapped
    if swapped:
        for i in range(keys.size):
            keys[i] = other[i]


@kernel
def _by_byte(
    keys: NDArray[np.uint32],
    shift: np.uint32,
    into: NDArray[np.uint32],
    places: NDArray[np.int64],
) -> bool:
    """Copy the keys in the order of one byte, unless that is the same in all of them."""
    places[:257] = 0
    for i in range(keys.size):
        places[((keys[i] >> shift) & np.uint32(0xFF)) + np.uint32(1)] += 1
    if places[((keys[0] >> shift) & np.uint32(0xFF)) + np.uint32(1)] == keys.size:
        return False
    for byte in range(1, 256):
        places[byte] += places[byte - 1]
    for i in range(keys.size):
        byte = (keys[i] >> shift) & np.uint32(0xFF)
        into[places[byte]] = keys[i]
        places[byte] += 1
    return True
