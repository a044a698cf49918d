#include "query/tail_feed.h"
#include "base/clock.h"
#include "base/mem.h"

struct tail_feed *tail_feed_new(struct slice tenant)
{
	struct tail_feed *f = xcalloc(1, sizeof(*f));

	buf_add(&f->tenant, tenant);
	f->pushed_ns = clock_mono_ns();
	f->pushed_wall_ns = clock_now_ns();
	return f;
}

void tail_feed_free(struct tail_feed *f)
{
	if (f == NULL)
		return;
	buf_fini(&f->tenant);
	buf_fini(&f->labels);
	buf_fini(&f->lines);
	vec_fini(&f->streams);
	vec_fini(&f->entries);
	free(f);
}

static void add_entry(struct tail_feed *f, const struct batch_entry *e)
{
	struct feed_entry *to = vec_add(&f->entries);

	to->ts = e->ts;
	to->line_off = f->lines.n;
	to->line_n = e->line.n;
	buf_add(&f->lines, e->line);
	to->meta_off = f->lines.n;
	labels_encode(&f->lines, (struct labels){ e->meta, e->n_meta });
	to->meta_n = f->lines.n - to->meta_off;
}

void tail_feed_add(struct tail_feed *f, const struct batch *b, const struct batch_stream *st)
{
	struct feed_stream *to = vec_add(&f->streams);

	to->labels_off = f->labels.n;
	labels_encode(&f->labels, st->labels);
	to->labels_n = f->labels.n - to->labels_off;
	to->first = f->entries.n;
	vec_reserve(&f->entries, st->n);
	for (size_t i = 0; i < st->n; i++)
		if (!b->entries.v[st->first + i].rejected)
			add_entry(f, &b->entries.v[st->first + i]);
	to->n = f->entries.n - to->first;
}

void tail_feed_lose(struct tail_feed *f)
{
	f->lost = true;
	buf_fini(&f->lines);
	for (size_t i = 0; i < f->entries.n; i++)
		f->entries.v[i] = (struct feed_entry){ .ts = f->entries.v[i].ts };
}

size_t tail_feed_bytes(const struct tail_feed *f)
{
	return sizeof(*f) + f->labels.cap + f->lines.cap + f->streams.cap * sizeof(*f->streams.v) +
	       f->entries.cap * sizeof(*f->entries.v);
}
