"""The champion: kept safe, and the one way in which it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.judgement.provenance import Provenance
from tensor_optix.core.judgement.track_record import TrackRecord
from tensor_optix.core.storage.agent_files import capture, has_own_state, parked, restore
from tensor_optix.core.storage.stateful import decode_hyperparams, decode_metrics, encode_hyperparams, encode_metrics
from tensor_optix.core.types import AgentState, EvalMetrics, HyperparamSet, PolicySnapshot


class Incumbent:
    """Holds the champion, what it played, and what made it; hands it back.

    The agent is captured in memory and written beside the loop. One whose ``save_weights`` leaves no
    files keeps its weights somewhere else, under the path it was given: it gets a path that stays.

    Attributes:
        snapshot: The champion on disk; None before the first.
        state: The same in memory; None where only ``load_weights`` brings it back.
        track_record: What the champion played since it won its place: what it is held against where scores drop.
        has_played: Whether it won its place in episodes, or defended it; else training scores alone made it.

    Args:
        agent: Whose policy it is.
        registry: Where snapshots go.
        provenance: Told whenever the agent becomes the champion again.
    """

    def __init__(self, agent: BaseAgent, registry: CheckpointRegistry, provenance: Provenance) -> None:
        self._agent = agent
        self._registry = registry
        self._provenance = provenance
        self._made_by: HyperparamSet | None = None
        self.state: AgentState | None = None
        self.snapshot: PolicySnapshot | None = None
        self.track_record = TrackRecord()
        self._has_won = False

    @property
    def has_played(self) -> bool:
        """See above."""
        return self._has_won or len(self.track_record) > 0

    def take_the_place(
        self, metrics: EvalMetrics, track_record: TrackRecord | None = None, *, is_final: bool = False
    ) -> PolicySnapshot:
        """Make the agent, as it is now, the champion that earned ``metrics``.

        Args:
            metrics: Score of the window in which it acted.
            track_record: What it played since it won its place in episodes; None: it did not.
            is_final: Whether this is the last choice of a run.
        """
        hyperparams = self._agent.get_hyperparams()
        state = capture(self._agent)
        how = {"is_best": True, "is_final": is_final}
        if has_own_state(self._agent) or state.arrays:
            self.state = state
            self.snapshot = self._registry.save_state(state, metrics, hyperparams, **how)
        else:
            self.state = None
            self.snapshot = self._registry.save(self._agent, metrics, hyperparams, **how)
        self._made_by = self._provenance.behind_weights
        self._has_won = track_record is not None
        self.track_record = track_record or TrackRecord()
        return self.snapshot

    def adopt(self, snapshot_id: str) -> None:
        """Let a snapshot that is on disk be the champion; the agent is left as it is.

        Raises:
            CheckpointError: There is no such snapshot, or it is damaged.
        """
        state = self._registry.load_state(snapshot_id)
        self.snapshot = self._registry.reinstate(snapshot_id)
        self.state = state if has_own_state(self._agent) or state.arrays else None
        self._made_by = self.snapshot.eval_metrics.hyperparams or self.snapshot.hyperparams

    def is_same_as(self, snapshot_id: str) -> bool:
        """Tell whether the champion is the very policy of a snapshot."""
        if self.snapshot is None or self.state is None:
            return False
        return self.snapshot.snapshot_id == snapshot_id or self._registry.holds(snapshot_id, self.state)

    def bring_back(self, go_on_with: HyperparamSet | None = None) -> bool:
        """Make the agent the champion again: weights, optimizer, normalisers, hyperparameters.

        What counts time stays, see ``BaseAgent.go_back_to``. What made its weights is noted, then hyperparameters that
        changed are announced.

        Args:
            go_on_with: Hyperparameters of the next ``learn``; None: the champion's own.

        Returns:
            Whether there is a champion.
        """
        if self.snapshot is None:
            return False
        before = self._agent.get_hyperparams()
        self._become_champion(keeps_time=True)
        self._provenance.note(self._made_by)
        if go_on_with is not None:
            self._agent.set_hyperparams(go_on_with)
        self._provenance.announce(before)
        return True

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Let the agent act as the champion for a while, then be itself again."""
        with parked(self._agent):
            self._become_champion()
            yield

    def _become_champion(self, *, keeps_time: bool = False) -> None:
        if self.snapshot is None:
            return
        if self.state is not None:
            restore(self._agent, self.state, keeps_time=keeps_time)
        else:
            self._registry.load(self._agent, self.snapshot.snapshot_id)
            self._agent.set_hyperparams(self.snapshot.hyperparams.copy())

    def state_dict(self) -> dict[str, Any]:
        """Return a JSON-able description of the snapshot; its weights are in :attr:`state`."""
        snapshot = self.snapshot
        if snapshot is None:
            return {}
        return {
            "snapshot_id": snapshot.snapshot_id,
            "metrics": encode_metrics(snapshot.eval_metrics),
            "hyperparams": encode_hyperparams(snapshot.hyperparams),
            "made_by": None if self._made_by is None else encode_hyperparams(self._made_by),
            "record": self.track_record.state_dict(),
            "has_won": self._has_won,
            "weights_path": str(Path(snapshot.weights_path).relative_to(self._registry.root)),
            "episode_id": snapshot.episode_id,
            "timestamp": snapshot.timestamp,
        }

    def load_state_dict(self, plain: dict[str, Any], state: AgentState | None) -> None:
        """Hold the champion that :meth:`state_dict` described."""
        self.state, self.snapshot, self._made_by, self.track_record = state, None, None, TrackRecord()
        self._has_won = False
        if not plain:
            return
        self._made_by = decode_hyperparams(plain["made_by"]) if plain.get("made_by") else None
        self.track_record.load_state_dict(plain.get("record", []))
        self._has_won = plain.get("has_won", False)
        known = {snapshot.snapshot_id: snapshot for snapshot in self._registry.snapshots}
        metrics, hyperparams = decode_metrics(plain["metrics"]), decode_hyperparams(plain["hyperparams"])
        if plain["snapshot_id"] in known:
            snapshot = known[plain["snapshot_id"]]  # whose file holds the score as people read it
            self.snapshot = replace(snapshot, eval_metrics=metrics, hyperparams=hyperparams)
        elif state is not None:
            self.snapshot = self._registry.save_state(state, metrics, hyperparams)
        if self.snapshot is not None:
            self._registry.set_best(self.snapshot.snapshot_id)
