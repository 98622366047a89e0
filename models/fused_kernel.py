"""What is left of a label once maps are projected, as one Triton kernel. Imports Triton.

A program takes a patch of ROWS x COLUMNS pixels of one image through all members: what the first
layers give on smaller maps, enlarged; what they give on the finest; ReLU; layers 2 and 3; the
vote. Hidden values never leave the chip, and where members vote here, neither do logits.

Enlarging a patch twofold is a matrix product: a pixel is a weighted mean of the few samples around
it, with weights that are the same in every patch (1/16 ... 1, exact in any precision).
`models.fused_layers` calls it and says what it computes; it knows no PyTorch.
"""

# Triton has no types, and reads annotations as its own, so nothing but `constexpr` has one.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False
# What is known when it is compiled is written in capitals, as is usual there.
# ruff: noqa: D417, N803, N806

import triton
import triton.language as tl


@triton.jit
def _product(a, b, total):
    """total + a @ b, summed in float32; of float32 factors, split in three, to about 1e-6."""
    return tl.dot(a, b, total, input_precision="tf32x3")


@triton.jit
def _sample(s, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Whether samples s around a patch are corners, and their row and column in it.

    First come those of the last map, one more on each side than lie in the patch.
    """
    WIDTH: tl.constexpr = COLUMNS // 2 + 2
    COUNT: tl.constexpr = (ROWS // 2 + 2) * WIDTH
    is_corner = s >= COUNT
    row = tl.where(is_corner, (s - COUNT) // (WIDTH - 1), s // WIDTH - 1)
    column = tl.where(is_corner, (s - COUNT) % (WIDTH - 1), s % WIDTH - 1)
    return is_corner, row, column


@triton.jit
def _weights(
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    USED: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    """How much of each sample is in each pixel of a patch: float32 [ROWS * COLUMNS, SAMPLES]."""
    pixel = tl.arange(0, ROWS * COLUMNS)[:, None]
    s = tl.arange(0, SAMPLES)[None, :]
    is_corner, row, column = _sample(s, ROWS, COLUMNS)
    # In pixels: a sample stands in the middle of its 2 x 2 pixels, a corner before the first.
    middle = tl.where(is_corner, -0.5, 0.5)
    down = tl.abs(pixel // COLUMNS - (2 * row + middle)) / 2
    right = tl.abs(pixel % COLUMNS - (2 * column + middle)) / 2
    near = tl.maximum(1 - down, 0) * tl.maximum(1 - right, 0)
    return tl.where(s < USED, near, 0.0)


@triton.jit
def _places(
    image,
    top,
    left,
    height,
    width,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    SAMPLES: tl.constexpr,
):
    """Which samples of a patch are corners, and the number of each one's vector in its map."""
    is_corner, row, column = _sample(tl.arange(0, SAMPLES), ROWS, COLUMNS)
    # Maps have height / 2 rows, corners one more; what lies beyond a border repeats it.
    high = height // 2 + is_corner.to(tl.int32)
    wide = width // 2 + is_corner.to(tl.int32)
    row = tl.minimum(tl.maximum(top // 2 + row, 0), high - 1)
    column = tl.minimum(tl.maximum(left // 2 + column, 0), wide - 1)
    return is_corner, (image.to(tl.int64) * high + row) * wide + column


@triton.jit
def _first_layer(
    finest,
    last,
    corners,
    w1,
    near,
    place,
    is_last,
    is_corner,
    pixel,
    m,
    h,
    MEMBERS: tl.constexpr,
    CHANNELS: tl.constexpr,
    H1: tl.constexpr,
    CHANNELS_AT_ONCE: tl.constexpr,
):
    """Values h of member m's first layer, before ReLU: float32 [pixels, len(h)]."""
    there = (h < H1)[None, :]
    at = place[:, None] * (MEMBERS * H1) + (m * H1 + h)[None, :]
    samples = tl.load(last + at, is_last[:, None] & there, 0.0)
    if corners is not None:
        samples += tl.load(corners + at, is_corner[:, None] & there, 0.0)
    hidden = tl.zeros((near.shape[0], h.shape[0]), tl.float32)
    hidden = _product(near, samples.to(near.dtype), hidden)
    for c in range(0, CHANNELS, CHANNELS_AT_ONCE):
        channel = c + tl.arange(0, CHANNELS_AT_ONCE)
        known = (channel < CHANNELS)[None, :]
        x = tl.load(finest + pixel[:, None] * CHANNELS + channel[None, :], known, 0.0)
        w = w1 + (m * H1 + h)[:, None] * CHANNELS + channel[None, :]
        hidden = _product(x, tl.load(w, (h < H1)[:, None] & known, 0.0).T, hidden)
    return hidden


@triton.jit
def _last_layer(above, w3, b3, m, second, k, H2: tl.constexpr, K: tl.constexpr):
    """What member m says: float32 [pixels, h2] -> float32 [pixels, K]."""
    said = tl.load(b3 + m * K + k, k < K, 0.0)[None, :] + tl.zeros((above.shape[0], 1), tl.float32)
    if w3.dtype.element_ty == tl.float32:
        # Split in three, a wide matrix would not fit the registers; output by output it does.
        for one in range(K):
            w = tl.load(w3 + (m * K + one) * H2 + second, second < H2, 0.0)
            own = tl.sum(above * w[None, :], 1)
            said += tl.where((k == one)[None, :], own[:, None], 0.0)
    else:
        at = w3 + (m * K + k)[:, None] * H2 + second[None, :]
        w = tl.load(at, (k < K)[:, None] & (second < H2)[None, :], 0.0)
        said = _product(above.to(w.dtype), w.T, said)
    return said


@triton.jit
def _pixels(top, left, height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows and columns of a patch's pixels, and which of them are in the image.

    Those beyond it repeat its border; they are never stored.
    """
    p = tl.arange(0, ROWS * COLUMNS)
    row, column = top + p // COLUMNS, left + p % COLUMNS
    inside = (row < height) & (column < width)
    return tl.minimum(row, height - 1), tl.minimum(column, width - 1), inside


@triton.jit
def _counted(said, k, K: tl.constexpr, votes, mean, entropy):
    """Votes, sum of chances and sum of entropies, with what one more member said."""
    said = tl.where((k < K)[None, :], said, -1e30)  # No chance, and no NaN either.
    votes += (tl.argmax(said, 1)[:, None] == k[None, :]).to(tl.int32)
    said -= tl.max(said, 1)[:, None]
    log_p = said - tl.log(tl.sum(tl.exp(said), 1))[:, None]
    chance = tl.exp(log_p)
    return votes, mean + chance.to(tl.float64), entropy - tl.sum(chance * log_p, 1)


@triton.jit
def _decided(votes, mean, entropy, MEMBERS: tl.constexpr, HARD: tl.constexpr):
    """The class that most members, or the mean of their chances, are for; and how they part."""
    chance = (mean / MEMBERS).to(tl.float32)
    best = tl.argmax(votes, 1) if HARD else tl.argmax(chance, 1)
    of_mean = -tl.sum(chance * tl.log(tl.maximum(chance, 1e-37)), 1)
    return best, tl.maximum(of_mean - entropy / MEMBERS, 0.0)


@triton.jit
def label_patch(
    finest,
    last,
    corners,
    w1,
    w2,
    b2,
    w3,
    b3,
    outputs,
    classes,
    uncertainty,
    height,
    width,
    images,
    MEMBERS: tl.constexpr,
    CHANNELS: tl.constexpr,
    H1: tl.constexpr,
    H2: tl.constexpr,
    K: tl.constexpr,
    HARD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    USED: tl.constexpr,
    SAMPLES: tl.constexpr,
    HIDDEN_AT_ONCE: tl.constexpr,
    CHANNELS_AT_ONCE: tl.constexpr,
    H2_PADDED: tl.constexpr,
    K_PADDED: tl.constexpr,
):
    """The labels of one patch of one image. M members; all tensors contiguous.

    Args:
        finest: maps at the label's size, [N, H, W, C], of the type of the weights.
        last: the sum of the first layers on smaller maps, [N, H / 2, W / 2, M * h1].
        corners: [N, H / 2 + 1, W / 2 + 1, M * h1], or None; see `models.enlarging.EnlargedSum`.
        w1: of the finest maps alone, [M * h1, C].
        w2, w3: [M, h2, h1] and [M, K, h2].
        b2, b3: float32 [M, h2] and [M, K].
        outputs: float32 [M, K, N, H, W] to be written, or None for a vote.
        classes, uncertainty: uint8 and float32 [N, H, W] to be written by a vote, or None.
        height, width, images: H, W, N.
        HARD: whether each member votes for one class.
        USED: samples around a patch; SAMPLES, H2_PADDED and K_PADDED are powers of two.
    """
    across = tl.cdiv(width, COLUMNS)
    image = tl.program_id(1)
    top = tl.program_id(0) // across * ROWS
    left = tl.program_id(0) % across * COLUMNS

    near = _weights(ROWS, COLUMNS, USED, SAMPLES).to(w1.dtype.element_ty)
    is_corner, place = _places(image, top, left, height, width, ROWS, COLUMNS, SAMPLES)
    is_used = tl.arange(0, SAMPLES) < USED
    is_last, is_corner = is_used & (is_corner == 0), is_used & is_corner

    row, column, inside = _pixels(top, left, height, width, ROWS, COLUMNS)
    pixel = (image.to(tl.int64) * height + row) * width + column

    k = tl.arange(0, K_PADDED)
    second = tl.arange(0, H2_PADDED)
    # In double precision the sum is exact, so that equal votes stay equal in any order.
    mean = tl.zeros((ROWS * COLUMNS, K_PADDED), tl.float64)
    votes = tl.zeros((ROWS * COLUMNS, K_PADDED), tl.int32)
    entropy = tl.zeros((ROWS * COLUMNS,), tl.float32)
    for m in range(MEMBERS):
        above = tl.zeros((ROWS * COLUMNS, H2_PADDED), tl.float32)
        for first in range(0, H1, HIDDEN_AT_ONCE):
            h = first + tl.arange(0, HIDDEN_AT_ONCE)
            hidden = _first_layer(
                finest, last, corners, w1, near, place, is_last, is_corner, pixel, m, h,
                MEMBERS, CHANNELS, H1, CHANNELS_AT_ONCE,
            )  # fmt: skip
            hidden = tl.maximum(hidden, 0.0).to(near.dtype)
            w = w2 + (m * H2 + second)[:, None] * H1 + h[None, :]
            w = tl.load(w, (second < H2)[:, None] & (h < H1)[None, :], 0.0)
            above = _product(hidden, w.T, above)
        above += tl.load(b2 + m * H2 + second, second < H2, 0.0)[None, :]
        said = _last_layer(tl.maximum(above, 0.0), w3, b3, m, second, k, H2, K)
        if outputs is not None:
            number = ((m * K + k)[None, :] * images + image).to(tl.int64) * height + row[:, None]
            to = outputs + number * width + column[:, None]
            tl.store(to, said, inside[:, None] & (k < K)[None, :])
        else:
            votes, mean, entropy = _counted(said, k, K, votes, mean, entropy)
    if outputs is None:
        best, parted = _decided(votes, mean, entropy, MEMBERS, HARD)
        tl.store(classes + pixel, best.to(tl.uint8), inside)
        tl.store(uncertainty + pixel, parted, inside)
