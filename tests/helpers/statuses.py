"""Statuses of a run for whatever shows them."""

import math

from tensor_optix.core.types import LoopState
from tensor_optix.reporting.progress.status import Status

BEGINNING = Status(environment="CartPole-v1")
WAITING = Status(
    environment="CartPole-v1 x 8",
    state=LoopState.COOLING,
    doing="waiting for proof: 7 of 20 looks",
    seconds=75.0,
    window=340,
    env_steps=1_046_528,
    steps_per_second=9120.0,
    budget="2,000,000 env steps",
    share_used=0.5233,
    seconds_left=70.0,
    score=312.4,
    scores=tuple(math.sin(i / 30) for i in range(200)),
    champion=441.5,
    champion_returns=(497.0, 497.6) * 10,
    event="window 88: alarm, the score fell to 12.3; cause: world changed",
)
ALL_THAT_MATTERS = [
    *("CartPole-v1 x 8", "waiting for proof: 7 of 20 looks", "52% of 2,000,000 env steps", "1,046,528", "9,120/s"),
    *("1 min 15 s", "about 1 min 10 s left", "312.4", "441.5", "497.3 (20 episodes)", "340"),
    *("window 88: alarm", "cause: world changed"),
]
