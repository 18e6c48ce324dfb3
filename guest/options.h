/* SPDX-License-Identifier: GPL-2.0 */
/* A program's options as a table, of which both the parser and --help are made. */
#ifndef GUEST_OPTIONS_H
#define GUEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_OPTIONS 8

/* What is given last counts; a value that does not fit ends the program. */
struct opt {
	char letter;			/* the short option */
	const char *name;		/* "--size" */
	const char *value;		/* what --help calls it; NULL: a flag */
	const char *help;

	/* One of these takes the value. */
	void (*number)(uint64_t value);	/* from min to max; 1 of a flag */
	void (*bytes)(uint64_t value);	/* a multiple of that, at most so much */
	void (*word)(const char *word);

	uint64_t min, max;
	const char *multiple;		/* such as "4K"; NULL: any size */
	const char *most;		/* with a multiple; NULL: no limit */
};

/*
 * Defines set_NAME(), which takes a value into a variable. Pointers to the
 * variables themselves would be simpler, but would be measured: after each
 * write to memory gcc reads a variable again that such a pointer may have
 * reached, in page-fault with an instruction more for each fault.
 */
#define DEFINE_SET(name) \
	static void set_##name(uint64_t value) { name = value; }

struct command {
	const char *synopsis;		/* what follows the program's name */
	struct opt options[MAX_OPTIONS];	/* --help is not among them */
	const char *notes;		/* --help ends with these; may be NULL */
	void (*print_notes)(FILE *to);	/* ... and with this; may be NULL */
};

/* Print how the program is used to stderr and exit with EXIT_USAGE. */
void wrong_usage(const struct command *c) __attribute__((noreturn));
/* Take all options; returns the words that are none, then NULL. */
char **parse_options(const struct command *c, int argc, char **argv);
/* The same, and dies if there is any such word. */
void parse_only_options(const struct command *c, int argc, char **argv);
/* The same with exactly one such word, which it returns. */
char *parse_options_and_word(const struct command *c, int argc, char **argv);

#endif
