"""Something that runs a build and gives a shell: a QEMU guest. Knows nothing of workloads."""
