"""The loop, in NumPy only.

One run, as pseudo-code::

    for window in pipeline.episodes():
        metrics = evaluator.score(window, diagnostics)     # of the policy that acted
        verdict = judge.weigh(metrics)                     # improved, steady, plateau, degraded, no evidence
        if verdict.improved: registry.save(agent)          # before learning: the weights that earned it
        if verdict.degraded: roll back, or become ACTIVE
        agent.set_hyperparams(hyperparameter_optimizer.suggest(...))   # when the scheduler says it is due
        diagnostics = agent.learn(window)                  # not after a rollback
        stop when DORMANT (on a live feed: watch), out of budget, or asked to
"""
