#include <linux/mm.h>

void start_kernel(void)
{
	handle_mm_fault(1);
}
