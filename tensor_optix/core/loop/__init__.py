"""What surrounds a window.

Agenda, stopping rules, tuning, recording, opening, saving and closing. The order in which they are called is in
``core.loop_controller``; whether a score is good is in ``core.judgement``.
"""
