/* A shop of ten services with so many pods each, JSON lines as OpenTelemetry's Python formatter writes them, logfmt, and
 * nginx's combined format. Traces start all day long (fewer at night), each leaves about six lines in one to five
 * services within seconds. */
#include "gen.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

enum { MAX_HOPS = 5, N_SAMPLES = 64, NGINX_PODS = 2 };

enum shape { SHAPE_JSON, SHAPE_LOGFMT, SHAPE_NGINX };

struct service {
	const char *name;
	enum shape shape;
	bool otel_names; /* otelTraceID rather than trace_id */
	const char *logger;
	const char *route[3];
	const char *message[5]; /* %u user, %o order, %k sku, %n small number, %d milliseconds, %e e-mail */
};

static const struct service services[SHOP_SERVICES] = {
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

struct shop_event {
	int64_t ts;
	uint64_t seed;
	struct trace trace;
	uint64_t span;
	unsigned service, pod;
};

unsigned shop_n_streams(const struct shop *s)
{
	return SHOP_NGINX * s->n_pods + NGINX_PODS;
}

const char *shop_service(unsigned service)
{
	return services[service].name;
}

unsigned shop_service_of(const struct shop *s, unsigned stream)
{
	return MIN(stream / s->n_pods, SHOP_NGINX);
}

void shop_put_labels(const struct shop *s, unsigned stream, struct buf *b)
{
	unsigned service = shop_service_of(s, stream);
	const char *name = services[service].name;

	buf_printf(b, "{\"cluster\":\"eu-1\",\"namespace\":\"%s\",\"app\":\"%s\",\"pod\":\"%s-%u\"}",
		   service == SHOP_NGINX ? "edge" : "shop", name, name, stream - service * s->n_pods);
}

/* ------------------------------------------------------------------ events in order of time */

static void heap_push(struct shop *s, struct shop_event e)
{
	size_t i = s->heap.n;

	vec_push(&s->heap, e);
	for (; i > 0 && s->heap.v[(i - 1) / 2].ts > e.ts; i = (i - 1) / 2)
		s->heap.v[i] = s->heap.v[(i - 1) / 2];
	s->heap.v[i] = e;
}

static struct shop_event heap_pop(struct shop *s)
{
	struct shop_event top = s->heap.v[0], last = s->heap.v[--s->heap.n];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->heap.n)
			break;
		if (child + 1 < s->heap.n && s->heap.v[child + 1].ts < s->heap.v[child].ts)
			child++;
		if (s->heap.v[child].ts >= last.ts)
			break;
		s->heap.v[i] = s->heap.v[child];
		i = child;
	}
	if (s->heap.n > 0)
		s->heap.v[i] = last;
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
		buf_printf(b, "Cache rebuilt by " SHOP_RARE_WORD " after %u entries", rng_below(r, 5000));
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

static void put_json(struct buf *b, const struct service *s, const struct shop_event *e, struct rng *r)
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

static void put_logfmt(struct buf *b, const struct service *s, const struct shop_event *e, struct rng *r)
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

static void put_nginx(struct buf *b, const struct service *s, const struct shop_event *e, struct rng *r)
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

static void put_line(struct buf *b, const struct shop_event *e)
{
	const struct service *s = &services[e->service];
	struct rng r = { e->seed };

	switch (s->shape) {
	case SHAPE_JSON: put_json(b, s, e, &r); break;
	case SHAPE_LOGFMT: put_logfmt(b, s, e, &r); break;
	case SHAPE_NGINX: put_nginx(b, s, e, &r); break;
	}
}

static void note_facts(struct shop *s, const struct shop_event *e, struct slice line)
{
	static const char slow[] = "gave up after ";
	size_t at = slice_find(line, slice_cstr(slow));

	s->lines++;
	s->raw_bytes += line.n + 1; /* with its newline, as a file would hold it */
	s->by_service[e->service]++;
	s->error_lines += slice_find(line, SLICE("ERROR")) != SLICE_NONE;
	s->rare_lines += slice_find(line, SLICE(SHOP_RARE_WORD)) != SLICE_NONE;
	if (at != SLICE_NONE && slice_find(slice_sub(line, at + strlen(slow), 5), SLICE(" ")) == SLICE_NONE)
		s->slow_lines++;
	if (s->lines == 1)
		s->first_ns = e->ts;
	s->last_ns = MAX(s->last_ns, e->ts);
}

static void emit_event(struct shop *s, const struct shop_event *e)
{
	buf_reset(&s->line);
	put_line(&s->line, e);
	note_facts(s, e, buf_slice(&s->line));
	s->emit(s->arg, e->service * s->n_pods + e->pod, e->ts, buf_slice(&s->line));
}

/* ------------------------------------------------------------------ traces over a day */

/* Fewer requests at the start and the end of the day than in its middle. */
static double day_curve(double x)
{
	return x + 0.4 / (2 * M_PI) * sin(2 * M_PI * x);
}

/* Up to max_lines lines of one trace that begins at ts; returns how many. */
static unsigned start_trace(struct shop *s, struct rng *r, int64_t ts, uint64_t max_lines, int64_t day)
{
	struct trace trace = { rng_next(r), rng_next(r) | 1 };
	struct shop_sample sample = { trace.hi, trace.lo, 0, day };
	unsigned hops = 1 + rng_below(r, MAX_HOPS), n = 0;
	unsigned lines = hops + rng_below(r, 2 * hops + 1), want = (unsigned)MIN(lines, max_lines);
	static const unsigned entries[] = { 0, 0, 6, 7, 8 }; /* frontend, search, catalog, auth */
	unsigned service = entries[rng_below(r, ARRAY_LEN(entries))], pod = rng_below(r, s->n_pods);
	int64_t step_ns = MIN(NS_PER_S, s->span_ns / 1000);

	if (want > 1 && !rng_one_in(r, 4)) { /* the request as nginx saw it; it knows no trace */
		heap_push(s, (struct shop_event){ ts, rng_next(r), trace, 0, SHOP_NGINX,
						  rng_below(r, NGINX_PODS) });
		n++;
	}
	for (; n < want; n++) {
		if (n > 0 && rng_below(r, want) < hops) {
			service = rng_below(r, SHOP_NGINX);
			pod = rng_below(r, s->n_pods);
		}
		heap_push(s, (struct shop_event){ ts, rng_next(r), trace, rng_next(r), service, pod });
		sample.n_lines++;
		ts += 1 + (int64_t)(rng_next(r) % (uint64_t)step_ns);
	}
	if (s->n_traces++ % MAX(s->n_lines * s->n_days / 6 / N_SAMPLES, 1) == 0 && sample.n_lines > 0)
		vec_push(&s->samples, sample);
	return n;
}

void shop_day(struct shop *s, int64_t day)
{
	struct rng r = { s->seed * UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)day };
	int64_t start_ns = s->end_ns - s->span_ns * (s->n_days - day);
	double usable_ns = (double)s->span_ns * 0.98; /* so that the last traces end before the day does */

	for (uint64_t n = 0; n < s->n_lines;) {
		int64_t ts = start_ns + NS_PER_MS +
			     (int64_t)(day_curve((double)n / (double)s->n_lines) * usable_ns);

		while (s->heap.n > 0 && s->heap.v[0].ts <= ts) {
			struct shop_event e = heap_pop(s);
			emit_event(s, &e);
		}
		n += start_trace(s, &r, ts, s->n_lines - n, day);
	}
	while (s->heap.n > 0) {
		struct shop_event e = heap_pop(s);
		emit_event(s, &e);
	}
}

void shop_fini(struct shop *s)
{
	vec_fini(&s->heap);
	vec_fini(&s->samples);
	buf_fini(&s->line);
}

/* ------------------------------------------------------------------ facts */

static void put_facts(const struct shop *s, FILE *f)
{
	fprintf(f, "{\"lines\": %" PRIu64 ", \"raw_bytes\": %" PRIu64 ", \"days\": %u, \"streams\": %u,\n",
		s->lines, s->raw_bytes, s->n_days, shop_n_streams(s));
	fprintf(f,
		" \"start_ns\": %" PRId64 ", \"end_ns\": %" PRId64 ", \"first_ns\": %" PRId64
		", \"last_ns\": %" PRId64 ",\n",
		s->end_ns - s->span_ns * s->n_days, s->end_ns, s->first_ns, s->last_ns);
	fprintf(f,
		" \"traces\": %" PRIu64 ", \"error_lines\": %" PRIu64
		", \"rare_word\": \"%s\", \"rare_lines\": %" PRIu64 ",\n",
		s->n_traces, s->error_lines, SHOP_RARE_WORD, s->rare_lines);
	fprintf(f, " \"slow_pattern\": \"%s\", \"slow_lines\": %" PRIu64 ",\n \"by_service\": {",
		SHOP_SLOW_PATTERN, s->slow_lines);
	for (unsigned i = 0; i < SHOP_SERVICES; i++)
		fprintf(f, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", services[i].name, s->by_service[i]);
	fprintf(f, "},\n \"samples\": [");
	for (size_t i = 0; i < s->samples.n; i++)
		fprintf(f,
			"%s\n  {\"id\": \"%016" PRIx64 "%016" PRIx64 "\", \"lines\": %u, \"day\": %" PRId64
			"}",
			i > 0 ? "," : "", s->samples.v[i].hi, s->samples.v[i].lo, s->samples.v[i].n_lines,
			s->samples.v[i].day);
	fprintf(f, "]}\n");
}

int shop_write_facts(const struct shop *s, const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL) {
		perror(path);
		return -1;
	}
	put_facts(s, f);
	if (fclose(f) != 0) {
		perror(path);
		return -1;
	}
	return 0;
}
