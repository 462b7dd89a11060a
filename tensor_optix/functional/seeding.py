"""One seed reaches everything, along named paths."""

import zlib

import numpy as np


def seed_sequence(seed: int, *path: str | int) -> np.random.SeedSequence:
    """Return the seed sequence at ``path`` below ``seed``.

    Names are hashed (CRC-32), so adding a new path never changes an old one.

    Args:
        seed: The run's seed, a non-negative integer.
        *path: Names and counters, for example ``("env", 3)``.
    """
    key = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in path]
    return np.random.SeedSequence(entropy=seed, spawn_key=key)


def derive_seed(seed: int, *path: str | int) -> int:
    """Return a 31-bit seed at ``path`` below ``seed``: what environments accept."""
    return int(seed_sequence(seed, *path).generate_state(1, np.uint32)[0] >> 1)


def derive_rng(seed: int, *path: str | int) -> np.random.Generator:
    """Return an independent generator at ``path`` below ``seed``."""
    return np.random.default_rng(seed_sequence(seed, *path))


def fresh_seed() -> int:
    """Draw a seed from the operating system, for runs whose user gave none."""
    entropy = np.random.SeedSequence().entropy
    return int(entropy) & 0x7FFFFFFF if isinstance(entropy, int) else 0
