#include "query/page.h"

#include <assert.h>
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "query/entry_id.h"
#include "query/meta.h"

void page_cursor_format(struct buf *b, const struct page_cursor *c)
{
	entry_id_format(b, c->ts, c->hash);
	buf_printf(b, "-%u", c->n_seen);
}

bool page_cursor_parse(struct slice text, struct page_cursor *out)
{
	struct page_cursor c;
	int64_t n_seen;
	size_t dash = text.n;

	while (dash > 0 && text.p[dash - 1] != '-')
		dash--;
	if (dash == 0 || !entry_id_parse(slice_sub(text, 0, dash - 1), &c.ts, &c.hash) ||
	    !slice_to_i64(slice_from(text, dash), &n_seen) || n_seen < 1 || n_seen > PAGE_MAX_SAME_TIME)
		return false;
	c.n_seen = (uint32_t)n_seen;
	*out = c;
	return true;
}

static bool has_name(struct labels l, struct slice name)
{
	return labels_get(l, name).p != NULL;
}

/* An entry's labels without those that came from its metadata or its line. */
static struct labels stream_labels(struct labels all, const struct result_entry *e, struct arena *a)
{
	struct label *v = arena_array(a, struct label, all.n);
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++)
		if (!has_name(e->meta, all.v[i].name) && !has_name(e->parsed, all.v[i].name))
			v[n++] = all.v[i];
	return (struct labels){ v, n };
}

/* Result streams that differ in metadata only are one stream here. */
struct stream_table {
	struct page *page;
	struct map by_labels;
	struct buf key;
};

static size_t stream_index(struct stream_table *t, struct labels labels)
{
	struct page *p = t->page;
	bool is_new;

	buf_reset(&t->key);
	labels_encode(&t->key, labels);
	void **slot = map_put(&t->by_labels, arena_dup(&p->result.arena, buf_slice(&t->key)), &is_new);
	if (is_new) {
		p->stream[p->n_streams++] = labels;
		*slot = (void *)(uintptr_t)p->n_streams;
	}
	return (uintptr_t)*slot - 1;
}

/* Entries in the query's order. */
static void flatten(struct page *p)
{
	struct stream_table t = { .page = p };
	struct arena *a = &p->result.arena;
	size_t n = 0;

	for (size_t i = 0; i < p->result.n_streams; i++)
		n += p->result.stream[i].n;
	/* Labels of a stream and metadata of another may add up to the same: a result stream can hold several. */
	p->stream = arena_array(a, struct labels, n);
	p->entry = arena_array(a, struct page_entry, n);
	p->n = n;
	map_init(&t.by_labels);
	buf_init(&t.key);
	for (size_t i = 0; i < p->result.n_streams; i++) {
		const struct result_stream *s = &p->result.stream[i];

		for (size_t k = 0; k < s->n; k++) {
			const struct result_entry *e = &s->entry[k];
			struct labels labels = stream_labels(s->labels, e, a);

			assert(e->rank < n);
			p->entry[e->rank] = (struct page_entry){
				.ts = e->ts,
				.hash = entry_hash(labels, e->line, e->meta),
				.stream = stream_index(&t, labels),
				.line = e->line,
				.meta = e->meta,
				.parsed = e->parsed,
			};
		}
	}
	map_fini(&t.by_labels);
	buf_fini(&t.key);
}

/* How many entries at the beginning were on earlier pages. */
static size_t seen_before(const struct page *p, const struct page_cursor *after)
{
	size_t n_same = 0, found = 0;

	while (n_same < p->n && p->entry[n_same].ts == after->ts) {
		/* A pipeline can make equals of different lines: the number tells them apart. */
		if (p->entry[n_same].hash == after->hash && (found == 0 || n_same < after->n_seen))
			found = n_same + 1;
		n_same++;
	}
	return found > 0 ? found : MIN(n_same, after->n_seen);
}

static void set_cursor(struct page *p, const struct page_request *r, size_t seen)
{
	uint32_t n_same = 0;

	if (p->n == 0) {
		p->cursor = (struct page_cursor){ r->after->ts, r->after->hash, (uint32_t)seen };
		return;
	}
	const struct page_entry *last = &p->entry[p->n - 1];
	while (n_same < p->n && p->entry[p->n - 1 - n_same].ts == last->ts)
		n_same++;
	if (n_same == p->n && r->after != NULL && r->after->ts == last->ts)
		n_same += (uint32_t)seen;
	p->cursor = (struct page_cursor){ last->ts, last->hash, n_same };
}

int page_run(struct query_engine *e, const struct page_request *r, struct query_control *c, struct page *out,
	     struct err *err)
{
	const struct page_cursor *after = r->after;
	struct page p = { .n = 0 };
	struct query_request q = {
		.tenant = r->tenant,
		.text = r->text,
		.start = r->start,
		.end = r->end,
		.limit = MIN(r->limit, UINT32_MAX - PAGE_MAX_SAME_TIME - 1) +
			 1, /* to know whether there is more */
		.backward = r->backward,
		.categorize = true,
		.limits = r->limits,
	};

	if (meta_check_log_query(r->text, err) == -1)
		return -1;
	if (after != NULL && (after->ts < r->start || after->ts >= r->end))
		return err_set(err, ERR_BAD_REQUEST, "the cursor is not of this range");
	if (after != NULL) {
		q.limit += after->n_seen;
		if (r->backward)
			q.end = after->ts + 1;
		else
			q.start = after->ts;
	}
	if (query_run(e, &q, c, &p.result, err) == -1)
		return -1;
	flatten(&p);
	size_t seen = after != NULL ? seen_before(&p, after) : 0;
	/* What came late with the cursor's time may have pushed the rest of the page out of the result. */
	bool late = after != NULL && seen > after->n_seen && p.n == q.limit;
	p.entry += seen;
	p.n -= seen;
	p.more = p.n > r->limit || late;
	p.n = MIN(p.n, (size_t)r->limit);
	if (p.more)
		set_cursor(&p, r, seen);
	*out = p;
	return 0;
}

void page_fini(struct page *p)
{
	query_result_fini(&p->result);
}
