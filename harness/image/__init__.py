"""The guests' root file system and the programs that are pushed into them."""
