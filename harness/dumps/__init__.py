"""Memory of guests that crashed: taken by QEMU, opened by drgn, put into words."""
