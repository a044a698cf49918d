#include "ingest/error_lines.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "model/batch.h"
#include "model/traceid.h"

#include <pthread.h>

enum { MAX_SERVICES = 1000 }; /* of all tenants; more share the name "other" */

struct service {
	struct metric *lines;
	size_t n;
	char key[]; /* the counter's labels */
};

struct error_lines {
	const struct trace_keys *keys;
	pthread_mutex_t lock; /* guards services */
	struct map services;
};

struct error_lines *error_lines_new(const struct trace_keys *keys)
{
	struct error_lines *e = xcalloc(1, sizeof(*e));

	e->keys = keys;
	pthread_mutex_init(&e->lock, NULL);
	map_init(&e->services);
	return e;
}

void error_lines_free(struct error_lines *e)
{
	struct slice key;
	void *value;

	if (e == NULL)
		return;
	for (size_t i = 0; map_next(&e->services, &i, &key, &value);)
		free(value);
	map_fini(&e->services);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* Under the lock. */
static struct metric *counter_for(struct error_lines *e, struct slice labels)
{
	struct service *s = xcalloc(1, sizeof(*s) + labels.n + 1);
	bool is_new;

	s->n = labels.n;
	memcpy(s->key, labels.p, labels.n);
	s->lines =
		metric_counter("spoor_error_lines_total",
			       "Lines of level error, critical or fatal that came in, by service.", s->key);
	*map_put(&e->services, slice_of(s->key, s->n), &is_new) = s;
	return s->lines;
}

static struct metric *counter_of(struct error_lines *e, struct slice tenant, struct slice service)
{
	struct metric *m;
	struct buf labels;

	buf_init(&labels);
	metric_label(&labels, "tenant", tenant);
	metric_label(&labels, "service_name", service);
	pthread_mutex_lock(&e->lock);
	struct service *s = map_get(&e->services, buf_slice(&labels));
	if (s == NULL && e->services.n >= MAX_SERVICES) {
		buf_reset(&labels);
		metric_label(&labels, "tenant", SLICE("other"));
		metric_label(&labels, "service_name", SLICE("other"));
		s = map_get(&e->services, buf_slice(&labels));
	}
	m = s != NULL ? s->lines : counter_for(e, buf_slice(&labels));
	pthread_mutex_unlock(&e->lock);
	buf_fini(&labels);
	return m;
}

static bool is_error(const struct batch_entry *e)
{
	for (uint32_t i = 0; i < e->n_meta; i++)
		if (slice_eq(e->meta[i].name, SLICE("detected_level"))) {
			struct slice level = e->meta[i].value;

			return slice_is(level, "error") || slice_is(level, "critical") ||
			       slice_is(level, "fatal");
		}
	return false;
}

/* The trace that the entry names as its own. */
static void set_exemplar(const struct error_lines *e, struct metric *m, const struct batch_stream *s,
			 const struct batch_entry *entry)
{
	struct trace_found found = { 0 };
	struct buf labels, meta, id;

	buf_init(&labels);
	buf_init(&meta);
	buf_init(&id);
	labels_encode(&labels, s->labels);
	labels_encode(&meta, (struct labels){ entry->meta, entry->n_meta });
	trace_find(e->keys, entry->line, buf_slice(&meta), buf_slice(&labels), &found);
	if (found.n_refs > 0) {
		trace_id_format(&id, found.ref[0].id);
		metric_exemplar(m, buf_slice(&id), 1, entry->ts);
	}
	trace_found_fini(&found);
	buf_fini(&labels);
	buf_fini(&meta);
	buf_fini(&id);
}

static void see_stream(struct error_lines *e, const struct batch *b, const struct batch_stream *s)
{
	const struct batch_entry *traced = NULL;
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct batch_entry *entry = &b->entries.v[s->first + i];

		if (entry->rejected || !is_error(entry))
			continue;
		n++;
		if (entry->n_tokens > 0 && (traced == NULL || entry->ts >= traced->ts))
			traced = entry;
	}
	if (n == 0)
		return;
	struct metric *m = counter_of(e, b->tenant, labels_get(s->labels, SLICE("service_name")));
	metric_add(m, n);
	if (traced != NULL)
		set_exemplar(e, m, s, traced);
}

void *error_lines_see(void *arg, const struct batch *b)
{
	for (size_t i = 0; i < b->streams.n; i++)
		if (!b->streams.v[i].rejected)
			see_stream(arg, b, &b->streams.v[i]);
	return NULL;
}
