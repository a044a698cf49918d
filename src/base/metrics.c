#include "base/metrics.h"
#include "base/arena.h"
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

enum { TRACE_BYTES = 64 };

struct exemplar {
	char trace_id[TRACE_BYTES + 1]; /* "": none */
	double value;
	int64_t ts;
};

struct metric {
	enum type type;
	char *name;
	char *help;
	char *labels; /* "" if none */
	char *key;
	_Atomic int64_t value;		   /* counter, gauge; histogram: count; seconds: in microseconds */
	_Atomic uint64_t bucket[N_BOUNDS]; /* not cumulative */
	_Atomic int64_t sum_us;		   /* microseconds */
	struct exemplar *exemplar;	   /* under exemplar_lock; NULL: never one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t exemplar_lock = PTHREAD_MUTEX_INITIALIZER;
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

/* An id is made of letters, digits and dashes; anything else would need escapes. */
static bool is_plain_id(struct slice id)
{
	for (size_t i = 0; i < id.n; i++)
		if (text_hex_digit(id.p[i]) < 0 && id.p[i] != '-')
			return false;
	return id.n > 0 && id.n <= TRACE_BYTES;
}

void metric_exemplar(struct metric *m, struct slice trace_id, double value, int64_t ts)
{
	if (!is_plain_id(trace_id))
		return;
	pthread_mutex_lock(&exemplar_lock);
	if (m->exemplar == NULL)
		m->exemplar = xcalloc(1, sizeof(*m->exemplar));
	memcpy(m->exemplar->trace_id, trace_id.p, trace_id.n);
	m->exemplar->trace_id[trace_id.n] = '\0';
	m->exemplar->value = value;
	m->exemplar->ts = ts;
	pthread_mutex_unlock(&exemplar_lock);
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

static void render_histogram(struct buf *out, const struct metric *m, enum metrics_format format)
{
	uint64_t below = 0;
	char le[32];

	for (size_t i = 0; i < N_BOUNDS; i++) {
		below += atomic_load_explicit(&m->bucket[i], memory_order_relaxed);
		/* OpenMetrics wants to see that a bound is a float. */
		snprintf(le, sizeof(le),
			 format == METRICS_OPENMETRICS && bounds[i] >= 1 && bounds[i] != 2.5 ? "%.1f" : "%g",
			 bounds[i]);
		put_sample(out, m, "_bucket", le, (double)below);
	}
	put_sample(out, m, "_bucket", "+Inf", (double)m->value);
	put_sample(out, m, "_sum", NULL, (double)m->sum_us / 1e6);
	put_sample(out, m, "_count", NULL, (double)m->value);
}

/* ---- gauges of the source ---- */

struct passing {
	struct slice name, labels;
	double value;
};
struct passing_list {
	struct arena arena;
	VEC(struct passing) v;
};

static struct {
	pthread_mutex_t lock; /* held while the source is asked; the outermost lock */
	void (*list)(void *arg, metrics_put *put, void *to);
	void *arg;
} source = { .lock = PTHREAD_MUTEX_INITIALIZER };

void metrics_set_source(void (*list)(void *arg, metrics_put *put, void *to), void *arg)
{
	pthread_mutex_lock(&source.lock);
	source.list = list;
	source.arg = arg;
	pthread_mutex_unlock(&source.lock);
}

static void add_passing(void *to, struct slice name, struct slice labels, double value)
{
	struct passing_list *l = to;

	vec_push(&l->v,
		 ((struct passing){ arena_dup(&l->arena, name), arena_dup(&l->arena, labels), value }));
}

static int passing_cmp(const void *a, const void *b)
{
	const struct passing *x = a, *y = b;
	int d = slice_cmp(x->name, y->name);

	return d != 0 ? d : slice_cmp(x->labels, y->labels);
}

static bool is_taken(struct metric *const *sorted, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(name, sorted[i]->name))
			return true;
	return false;
}

/* format METRICS_TEXT: without a unit. */
static void put_family(struct buf *out, struct slice name, const char *help, const char *type,
		       enum metrics_format format)
{
	static const char *const units[] = { "seconds", "bytes", "ratio" };

	buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", SLICE_ARG(name), help, SLICE_ARG(name), type);
	for (size_t i = 0; format == METRICS_OPENMETRICS && i < ARRAY_LEN(units); i++) {
		struct slice unit = slice_cstr(units[i]);

		if (slice_ends(name, unit) && name.n > unit.n && name.p[name.n - unit.n - 1] == '_')
			buf_printf(out, "# UNIT %.*s %s\n", SLICE_ARG(name), units[i]);
	}
}

static void put_passing(struct buf *out, const struct passing *p)
{
	buf_add(out, p->name);
	if (p->labels.n > 0)
		buf_printf(out, "{%.*s}", SLICE_ARG(p->labels));
	buf_putc(out, ' ');
	text_float(out, p->value);
	buf_putc(out, '\n');
}

static void render_passing(struct buf *out, struct metric *const *sorted, size_t n)
{
	struct passing_list l = { 0 };
	bool taken = false;

	arena_init(&l.arena);
	pthread_mutex_lock(&source.lock);
	if (source.list != NULL)
		source.list(source.arg, add_passing, &l);
	pthread_mutex_unlock(&source.lock);
	if (l.v.n > 1)
		qsort(l.v.v, l.v.n, sizeof(*l.v.v), passing_cmp);
	for (size_t i = 0; i < l.v.n; i++) {
		const struct passing *p = &l.v.v[i];
		bool first = i == 0 || !slice_eq(p->name, p[-1].name);

		if (first)
			taken = is_taken(sorted, n, p->name);
		if (taken || (!first && slice_eq(p->labels, p[-1].labels)))
			continue;
		if (first)
			put_family(out, p->name, "Result of a recording rule.", "gauge", METRICS_TEXT);
		put_passing(out, p);
	}
	vec_fini(&l.v);
	arena_fini(&l.arena);
}

static void put_exemplar(struct buf *out, const struct metric *m)
{
	struct exemplar e = { .trace_id = "" };

	pthread_mutex_lock(&exemplar_lock);
	if (m->exemplar != NULL)
		e = *m->exemplar;
	pthread_mutex_unlock(&exemplar_lock);
	if (e.trace_id[0] == '\0')
		return;
	out->n--; /* the newline */
	buf_printf(out, " # {trace_id=\"%s\"} ", e.trace_id);
	text_float(out, e.value);
	buf_printf(out, " %lld.%03lld\n", (long long)(e.ts / 1000000000), (long long)(e.ts / 1000000 % 1000));
}

/* In OpenMetrics a counter's family is named without _total; one whose name lacks it cannot be a counter. */
static void render_family(struct buf *out, const struct metric *m, enum metrics_format format)
{
	static const char *const type_name[] = { "counter", "gauge", "histogram", "counter" };
	struct slice name = slice_cstr(m->name), total = SLICE("_total");
	const char *type = type_name[m->type];

	if (format == METRICS_OPENMETRICS && (m->type == COUNTER || m->type == SECONDS)) {
		if (slice_ends(name, total))
			name.n -= total.n;
		else
			type = "unknown";
	}
	put_family(out, name, m->help, type, format);
}

void metrics_render(struct buf *out)
{
	metrics_render_as(out, METRICS_TEXT);
}

void metrics_render_as(struct buf *out, enum metrics_format format)
{
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
			render_family(out, m, format);
		if (m->type == HISTOGRAM)
			render_histogram(out, m, format);
		else
			put_sample(out, m, "", NULL, (double)m->value / (m->type == SECONDS ? 1e6 : 1));
		if (format == METRICS_OPENMETRICS)
			put_exemplar(out, m);
	}
	render_passing(out, sorted, n);
	free(sorted);
	if (format == METRICS_OPENMETRICS)
		buf_puts(out, "# EOF\n");
}
