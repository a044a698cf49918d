/* model/tenant.h - tenant ids: who may be named, and how a name becomes a folder. */
#ifndef MODEL_TENANT_H
#define MODEL_TENANT_H

#include "base/buf.h"
#include "base/err.h"

#define TENANT_DEFAULT "fake" /* the only tenant while multi-tenancy is off; Loki's name */
enum { TENANT_MAX_BYTES = 150 };

int tenant_check(struct slice id, struct err *err);   /* Loki's charset, length and texts */
void tenant_dir_name(struct buf *b, struct slice id); /* all but [A-Za-z0-9_-] as %XX; NUL-terminated */
bool tenant_from_dir_name(struct buf *b,
			  struct slice dir); /* the reverse; false if no tenant is spelled so */

#endif
