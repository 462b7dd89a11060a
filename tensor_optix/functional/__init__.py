"""Pure functions on arrays and numbers: no class, no state, no framework."""
