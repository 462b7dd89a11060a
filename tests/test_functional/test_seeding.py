"""One seed reaches everything: the same along the same path, another along any other."""

import zlib

import numpy as np

from tensor_optix.functional.seeding import derive_rng, derive_seed, fresh_seed, seed_sequence

PATHS = [(), ("env",), ("agent",), ("env", 0), ("env", 1), ("env", "agent"), ("agent", "env"), (0,), (1,)]


def test_same_path_same_seed_and_no_two_paths_alike():
    seeds = {path: derive_seed(7, *path) for path in PATHS}
    assert seeds == {path: derive_seed(7, *path) for path in PATHS}
    assert len(set(seeds.values())) == len(PATHS)
    assert not set(seeds.values()) & {derive_seed(8, *path) for path in PATHS}


def test_names_are_hashed_as_is_written_down():
    """Changing this would change every run of every seed."""
    expected = np.random.SeedSequence(entropy=3, spawn_key=[zlib.crc32(b"env"), 2])
    assert seed_sequence(3, "env", 2).generate_state(4).tolist() == expected.generate_state(4).tolist()
    assert derive_seed(3, "env", 2) == int(expected.generate_state(1)[0]) >> 1
    assert derive_rng(3, "env", 2).random() == np.random.default_rng(expected).random()


def test_environments_accept_what_is_derived():
    assert all(0 <= derive_seed(seed, "env", seed) < 2**31 for seed in range(500))
    assert max(derive_seed(seed, "env") for seed in range(500)) > 2**30


def test_large_seeds_serve_too():
    assert derive_seed(2**127, "env") != derive_seed(2**127 + 1, "env")


def test_a_seed_that_nobody_gave_differs_from_time_to_time():
    drawn = {fresh_seed() for _ in range(20)}
    assert len(drawn) > 15
    assert all(0 <= seed < 2**31 for seed in drawn)
