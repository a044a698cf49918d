#include "ingest/ingest_metrics.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { MAX_TENANTS = 1000 }; /* more share the name "other" */

struct tenant {
	size_t n;
	struct metric *bytes, *lines;
	struct metric *discarded[DISCARD_N_REASONS]
				[4]; /* entries and bytes, ours and under Loki's names; made when needed */
	struct metric *otlp[2][2];   /* of each enum otlp_signal: requests, items; made when needed */
	char name[];
};

struct ingest_metrics {
	pthread_mutex_t lock; /* guards the map and the making of a tenant's counters */
	struct map tenants;
	struct tenant *other;
	struct metric *phase[N_INGEST_PHASES];
	_Atomic uint64_t phase_ns[N_INGEST_PHASES];
	struct metric *formats[5]; /* as in format_names */
	struct metric *wire_bytes;
};

static struct metric *phase_metric(const char *name)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "phase=\"%s\"", name);
	return metric_seconds("spoor_ingest_phase_seconds_total", "Time spent on pushes, by phase.", labels);
}

static const char *const format_names[5] = { "json", "protobuf", "lines", "otlp_json", "otlp_protobuf" };

static struct metric *format_metric(const char *format)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "format=\"%s\"", format);
	return metric_counter("spoor_ingest_pushes_total", "Pushes that were decoded, by format.", labels);
}

struct ingest_metrics *ingest_metrics_new(void)
{
	struct ingest_metrics *m = xcalloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	map_init(&m->tenants);
	m->phase[PHASE_DECODE] = phase_metric("decode");
	m->phase[PHASE_VALIDATE] = phase_metric("validate");
	m->phase[PHASE_CORRELATE] = phase_metric("correlate");
	m->phase[PHASE_APPEND] = phase_metric("append");
	for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
		m->formats[i] = format_metric(format_names[i]);
	m->wire_bytes =
		metric_counter("spoor_ingest_wire_bytes_total", "Bytes of push bodies as they came.", NULL);
	return m;
}

void ingest_metrics_free(struct ingest_metrics *m)
{
	size_t i = 0;
	struct slice key;
	void *value;

	if (m == NULL)
		return;
	while (map_next(&m->tenants, &i, &key, &value))
		free(value);
	free(m->other);
	map_fini(&m->tenants);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void tenant_labels(struct buf *b, struct slice tenant, const char *reason)
{
	buf_reset(b);
	metric_label(b, "tenant", tenant);
	if (reason != NULL)
		metric_label(b, "reason", slice_cstr(reason));
	buf_cstr_end(b);
}

static struct tenant *new_tenant(struct slice name)
{
	struct tenant *t = xcalloc(1, sizeof(*t) + name.n + 1);
	struct buf labels;

	buf_init(&labels);
	t->n = name.n;
	memcpy(t->name, name.p, name.n);
	tenant_labels(&labels, name, NULL);
	t->bytes = metric_counter("loki_distributor_bytes_received_total",
				  "The total number of uncompressed bytes received per tenant.", labels.p);
	t->lines = metric_counter("loki_distributor_lines_received_total",
				  "The total number of lines received per tenant.", labels.p);
	buf_fini(&labels);
	return t;
}

static struct tenant *find_tenant(struct ingest_metrics *m, struct slice name)
{
	struct tenant *t = map_get(&m->tenants, name);
	bool is_new;

	if (t != NULL)
		return t;
	if (m->tenants.n >= MAX_TENANTS) {
		if (m->other == NULL)
			m->other = new_tenant(SLICE("other"));
		return m->other;
	}
	t = new_tenant(name);
	*map_put(&m->tenants, slice_of(t->name, t->n), &is_new) = t;
	return t;
}

static void make_discarded(struct tenant *t, enum discard_reason why)
{
	static const char *const name[4] = { "spoor_discarded_entries_total", "spoor_discarded_bytes_total",
					     "loki_discarded_samples_total", "loki_discarded_bytes_total" };
	struct buf labels;

	buf_init(&labels);
	tenant_labels(&labels, slice_of(t->name, t->n), discard_reason_name(why));
	for (size_t i = 0; i < 4; i++)
		t->discarded[why][i] = metric_counter(name[i],
						      i % 2 == 0 ? "Entries that were refused."
								 : "Bytes of entries that were refused.",
						      labels.p);
	buf_fini(&labels);
}

static void add_discarded(struct tenant *t, enum discard_reason why, uint64_t entries, uint64_t bytes)
{
	if (entries == 0)
		return;
	if (t->discarded[why][0] == NULL)
		make_discarded(t, why);
	for (size_t i = 0; i < 4; i++)
		metric_add(t->discarded[why][i], i % 2 == 0 ? entries : bytes);
}

void ingest_metrics_phase(struct ingest_metrics *m, enum ingest_phase phase, int64_t ns)
{
	if (ns <= 0)
		return;
	/* The counter is one of microseconds: what is left over waits for the next time. */
	uint64_t before = atomic_fetch_add(&m->phase_ns[phase], (uint64_t)ns);
	metric_add(m->phase[phase], (before + (uint64_t)ns) / 1000 - before / 1000);
}

void ingest_metrics_push(struct ingest_metrics *m, struct slice tenant, const char *format,
			 const struct tally *t, uint64_t wire_bytes)
{
	metric_add(m->wire_bytes, wire_bytes);
	for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
		if (strcmp(format, format_names[i]) == 0)
			metric_add(m->formats[i], 1);
	pthread_mutex_lock(&m->lock);
	struct tenant *tenant_counters = find_tenant(m, tenant);
	metric_add(tenant_counters->bytes, t->n_bytes);
	metric_add(tenant_counters->lines, t->n_entries);
	for (size_t i = 0; i < DISCARD_N_REASONS; i++)
		add_discarded(tenant_counters, (enum discard_reason)i, t->discarded_entries[i],
			      t->discarded_bytes[i]);
	pthread_mutex_unlock(&m->lock);
}

void ingest_metrics_discard(struct ingest_metrics *m, struct slice tenant, enum discard_reason why,
			    uint64_t entries, uint64_t bytes)
{
	pthread_mutex_lock(&m->lock);
	add_discarded(find_tenant(m, tenant), why, entries, bytes);
	pthread_mutex_unlock(&m->lock);
}

static void make_otlp(struct tenant *t, enum otlp_signal signal)
{
	struct buf labels;

	buf_init(&labels);
	metric_label(&labels, "tenant", slice_of(t->name, t->n));
	metric_label(&labels, "signal", signal == OTLP_METRICS ? SLICE("metrics") : SLICE("traces"));
	buf_cstr_end(&labels);
	t->otlp[signal][0] =
		metric_counter("spoor_otlp_discarded_requests_total",
			       "OTLP requests that carry no logs; they are answered, not kept.", labels.p);
	t->otlp[signal][1] =
		metric_counter("spoor_otlp_discarded_total",
			       "OTLP metric data points and spans that were not kept.", labels.p);
	buf_fini(&labels);
}

void ingest_metrics_otlp_discard(struct ingest_metrics *m, struct slice tenant, enum otlp_signal signal,
				 uint64_t n)
{
	pthread_mutex_lock(&m->lock);
	struct tenant *t = find_tenant(m, tenant);
	if (t->otlp[signal][0] == NULL)
		make_otlp(t, signal);
	metric_add(t->otlp[signal][0], 1);
	metric_add(t->otlp[signal][1], n);
	pthread_mutex_unlock(&m->lock);
}

void ingest_metrics_answer(struct ingest_metrics *m, int status)
{
	char labels[32];

	(void)m;
	snprintf(labels, sizeof(labels), "status=\"%d\"", status);
	metric_add(metric_counter("spoor_ingest_answers_total", "Answers to pushes, by status.", labels), 1);
}
