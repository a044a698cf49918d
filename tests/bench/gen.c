/* Writes the benchmark's log lines, the same ones for the same arguments: a shop of ten services with four
 * pods each, JSON lines as OpenTelemetry's Python formatter writes them, logfmt, and nginx's combined format.
 * Traces start all day long (fewer at night), each leaves about six lines in one to five services within
 * seconds. Output: plain lines, or bodies for POST /loki/api/v1/push, one body a line. --facts FILE says what
 * a right answer must contain. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/vec.h"

#define N_PODS	     4
#define N_SERVICES   11 /* the last one is nginx, with two pods */
#define NGINX	     (N_SERVICES - 1)
#define N_STREAMS    ((N_SERVICES - 1) * N_PODS + 2)
#define MAX_HOPS     5
#define N_SAMPLES    64
#define RARE_WORD    "quetzalcoatl"
#define SLOW_PATTERN "gave up after [0-9]{5} ms"

struct rng {
	uint64_t s;
};

static uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

static bool rng_one_in(struct rng *r, unsigned n)
{
	return rng_below(r, n) == 0;
}

enum shape { SHAPE_JSON, SHAPE_LOGFMT, SHAPE_NGINX };

struct service {
	const char *name;
	enum shape shape;
	bool otel_names; /* otelTraceID rather than trace_id */
	const char *logger;
	const char *route[3];
	const char *message[5]; /* %u user, %o order, %k sku, %n small number, %d milliseconds, %e e-mail */
};

static const struct service services[N_SERVICES] = {
	{ "frontend",
	  SHAPE_JSON,
	  true,
	  "frontend.views",
	  { "/", "/product/{sku}", "/cart" },
	  { "Rendered page for user %u in %d ms", "Session refreshed for user %u",
	    "Served %n recommendations to user %u", "Feature flag lookup took %d ms",
	    "Template cache hit, %n fragments reused" } },
	{ "checkout",
	  SHAPE_JSON,
	  true,
	  "checkout.service",
	  { "/checkout", "/checkout/confirm", "/checkout/quote" },
	  { "Order %o placed by user %u", "Quote computed for %n items in %d ms",
	    "Order %o confirmed, mail sent to %e", "Reserving %n units of %k for order %o",
	    "Checkout of user %u finished in %d ms" } },
	{ "cart",
	  SHAPE_JSON,
	  true,
	  "cart.store",
	  { "/cart/{id}", "/cart/{id}/items", "/cart/{id}/merge" },
	  { "Fetched cart of user %u with %n items", "Added %k to cart of user %u",
	    "Cart of user %u expired after %n days", "Cart persisted in %d ms",
	    "Removed %k from cart of user %u" } },
	{ "payments",
	  SHAPE_JSON,
	  false,
	  "payments.gateway",
	  { "/charge", "/refund", "/webhook" },
	  { "Charge for order %o authorised in %d ms", "Refund for order %o queued",
	    "Webhook for order %o verified", "Card of user %u tokenised",
	    "Provider answered after %d ms with %n attempts" } },
	{ "inventory",
	  SHAPE_JSON,
	  false,
	  "inventory.stock",
	  { "/stock/{sku}", "/reserve", "/release" },
	  { "Stock of %k is %n", "Reserved %n of %k for order %o", "Released %n of %k",
	    "Stock level of %k read in %d ms", "Restock of %k scheduled in %n days" } },
	{ "shipping",
	  SHAPE_JSON,
	  true,
	  "shipping.labels",
	  { "/quote", "/label", "/track/{id}" },
	  { "Label for order %o printed", "Quote for %n parcels in %d ms", "Parcel of order %o handed over",
	    "Carrier answered in %d ms", "Address of user %u normalised" } },
	{ "search",
	  SHAPE_JSON,
	  true,
	  "search.query",
	  { "/search", "/suggest", "/facets" },
	  { "Query of user %u matched %n products in %d ms", "Suggest served from cache",
	    "Facets computed over %n buckets", "Index refreshed in %d ms",
	    "Spelling corrected for user %u" } },
	{ "catalog",
	  SHAPE_JSON,
	  false,
	  "catalog.api",
	  { "/products", "/products/{sku}", "/categories" },
	  { "Product %k loaded in %d ms", "Category listing with %n products",
	    "Price of %k changed by %n percent", "Image of %k resized in %d ms",
	    "Catalog page %n served to user %u" } },
	{ "auth",
	  SHAPE_LOGFMT,
	  false,
	  "auth",
	  { "/login", "/token", "/logout" },
	  { "token issued for user %u", "login of %e accepted", "token of user %u refreshed",
	    "session of user %u closed", "key set reloaded in %d ms" } },
	{ "recommend",
	  SHAPE_LOGFMT,
	  false,
	  "recommend",
	  { "/recommend", "/similar/{sku}", "/feedback" },
	  { "scored %n candidates for user %u", "model answered in %d ms", "similar items for %k served",
	    "feedback of user %u stored", "profile of user %u warmed" } },
	{ "nginx", SHAPE_NGINX, false, NULL, { "/", "/api/cart", "/product/" }, { NULL } },
};

struct trace {
	uint64_t hi, lo;
};

struct event {
	int64_t ts;
	uint64_t seed;
	struct trace trace;
	uint64_t span;
	unsigned service, pod;
};

struct sample {
	struct trace trace;
	unsigned n_lines;
	int64_t day;
};

struct gen {
	uint64_t n_lines; /* a day */
	unsigned n_days;
	uint64_t seed;
	int64_t end_ns, span_ns;
	bool raw;
	size_t batch_bytes;
	const char *facts_path;

	VEC(struct event) heap;
	struct buf line, body;
	struct buf values[N_STREAMS];
	size_t pending_bytes;

	/* facts */
	uint64_t lines, raw_bytes, n_traces, error_lines, rare_lines, slow_lines;
	uint64_t by_service[N_SERVICES];
	int64_t first_ns, last_ns;
	VEC(struct sample) samples;
};

/* ------------------------------------------------------------------ events in order of time */

static void heap_push(struct gen *g, struct event e)
{
	size_t i = g->heap.n;

	vec_push(&g->heap, e);
	for (; i > 0 && g->heap.v[(i - 1) / 2].ts > e.ts; i = (i - 1) / 2)
		g->heap.v[i] = g->heap.v[(i - 1) / 2];
	g->heap.v[i] = e;
}

static struct event heap_pop(struct gen *g)
{
	struct event top = g->heap.v[0], last = g->heap.v[--g->heap.n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= g->heap.n)
			break;
		if (child + 1 < g->heap.n && g->heap.v[child + 1].ts < g->heap.v[child].ts)
			child++;
		if (g->heap.v[child].ts >= last.ts)
			break;
		g->heap.v[i] = g->heap.v[child];
		i = child;
	}
	if (g->heap.n > 0)
		g->heap.v[i] = last;
	return top;
}

/* ------------------------------------------------------------------ one line */

static void put_message(struct buf *b, const char *template, struct rng *r)
{
	for (const char *p = template; *p != '\0'; p++) {
		if (*p != '%') {
			buf_putc(b, *p);
			continue;
		}
		switch (*++p) {
		case 'u': buf_printf(b, "%u", 1000 + rng_below(r, 90000)); break;
		case 'o': buf_printf(b, "ord-%08x", rng_below(r, 1u << 31)); break;
		case 'k': buf_printf(b, "SKU-%05u", rng_below(r, 20000)); break;
		case 'n': buf_printf(b, "%u", 1 + rng_below(r, 40)); break;
		case 'd': buf_printf(b, "%u.%u", rng_below(r, 900), rng_below(r, 10)); break;
		case 'e': buf_printf(b, "user%u@example.org", rng_below(r, 90000)); break;
		}
	}
}

static void message_of(struct buf *b, const struct service *s, bool failed, struct rng *r)
{
	unsigned kind = rng_below(r, 100000);

	if (kind < 2)
		buf_printf(b, "Cache rebuilt by " RARE_WORD " after %u entries", rng_below(r, 5000));
	else if (kind < 6)
		buf_printf(b, "Upstream call gave up after %u ms", 10000 + rng_below(r, 90000));
	else if (kind < 200)
		buf_printf(b, "Upstream call gave up after %u ms", 100 + rng_below(r, 900));
	else if (failed && rng_one_in(r, 2))
		buf_printf(b, "Request failed: connection to 10.4.%u.%u:5432 refused", rng_below(r, 256),
			   rng_below(r, 256));
	else
		put_message(b, s->message[rng_below(r, ARRAY_LEN(s->message))], r);
}

static unsigned status_of(bool failed, struct rng *r)
{
	static const unsigned good[] = { 200, 200, 200, 200, 200, 200, 201, 204, 304, 404 },
			      bad[] = { 500, 502, 503 };

	return failed ? bad[rng_below(r, ARRAY_LEN(bad))] : good[rng_below(r, ARRAY_LEN(good))];
}

/* 2026-01-15T10:00:02.123456Z: always with so many digits, as most loggers write it. */
static void put_stamp(struct buf *b, int64_t ts, int digits)
{
	unsigned fraction = (unsigned)(ts % NS_PER_S);

	for (int i = digits; i < 9; i++)
		fraction /= 10;
	clock_format_rfc3339(b, ts, false);
	b->n--; /* the Z */
	buf_printf(b, ".%0*uZ", digits, fraction);
}

static const char *method_of(struct rng *r)
{
	static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT" };

	return methods[rng_below(r, ARRAY_LEN(methods))];
}

static void put_json(struct buf *b, const struct service *s, const struct event *e, struct rng *r)
{
	bool failed = rng_one_in(r, 50), warns = rng_one_in(r, 20);
	bool http = rng_below(r, 100) < 35;
	const char *level = failed ? "ERROR" : warns ? "WARNING" : rng_one_in(r, 8) ? "DEBUG" : "INFO";

	buf_puts(b, "{\"timestamp\": \"");
	put_stamp(b, e->ts, 6);
	buf_printf(b, "\", \"level\": \"%s\", \"message\": \"", level);
	message_of(b, s, failed, r);
	buf_printf(b, "\", \"logger\": \"%s\", ", s->logger);
	if (s->otel_names)
		buf_printf(b,
			   "\"otelTraceID\": \"%016" PRIx64 "%016" PRIx64 "\", \"otelSpanID\": \"%016" PRIx64
			   "\", \"otelServiceName\": \"%s\", \"otelTraceSampled\": true",
			   e->trace.hi, e->trace.lo, e->span, s->name);
	else
		buf_printf(b,
			   "\"trace_id\": \"%016" PRIx64 "%016" PRIx64 "\", \"span_id\": \"%016" PRIx64
			   "\", \"resource.service.name\": \"%s\", \"trace_sampled\": true",
			   e->trace.hi, e->trace.lo, e->span, s->name);
	if (http)
		buf_printf(b,
			   ", \"http\": {\"method\": \"%s\", \"route\": \"%s\", \"status_code\": %u}, "
			   "\"duration_ms\": %u.%03u",
			   method_of(r), s->route[rng_below(r, 3)], status_of(failed, r),
			   rng_below(r, failed ? 3000 : 250), rng_below(r, 1000));
	buf_putc(b, '}');
}

static void put_logfmt(struct buf *b, const struct service *s, const struct event *e, struct rng *r)
{
	bool failed = rng_one_in(r, 60);

	buf_puts(b, "ts=");
	put_stamp(b, e->ts, 3);
	buf_printf(b, " level=%s caller=handler.go:%u msg=\"",
		   failed	       ? "error"
		   : rng_one_in(r, 15) ? "warn"
				       : "info",
		   20 + rng_below(r, 400));
	message_of(b, s, failed, r);
	buf_printf(b,
		   "\" trace_id=%016" PRIx64 "%016" PRIx64 " span_id=%016" PRIx64
		   " method=%s path=%s status=%u bytes=%u took=%u.%02ums",
		   e->trace.hi, e->trace.lo, e->span, method_of(r), s->route[rng_below(r, 3)],
		   status_of(failed, r), 200 + rng_below(r, 20000), rng_below(r, 400), rng_below(r, 100));
}

static void put_nginx(struct buf *b, const struct service *s, const struct event *e, struct rng *r)
{
	static const char *const agents[] = {
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
		"Chrome/129.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
		"Gecko) Mobile/15E148",
		"curl/7.88.1",
	};
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct buf stamp = { 0 };

	/* 2026-01-15T10:00:02Z becomes 15/Jan/2026:10:00:02 +0000 */
	clock_format_rfc3339(&stamp, e->ts, false);
	buf_printf(b,
		   "%u.%u.%u.%u - - [%.2s/%.3s/%.4s:%.8s +0000] \"%s %s%u HTTP/1.1\" %u %u "
		   "\"https://shop.example.org/\" \"%s\"",
		   11 + rng_below(r, 200), rng_below(r, 256), rng_below(r, 256), 1 + rng_below(r, 254),
		   stamp.p + 8, months + 3 * ((stamp.p[5] - '0') * 10 + stamp.p[6] - '0' - 1), stamp.p,
		   stamp.p + 11, method_of(r), s->route[rng_below(r, 3)], rng_below(r, 50000),
		   status_of(rng_one_in(r, 80), r), rng_below(r, 60000),
		   agents[rng_below(r, ARRAY_LEN(agents))]);
	buf_fini(&stamp);
}

static void put_line(struct buf *b, const struct event *e)
{
	const struct service *s = &services[e->service];
	struct rng r = { e->seed };

	switch (s->shape) {
	case SHAPE_JSON: put_json(b, s, e, &r); break;
	case SHAPE_LOGFMT: put_logfmt(b, s, e, &r); break;
	case SHAPE_NGINX: put_nginx(b, s, e, &r); break;
	}
}

/* ------------------------------------------------------------------ output */

static void write_all(const void *p, size_t n)
{
	if (fwrite(p, 1, n, stdout) != n) {
		perror("gen: write");
		exit(1);
	}
}

static void put_stream(struct buf *b, unsigned stream)
{
	unsigned service = stream / N_PODS, pod = stream % N_PODS;
	const char *name = services[service].name;

	buf_printf(b,
		   "{\"stream\":{\"cluster\":\"eu-1\",\"namespace\":\"%s\",\"app\":\"%s\",\"pod\":\"%s-%u\"},"
		   "\"values\":[",
		   service == NGINX ? "edge" : "shop", name, name, pod);
}

static void emit_body(struct gen *g)
{
	bool comma = false;

	if (g->pending_bytes == 0)
		return;
	buf_reset(&g->body);
	buf_puts(&g->body, "{\"streams\":[");
	for (unsigned i = 0; i < N_STREAMS; i++) {
		if (g->values[i].n == 0)
			continue;
		if (comma)
			buf_putc(&g->body, ',');
		comma = true;
		put_stream(&g->body, i);
		buf_add(&g->body, buf_slice(&g->values[i]));
		buf_puts(&g->body, "]}");
		buf_reset(&g->values[i]);
	}
	buf_puts(&g->body, "]}\n");
	write_all(g->body.p, g->body.n);
	g->pending_bytes = 0;
}

static void note_facts(struct gen *g, const struct event *e, struct slice line)
{
	static const char slow[] = "gave up after ";
	size_t at = slice_find(line, slice_cstr(slow));

	g->lines++;
	g->raw_bytes += line.n + 1; /* with its newline, as a file would hold it */
	g->by_service[e->service]++;
	g->error_lines += slice_find(line, SLICE("ERROR")) != SLICE_NONE;
	g->rare_lines += slice_find(line, SLICE(RARE_WORD)) != SLICE_NONE;
	if (at != SLICE_NONE && slice_find(slice_sub(line, at + strlen(slow), 5), SLICE(" ")) == SLICE_NONE)
		g->slow_lines++;
	if (g->lines == 1)
		g->first_ns = e->ts;
	g->last_ns = MAX(g->last_ns, e->ts);
}

static void emit_event(struct gen *g, const struct event *e)
{
	struct buf *values = &g->values[e->service * N_PODS + e->pod];

	buf_reset(&g->line);
	put_line(&g->line, e);
	note_facts(g, e, buf_slice(&g->line));
	if (g->raw) {
		buf_putc(&g->line, '\n');
		write_all(g->line.p, g->line.n);
		return;
	}
	if (values->n > 0)
		buf_putc(values, ',');
	buf_printf(values, "[\"%" PRId64 "\",", e->ts);
	json_quote(values, buf_slice(&g->line), false);
	buf_putc(values, ']');
	g->pending_bytes += g->line.n;
	if (g->pending_bytes >= g->batch_bytes)
		emit_body(g);
}

/* ------------------------------------------------------------------ traces over a day */

/* Fewer requests at the start and the end of the day than in its middle. */
static double day_curve(double x)
{
	return x + 0.4 / (2 * M_PI) * sin(2 * M_PI * x);
}

/* Up to max_lines lines of one trace that begins at ts; returns how many. */
static unsigned start_trace(struct gen *g, struct rng *r, int64_t ts, uint64_t max_lines, int64_t day)
{
	struct sample s = { .trace = { rng_next(r), rng_next(r) | 1 }, .day = day };
	unsigned hops = 1 + rng_below(r, MAX_HOPS), n = 0;
	unsigned lines = hops + rng_below(r, 2 * hops + 1), want = (unsigned)MIN(lines, max_lines);
	static const unsigned entries[] = { 0, 0, 6, 7, 8 }; /* frontend, search, catalog, auth */
	unsigned service = entries[rng_below(r, ARRAY_LEN(entries))], pod = rng_below(r, N_PODS);
	int64_t step_ns = MIN(NS_PER_S, g->span_ns / 1000);

	if (want > 1 && !rng_one_in(r, 4)) { /* the request as nginx saw it; it knows no trace */
		heap_push(g, (struct event){ ts, rng_next(r), s.trace, 0, NGINX, rng_below(r, 2) });
		n++;
	}
	for (; n < want; n++) {
		if (n > 0 && rng_below(r, want) < hops) {
			service = rng_below(r, NGINX);
			pod = rng_below(r, N_PODS);
		}
		heap_push(g, (struct event){ ts, rng_next(r), s.trace, rng_next(r), service, pod });
		s.n_lines++;
		ts += 1 + (int64_t)(rng_next(r) % (uint64_t)step_ns);
	}
	if (g->n_traces++ % MAX(g->n_lines * g->n_days / 6 / N_SAMPLES, 1) == 0 && s.n_lines > 0)
		vec_push(&g->samples, s);
	return n;
}

static void gen_day(struct gen *g, int64_t day)
{
	struct rng r = { g->seed * UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)day };
	int64_t start_ns = g->end_ns - g->span_ns * (g->n_days - day);
	double usable_ns = (double)g->span_ns * 0.98; /* so that the last traces end before the day does */

	for (uint64_t n = 0; n < g->n_lines;) {
		int64_t ts = start_ns + NS_PER_MS +
			     (int64_t)(day_curve((double)n / (double)g->n_lines) * usable_ns);

		while (g->heap.n > 0 && g->heap.v[0].ts <= ts) {
			struct event e = heap_pop(g);
			emit_event(g, &e);
		}
		n += start_trace(g, &r, ts, g->n_lines - n, day);
	}
	while (g->heap.n > 0) {
		struct event e = heap_pop(g);
		emit_event(g, &e);
	}
	emit_body(g);
}

static int write_facts(const struct gen *g)
{
	FILE *f = fopen(g->facts_path, "w");

	if (f == NULL) {
		perror(g->facts_path);
		return -1;
	}
	fprintf(f, "{\"lines\": %" PRIu64 ", \"raw_bytes\": %" PRIu64 ", \"days\": %u, \"streams\": %d,\n",
		g->lines, g->raw_bytes, g->n_days, N_STREAMS);
	fprintf(f,
		" \"start_ns\": %" PRId64 ", \"end_ns\": %" PRId64 ", \"first_ns\": %" PRId64
		", \"last_ns\": %" PRId64 ",\n",
		g->end_ns - g->span_ns * g->n_days, g->end_ns, g->first_ns, g->last_ns);
	fprintf(f,
		" \"traces\": %" PRIu64 ", \"error_lines\": %" PRIu64
		", \"rare_word\": \"%s\", \"rare_lines\": %" PRIu64 ",\n",
		g->n_traces, g->error_lines, RARE_WORD, g->rare_lines);
	fprintf(f, " \"slow_pattern\": \"%s\", \"slow_lines\": %" PRIu64 ",\n \"by_service\": {",
		SLOW_PATTERN, g->slow_lines);
	for (unsigned i = 0; i < N_SERVICES; i++)
		fprintf(f, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", services[i].name, g->by_service[i]);
	fprintf(f, "},\n \"samples\": [");
	for (size_t i = 0; i < g->samples.n; i++)
		fprintf(f,
			"%s\n  {\"id\": \"%016" PRIx64 "%016" PRIx64 "\", \"lines\": %u, \"day\": %" PRId64
			"}",
			i > 0 ? "," : "", g->samples.v[i].trace.hi, g->samples.v[i].trace.lo,
			g->samples.v[i].n_lines, g->samples.v[i].day);
	fprintf(f, "]}\n");
	if (fclose(f) != 0) {
		perror(g->facts_path);
		return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------ arguments */

static const char usage_text[] =
	"usage: gen [--lines N] [--days D] [--seed S] [--end TIME|now] [--span DURATION] [--format "
	"raw|json]\n"
	"           [--batch-bytes B] [--facts FILE]\n"
	"  --lines N        lines of one day (default 4000000)\n"
	"  --days D         so many days, each with lines and traces of its own (default 1)\n"
	"  --end TIME       RFC 3339, the end of the last day (default 2026-01-16T00:00:00Z)\n"
	"  --span DURATION  how long a day is (default 24h)\n"
	"  --format json    push bodies, one a line (default); raw: log lines\n"
	"  --batch-bytes B  raw bytes in a push body (default 1048576)\n"
	"  --facts FILE     write there what was generated\n";

static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "gen: bad %s: %s\n%s", what, value, usage_text);
	exit(2);
}

static uint64_t number_arg(const char *name, const char *value)
{
	uint64_t v;

	if (!slice_to_u64(slice_cstr(value), &v) || v == 0 || v > UINT64_C(1) << 40)
		usage_error(name, value);
	return v;
}

static void parse_time_args(struct gen *g, int opt, const char *value)
{
	if (opt == 'p') {
		if (!clock_parse_go_duration(slice_cstr(value), &g->span_ns) || g->span_ns < NS_PER_S)
			usage_error("span", value);
	} else if (strcmp(value, "now") == 0) {
		g->end_ns = clock_now_ns();
	} else if (!clock_parse_rfc3339(slice_cstr(value), &g->end_ns)) {
		usage_error("end", value);
	}
}

static void parse_args(struct gen *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "lines", required_argument, NULL, 'l' }, { "days", required_argument, NULL, 'd' },
		{ "seed", required_argument, NULL, 's' },  { "end", required_argument, NULL, 'e' },
		{ "span", required_argument, NULL, 'p' },  { "format", required_argument, NULL, 'f' },
		{ "facts", required_argument, NULL, 'F' }, { "batch-bytes", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },	   { NULL, 0, NULL, 0 },
	};

	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (opt) {
		case 'l': g->n_lines = number_arg("lines", optarg); break;
		case 'd': g->n_days = (unsigned)MIN(number_arg("days", optarg), 10000); break;
		case 's': g->seed = number_arg("seed", optarg); break;
		case 'b': g->batch_bytes = number_arg("batch-bytes", optarg); break;
		case 'e':
		case 'p': parse_time_args(g, opt, optarg); break;
		case 'f':
			g->raw = strcmp(optarg, "raw") == 0;
			if (!g->raw && strcmp(optarg, "json") != 0)
				usage_error("format", optarg);
			break;
		case 'F': g->facts_path = optarg; break;
		case 'h': fputs(usage_text, stdout); exit(0);
		default: fputs(usage_text, stderr); exit(2);
		}
	}
	if (optind < argc)
		usage_error("argument", argv[optind]);
}

int main(int argc, char **argv)
{
	struct gen g = {
		.n_lines = 4000000,
		.n_days = 1,
		.seed = 1,
		.end_ns = INT64_C(1768521600) * NS_PER_S,
		.span_ns = NS_PER_DAY,
		.batch_bytes = 1 << 20,
	};
	int rc = 0;

	parse_args(&g, argc, argv);
	for (unsigned day = 0; day < g.n_days; day++)
		gen_day(&g, day);
	if (fflush(stdout) != 0) {
		perror("gen: write");
		rc = 1;
	}
	if (g.facts_path != NULL && write_facts(&g) == -1)
		rc = 1;
	fprintf(stderr, "gen: %" PRIu64 " lines, %" PRIu64 " bytes, %.1f bytes a line, %" PRIu64 " traces\n",
		g.lines, g.raw_bytes, (double)g.raw_bytes / (double)g.lines, g.n_traces);
	vec_fini(&g.heap);
	vec_fini(&g.samples);
	buf_fini(&g.line);
	buf_fini(&g.body);
	for (unsigned i = 0; i < N_STREAMS; i++)
		buf_fini(&g.values[i]);
	return rc;
}
