"""Rules for when a run is trained, replayed on logged curves."""

import math

import numpy as np
from scipy import stats

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.judgement.judge import EPISODES_PER_LOOK, Judge
from tensor_optix.core.types import EvalMetrics, LoopState
from tensor_optix.monitoring import PlateauDetector, Trend

TRAINED, STALLED = "trained", "stalled"


def looks_of(run, merge=1):
    """Return ``([looks] env steps, [looks] scores)``: windows pooled to hold enough episodes, as in the loop."""
    steps, scores, pool = [], [], []
    for step, returns in run.windows(merge):
        if returns.size:
            pool.append((returns.mean(), returns.size))
        episodes = sum(count for _, count in pool)
        if episodes >= EPISODES_PER_LOOK:
            steps.append(step)
            scores.append(sum(mean * count for mean, count in pool) / episodes)
            pool = []
    return np.array(steps), np.array(scores)


def replay_loop(run, merge=1):
    """Feed the windows to the real ``Judge`` and ``BackoffScheduler``, as the loop does.

    Returns:
        ``{event: (env step, verdict)}`` for the first ``"plateau"`` (the detector's verdict), ``"cooling"``, and
        ``"dormant"``, which ends a run; and ``"alarms"``, their number up to then.
    """
    judge, scheduler, events, alarms = Judge(), BackoffScheduler(), {}, 0
    for number, (step, returns) in enumerate(run.windows(merge)):
        if not returns.size:
            continue
        metrics = EvalMetrics(float(returns.mean()), {}, number, num_episodes=int(returns.size))
        verdict = judge.weigh(metrics)
        if verdict.improved:
            judge.crown(metrics)
        if verdict.trend is Trend.IMPROVING:
            scheduler.record_improvement(verdict.look_score)
        elif verdict.trend in (Trend.PLATEAU, Trend.STALLED):
            scheduler.record_non_improvement()
            called = TRAINED if verdict.trend is Trend.PLATEAU else STALLED
            events.setdefault("plateau", (step, called))
            if called == TRAINED:
                events.setdefault("trained", (step, called))
            if scheduler.current_state is LoopState.COOLING:
                events.setdefault("cooling", (step, called))
            if scheduler.current_state is LoopState.DORMANT:
                events["dormant"] = (step, called)
                break
        if verdict.degraded:
            alarms += 1
            scheduler.record_degradation()
    return {**events, "alarms": alarms}


def detector_alone(steps, scores):
    """Return where ``PlateauDetector`` first says PLATEAU or STALLED."""
    detector = PlateauDetector()
    for step, score in zip(steps, scores.tolist(), strict=True):
        trend = detector.update(score)
        if trend in (Trend.PLATEAU, Trend.STALLED):
            return step, TRAINED if trend is Trend.PLATEAU else STALLED
    return None


def patience(steps, scores, looks):
    """Stop after so many looks without a new best."""
    best, waited = -math.inf, 0
    for step, score in zip(steps, scores, strict=True):
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited >= looks:
            return step, TRAINED
    return None


def sb3_no_improvement(steps, scores, max_no_improvement_evals=10, min_evals=5):
    """Stop as Stable-Baselines3's ``StopTrainingOnNoModelImprovement``, with a look for an evaluation."""
    best, waited = -math.inf, 0
    for number, (step, score) in enumerate(zip(steps, scores, strict=True), start=1):
        if number > min_evals:
            waited = 0 if score > best else waited + 1
            if waited > max_no_improvement_evals:
                return step, TRAINED
        best = max(best, score)
    return None


def keras_early_stopping(steps, scores, patience=20, min_delta_share=0.01):
    """Stop as Keras's ``EarlyStopping``: a best must be beaten by ``min_delta``, here a share of the range so far."""
    best, waited, low = -math.inf, 0, math.inf
    for step, score in zip(steps, scores, strict=True):
        low = min(low, score)
        if score > best + (min_delta_share * (best - low) if math.isfinite(best) else 0.0):
            best, waited = score, 0
        else:
            waited += 1
        if waited >= patience:
            return step, TRAINED
    return None


def slope_test(steps, scores, looks=30, significance=0.05):
    """Stop where the slope of the last looks is no longer significantly above 0."""
    x = np.arange(looks)
    for end in range(looks, len(scores) + 1):
        if stats.linregress(x, scores[end - looks : end], alternative="greater").pvalue > significance:
            return steps[end - 1], TRAINED
    return None


OTHER_RULES = {
    "patience 10": lambda steps, scores: patience(steps, scores, 10),
    "patience 20": lambda steps, scores: patience(steps, scores, 20),
    "patience 50": lambda steps, scores: patience(steps, scores, 50),
    "SB3 StopTrainingOnNoModelImprovement(10, 5)": sb3_no_improvement,
    "Keras EarlyStopping(patience=20)": keras_early_stopping,
    "slope t-test over 30 looks": slope_test,
}
