/* ingest/refusals.h - what was refused of late, with samples, so that a person can see why lines are missing without
 * asking their sender. Kept in memory, for the latest REFUSALS_MAX_TENANTS tenants: one account for each reason, each
 * with its REFUSALS_SAMPLES latest samples, whose texts are cut. At most 10 MB in all.
 *
 * Thread-safe. */
#ifndef INGEST_REFUSALS_H
#define INGEST_REFUSALS_H

#include "base/slice.h"

enum { REFUSALS_MAX_TENANTS = 100, REFUSALS_SAMPLES = 3, REFUSALS_TEXT_BYTES = 512 };

struct refusals;
struct refusals *refusals_new(void);
void refusals_free(struct refusals *r); /* NULL is fine */

/* One entry that stands for those that a push lost for the same reason. */
struct refusal {
	int64_t time_ns;     /* when it was refused */
	int status;	     /* of the answer */
	struct slice text;   /* the answer */
	struct slice labels; /* of the stream, as text; empty if they are not known */
	struct slice line;
	uint64_t line_bytes; /* of the whole line */
};

/* reason: a constant. n_entries: 0 if the body could not be read. Copies what it keeps. */
void refusals_add(struct refusals *r, struct slice tenant, const char *reason, uint64_t n_entries,
		  const struct refusal *sample);

struct refusal_account {
	const char *reason;
	uint64_t n_entries, n_pushes;
	int64_t first_ns;
	struct refusal sample[REFUSALS_SAMPLES]; /* the latest first */
	size_t n_samples;			 /* at least one */
};
/* Each account of a tenant, the latest first; see runs under the lock. */
void refusals_each(struct refusals *r, struct slice tenant,
		   void (*see)(void *arg, const struct refusal_account *a), void *arg);

#endif
