"""What profiles say: two kernels compared function by function, guarded, drawn. docs/explain.md."""
