/* api/entries.c - /api/v1/entries: a log query page by page; /api/v1/context: what surrounds a line. */
#include "api/encode.h"
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"
#include "logql/parse.h"
#include "query/entry_id.h"
#include "query/page.h"

enum {
	DEFAULT_PAGE = 200,
	DEFAULT_AROUND = 20,
	MAX_AROUND = 1000,
	MAX_SAME_MOMENT = 5000 /* lines of one time among which the anchor is looked for */
};

static void put_labels(struct json_out *j, const char *key, struct labels l)
{
	json_key(j, key);
	labels_json(j, l);
}

static void put_entry(struct json_out *j, const struct page_entry *e, size_t first_stream)
{
	json_open(j, '{');
	json_key(j, "id");
	json_sep(j);
	buf_putc(j->b, '"');
	entry_id_format(j->b, e->ts, e->hash);
	buf_putc(j->b, '"');
	json_key(j, "stream");
	json_int(j, (int64_t)(first_stream + e->stream));
	json_key_int_text(j, "ts", e->ts);
	json_key(j, "line");
	json_str(j, e->line);
	put_labels(j, "metadata", e->meta);
	put_labels(j, "parsed", e->parsed);
	json_close(j, '}');
}

static void put_streams(struct json_out *j, const struct page *p)
{
	for (size_t i = 0; i < p->n_streams; i++)
		labels_json(j, p->stream[i]);
}

static void put_cursor(struct json_out *j, const char *key, const struct page *p)
{
	json_key(j, key);
	if (!p->more) {
		json_put_null(j);
		return;
	}
	json_sep(j);
	buf_putc(j->b, '"');
	page_cursor_format(j->b, &p->cursor);
	buf_putc(j->b, '"');
}

static void put_warnings(struct json_out *j, const struct query_result *r)
{
	for (size_t i = 0; i < r->n_warnings; i++)
		json_str(j, r->warning[i]);
}

static int put_entries(struct json_out *j, const struct page *p, struct query_control *c, struct err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		if (i % 1024 == 1023 && query_control_check(c, err) == -1)
			return -1;
		put_entry(j, &p->entry[i], 0);
	}
	return 0;
}

/* ------------------------------------------------------------------ pages */

static int read_cursor(const struct job *job, struct page_cursor *cursor, const struct page_cursor **after,
		       struct err *err)
{
	struct slice text = req_param(job->req, SLICE("cursor"));

	*after = NULL;
	if (text.n == 0)
		return 0;
	if (!page_cursor_parse(text, cursor))
		return err_set(err, ERR_BAD_REQUEST, "invalid cursor: %.*s",
			       SLICE_ARG(slice_sub(text, 0, 256)));
	*after = cursor;
	return 0;
}

static int work_page(struct job *job, struct buf *body, struct err *err)
{
	const struct params_query *q = &job->query;
	struct page_cursor cursor;
	struct page_request r = {
		.tenant = job->req->tenant,
		.text = q->text,
		.start = q->range.start,
		.end = q->range.end,
		.limit = q->limit,
		.backward = q->backward,
		.limits = &job->limits,
	};
	struct json_out j = { .b = body };
	struct page page;

	if (read_cursor(job, &cursor, &r.after, err) == -1 ||
	    page_run(job->api->engine, &r, &job->control, &page, err) == -1)
		return -1;
	page.result.stats.queue_seconds = (double)job->sched_job.queued_ns / (double)NS_PER_S;
	json_open(&j, '{');
	json_key(&j, "streams");
	json_open(&j, '[');
	put_streams(&j, &page);
	json_close(&j, ']');
	json_key(&j, "entries");
	json_open(&j, '[');
	int rc = put_entries(&j, &page, &job->control, err);
	json_close(&j, ']');
	put_cursor(&j, "next", &page);
	json_key(&j, "warnings");
	json_open(&j, '[');
	put_warnings(&j, &page.result);
	json_close(&j, ']');
	encode_stats(&j, &page.result.stats);
	json_close(&j, '}');
	page_fini(&page);
	return rc;
}

void entries_page(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	job->text = req_param(req, SLICE("query"));
	job_page_headers(job);
	if (params_query_range(&req->params, job->now, &job->query, &err) == -1 ||
	    params_limit(&req->params, "limit", DEFAULT_PAGE, &job->query.limit, &err) == -1 ||
	    job_check_entries(job, job->query.limit, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1)
		job_refuse(job, &err);
	else
		job_submit(job, SCHED_QUERY, work_page);
}

/* ------------------------------------------------------------------ context */

/* Labels that say what a line is, not where it comes from. */
static bool is_level(struct slice name)
{
	static const char *const names[] = { "level", "detected_level", "severity", "severity_text",
					     "lvl",   "loglevel",	"log_level" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_is(name, names[i]))
			return true;
	return false;
}

static void put_matcher(struct buf *b, struct label l)
{
	buf_puts(b, b->n > 1 ? ", " : "");
	buf_add(b, l.name);
	buf_putc(b, '=');
	text_go_quote(b, l.value);
}

static void put_source(struct buf *b, struct labels l)
{
	for (size_t i = 0; i < l.n; i++)
		if (!is_level(l.v[i].name))
			put_matcher(b, l.v[i]);
}

static void put_service(struct buf *b, struct labels l)
{
	static const char *const names[] = { "service_name", "service",	  "app",      "application",
					     "job",	     "container", "component" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct slice value = labels_get(l, slice_cstr(names[i]));

		if (value.n > 0 && !slice_is(value, "unknown_service")) {
			put_matcher(b, (struct label){ slice_cstr(names[i]), value });
			return;
		}
	}
	put_source(b, l);
}

struct around {
	struct slice query; /* in the request's arena */
	int64_t ts, start, end;
	bool has_id;
	uint64_t hash;
	uint32_t n_before, n_after;
};

static int parse_scope(const struct req *req, struct labels labels, struct buf *text, bool *windowed,
		       struct err *err)
{
	struct slice scope = req_param(req, SLICE("scope"));

	buf_putc(text, '{');
	*windowed = true;
	if (scope.n == 0 || slice_is(scope, "source")) {
		put_source(text, labels);
		*windowed = false;
	} else if (slice_is(scope, "service")) {
		put_service(text, labels);
	} else if (!slice_is(scope, "all")) {
		return err_set(err, ERR_BAD_REQUEST, "scope is source, service or all, not %.*s",
			       SLICE_ARG(slice_sub(scope, 0, 64)));
	}
	if (text->n == 1)
		buf_puts(text, "service_name=~\".+\""); /* which every stream has */
	buf_puts(text, "} ");
	buf_add(text, req_param(req, SLICE("pipeline")));
	return 0;
}

static int parse_count(const struct job *job, const char *name, uint32_t *out, struct err *err)
{
	if (params_limit(&job->req->params, name, DEFAULT_AROUND, out, err) == -1)
		return -1;
	if (*out > MAX_AROUND)
		return err_set(err, ERR_BAD_REQUEST, "%s is %u, the limit is %d", name, *out, MAX_AROUND);
	return 0;
}

static int parse_around(struct job *job, struct around *a, struct err *err)
{
	struct req *req = job->req;
	struct slice id = req_param(req, SLICE("id")), window = req_param(req, SLICE("window"));
	struct timerange range;
	int64_t window_ns = NS_PER_MIN, id_ts;
	struct labels labels;
	struct buf text;
	bool windowed;

	if (!slice_to_i64(req_param(req, SLICE("ts")), &a->ts))
		return err_set(err, ERR_BAD_REQUEST, "ts is the time of the line in nanoseconds");
	a->has_id = id.n > 0;
	if (a->has_id && !entry_id_parse(id, &id_ts, &a->hash))
		return err_set(err, ERR_BAD_REQUEST, "invalid id");
	if (labels_parse(req_param(req, SLICE("stream")), &req->arena, &labels, err) == -1 ||
	    parse_count(job, "before", &a->n_before, err) == -1 ||
	    parse_count(job, "after", &a->n_after, err) == -1 ||
	    (window.n > 0 && params_parse_duration(window, &window_ns, err) == -1))
		return -1;
	buf_init(&text);
	int rc = parse_scope(req, labels, &text, &windowed, err);
	a->query = arena_dup(&req->arena, buf_slice(&text));
	buf_fini(&text);
	if (rc == -1)
		return -1;
	if (!windowed)
		window_ns = 24 * 3600 * NS_PER_S;
	if (window_ns <= 0 || a->ts > INT64_MAX - window_ns - 1 || a->ts < INT64_MIN + window_ns)
		return err_set(err, ERR_BAD_REQUEST, "there is no such window around ts");
	range = (struct timerange){ a->ts - window_ns, a->ts + window_ns + 1 };
	if (params_apply_limits(&job->limits, job->now, &range, err) == -1)
		return -1;
	a->start = range.start;
	a->end = range.end;
	return 0;
}

/* The anchor with what surrounds it: three pages, of which the moment holds the anchor at `at`. */
struct surroundings {
	struct page older, moment, newer;
	size_t at;
	bool has_anchor;
};

static void no_page(struct page *out)
{
	*out = (struct page){ .more = false };
	arena_init(&out->result.arena);
}

static int run_page(struct job *job, const struct around *a, int64_t start, int64_t end, uint32_t limit,
		    bool backward, const struct page_cursor *after, struct page *out, struct err *err)
{
	const struct page_request r = {
		.tenant = job->req->tenant,
		.text = a->query,
		.start = start,
		.end = end,
		.limit = limit,
		.backward = backward,
		.after = after,
		.limits = &job->limits,
	};

	no_page(out);
	return limit > 0 && start < end ? page_run(job->api->engine, &r, &job->control, out, err) : 0;
}

/* Lines with times in whole seconds share theirs with many others: which of them is it? */
static int find_anchor(struct job *job, const struct around *a, struct surroundings *s, struct err *err)
{
	const struct page *p = &s->moment;

	if (run_page(job, a, MAX(a->ts, a->start), MIN(a->ts + 1, a->end), MAX_SAME_MOMENT, false, NULL,
		     &s->moment, err) == -1)
		return -1;
	s->has_anchor = p->n > 0;
	s->at = 0;
	for (size_t i = 0; i < p->n && a->has_id; i++)
		if (p->entry[i].hash == a->hash) {
			s->at = i;
			break;
		}
	return 0;
}

/* Going backward, entries of one time come in the reverse of their order, so what is left of them is behind the anchor
 * in either direction. */
static int run_sides(struct job *job, const struct around *a, struct surroundings *s, struct err *err)
{
	struct page_cursor before, after;
	int64_t end = s->has_anchor ? a->ts + 1 : a->ts;

	if (s->has_anchor) {
		uint64_t hash = s->moment.entry[s->at].hash;

		before = (struct page_cursor){ a->ts, hash, (uint32_t)(s->moment.n - s->at) };
		after = (struct page_cursor){ a->ts, hash, (uint32_t)s->at + 1 };
	}
	if (run_page(job, a, a->start, MIN(end, a->end), a->n_before, true, s->has_anchor ? &before : NULL,
		     &s->older, err) == -1)
		return -1;
	if (run_page(job, a, MAX(a->ts, a->start), a->end, a->n_after, false, s->has_anchor ? &after : NULL,
		     &s->newer, err) == 0)
		return 0;
	page_fini(&s->older);
	return -1;
}

static void put_surroundings(struct json_out *j, const struct surroundings *s)
{
	json_key(j, "streams");
	json_open(j, '[');
	put_streams(j, &s->older);
	put_streams(j, &s->moment);
	put_streams(j, &s->newer);
	json_close(j, ']');
	json_key(j, "entries");
	json_open(j, '[');
	for (size_t i = s->older.n; i-- > 0;)
		put_entry(j, &s->older.entry[i], 0);
	if (s->has_anchor)
		put_entry(j, &s->moment.entry[s->at], s->older.n_streams);
	for (size_t i = 0; i < s->newer.n; i++)
		put_entry(j, &s->newer.entry[i], s->older.n_streams + s->moment.n_streams);
	json_close(j, ']');
	json_key(j, "anchor");
	if (s->has_anchor)
		json_int(j, (int64_t)s->older.n);
	else
		json_put_null(j);
	put_cursor(j, "older", &s->older);
	put_cursor(j, "newer", &s->newer);
}

static int work_context(struct job *job, struct buf *body, struct err *err)
{
	struct json_out j = { .b = body };
	struct surroundings s;
	struct around a;

	if (parse_around(job, &a, err) == -1 || find_anchor(job, &a, &s, err) == -1)
		return -1;
	if (run_sides(job, &a, &s, err) == -1) {
		page_fini(&s.moment);
		return -1;
	}
	json_open(&j, '{');
	json_key(&j, "query");
	json_str(&j, a.query);
	json_key_int_text(&j, "start", a.start);
	json_key_int_text(&j, "end", a.end);
	put_surroundings(&j, &s);
	json_close(&j, '}');
	page_fini(&s.older);
	page_fini(&s.moment);
	page_fini(&s.newer);
	return 0;
}

void entries_context(struct req *req)
{
	struct job *job = job_new(req);

	job->text = req_param(req, SLICE("stream"));
	job_page_headers(job);
	job_submit(job, SCHED_QUERY, work_context);
}
