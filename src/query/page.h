/* query/page.h - the result of a log query page by page: entries one after the other instead of stream by stream, and a
 * cursor that leads on from the last one. On a worker. */
#ifndef QUERY_PAGE_H
#define QUERY_PAGE_H

#include "query/query.h"

/* After which entry to go on: its time, its hash (entry_id.h), and how many of that time have been seen with it. The
 * hash counts where it is found, the number where that entry is gone. */
struct page_cursor {
	int64_t ts;
	uint64_t hash;
	uint32_t n_seen;
};
/* Text for clients: 1795451383000000000-9f86d081884c7d65-1 */
void page_cursor_format(struct buf *b, const struct page_cursor *c);
bool page_cursor_parse(struct slice text, struct page_cursor *out);

enum { PAGE_MAX_SAME_TIME = 1000000 }; /* entries of one time that a cursor can step over */

struct page_request {
	struct slice tenant;
	struct slice text;  /* a log query */
	int64_t start, end; /* ns, end exclusive */
	uint32_t limit;
	bool backward;
	const struct page_cursor *after; /* NULL: from the beginning */
	const struct limits *limits;
};

struct page_entry {
	int64_t ts;
	uint64_t hash;
	size_t stream; /* index into page.stream */
	struct slice line;
	struct labels meta, parsed;
};

struct page {
	struct query_result result; /* owns what the rest borrows */
	struct labels *stream;	    /* stream labels alone */
	size_t n_streams;
	struct page_entry *entry;
	size_t n;
	bool more; /* cursor leads to further entries */
	struct page_cursor cursor;
};

/* ERR_BAD_REQUEST: not a log query; else as query_run. On failure nothing needs freeing. */
int page_run(struct query_engine *e, const struct page_request *r, struct query_control *c, struct page *out,
	     struct err *err);
void page_fini(struct page *p);

#endif
