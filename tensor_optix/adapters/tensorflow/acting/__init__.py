"""Forward passes that act.

The NumPy interpreter, the traced fallback, the frozen policy, noise, inputs. No gradient is taken here.
"""
