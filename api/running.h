/* api/running.h - the read requests in work, queued or running, so that a person can see and cancel them.
 *
 * Thread-safe. A job stands in the list from running_add to running_remove and must live as long; what the list says is
 * copied under its lock. */
#ifndef API_RUNNING_H
#define API_RUNNING_H

#include "base/buf.h"

struct job;

void running_add(struct job *job);
void running_remove(struct job *job); /* before its request is answered for good */
/* Appends {"queries":[…]}: those of the tenant, the oldest first. */
void running_list(struct slice tenant, struct buf *out);
/* Asks it to stop, as when its client leaves. False: the tenant has none of that id. */
bool running_cancel(struct slice tenant, uint64_t id);

#endif
