"""What several callbacks share: rows with keys, bases of loggers and of those that play, files, optional packages."""
