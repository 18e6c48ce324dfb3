"""Patches: directories, mailboxes, mail threads; as a git tree to work on."""
