"""What a live feed must offer."""

import pytest

from tensor_optix.exceptions import InvalidTypeError
from tensor_optix.pipeline.live_pipeline import LivePipeline


def test_a_source_needs_a_stream():
    with pytest.raises(InvalidTypeError, match=r"needs a method stream\(\)"):
        LivePipeline(object())


def test_a_stream_must_be_an_iterator(live):
    class Feed:
        def stream(self):
            return 3

    with pytest.raises(InvalidTypeError, match="must return a generator"):
        list(live(Feed()).episodes())
