#include "base/metrics.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
				 0.5,	1,	2.5,   5,    10,    30,	  60,  120 };
enum { N_BOUNDS = ARRAY_LEN(bounds) };

enum type { COUNTER, GAUGE, HISTOGRAM, SECONDS };

struct metric {
	enum type type;
	char *name;
	char *help;
	char *labels; /* "" if none */
	char *key;
	_Atomic int64_t value;		   /* counter, gauge; histogram: count; seconds: in microseconds */
	_Atomic uint64_t bucket[N_BOUNDS]; /* not cumulative */
	_Atomic int64_t sum_us;		   /* microseconds */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map by_key;
static VEC(struct metric *) all;

static struct metric *get(enum type type, const char *name, const char *help, const char *labels)
{
	char *key = xasprintf("%s{%s}", name, labels != NULL ? labels : "");
	bool is_new;

	pthread_mutex_lock(&lock);
	struct metric **slot = (struct metric **)map_put(&by_key, slice_cstr(key), &is_new);
	if (is_new) {
		struct metric *m = xcalloc(1, sizeof(*m));

		m->type = type;
		m->name = xstrdup(name);
		m->help = xstrdup(help);
		m->labels = xstrdup(labels != NULL ? labels : "");
		m->key = key;
		*slot = m;
		vec_push(&all, m);
	} else {
		free(key);
	}
	struct metric *m = *slot;
	pthread_mutex_unlock(&lock);
	return m;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
	return get(COUNTER, name, help, labels);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
	return get(GAUGE, name, help, labels);
}

struct metric *metric_seconds(const char *name, const char *help, const char *labels)
{
	return get(SECONDS, name, help, labels);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels)
{
	return get(HISTOGRAM, name, help, labels);
}

void metric_add(struct metric *m, uint64_t n)
{
	atomic_fetch_add_explicit(&m->value, (int64_t)n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v)
{
	atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_gauge_add(struct metric *m, int64_t delta)
{
	atomic_fetch_add_explicit(&m->value, delta, memory_order_relaxed);
}

void metric_observe(struct metric *m, double seconds)
{
	size_t i = 0;

	while (i < N_BOUNDS && seconds > bounds[i])
		i++;
	if (i < N_BOUNDS)
		atomic_fetch_add_explicit(&m->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->value, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->sum_us, (int64_t)(seconds * 1e6), memory_order_relaxed);
}

uint64_t metric_value(const struct metric *m)
{
	return (uint64_t)atomic_load_explicit(&m->value, memory_order_relaxed);
}

void metric_label(struct buf *b, const char *name, struct slice value)
{
	if (b->n > 0)
		buf_putc(b, ',');
	buf_printf(b, "%s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\\' || c == '"')
			buf_putc(b, '\\');
		if (c == '\n')
			buf_puts(b, "\\n");
		else if ((unsigned char)c >= 0x20)
			buf_putc(b, c);
	}
	buf_putc(b, '"');
}

static int by_name(const void *a, const void *b)
{
	const struct metric *x = *(struct metric *const *)a, *y = *(struct metric *const *)b;
	int d = strcmp(x->name, y->name);

	return d != 0 ? d : strcmp(x->labels, y->labels);
}

static void put_sample(struct buf *out, const struct metric *m, const char *suffix, const char *le, double v)
{
	buf_printf(out, "%s%s", m->name, suffix);
	if (*m->labels != '\0' || le != NULL)
		buf_printf(out, "{%s%s%s%s%s}", m->labels, *m->labels != '\0' && le != NULL ? "," : "",
			   le != NULL ? "le=\"" : "", le != NULL ? le : "", le != NULL ? "\"" : "");
	buf_putc(out, ' ');
	text_float(out, v);
	buf_putc(out, '\n');
}

static void render_histogram(struct buf *out, const struct metric *m)
{
	uint64_t below = 0;
	char le[32];

	for (size_t i = 0; i < N_BOUNDS; i++) {
		below += atomic_load_explicit(&m->bucket[i], memory_order_relaxed);
		snprintf(le, sizeof(le), "%g", bounds[i]);
		put_sample(out, m, "_bucket", le, (double)below);
	}
	put_sample(out, m, "_bucket", "+Inf", (double)m->value);
	put_sample(out, m, "_sum", NULL, (double)m->sum_us / 1e6);
	put_sample(out, m, "_count", NULL, (double)m->value);
}

void metrics_render(struct buf *out)
{
	static const char *const type_name[] = { "counter", "gauge", "histogram", "counter" };

	pthread_mutex_lock(&lock);
	size_t n = all.n;
	struct metric **sorted = xmalloc(n * sizeof(struct metric *));
	if (n > 0)
		memcpy(sorted, all.v, n * sizeof(struct metric *));
	pthread_mutex_unlock(&lock);
	qsort(sorted, n, sizeof(struct metric *), by_name);
	for (size_t i = 0; i < n; i++) {
		const struct metric *m = sorted[i];

		if (i == 0 || strcmp(m->name, sorted[i - 1]->name) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
				   type_name[m->type]);
		if (m->type == HISTOGRAM)
			render_histogram(out, m);
		else
			put_sample(out, m, "", NULL, (double)m->value / (m->type == SECONDS ? 1e6 : 1));
	}
	free(sorted);
}
