/* base/loop.h - an event loop of libevent on a thread of its own, and the only way into it from other threads:
 * loop_post. Everything that touches a loop's events runs on its thread. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include "base/err.h"

struct event_base;
struct loop;

/* A job to run on the loop's thread; embed it in what it is about. Posting allocates nothing and cannot fail. */
struct loop_job {
	void (*run)(struct loop_job *job);
	struct loop_job *next; /* the loop's */
};

int loop_new(const char *name, struct loop **out, struct err *err); /* starts the thread */
void loop_free(struct loop *l); /* stops it, joins it, runs what was posted meanwhile; NULL is fine */
struct event_base *loop_base(struct loop *l);
void loop_post(struct loop *l, struct loop_job *job); /* any thread; jobs run in the order they were posted */
bool loop_is_current(const struct loop *l);	      /* are we on its thread? */

#endif
