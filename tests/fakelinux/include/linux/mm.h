int handle_mm_fault(int address);
