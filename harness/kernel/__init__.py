"""Source -> series -> config -> build. Knows nothing of machines."""
