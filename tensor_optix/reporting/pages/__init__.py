"""Pages that need no network: each a file, made of tables and pictures that lie within it."""
