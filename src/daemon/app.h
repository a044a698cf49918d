/* daemon/app.h - the whole server: store, ingest, query engine, scheduler, HTTP, wired together. The
 * functions belong to the main thread. */
#ifndef DAEMON_APP_H
#define DAEMON_APP_H

#include "daemon/config.h"

struct app;

/* Opens the data directory (recovering what is there), listens, answers. Takes config over, also on failure.
 * ERR_LOCKED, ERR_CONFIG, ERR_IO. */
int app_start(struct config *config, const struct config_args *args, struct app **out, struct err *err);
int app_rebuild_index(struct config *config, struct err *err); /* offline; takes config over */
int app_check(const struct config *config,
	      struct err *err);			/* what the configuration refers to: other files */
int app_reload(struct app *a, struct err *err); /* all or nothing */
void app_look_at_overrides(struct app *a);	/* now and then: reloads them if their file has changed */
/* /ready says no, no more connections, requests in work end, heads go to disk, all is synced and closed. */
void app_stop(struct app *a);

#endif
