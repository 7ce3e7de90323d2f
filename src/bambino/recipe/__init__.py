"""What a run is asked to be: settings, file, schedule, checks."""
