"""What surrounds a window.

Budget, agenda, stopping rules, tuning, recording, opening and closing. The order in which they are called is in
``core.loop_controller``; whether a score is good is in ``core.judgement``.
"""
