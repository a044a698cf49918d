/* cli/events.h - a stream of server-sent events, read as its bytes come
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html). Pure. One thread. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "base/buf.h"

struct events {
	/* data holds the event's lines, absent where the event is nothing but a new id; id is the last one that the
	 * stream has named. False: stop. */
	bool (*on_event)(void *arg, struct slice type, struct slice id, struct slice data);
	void *arg;
	/* the parser's own */
	struct buf line, type, id, data;
	bool skip_lf; /* the line before ended in CR */
	bool has_id;  /* the event that is being read names one */
};

enum { EVENTS_MAX_BYTES = 64 << 20 }; /* of one event */

void events_init(struct events *e, bool (*on_event)(void *, struct slice, struct slice, struct slice),
		 void *arg);
void events_fini(struct events *e);
void events_reset(
	struct events *e); /* for another connection: what is incomplete is forgotten, the id stays */
/* False: on_event said so, or an event is too large. */
bool events_feed(struct events *e, struct slice bytes);

#endif
