#include "index/sql.h"
#include "base/mem.h"

#include <stdio.h>

static const char *const text_of[SQL_N_STMTS] = {
#define STMT(name, text) text,
#include "index/sql.def"
#undef STMT
};

static const char schema[] =
#include "index/schema_sql.inc"
	;

void sql_library_init(void)
{
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD); /* a connection is used by one thread at a time */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_initialize();
}

int sql_fail(struct sql *s, const char *what, struct err *err)
{
	int rc = s->db != NULL ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
	enum err_code code;

	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a table is missing: not our schema */
	case SQLITE_SCHEMA: code = ERR_CORRUPT; break;
	case SQLITE_FULL:
	case SQLITE_NOMEM:
	case SQLITE_BUSY: code = ERR_UNAVAILABLE; break;
	default: code = ERR_IO;
	}
	return err_set(err, code, "index %s: %s: %s", s->path, what,
		       s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
}

int sql_exec(struct sql *s, const char *text, struct err *err)
{
	return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_fail(s, text, err);
}

int sql_checkpoint(struct sql *s, struct err *err)
{
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(s, "checkpoint", err);
}

static void lower_limits(sqlite3 *db)
{
	sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 64 << 10);
	sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 64);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_busy_timeout(db, 5000);
}

int sql_open(const char *path, bool create, bool read_only, struct sql **out, struct err *err)
{
	struct sql *s = xcalloc(1, sizeof(*s));
	int flags =
		read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
	int64_t format = 0;

	s->path = xstrdup(path);
	if (sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		sql_fail(s, "open", err);
		goto fail;
	}
	lower_limits(s->db);
	if (sql_exec(s,
		     "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA "
		     "cache_size=-1024",
		     err) == -1)
		goto fail;
	if (!read_only &&
	    sql_exec(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=256",
		     err) == -1)
		goto fail;
	if (create) {
		if (sql_exec(s, "BEGIN", err) == -1 || sql_exec(s, schema, err) == -1 ||
		    sql_exec(s, "INSERT INTO meta VALUES('format', 1)", err) == -1 ||
		    sql_exec(s, "COMMIT", err) == -1)
			goto fail;
	}
	if (sql_meta_get(s, "format", &format, err) == -1)
		goto fail;
	if (format != 1) {
		err_set(err, ERR_CORRUPT, "index %s: format %lld is not known to this version", path,
			(long long)format);
		goto fail;
	}
	*out = s;
	return 0;
fail:
	sql_close(s);
	return -1;
}

void sql_close(struct sql *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SQL_N_STMTS; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
	free(s->path);
	free(s);
}

sqlite3_stmt *sql_prepare(struct sql *s, enum sql_stmt which, struct err *err)
{
	if (s->stmt[which] == NULL) {
		if (sqlite3_prepare_v3(s->db, text_of[which], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[which],
				       NULL) != SQLITE_OK) {
			sql_fail(s, text_of[which], err);
			return NULL;
		}
		return s->stmt[which];
	}
	sqlite3_reset(s->stmt[which]);
	return s->stmt[which];
}

int sql_step(struct sql *s, sqlite3_stmt *st, struct err *err)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(st);
		return 0;
	}
	sql_fail(s, "step", err);
	sqlite3_reset(st);
	return -1;
}

int sql_run(struct sql *s, sqlite3_stmt *st, struct err *err)
{
	int rc;

	while ((rc = sql_step(s, st, err)) == 1)
		;
	return rc;
}

struct slice sql_blob(sqlite3_stmt *st, int column)
{
	const void *p = sqlite3_column_blob(st, column);

	return slice_of(p != NULL ? p : "", (size_t)sqlite3_column_bytes(st, column));
}

int sql_meta_get(struct sql *s, const char *key, int64_t *out, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(s, SQL_META_GET, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	int rc = sql_step(s, st, err);
	if (rc == 1)
		*out = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return rc == -1 ? -1 : 0;
}

int sql_meta_set(struct sql *s, const char *key, int64_t value, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(s, SQL_META_SET, err);

	if (st == NULL)
		return -1;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, value);
	return sql_run(s, st, err);
}
