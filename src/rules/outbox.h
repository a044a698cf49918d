/* rules/outbox.h - a bounded queue and a thread that delivers it in batches to one URL. What cannot be delivered now is
 * tried again, ever more seldom; what the receiver refuses for good is dropped, and so is the oldest where the
 * queue is full. Order is kept. Thread-safe. */
#ifndef RULES_OUTBOX_H
#define RULES_OUTBOX_H

#include "base/buf.h"
#include "base/err.h"

struct metric;
struct outbox;

struct outbox_options {
	const char *thread; /* its name */
	const char *url, *path;
	size_t max_items, max_batch;
	const char *const *header; /* lines for every request */
	size_t n_headers;
	bool by_tenant; /* a batch is of one tenant, whom X-Scope-OrgID names */
	void (*body)(const struct slice *item, size_t n, struct buf *out);
	/* items; failed: in attempts that failed */
	struct metric *sent, *failed, *dropped;
};
/* ERR_CONFIG: no such URL. What the options point to must live as long, except the URL. */
int outbox_new(const struct outbox_options *o, struct outbox **out, struct err *err);
/* From now on there are a few seconds more for what is queued. */
void outbox_stop(struct outbox *o);
void outbox_free(struct outbox *o); /* stops it and waits for that; NULL is fine */
void outbox_put(struct outbox *o, struct slice tenant, struct slice item); /* copies */

#endif
