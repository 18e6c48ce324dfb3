// SPDX-License-Identifier: GPL-2.0
/* A program's options as a table: see options.h. */
#include "common.h"
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define for_each_option(o, c) \
	for (o = (c)->options; o < (c)->options + MAX_OPTIONS && o->name; o++)

static void usage(const struct command *c, FILE *to)
{
	const struct opt *o;
	int width;

	fprintf(to, "usage: %s %s\n", program_invocation_short_name, c->synopsis);
	for_each_option(o, c) {
		width = fprintf(to, "  %s %s", o->name, o->value ? o->value : "");
		fprintf(to, "%*s%s\n", 20 - width, "", o->help);
	}
	if (c->notes)
		fputs(c->notes, to);
	if (c->print_notes)
		c->print_notes(to);
}

void wrong_usage(const struct command *c)
{
	usage(c, stderr);
	exit(EXIT_USAGE);
}

static uint64_t parse_multiple(const struct opt *o, const char *text)
{
	uint64_t bytes = parse_bytes(o->name, text);

	if ((o->multiple && bytes % parse_bytes(o->name, o->multiple)) ||
	    (o->most && bytes > parse_bytes(o->name, o->most)))
		die("%s: not a multiple of %s%s%s: '%s'", o->name, o->multiple,
		    o->most ? " up to " : "", o->most ? o->most : "", text);
	return bytes;
}

static void take(const struct opt *o, const char *text)
{
	if (o->word)
		o->word(text);
	else if (o->bytes)
		o->bytes(parse_multiple(o, text));
	else
		o->number(text ? parse_number(o->name, text, o->min, o->max) : 1);
}

char **parse_options(const struct command *c, int argc, char **argv)
{
	struct option all[MAX_OPTIONS + 2] = { }, *next = all;
	char letters[2 * MAX_OPTIONS + 2] = "h", *end = letters + 1;
	const struct opt *o;
	int letter;

	for_each_option(o, c) {
		*next++ = (struct option){ o->name + 2, !!o->value, NULL, o->letter };
		*end++ = o->letter;
		if (o->value)
			*end++ = ':';
	}
	*next = (struct option){ "help", no_argument, NULL, 'h' };
	while ((letter = getopt_long(argc, argv, letters, all, NULL)) != -1) {
		if (letter == '?')
			wrong_usage(c);
		if (letter == 'h') {
			usage(c, stdout);
			exit(0);
		}
		for_each_option(o, c)
			if (o->letter == letter)
				take(o, optarg);
	}
	return argv + optind;
}

void parse_only_options(const struct command *c, int argc, char **argv)
{
	char **words = parse_options(c, argc, argv);

	if (*words)
		die("not an option: '%s'", *words);
}

char *parse_options_and_word(const struct command *c, int argc, char **argv)
{
	char **words = parse_options(c, argc, argv);

	if (!words[0] || words[1])
		wrong_usage(c);
	return words[0];
}
