"""What reports and comparisons show: each picture a file, drawn once for wide screens and once for narrow ones."""
