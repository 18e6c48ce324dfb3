"""pte-harness: measure what freeing empty user PTE page tables saves and costs."""

__version__ = "0.1.0"
