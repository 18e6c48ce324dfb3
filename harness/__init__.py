"""pte-harness: builds two kernels, boots both, and says what a change saves and costs."""

__version__ = "0.1.0"
