/* The endpoints over a real server and a scheduler, with an engine that answers from the request itself: which path
 * does what, which headers and statuses come back, what a full queue, a deadline and a lost client do. */
#include "api/api.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingest/ingest.h"
#include "query/detect.h"
#include "query/explain.h"
#include "query/meta.h"
#include "query/sched.h"
#include "query/trace.h"
#include "query/volume.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- the engine ---- */

static struct {
	_Atomic int running;
	_Atomic bool hold; /* queries run until cancelled or out of time */
	_Atomic int n_cancelled;
	_Atomic bool ready;
	_Atomic int n_flushes;
	struct query_request last;
	char last_text[256], last_tenant[64];
	struct meta_request last_meta;
	char last_name[64];
	size_t last_n_selectors;
	struct trace_request last_trace;
	struct volume_request last_volume;
	struct detect_request last_detect;
} fake = { .ready = true };

int query_control_check(const struct query_control *c, struct err *err)
{
	if (c->cancelled)
		return err_set(err, ERR_CANCELLED, "the request was cancelled by the client");
	if (c->deadline_mono_ns != 0 && clock_mono_ns() >= c->deadline_mono_ns)
		return err_set(err, ERR_TIMEOUT, "request timed out");
	return 0;
}

static int wait_while_held(struct query_control *c, struct err *err)
{
	int rc = 0;

	fake.running++;
	while (rc == 0 && fake.hold) {
		rc = query_control_check(c, err);
		usleep(1000);
	}
	fake.running--;
	if (rc == -1 && err->code == ERR_CANCELLED)
		fake.n_cancelled++;
	return rc;
}

static void copy(char *to, size_t size, struct slice s)
{
	snprintf(to, size, "%.*s", SLICE_ARG(s));
}

int query_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
	      struct query_result *out, struct err *err)
{
	static const struct label labels[] = { { { "app", 3 }, { "x", 1 } } };

	(void)e;
	fake.last = *r;
	copy(fake.last_text, sizeof(fake.last_text), r->text);
	copy(fake.last_tenant, sizeof(fake.last_tenant), r->tenant);
	if (wait_while_held(c, err) == -1)
		return -1;
	if (slice_is(r->text, "bad"))
		return err_set(err, ERR_BAD_REQUEST,
			       "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER");
	*out = (struct query_result){ .type = RESULT_STREAMS, .n_streams = 1 };
	arena_init(&out->arena);
	out->stream = arena_new(&out->arena, struct result_stream);
	out->stream->labels = (struct labels){ labels, 1 };
	out->stream->n = slice_is(r->text, "big") ? 100 : 1;
	out->stream->entry = arena_zalloc(&out->arena, out->stream->n * sizeof(*out->stream->entry));
	for (size_t i = 0; i < out->stream->n; i++)
		out->stream->entry[i] =
			(struct result_entry){ .ts = 1, .line = arena_dup(&out->arena, r->text) };
	return 0;
}

int explain_run(struct query_engine *e, const struct query_request *r, struct query_control *c,
		struct explain_result *out, struct err *err)
{
	static struct slice names[] = { { "app", 3 }, { "level", 5 } };
	static size_t tokens[] = { 2 };
	static struct explain_node node = { .depth = 1,
					    .kind = "stage",
					    .name = { "json", 4 },
					    .text = { "| json", 6 },
					    .pos = { 4, 1, 5 } };
	static struct explain_scan scan = { .selector = { "{app=\"x\"}", 9 },
					    .window = { 1, 2 },
					    .index = "trace",
					    .n_needles = 1,
					    .needle = names,
					    .n_lookups = 1,
					    .lookup_tokens = tokens,
					    .n_labels = 2,
					    .label = names,
					    .reads_lines = true,
					    .streams = 3,
					    .bytes = 4 };

	(void)e;
	fake.last = *r;
	copy(fake.last_text, sizeof(fake.last_text), r->text);
	if (query_control_check(c, err) == -1)
		return -1;
	*out = (struct explain_result){
		.type = "log", .text = r->text, .n_nodes = 1, .node = &node, .n_scans = 1, .scan = &scan
	};
	return 0;
}

void explain_result_fini(struct explain_result *r)
{
	(void)r;
}

void query_result_fini(struct query_result *r)
{
	arena_fini(&r->arena);
}

static int strings(const struct meta_request *r, struct query_control *c, struct arena *a, struct slice **out,
		   size_t *n, struct err *err)
{
	fake.last_meta = *r;
	copy(fake.last_text, sizeof(fake.last_text), r->selector);
	if (query_control_check(c, err) == -1)
		return -1;
	*n = slice_is(r->selector, "{none}") ? 0 : 2;
	*out = arena_array(a, struct slice, 2);
	(*out)[0] = SLICE("a");
	(*out)[1] = SLICE("b");
	return 0;
}

int meta_label_names(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		     struct arena *a, struct slice **out, size_t *n_out, struct err *err)
{
	(void)e;
	return strings(r, c, a, out, n_out, err);
}

int meta_label_values(struct query_engine *e, const struct meta_request *r, struct slice name,
		      struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		      struct err *err)
{
	(void)e;
	copy(fake.last_name, sizeof(fake.last_name), name);
	return strings(r, c, a, out, n_out, err);
}

int meta_series(struct query_engine *e, const struct meta_request *r, const struct slice *selectors,
		size_t n_selectors, struct query_control *c, struct arena *a, struct labels **out,
		size_t *n_out, struct err *err)
{
	(void)e;
	(void)c;
	(void)err;
	fake.last_meta = *r;
	fake.last_n_selectors = n_selectors;
	copy(fake.last_text, sizeof(fake.last_text), n_selectors > 0 ? selectors[0] : SLICE(""));
	*out = arena_new(a, struct labels);
	*n_out = 1;
	return 0;
}

int meta_stats(struct query_engine *e, const struct meta_request *r, struct query_control *c,
	       struct meta_stats *out, struct err *err)
{
	(void)e;
	(void)c;
	if (r->selector.n == 0)
		return err_set(err, ERR_BAD_REQUEST, "parse error : syntax error: unexpected $end");
	*out = (struct meta_stats){ 1, 2, 3, 4 };
	return 0;
}

int meta_check_selector(struct slice text, bool allow_empty, struct err *err)
{
	(void)allow_empty;
	return text.n == 0 ? err_set(err, ERR_BAD_REQUEST, "parse error : syntax error: unexpected $end") : 0;
}

int meta_check_log_query(struct slice text, struct err *err)
{
	if (slice_is(text, "metric"))
		return err_set(err, ERR_BAD_REQUEST, "only log selector is supported");
	return meta_check_selector(text, false, err);
}

int volume_run(struct query_engine *e, const struct volume_request *r, struct query_control *c,
	       struct arena *a, struct volume_series **out, size_t *n_out, struct err *err)
{
	static struct volume_point points[] = { { 5999000000, 7 }, { 6000000000, 1 } };
	static const struct label app[] = { { { "app", 3 }, { "x", 1 } } };

	(void)e;
	(void)c;
	(void)err;
	fake.last_volume = *r;
	*n_out = slice_is(r->selector, "{none}") ? 0 : 1;
	*out = arena_new(a, struct volume_series);
	**out = (struct volume_series){ { app, 1 }, 8, r->step > 0 ? 2 : 1, points };
	return 0;
}

int detect_labels(struct query_engine *e, const struct meta_request *r, struct query_control *c,
		  struct arena *a, struct detected_label **out, size_t *n_out, struct err *err)
{
	(void)e;
	(void)c;
	(void)err;
	*n_out = slice_is(r->selector, "{none}") ? 0 : 1;
	*out = arena_new(a, struct detected_label);
	**out = (struct detected_label){ SLICE("app"), 2, 0 };
	return 0;
}

int detect_fields(struct query_engine *e, const struct detect_request *r, struct query_control *c,
		  struct arena *a, struct detected_field **out, size_t *n_out, struct err *err)
{
	static struct slice path[] = { { "a", 1 }, { "b", 1 } };

	(void)e;
	(void)c;
	(void)err;
	fake.last_detect = *r;
	*n_out = slice_is(r->text, "{none}") ? 0 : 2;
	*out = arena_array(a, struct detected_field, 2);
	(*out)[0] = (struct detected_field){
		SLICE("a_b"), FIELD_DURATION, 3, { FIELD_LOGFMT, FIELD_JSON }, 2, path, 2
	};
	(*out)[1] = (struct detected_field){ .name = SLICE("id"), .type = FIELD_INT, .cardinality = 1 };
	return 0;
}

int detect_values(struct query_engine *e, const struct detect_request *r, struct slice name,
		  struct query_control *c, struct arena *a, struct slice **out, size_t *n_out,
		  struct err *err)
{
	(void)e;
	(void)c;
	(void)err;
	fake.last_detect = *r;
	copy(fake.last_name, sizeof(fake.last_name), name);
	*n_out = slice_is(r->text, "{none}") ? 0 : 1;
	*out = arena_new(a, struct slice);
	**out = SLICE("200");
	return 0;
}

int trace_run(struct query_engine *e, const struct trace_request *r, struct query_control *c,
	      struct trace_result *out, struct err *err)
{
	(void)e;
	(void)c;
	fake.last_trace = *r;
	copy(fake.last_text, sizeof(fake.last_text), r->id);
	if (slice_is(r->id, "nonsense"))
		return err_set(err, ERR_BAD_REQUEST, "not a trace id: 'nonsense'");
	*out = (struct trace_result){ .id = { 1, 2 } };
	return 0;
}

void trace_result_fini(struct trace_result *r)
{
	(void)r;
}

void trace_url(struct buf *b, struct slice template, struct trace_id id)
{
	(void)id;
	buf_add(b, template);
}

/* ---- the write door ---- */

static struct {
	struct ingest_request last;
	char tenant[64], type[64], encoding[64], body[64], labels[64];
	int status; /* the next answer */
	const char *text;
	unsigned retry_after;
	bool later; /* from another thread */
} door = { .status = 204, .text = "" };

struct answer_job {
	ingest_done_fn done;
	void *arg;
};

static void *answer_later(void *arg)
{
	struct answer_job *job = arg;

	usleep(2000);
	job->done(job->arg, door.status, slice_cstr(door.text), door.retry_after);
	free(job);
	return NULL;
}

void ingest_push(struct ingest *in, const struct ingest_request *rq, ingest_done_fn done, void *arg)
{
	struct answer_job *job;
	pthread_t t;

	(void)in;
	door.last = *rq;
	copy(door.tenant, sizeof(door.tenant), rq->tenant);
	copy(door.type, sizeof(door.type), rq->content_type);
	copy(door.encoding, sizeof(door.encoding), rq->content_encoding);
	copy(door.body, sizeof(door.body), rq->body);
	door.labels[0] = '\0';
	for (size_t i = 0; i < rq->n_labels; i++) {
		size_t n = strlen(door.labels);

		snprintf(door.labels + n, sizeof(door.labels) - n, "%.*s;", SLICE_ARG(rq->labels[i]));
	}
	if (!door.later) {
		done(arg, door.status, slice_cstr(door.text), door.retry_after);
		return;
	}
	job = xmalloc(sizeof(*job));
	*job = (struct answer_job){ done, arg };
	assert_int_equal(pthread_create(&t, NULL, answer_later, job), 0);
	pthread_detach(t);
}

int ingest_otlp_discard(struct ingest *in, const struct ingest_request *rq, enum otlp_signal signal,
			uint64_t *n, bool *json, struct err *err)
{
	(void)in;
	(void)signal;
	if (door.status != 204)
		return err_set(err, ERR_BAD_REQUEST, "%s", door.text);
	*n = rq->body.n;
	*json = slice_is(rq->content_type, "application/json");
	return 0;
}

/* ---- what the daemon would give ---- */

static struct limits the_limits = { .max_entries_limit_per_query = 5000,
				    .max_queued_queries = 2,
				    .query_timeout = 60 * NS_PER_S };

static void get_limits(void *arg, struct slice tenant, struct limits *out)
{
	(void)arg;
	(void)tenant;
	*out = the_limits;
}

static bool is_ready(void *arg, bool for_readers, struct buf *why)
{
	(void)arg;
	if (fake.ready || for_readers)
		return true;
	buf_puts(why, "disk is full");
	return false;
}

static void put_status(void *arg, struct buf *out)
{
	(void)arg;
	buf_puts(out, "head: 0 bytes\n");
}

static void put_config(void *arg, struct slice mode, struct buf *out)
{
	(void)arg;
	buf_printf(out, "mode: \"%.*s\"\n", SLICE_ARG(mode));
}

static void put_services(void *arg, struct buf *out)
{
	(void)arg;
	buf_puts(out, "store => Running\n");
}

static void put_template(void *arg, struct buf *out)
{
	(void)arg;
	buf_puts(out, "http://jaeger/");
}

static int flush(void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	fake.n_flushes++;
	return 0;
}

static struct api_context context = {
	.version = "0.1.0",
	.limits = get_limits,
	.ready = is_ready,
	.status = put_status,
	.services = put_services,
	.config = put_config,
	.trace_url_template = put_template,
	.flush = flush,
};
static struct server *server;

static int start(void **state)
{
	struct sched_options so;
	struct server_options o;
	const struct route *routes;
	struct err err;
	size_t n;

	(void)state;
	sched_options_init(&so, 1);
	so.slots[SCHED_QUERY] = 1;
	context.sched = sched_new(&so);
	server_options_init(&o);
	o.listen[LISTEN_MAIN] = "127.0.0.1:0";
	o.app = &context;
	routes = api_routes(&n);
	route_check(routes, n);
	if (server_new(&o, routes, n, &server, &err) == -1)
		fail_msg("%s", err.msg);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	server_free(server);
	sched_free(context.sched);
	return 0;
}

/* ---- a client ---- */

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)server_port(server, LISTEN_MAIN)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void send_request(int fd, const char *method, const char *target, const char *headers,
			 const char *body)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method, target,
		   headers);
	if (body != NULL)
		buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
	buf_printf(&b, "\r\n%s", body != NULL ? body : "");
	assert_int_equal(write(fd, b.p, b.n), (ssize_t)b.n);
	buf_fini(&b);
}

static struct buf answer;

/* The whole answer; its status. */
static int receive(int fd)
{
	ssize_t n;

	buf_reset(&answer);
	while ((n = read(fd, buf_reserve(&answer, 4096), 4096)) > 0)
		answer.n += (size_t)n;
	close(fd);
	buf_cstr_end(&answer);
	assert_true(answer.n > 12);
	return atoi(answer.p + 9);
}

static const char *body_of(void)
{
	const char *p = strstr(answer.p, "\r\n\r\n");

	assert_non_null(p);
	return p + 4;
}

static bool has(const char *text)
{
	return strstr(answer.p, text) != NULL;
}

static int request(const char *method, const char *target, const char *headers, const char *body)
{
	int fd = dial();

	send_request(fd, method, target, headers, body);
	return receive(fd);
}

static int get(const char *target)
{
	return request("GET", target, "", NULL);
}

static void wait_for(const _Atomic int *what, int value)
{
	for (int i = 0; *what != value; i++) {
		if (i > 5000)
			fail_msg("still %d, should be %d", *what, value);
		usleep(1000);
	}
}

/* ---- the tests ---- */

static void a_push(void **state)
{
	(void)state;
	assert_int_equal(request("POST", "/loki/api/v1/push",
				 "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "the body"),
			 204);
	assert_string_equal(body_of(), "");
	assert_false(has("Content-Type"));
	assert_int_equal(door.last.kind, PUSH_LOKI);
	assert_string_equal(door.tenant, "fake");
	assert_string_equal(door.type, "application/json");
	assert_string_equal(door.encoding, "gzip");
	assert_string_equal(door.body, "the body");
	assert_int_equal(request("POST", "/api/prom/push", "", "x"), 204);
	assert_int_equal(door.last.kind, PUSH_LEGACY);
	assert_null(door.last.content_type.p);
}

static void a_push_that_is_refused(void **state)
{
	(void)state;
	door.status = 429;
	door.text = "slow down\n";
	door.retry_after = 7;
	for (int later = 0; later < 2; later++) {
		door.later = later != 0;
		assert_int_equal(request("POST", "/loki/api/v1/push", "", "x"), 429);
		assert_string_equal(body_of(), "slow down\n");
		assert_true(has("Retry-After: 7\r\n") && has("Content-Type: text/plain; charset=utf-8\r\n"));
	}
	door.status = 204;
	door.text = "";
	door.retry_after = 0;
	assert_int_equal(request("POST", "/loki/api/v1/push", "", "x"), 204);
	door.later = false;
}

static void json_lines(void **state)
{
	(void)state;
	assert_int_equal(request("POST", "/api/v1/ingest?labels=app,,%20env%20,a.b", "", "{}"), 204);
	assert_int_equal(door.last.kind, PUSH_PLAIN);
	assert_string_equal(door.labels, "app;env;a.b;");
	assert_int_equal(request("POST", "/api/v1/ingest", "", "{}"), 204);
	assert_string_equal(door.labels, "");
}

static void otlp(void **state)
{
	static const struct {
		const char *path, *type, *body;
		const char *answer;
	} kept_not[] = {
		{ "/v1/metrics", "application/json", "xy", "{}" },
		{ "/v1/metrics", "application/x-protobuf", "xy", "" },
		{ "/v1/traces", "application/x-protobuf", "", "" },
		{ "/v1/traces", "application/json", "", "{}" },
		{ "/v1/traces", "application/json", "xy",
		  "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"spoor stores logs; spans "
		  "are not "
		  "stored\"}}" },
		{ "/v1/traces", "application/x-protobuf", "xy",
		  "\x0a\x2b\x08\x02\x12\x27spoor stores logs; spans are not stored" },
	};
	static const struct {
		int status, answered;
	} errors[] = { { 400, 400 }, { 422, 422 }, { 429, 429 }, { 500, 503 }, { 503, 503 } };
	char type[80];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(request("POST", i == 0 ? "/otlp/v1/logs" : "/v1/logs", "", "x"), 204);
		assert_int_equal(door.last.kind, PUSH_OTLP);
		assert_string_equal(body_of(), "");
		assert_false(has("Content-Type:"));
	}
	door.text = "why not\n";
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		door.status = errors[i].status;
		assert_int_equal(request("POST", "/v1/logs", "Content-Type: application/json\r\n", "{}"),
				 errors[i].answered);
		assert_true(has("Content-Type: application/octet-stream\r\n"));
		assert_string_equal(body_of(), "\x12\x07why not");
		assert_int_equal(has("Retry-After: 1\r\n"),
				 errors[i].answered == 429 || errors[i].answered == 503);
	}
	door.status = 400;
	assert_int_equal(request("POST", "/v1/traces", "", "x"), 400);
	assert_true(has("Content-Type: application/octet-stream\r\n"));
	door.status = 204;
	door.text = "";
	for (size_t i = 0; i < ARRAY_LEN(kept_not); i++) {
		snprintf(type, sizeof(type), "Content-Type: %s\r\n", kept_not[i].type);
		assert_int_equal(request("POST", kept_not[i].path, type, kept_not[i].body), 200);
		assert_true(has(type));
		assert_string_equal(body_of(), kept_not[i].answer);
	}
	assert_int_equal(request("POST", "/otlp/v1/metrics", "", "x"), 404);
	assert_int_equal(request("POST", "/otlp/v1/traces", "", "x"), 404);
}

static void a_page_of_another_site_may_not_push(void **state)
{
	(void)state;
	assert_int_equal(request("POST", "/api/v1/ingest", "Sec-Fetch-Site: cross-site\r\n", "{}"), 403);
	assert_int_equal(request("POST", "/flush", "Origin: http://evil.example\r\n", ""), 403);
}

static void a_range_query(void **state)
{
	(void)state;
	assert_int_equal(
		get("/loki/api/v1/"
		    "query_range?query=hello&start=1700000000&end=1700000060&limit=7&direction=forward&"
		    "step=5&interval=2"),
		200);
	assert_true(has("Content-Type: application/json; charset=UTF-8\r\n"));
	assert_true(has("Vary: Accept-Encoding\r\n"));
	assert_true(has("[[\"1\",\"hello\"]]"));
	assert_string_equal(fake.last_tenant, "fake");
	assert_true(fake.last.start == 1700000000 * NS_PER_S && fake.last.end == 1700000060 * NS_PER_S);
	assert_true(fake.last.limit == 7 && !fake.last.backward && !fake.last.instant &&
		    !fake.last.categorize);
	assert_true(fake.last.step == 5 * NS_PER_S && fake.last.interval == 2 * NS_PER_S);
	assert_non_null(fake.last.limits);
}

static void a_form_beats_the_url(void **state)
{
	(void)state;
	assert_int_equal(request("POST", "/loki/api/v1/query_range?query=url&limit=3",
				 "Content-Type: application/x-www-form-urlencoded\r\n", "query=body"),
			 200);
	assert_string_equal(fake.last_text, "body");
	assert_int_equal(fake.last.limit, 3);
}

static void a_metric_query_is_not_bound_by_the_entries_limit(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/query_range?query=metric&limit=5001"), 200);
	assert_int_equal(fake.last.limit, 5001);
}

static void an_instant_query(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/query?query=x&time=1700000000.5"), 200);
	assert_true(fake.last.instant && fake.last.end == 1700000000 * NS_PER_S + NS_PER_S / 2);
}

static void encoding_flags(void **state)
{
	(void)state;
	assert_int_equal(request("GET", "/loki/api/v1/query_range?query=x",
				 "X-Loki-Response-Encoding-Flags: categorize-labels\r\n", NULL),
			 200);
	assert_true(fake.last.categorize);
	assert_true(has("\"encodingFlags\":[\"categorize-labels\"],\"result\":"));
}

static void errors_are_plain_text(void **state)
{
	static const struct {
		const char *target, *text;
	} rows[] = {
		{ "/loki/api/v1/query_range?query=x&limit=0", "limit must be a positive value" },
		{ "/loki/api/v1/query_range?query=x&start=2&end=1",
		  "end timestamp must not be before or equal to start time" },
		{ "/loki/api/v1/query_range?query=x&limit=5001",
		  "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)" },
		{ "/loki/api/v1/query_range?query=bad",
		  "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER" },
		{ "/loki/api/v1/query?query=x&direction=up", "invalid direction 'up'" },
		{ "/loki/api/v1/labels?start=x",
		  "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax" },
		{ "/loki/api/v1/index/stats", "parse error : syntax error: unexpected $end" },
		{ "/loki/api/v1/index/volume", "parse error : syntax error: unexpected $end" },
		{ "/loki/api/v1/index/volume?query=x&aggregateBy=y", "invalid aggregation option" },
		{ "/loki/api/v1/detected_fields", "parse error : syntax error: unexpected $end" },
		{ "/loki/api/v1/detected_fields?query=x&line_limit=0", "limit must be a positive value" },
		{ "/api/v1/traces/nonsense/logs", "not a trace id: 'nonsense'" },
		{ "/api/v1/traces/x/logs?limit=6000",
		  "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(get(rows[i].target), 400);
		assert_true(has("Content-Type: text/plain; charset=utf-8\r\n") &&
			    has("X-Content-Type-Options: nosniff\r\n"));
		assert_string_equal(body_of(), rows[i].text);
	}
}

static void labels(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/labels"), 200);
	assert_string_equal(body_of(), "{\"status\":\"success\",\"data\":[\"a\",\"b\"]}\n");
	assert_true(fake.last_meta.range.end - fake.last_meta.range.start == NS_PER_H);
	assert_int_equal(get("/loki/api/v1/label?query=%7Bnone%7D"), 200);
	assert_string_equal(body_of(), "{\"status\":\"success\"}\n");
	assert_int_equal(get("/loki/api/v1/label/pod/values"), 200);
	assert_string_equal(fake.last_name, "pod");
	assert_int_equal(get("/api/prom/label/zone/values"), 200);
	assert_string_equal(fake.last_name, "zone");
	assert_int_equal(get("/loki/api/v1/labels/"), 404);
}

static void series(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/series"), 200);
	assert_int_equal(fake.last_n_selectors, 0);
	assert_string_equal(body_of(), "{\"status\":\"success\",\"data\":[{}]}\n");
	assert_int_equal(get("/loki/api/v1/series?match%5B%5D=a&match=b&x=y"), 200);
	assert_int_equal(fake.last_n_selectors, 2);
	assert_int_equal(request("POST", "/loki/api/v1/series?match=url",
				 "Content-Type: application/x-www-form-urlencoded\r\n", "match[]=body"),
			 200);
	assert_int_equal(fake.last_n_selectors, 2);
	assert_string_equal(fake.last_text, "body");
}

static void index_stats(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/index/stats?query=x"), 200);
	assert_string_equal(body_of(), "{\"streams\":1,\"chunks\":2,\"bytes\":3,\"entries\":4}\n");
}

/* The statistics have their whole shape, though nothing is read. */
static void assert_volumes(const char *want)
{
	const char *rest = body_of() + strlen(want);

	assert_memory_equal(body_of(), want, strlen(want));
	assert_int_equal(strncmp(rest, ",\"stats\":{\"summary\":{\"bytesProcessedPerSecond\":0,", 48), 0);
	assert_non_null(strstr(rest, "\"unitsFromCache\":0}}}}\n"));
}

static void volumes(void **state)
{
	(void)state;
	the_limits.volume_enabled = true;
	assert_int_equal(get("/loki/api/v1/index/volume?query=x&end=6&start=1&targetLabels=a,%20b,"), 200);
	assert_volumes("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{"
		       "\"app\":\"x\"},\"value\":[5.999,\"7\"]}]");
	assert_true(fake.last_volume.n_targets == 2 && fake.last_volume.limit == 100);
	assert_true(fake.last_volume.step == 0 && !fake.last_volume.by_name);
	assert_int_equal(
		get("/loki/api/v1/index/volume_range?query=x&end=6&start=1&step=2&aggregateBy=labels&"
		    "limit=5000"),
		200);
	assert_volumes("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{"
		       "\"app\":\"x\"},\"values\":[[5.999,\"7\"],[6,\"1\"]]}]");
	assert_true(fake.last_volume.step == 2 * NS_PER_S && fake.last_volume.by_name);
	assert_true(fake.last_volume.n_targets == 0 && fake.last_volume.limit == 5000);
	assert_int_equal(get("/loki/api/v1/index/volume_range?query=%7Bnone%7D"), 200);
	assert_volumes("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]");
	the_limits.volume_enabled = false;
}

static void detected(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/detected_labels"), 200);
	assert_string_equal(body_of(), "{\"detectedLabels\":[{\"label\":\"app\",\"cardinality\":2}]}\n");
	assert_int_equal(get("/loki/api/v1/detected_fields?query=x&field_limit=5&line_limit=9999"), 200);
	assert_string_equal(
		body_of(),
		"{\"fields\":[{\"label\":\"a_b\",\"type\":\"duration\",\"cardinality\":3,\"parsers\":["
		"\"logfmt\",\"json\"],\"jsonPath\":[\"a\",\"b\"]},{\"label\":\"id\",\"type\":\"int\","
		"\"cardinality\":1,\"parsers\":null}],\"limit\":5}\n");
	assert_true(fake.last_detect.limit == 5 && fake.last_detect.line_limit == 5000);
	assert_int_equal(get("/loki/api/v1/detected_field/status/values?query=x"), 200);
	assert_string_equal(body_of(), "{\"limit\":1000,\"values\":[\"200\"]}\n");
	assert_string_equal(fake.last_name, "status");
	static const char *const nothing[] = { "/loki/api/v1/detected_labels?query=%7Bnone%7D",
					       "/loki/api/v1/detected_fields?query=%7Bnone%7D",
					       "/loki/api/v1/detected_field/f/values?query=%7Bnone%7D" };
	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		assert_int_equal(get(nothing[i]), 200);
		assert_string_equal(body_of(), "{}\n");
	}
}

static void what_is_off_is_not_found(void **state)
{
	static const char *const targets[] = {
		"/loki/api/v1/index/volume?query=x&limit=0",
		"/loki/api/v1/index/volume_range?query=x&step=5m",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		assert_int_equal(get(targets[i]), 404);
		assert_string_equal(body_of(), "not found");
	}
}

static void a_query_is_formatted(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/"
			     "format_query?query=sum+by(app)(rate(%7Bapp=%22shop%22%7D%7C=%22x%22%5B5m%5D))"),
			 200);
	assert_true(has("Content-Type: application/json; charset=UTF-8"));
	assert_string_equal(body_of(), "{\"status\":\"success\",\"data\":\"sum by "
				       "(app)(rate({app=\\\"shop\\\"} |= \\\"x\\\"[5m]))\"}");
	assert_int_equal(get("/loki/api/v1/format_query?query=%7Bfoo="), 400);
	assert_string_equal(body_of(),
			    "{\"status\":\"invalid-query\",\"error\":\"parse error at line 1, col 6: syntax "
			    "error: unexpected $end, expecting STRING\"}");
}

static void a_query_is_explained(void **state)
{
	(void)state;
	assert_int_equal(get("/api/v1/parse?query=%7Bapp=%22x%22%7D&start=1&end=2&direction=forward"), 200);
	assert_true(!fake.last.instant && !fake.last.backward && fake.last.end == 2000000000);
	assert_string_equal(
		body_of(),
		"{\"status\":\"success\",\"data\":{\"type\":\"log\",\"query\":\"{app=\\\"x\\\"}\","
		"\"outline\":[{\"depth\":1,\"kind\":\"stage\",\"name\":\"json\",\"text\":\"| json\","
		"\"position\":{\"offset\":4,\"line\":1,\"column\":5}}],"
		"\"plan\":[{\"selector\":\"{app=\\\"x\\\"}\",\"start\":\"1\",\"end\":\"2\",\"index\":"
		"\"trace\","
		"\"needles\":[\"app\"],\"trace_lookups\":[2],\"all_labels\":false,\"labels\":[\"app\","
		"\"level\"],"
		"\"reads_lines\":true,\"streams\":3,\"chunks\":0,\"chunks_skipped\":0,"
		"\"chunks_skipped_by_trace\":0,\"chunks_skipped_by_filter\":0,\"days_skipped\":0,\"units\":0,"
		"\"entries\":0,"
		"\"bytes\":4}]}}\n");
	assert_int_equal(get("/api/v1/parse?query=vector(1)&time=7"), 200);
	assert_true(fake.last.instant && fake.last.end == 7000000000);
	assert_int_equal(get("/api/v1/parse?query=%7Bapp=%22x%22%7D+%7C="), 400);
	assert_true(has("\"position\":{\"offset\":12,\"line\":1,\"column\":13}}"));
	assert_int_equal(get("/api/v1/parse"), 400);
	assert_true(has("\"error\":\"parse error : syntax error: unexpected $end\""));
}

static void traces(void **state)
{
	(void)state;
	assert_int_equal(get("/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736/logs"), 200);
	assert_string_equal(fake.last_text, "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_true(fake.last_trace.limit == 1000 && !fake.last_trace.backward);
	assert_true(has("\"trace_url\":\"http://jaeger/\",\"links\":[{\"name\":\"Trace\",\"url\":\"http://"
			"jaeger/\"}]}\n"));
	assert_int_equal(get("/api/v1/traces/x/logs?direction=backward&limit=5"), 200);
	assert_true(fake.last_trace.limit == 5 && fake.last_trace.backward);
}

static void big_answers_are_compressed_when_invited(void **state)
{
	(void)state;
	assert_int_equal(
		request("GET", "/loki/api/v1/query_range?query=big", "Accept-Encoding: gzip\r\n", NULL), 200);
	assert_true(has("Content-Encoding: gzip\r\n"));
	assert_int_equal(get("/loki/api/v1/query_range?query=big"), 200);
	assert_false(has("Content-Encoding"));
}

static void a_full_queue_and_a_lost_client(void **state)
{
	int fd[3];

	(void)state;
	fake.hold = true;
	for (int i = 0; i < 3; i++) { /* one runs, two wait */
		fd[i] = dial();
		send_request(fd[i], "GET", "/loki/api/v1/query_range?query=x", "", NULL);
		if (i == 0)
			wait_for(&fake.running, 1);
	}
	for (int i = 0; sched_n_queued(context.sched, SCHED_QUERY) < 2 && i < 5000; i++)
		usleep(1000);
	assert_int_equal(get("/loki/api/v1/query_range?query=x"), 429);
	assert_string_equal(body_of(), "too many outstanding requests");
	assert_true(has("Retry-After: "));
	assert_int_equal(get("/loki/api/v1/labels"), 200); /* metadata does not wait */
	close(fd[1]);					   /* leaves the queue */
	for (int i = 0; sched_n_queued(context.sched, SCHED_QUERY) > 1 && i < 5000; i++)
		usleep(1000);
	assert_int_equal(sched_n_queued(context.sched, SCHED_QUERY), 1);
	close(fd[0]); /* cancels what runs */
	wait_for(&fake.n_cancelled, 1);
	fake.hold = false;
	assert_int_equal(receive(fd[2]), 200);
	wait_for(&fake.running, 0);
}

static void a_deadline(void **state)
{
	(void)state;
	the_limits.query_timeout = 20 * NS_PER_MS;
	fake.hold = true;
	assert_int_equal(get("/loki/api/v1/query_range?query=x"), 504);
	fake.hold = false;
	the_limits.query_timeout = 60 * NS_PER_S;
}

static void readiness(void **state)
{
	(void)state;
	assert_int_equal(get("/ready"), 200);
	assert_string_equal(body_of(), "ready\n");
	assert_true(has("Content-Type: text/plain; charset=utf-8\r\n"));
	assert_int_equal(get("/ready?verbose"), 200);
	assert_string_equal(body_of(), "ready\nhead: 0 bytes\n");
	fake.ready = false;
	assert_int_equal(get("/ready"), 503);
	assert_string_equal(body_of(), "disk is full\n");
	assert_int_equal(get("/ready?mode=read"), 200);
	fake.ready = true;
	assert_int_equal(request("HEAD", "/ready", "", NULL), 405);
}

static void operations(void **state)
{
	(void)state;
	assert_int_equal(get("/loki/api/v1/status/buildinfo"), 200);
	assert_string_equal(
		body_of(),
		"{\"version\":\"3.5.0\",\"revision\":\"spoor-0.1.0\",\"branch\":\"main\",\"buildUser\":\"\","
		"\"buildDate\":\"\",\"goVersion\":\"\"}\n");
	assert_true(has("Content-Type: application/json\r\n"));
	assert_int_equal(get("/config?mode=diffs"), 200);
	assert_string_equal(body_of(), "mode: \"diffs\"\n");
	assert_int_equal(get("/services"), 200);
	assert_string_equal(body_of(), "store => Running\n");
	assert_int_equal(get("/metrics"), 200);
	assert_true(has("Content-Type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores\r\n"));
	assert_true(has("spoor_query_phase_seconds_bucket{phase=\"queue\""));
	assert_true(has("spoor_query_refusals_total{reason=\"limited\"} "));
	assert_int_equal(get("/flush"), 405);
	assert_int_equal(request("POST", "/flush", "", ""), 204);
	assert_int_equal(fake.n_flushes, 1);
}

static void the_log_level(void **state)
{
	(void)state;
	log_set_level(LOG_WARN);
	assert_int_equal(get("/log_level"), 200);
	assert_string_equal(body_of(), "{\"message\":\"Current log level is warn\"}");
	assert_int_equal(request("POST", "/log_level?log_level=error", "", ""), 200);
	assert_string_equal(body_of(), "{\"status\":\"success\",\"message\":\"Log level set to error\"}");
	assert_int_equal(log_get_level(), LOG_ERROR);
	assert_int_equal(request("POST", "/log_level", "Content-Type: application/x-www-form-urlencoded\r\n",
				 "log_level=foo"),
			 400);
	assert_string_equal(body_of(),
			    "{\"status\":\"failed\",\"message\":\"unrecognized log level \\\"foo\\\"\"}");
}

static void unknown_paths_and_methods(void **state)
{
	(void)state;
	assert_int_equal(get("/"), 404);
	assert_string_equal(body_of(), "404 page not found\n");
	assert_int_equal(request("DELETE", "/loki/api/v1/query_range", "", NULL), 405);
	assert_int_equal(request("PUT", "/loki/api/v1/push", "", ""), 405);
}

/* A row that says nothing would be for administrators alone; better that each says what it is for. */
/* Probes, and the page's files, which hold no secrets. */
static bool may_be_open(const char *path)
{
	return strcmp(path, "/ready") == 0 || strcmp(path, "/") == 0 || strcmp(path, "/ui") == 0 ||
	       strncmp(path, "/ui/", 4) == 0;
}

static void test_each_row_has_a_role(void **state)
{
	size_t n;
	const struct route *r = api_routes(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		bool open = (r[i].flags & ROUTE_OPEN) != 0;

		if (open ? !may_be_open(r[i].path) : (r[i].flags & ROLE_ANY) == 0)
			fail_msg("%s %s has no role", r[i].methods, r[i].path);
		if ((r[i].flags & NEED_BODY) != 0 && (r[i].flags & (ROLE_WRITE | ROLE_ADMIN)) == 0)
			fail_msg("%s %s takes a body from readers", r[i].methods, r[i].path);
		if ((r[i].flags & ROUTE_ADMIN) != 0 && (r[i].flags & ROLE_ANY) != ROLE_ADMIN)
			fail_msg("%s %s is for operators alone", r[i].methods, r[i].path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_has_a_role),
		cmocka_unit_test(a_push),
		cmocka_unit_test(a_push_that_is_refused),
		cmocka_unit_test(json_lines),
		cmocka_unit_test(otlp),
		cmocka_unit_test(a_page_of_another_site_may_not_push),
		cmocka_unit_test(a_range_query),
		cmocka_unit_test(a_form_beats_the_url),
		cmocka_unit_test(a_metric_query_is_not_bound_by_the_entries_limit),
		cmocka_unit_test(an_instant_query),
		cmocka_unit_test(encoding_flags),
		cmocka_unit_test(errors_are_plain_text),
		cmocka_unit_test(labels),
		cmocka_unit_test(series),
		cmocka_unit_test(index_stats),
		cmocka_unit_test(volumes),
		cmocka_unit_test(detected),
		cmocka_unit_test(what_is_off_is_not_found),
		cmocka_unit_test(a_query_is_formatted),
		cmocka_unit_test(a_query_is_explained),
		cmocka_unit_test(traces),
		cmocka_unit_test(big_answers_are_compressed_when_invited),
		cmocka_unit_test(a_full_queue_and_a_lost_client),
		cmocka_unit_test(a_deadline),
		cmocka_unit_test(readiness),
		cmocka_unit_test(operations),
		cmocka_unit_test(the_log_level),
		cmocka_unit_test(unknown_paths_and_methods),
	};

	log_set_level(LOG_ERROR);
	int rc = cmocka_run_group_tests(tests, start, stop);
	buf_fini(&answer);
	return rc;
}
