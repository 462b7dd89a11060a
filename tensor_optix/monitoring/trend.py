"""What a series of scores is doing."""

import enum


class Trend(enum.Enum):
    """Verdict of one look at a series of scores.

    Attributes:
        WARMING_UP: Too little evidence for any verdict.
        IMPROVING: More may come: nothing shows yet that the gain is over.
        PLATEAU: The score has risen, and what is still to be had is a small share of the gain.
        STALLED: The score is flat and never left its first level: nothing was learned.
    """

    WARMING_UP = "warming_up"
    IMPROVING = "improving"
    PLATEAU = "plateau"
    STALLED = "stalled"
