/* ingest/meta_name.h - names of structured metadata, and of labels that come from OpenTelemetry attributes: what is not
 * a letter, a digit or an underscore becomes one. Pure. */
#ifndef INGEST_META_NAME_H
#define INGEST_META_NAME_H

#include "base/arena.h"

bool meta_name_clean(struct slice name); /* nothing to be done; neither empty nor "_" */
/* Anything but letters, digits and _ becomes _, several become one (not in __name__), a leading digit gets key_.
 * name is not empty. "_" if nothing is left of it. */
struct slice meta_name_sanitise(struct arena *a, struct slice name);

#endif
