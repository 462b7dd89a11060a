"""Action masks of a live feed."""

from __future__ import annotations

from typing import Any

from tensor_optix.core.mask_layout import Masks
from tensor_optix.exceptions import EnvironmentFailureError, StreamError
from tensor_optix.pipeline.live.feed_items import FeedItem
from tensor_optix.pipeline.live.live_actor import LiveActor
from tensor_optix.pipeline.stepping.action_masks import ActionMasks, AskedMasks


class FeedMasks:
    """Reads the mask of each item, where the feed tells masks and whoever acts takes them.

    Args:
        source: The feed; it may have ``action_masks()``.
        action_space: Of the feed, or None where that is not known.
        asked: See ``ActionMasks``.
    """

    def __init__(self, source: Any, action_space: Any, asked: AskedMasks) -> None:
        self.env = source
        self.name = "of the feed"
        self.steps_taken = 0
        self._action_space = action_space
        self._masks = ActionMasks(self, asked)
        self._served: tuple[LiveActor | None, Any] = (None, None)

    def space(self, kind: str) -> Any:
        """Return the action space."""
        return self._action_space

    def of(self, item: FeedItem, number: int, actor: LiveActor) -> Masks | None:
        """Return what is allowed on an item's observation, ``[A]``; None where nobody is to be told.

        Args:
            item: What the feed sent.
            number: Its number, counted from 0 over the whole run.
            actor: Who acts on it.

        Raises:
            StreamError: The mask cannot be used.
        """
        self.steps_taken = number
        try:
            if self._served[0] is not actor:
                masks = self._masks.serve(actor.agent, item.observation, item.info, over=item.done, warns=True)
                self._served = (actor, masks)
            elif self._served[1] is not None:
                self._masks.follow(item.observation, item.info, item.terminated, item.truncated)
        except EnvironmentFailureError as error:
            raise StreamError(
                f"Step {number} of the feed (counted from 0) cannot be used: {error} "
                'Or pass on_bad_step="skip" to leave such steps out.'
            ) from error
        return None if self._served[1] is None else self._masks.now.copy()
