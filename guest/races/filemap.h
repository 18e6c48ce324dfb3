/* SPDX-License-Identifier: GPL-2.0 */
/* An arena that is a shared mapping of a file, and what can happen to the file. */
#ifndef FILEMAP_H
#define FILEMAP_H

#include "race.h"

/* NULL, or why not. */
const char *filemap_memfd(void);
const char *filemap_disk(void);
const char *filemap_at(const char *directory);	/* an unlinked file there */
bool filemap_is_dax(void);	/* mapped without the page cache */
int filemap_direct(void);	/* the same file once more, with O_DIRECT; or -1 */

/* For race.drop: a hole in the file. */
bool filemap_punch(unsigned int page, unsigned int count);

/* Antagonists. */
void filemap_truncate(struct worker *w);	/* down, and up again */
void filemap_dontneed(struct worker *w);	/* unmaps, loses nothing */
void filemap_advise(struct worker *w);		/* COLD, PAGEOUT, WILLNEED */
void filemap_sync(struct worker *w);		/* cleans entries through rmap */
void filemap_table(struct worker *w);		/* a whole table: dirtied, then unmapped at once */
void filemap_punch_some(struct worker *w);	/* announced: a page, a few, a whole table */
void filemap_sync_all(void);			/* all of it on the disk */
void filemap_forget(void);			/* ... and out of the page cache */
void filemap_drop_all(void);

#endif
