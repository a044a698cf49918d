/* index/sql.h - the only file that talks to SQLite: connections with safe settings, cached statements, errors. A
 * connection belongs to one thread at a time. */
#ifndef INDEX_SQL_H
#define INDEX_SQL_H

#include <sqlite3.h>
#include "base/err.h"
#include "base/slice.h"

enum sql_stmt {
#define STMT(name, text) SQL_##name,
#include "index/sql.def"
#undef STMT
	SQL_N_STMTS
};

struct sql {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *stmt[SQL_N_STMTS]; /* prepared at first use */
};

/* create: makes the file and the schema. A file that is no database, or damaged: ERR_CORRUPT. */
int sql_open(const char *path, bool create, bool read_only, struct sql **out, struct err *err);
void sql_close(struct sql *s);
/* The statement, reset, ready for binding; NULL on error. */
sqlite3_stmt *sql_prepare(struct sql *s, enum sql_stmt which, struct err *err);
/* 1 a row, 0 done, -1 error. */
int sql_step(struct sql *s, sqlite3_stmt *st, struct err *err);
int sql_run(struct sql *s, sqlite3_stmt *st, struct err *err); /* steps to the end, then resets */
/* Writes back what stands in SQLite's own log; ERR_UNAVAILABLE if somebody reads it. */
int sql_checkpoint(struct sql *s, struct err *err);
int sql_exec(struct sql *s, const char *text, struct err *err); /* constants only */
int sql_fail(struct sql *s, const char *what, struct err *err); /* -1 with SQLite's message */
struct slice sql_blob(sqlite3_stmt *st, int column);		/* dies with the next step */
int sql_meta_get(struct sql *s, const char *key, int64_t *out,
		 struct err *err); /* *out untouched if absent */
int sql_meta_set(struct sql *s, const char *key, int64_t value, struct err *err);
void sql_library_init(void); /* once, before threads */

#endif
