/* ingest/patterns.h - the log patterns of all tenants: learned from pushes as they pass (struct ingest_observer), kept
 * in bounded memory, written to a file for each tenant every few minutes and at the end.
 *
 * Counts are of entries as they arrived: one that the store then refuses or finds to be a duplicate is counted, and
 * what came since the last writing is lost when the process is killed. Thread-safe. */
#ifndef INGEST_PATTERNS_H
#define INGEST_PATTERNS_H

#include "base/arena.h"
#include "base/err.h"
#include "model/batch.h"
#include "model/matcher.h"
#include "model/timerange.h"

struct patterns;

struct patterns_options {
	const char *dir;				 /* made when needed; copied */
	uint64_t memory_bytes, tenant_bytes;		 /* of all tenants, of each */
	bool (*enabled)(void *arg, struct slice tenant); /* called on any thread; NULL: always */
	void *arg;
};

/* Reads what was written; a file that is damaged is logged and left out. */
struct patterns *patterns_open(const struct patterns_options *o);
void patterns_close(struct patterns *p); /* writes; NULL is fine */

/* ingest_observer.before: arg is a struct patterns. Returns NULL. */
void *patterns_see(void *arg, const struct batch *b);

/* What a thread of its own does once a minute and every five minutes; tests with a fake clock call it. */
void patterns_age(struct patterns *p);
int patterns_save(struct patterns *p, struct err *err);
size_t patterns_bytes(const struct patterns *p);

struct patterns_request {
	struct slice tenant; /* or several, a|b */
	const struct matcher *matcher;
	size_t n_matchers;
	struct timerange range; /* both ends inclusive */
	int64_t step;		/* ns; less than 10 s is taken as 10 s */
	size_t limit;		/* the most frequent so many */
};
struct pattern_sample {
	int64_t at; /* Unix seconds, a multiple of the step */
	uint64_t n;
};
struct pattern_result {
	struct slice text, level;
	uint64_t total;
	size_t n;
	struct pattern_sample *sample; /* ascending, none of them 0 */
};
/* Most frequent first. */
void patterns_read(struct patterns *p, const struct patterns_request *r, struct arena *a,
		   struct pattern_result **out, size_t *n_out);

#endif
