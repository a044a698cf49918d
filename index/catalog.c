#include "index/catalog.h"

#include <assert.h>

enum { KIND_LIST = 'l', KIND_ROWS = 'r', KIND_STREAMS = 's', KIND_FILTERS = 'f', MAX_FILTERS = 64 << 20 };

/* Padding would be compared, too: all members are of 8 bytes. */
struct catalog_key {
	uint64_t kind, uid, what;
};

static struct slice key_of(const struct catalog *c, struct catalog_key *k, uint64_t kind, uint64_t what)
{
	*k = (struct catalog_key){ kind, c->r->p->uid, what };
	return slice_of(k, sizeof(*k));
}

static struct cache_item *find(const struct catalog *c, uint64_t kind, uint64_t what)
{
	struct catalog_key k;

	return cache_get(c->r->p->cache, key_of(c, &k, kind, what));
}

static struct cache_item *put(const struct catalog *c, uint64_t kind, uint64_t what, struct buf *value)
{
	struct catalog_key k;

	return cache_put(c->r->p->cache, key_of(c, &k, kind, what), value);
}

/* ---- the list ------------------------------------------------------------------------------------------------- */

/* value: i64 last stream, then struct catalog_segment */
static void use_list(struct catalog *c, struct cache_item *list)
{
	struct slice v = cache_value(list);

	c->list = list;
	memcpy(&c->last_stream, v.p, sizeof(c->last_stream));
	c->segment = (const struct catalog_segment *)(const void *)(v.p + sizeof(c->last_stream));
	c->n_segments = (v.n - sizeof(c->last_stream)) / sizeof(*c->segment);
	c->row = xcalloc(c->n_segments + 1, sizeof(struct cache_item *));
}

static int read_list(struct sql *sql, struct buf *out, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_STREAM_LAST, err);
	int rc;

	if (st == NULL || (rc = sql_step(sql, st, err)) == -1)
		return -1;
	buf_i64le(out, rc == 1 ? sqlite3_column_int64(st, 0) : 0);
	sqlite3_reset(st);
	st = sql_prepare(sql, SQL_SEGMENT_TIMES, err);
	if (st == NULL)
		return -1;
	while ((rc = sql_step(sql, st, err)) == 1) {
		struct catalog_segment s = { (uint64_t)sqlite3_column_int64(st, 0),
					     sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2) };

		buf_append(out, &s, sizeof(s));
	}
	return rc;
}

static int load_list(struct catalog *c, struct err *err)
{
	struct buf b;

	buf_init(&b);
	if (read_list(c->r->sql, &b, err) == -1) {
		buf_fini(&b);
		return -1;
	}
	use_list(c, put(c, KIND_LIST, c->r->version, &b));
	return 0;
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static int cmp_row(const void *a, const void *b)
{
	const struct chunk_row *x = a, *y = b;

	if (x->info.first_ts != y->info.first_ts)
		return x->info.first_ts < y->info.first_ts ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int load_segment(struct catalog *c, size_t i, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(c->r->sql, SQL_CHUNK_OF_SEGMENT, err);
	size_t before = c->n_damaged;
	struct chunk_row row;
	struct buf b;
	int rc;

	if (st == NULL)
		return -1;
	buf_init(&b);
	sqlite3_bind_int64(st, 1, (int64_t)c->segment[i].id);
	while ((rc = partition_chunk_row(c->r->sql, st, &row, err)) > 0) {
		if (rc == 2)
			c->n_damaged++;
		else
			buf_append(&b, &row, sizeof(row));
	}
	if (rc == -1) {
		buf_fini(&b);
		return -1;
	}
	if (b.n > 0)
		qsort(b.p, b.n / sizeof(row), sizeof(row), cmp_row);
	/* What is damaged is met again by each query, until the index is made anew. */
	c->row[i] = c->n_damaged == before ? put(c, KIND_ROWS, c->segment[i].id, &b)
					   : cache_put(NULL, SLICE(""), &b);
	return 0;
}

static bool is_wanted(const struct catalog *c, size_t i, struct timerange range)
{
	return timerange_meets(range, c->segment[i].first_ts, c->segment[i].last_ts);
}

/* False: something is not in the cache. */
static bool find_rows(struct catalog *c, struct timerange range)
{
	for (size_t i = 0; i < c->n_segments; i++)
		if (is_wanted(c, i, range) && (c->row[i] = find(c, KIND_ROWS, c->segment[i].id)) == NULL)
			return false;
	return true;
}

static int load_rows(struct catalog *c, struct timerange range, struct err *err)
{
	for (size_t i = 0; i < c->n_segments; i++) {
		if (!is_wanted(c, i, range))
			continue;
		c->row[i] = find(c, KIND_ROWS, c->segment[i].id);
		if (c->row[i] == NULL && load_segment(c, i, err) == -1)
			return -1;
	}
	return 0;
}

static void forget(struct catalog *c)
{
	for (size_t i = 0; i < c->n_segments; i++)
		cache_release(c->row[i]);
	free(c->row);
	cache_release(c->list);
	cache_release(c->streams);
	*c = (struct catalog){ .r = c->r };
}

/* All of it comes from the cache, or the list is read in the very snapshot of SQLite that the missing rows are read from:
 * a list that is older than the snapshot may name segments whose rows are gone. */
int catalog_open(struct partition_reader *r, struct timerange range, struct catalog *out, struct err *err)
{
	uint64_t version = r->sql != NULL ? r->version : atomic_load(&r->p->version);
	struct catalog c = { .r = r };
	struct cache_item *list = find(&c, KIND_LIST, version);

	if (list != NULL)
		use_list(&c, list);
	if (list == NULL || !find_rows(&c, range)) {
		forget(&c);
		if (partition_reader_sql(r, err) == -1 || load_list(&c, err) == -1 ||
		    load_rows(&c, range, err) == -1) {
			forget(&c);
			return -1;
		}
	}
	*out = c;
	return 0;
}

void catalog_close(struct catalog *c)
{
	forget(c);
}

const struct chunk_row *catalog_rows(const struct catalog *c, size_t i, size_t *n)
{
	assert(i < c->n_segments);
	struct slice v = c->row[i] != NULL ? cache_value(c->row[i]) : (struct slice){ NULL, 0 };

	*n = v.n / sizeof(struct chunk_row);
	return (const struct chunk_row *)(const void *)v.p;
}

/* ---- streams -------------------------------------------------------------------------------------------------- */

/* value: u64 n, n of these ascending by id, the labels */
struct stream_entry {
	int64_t id;
	uint64_t off, n;
};

static int read_streams(struct sql *sql, int64_t *last, struct buf *out, struct err *err)
{
	sqlite3_stmt *st = sql_prepare(sql, SQL_STREAM_ALL, err);
	struct buf entries, labels;
	uint64_t n = 0;
	int rc;

	if (st == NULL)
		return -1;
	buf_init(&entries);
	buf_init(&labels);
	while ((rc = sql_step(sql, st, err)) == 1) {
		struct slice encoded = sql_blob(st, 1);
		struct stream_entry e = { sqlite3_column_int64(st, 0), labels.n, encoded.n };

		buf_append(&entries, &e, sizeof(e));
		buf_add(&labels, encoded);
		*last = e.id;
		n++;
	}
	if (rc == 0) {
		buf_u64le(out, n);
		buf_add(out, buf_slice(&entries));
		buf_add(out, buf_slice(&labels));
	}
	buf_fini(&entries);
	buf_fini(&labels);
	return rc;
}

int catalog_load_streams(struct catalog *c, struct err *err)
{
	int64_t last = 0;
	struct buf b;

	if (c->streams == NULL)
		c->streams = find(c, KIND_STREAMS, (uint64_t)c->last_stream);
	if (c->streams != NULL)
		return 0;
	buf_init(&b);
	if (partition_reader_sql(c->r, err) == -1 || read_streams(c->r->sql, &last, &b, err) == -1) {
		buf_fini(&b);
		return -1;
	}
	c->streams = put(c, KIND_STREAMS, (uint64_t)last, &b);
	return 0;
}

struct slice catalog_stream(const struct catalog *c, int64_t id)
{
	struct slice v = cache_value(c->streams);
	uint64_t n, lo = 0, hi;

	memcpy(&n, v.p, sizeof(n));
	const struct stream_entry *e = (const struct stream_entry *)(const void *)(v.p + sizeof(n));
	const char *labels = v.p + sizeof(n) + n * sizeof(*e);
	/* Ids are given out one by one: nearly always the first guess is right. */
	if (id > 0 && (uint64_t)id <= n && e[id - 1].id == id)
		return slice_of(labels + e[id - 1].off, e[id - 1].n);
	for (hi = n; lo < hi;) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (e[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && e[lo].id == id ? slice_of(labels + e[lo].off, e[lo].n) : (struct slice){ NULL, 0 };
}

/* ---- filters -------------------------------------------------------------------------------------------------- */

/* The stretch of the file that holds them all. They stand together (segment.h); what else stands there is small. */
static bool filters_span(const struct chunk_row *row, size_t n, uint64_t *from, uint64_t *to)
{
	*from = UINT64_MAX;
	*to = 0;
	for (size_t i = 0; i < n; i++) {
		*from = MIN(*from, row[i].filter_off);
		*to = MAX(*to, row[i].filter_off + row[i].filter_bytes);
	}
	return *from < *to && *to - *from <= MAX_FILTERS;
}

/* value: u64 offset in the file, the stretch. A filter that cannot be believed is zeroed, which says "perhaps". */
struct cache_item *catalog_filters(const struct catalog *c, size_t i, struct segment *s, bool load)
{
	struct cache_item *found = find(c, KIND_FILTERS, c->segment[i].id);
	uint64_t from, to;
	struct buf b;
	size_t n;

	const struct chunk_row *row = catalog_rows(c, i, &n);
	if (found != NULL || !load || !filters_span(row, n, &from, &to))
		return found;
	buf_init(&b);
	buf_u64le(&b, from);
	char *p = buf_reserve(&b, (size_t)(to - from));
	if (!segment_read_filters(s, from, (size_t)(to - from), p)) {
		buf_fini(&b);
		return NULL;
	}
	b.n += (size_t)(to - from);
	for (size_t k = 0; k < n; k++) {
		char *filter = p + (row[k].filter_off - from);

		if (!segment_filter_is_sound(s, slice_of(filter, row[k].filter_bytes), row[k].filter_sum))
			memset(filter, 0, row[k].filter_bytes);
	}
	return put(c, KIND_FILTERS, c->segment[i].id, &b);
}

struct slice catalog_filter(const struct cache_item *filters, const struct chunk_row *row)
{
	struct slice v = cache_value(filters);
	uint64_t from;

	memcpy(&from, v.p, sizeof(from));
	assert(row->filter_off >= from && row->filter_off - from + row->filter_bytes <= v.n - sizeof(from));
	return slice_of(v.p + sizeof(from) + (row->filter_off - from), row->filter_bytes);
}
