// SPDX-License-Identifier: GPL-2.0
/* A sequence as a C program of its own: prelude.c, its steps, and what must then be true. */
#include "model.h"

#include <stdarg.h>
#include <sys/mman.h>

/* The assembler looks for it from guest/, where make runs. */
__asm__(".pushsection .rodata\n"
	".global prelude, prelude_end\n"
	"prelude: .incbin \"model/prelude.c\"\n"
	"prelude_end: .popsection\n");
extern const char prelude[], prelude_end[];

void emit(struct player *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->emit)
		return;
	fputc('\t', p->emit);
	va_start(ap, fmt);
	vfprintf(p->emit, fmt, ap);
	va_end(ap);
	fputc('\n', p->emit);
}

void emit_begin(struct player *p, const char *command)
{
	fprintf(p->emit, "// SPDX-License-Identifier: GPL-2.0\n"
		"/*\n * Made by: %s\n"
		" * cc -O1 -o reproducer reproducer.c && ./reproducer\n"
		" * It exits with 1 and says what is wrong, or with 0.\n */\n", command);
	fwrite(prelude, prelude_end - prelude, 1, p->emit);
	fprintf(p->emit, "\nint main(void)\n{\n\tbegin(%u);\n", p->slots);
}

/* Pages that are to read alike, or each as the one before it and one more. */
static unsigned int same_as(const struct player *p, unsigned int first, unsigned int *step)
{
	const struct page *a = &p->page[first], *b;
	unsigned int i;

	*step = first + 1 < p->pages && p->page[first + 1].value == a->value + 1;
	for (i = 1; first + i < p->pages; i++) {
		b = a + i;
		if (b->kind != a->kind || b->prot != a->prot || b->entry != a->entry ||
		    (b->flags ^ a->flags) & LAZY || b->value != a->value + i * *step)
			break;
	}
	return i;
}

static void emit_file(struct player *p)
{
	unsigned int i, count, step;
	uint32_t value;

	for (i = 0; i < FILE_PAGES; i += count) {
		value = p->file_value[i];
		step = i + 1 < FILE_PAGES && p->file_value[i + 1] == value + 1;
		for (count = 1; i + count < FILE_PAGES; count++)
			if (p->file_value[i + count] != value + count * step)
				break;
		if (i || count < FILE_PAGES || value)
			emit(p, "expect_file(%u, %u, %#x, %u);", i, count, value, step);
	}
}

void emit_expected(struct player *p)
{
	unsigned int i, count, step;

	spread(p);
	emit(p, "/* first page, pages, value of the first, and of each further one so much more */");
	for (i = 0; i < p->pages; i += count) {
		const struct page *page = &p->page[i];

		count = same_as(p, i, &step);
		if (page->entry == NEVER)
			emit(p, "expect_none(%u, %u);", i, count);
		else if (page->kind == ANON && page->entry == MUST)
			emit(p, "expect_there(%u, %u);", i, count);
		if (page->kind == ANON && page->entry != NEVER && page->prot & PROT_READ)
			emit(p, "expect%s(%u, %u, %#x, %u);", page->flags & LAZY ? "_or_zero" : "",
			     i, count, page->value, step);
	}
	if (!p->copy)
		emit_file(p);
	/* A child has not touched all of the program: it may have fewer tables. */
	emit(p, "expect_tables(%u, %u);", p->copy ? 0 : tables_certain(p, 1),
	     tables_possible(p, 1));
}

void emit_end(struct player *p)
{
	join_held(p);
	emit_expected(p);
	fputs("\treturn failed;\n}\n", p->emit);
}
