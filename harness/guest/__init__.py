"""What runs inside: the root file system and the C programs. Knows nothing of machines."""
