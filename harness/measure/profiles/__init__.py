"""Where the instructions of a workload's windows went: kernel functions, lines, call paths.

A plugin in QEMU (guest/plugin) counts every instruction of the kernel; the guest marks windows
(guest/mark.h). Here the plugin is built, its output read, addresses given names, two kernels
compared. See docs/explain.md.
"""
