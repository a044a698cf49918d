/* query/entry_id.h - a stable name for an entry, for links and cursors: its time and a hash of what it is. The same
 * entry has the same id in every answer, before and after a flush. Pure. */
#ifndef QUERY_ENTRY_ID_H
#define QUERY_ENTRY_ID_H

#include "base/buf.h"
#include "model/labels.h"

/* labels: the stream's. */
uint64_t entry_hash(struct labels labels, struct slice line, struct labels meta);
/* 1795451383000000000-9f86d081884c7d65 */
void entry_id_format(struct buf *b, int64_t ts, uint64_t hash);
bool entry_id_parse(struct slice text, int64_t *ts, uint64_t *hash);

#endif
