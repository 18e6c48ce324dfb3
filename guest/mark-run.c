// SPDX-License-Identifier: GPL-2.0
/*
 * mark-run: a program as one window of a profile, from exec to exit.
 *
 *	mark-run [--warmup N] [--rounds N] [--times FILE] [--] COMMAND [ARGUMENT...]
 *
 * For programs that are not ours and mark nothing. Each round is a window of
 * its own: the command from the system call that executes it until its parent
 * knows that it has ended. What it prints goes where it would go anyway; only
 * that of the first round is kept when there are several. --times writes how
 * many nanoseconds each round took, a line each; warm-up rounds do not count.
 *
 * Cannot show: parts of the program; start-up and end are in every window.
 *
 * Exit code: that of the last round; 128 + N when a signal N ended it.
 */
#include "common.h"
#include "mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long rounds = 1, warmup;
static FILE *times;
static uint64_t *began;		/* written by the child */

static FILE *open_times(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		die_errno("%s", path);
	return file;
}

static void silence(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
		die_errno("/dev/null");
}

static int run(char **argv, unsigned long nth)
{
	int status;
	pid_t pid;

	if (nth + 1 == warmup)
		mark_warm();
	if (nth == warmup)
		mark_series();
	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid) {
		if (nth)
			silence();
		*began = now_ns();
		if (nth >= warmup)
			mark_begin(1);
		execvp(argv[0], argv);
		die_errno("%s", argv[0]);
	}
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			die_errno("waitpid");
	if (nth >= warmup) {
		mark_end(1);
		if (times)
			fprintf(times, "%llu\n", (unsigned long long)(now_ns() - *began));
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	unsigned long i;
	int code = 0, at = 1;

	for (; at + 1 < argc && !strncmp(argv[at], "--", 2); at += 2) {
		if (!strcmp(argv[at], "--"))
			break;
		if (!strcmp(argv[at], "--rounds"))
			rounds = parse_number("--rounds", argv[at + 1], 0, 1000000);
		else if (!strcmp(argv[at], "--warmup"))
			warmup = parse_number("--warmup", argv[at + 1], 0, 1000000);
		else if (!strcmp(argv[at], "--times"))
			times = open_times(argv[at + 1]);
		else
			die("no such option: '%s'", argv[at]);
	}
	if (at < argc && !strcmp(argv[at], "--"))
		at++;
	if (at >= argc)
		die("mark-run [--warmup N] [--rounds N] [--times FILE] [--] COMMAND [ARGUMENT...]");
	began = mmap(NULL, sizeof(*began), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (began == MAP_FAILED)
		die_errno("mmap");
	for (i = 0; i < warmup + rounds; i++) {
		fflush(stdout);
		code = run(argv + at, i);
	}
	if (times && fclose(times))
		die_errno("--times");
	return code;
}
