"""What a run is asked for: as a file says it, as it is typed on top, and as a plan that a run's folder keeps."""
