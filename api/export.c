/* api/export.c - GET /api/v1/export: all lines of a log query as a file, however many there are.
 *
 * One page after the other is read and written, each in a turn of the scheduler, so that an export neither holds its result
 * in memory nor keeps others waiting. While the client does not take what was written, nothing runs:
 *
 *	submit ─► step: a page ─► written ─┬─ room left ──────────────► submit
 *	                                   └─ none: parked ─► on_low ─► submit                                      */
#include "api/handlers.h"
#include "api/job.h"
#include "api/running.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "query/page.h"

enum { PAGE_ENTRIES = 2000 };

enum format { FORMAT_JSONL, FORMAT_TEXT, FORMAT_CSV };
static const struct {
	const char *name, *content_type, *disposition, *head;
} formats[] = {
	[FORMAT_JSONL] = { "jsonl", "application/x-ndjson; charset=utf-8",
			   "attachment; filename=\"logs.jsonl\"", "" },
	[FORMAT_TEXT] = { "text", "text/plain; charset=utf-8", "attachment; filename=\"logs.txt\"", "" },
	[FORMAT_CSV] = { "csv", "text/csv; charset=utf-8", "attachment; filename=\"logs.csv\"",
			 "time,ts,level,service,labels,metadata,line\r\n" },
};

/* Of an export that found no room: who comes second submits it again. */
enum turn { TURN_NONE, TURN_PARKED, TURN_ROOM };

struct export
{
	struct job *job;
	enum format format;
	bool started; /* the answer has begun */
	bool has_cursor;
	struct page_cursor cursor;
	_Atomic int turn;
};

/* ------------------------------------------------------------------ lines */

static void put_time(struct buf *b, int64_t ts)
{
	clock_format_rfc3339(b, ts, true);
}

static void put_jsonl(struct buf *b, const struct page *p, const struct page_entry *e)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	json_key_int_text(&j, "ts", e->ts);
	json_key(&j, "time");
	json_sep(&j);
	buf_putc(b, '"');
	put_time(b, e->ts);
	buf_putc(b, '"');
	json_key(&j, "labels");
	labels_json(&j, p->stream[e->stream]);
	json_key(&j, "metadata");
	labels_json(&j, e->meta);
	json_key(&j, "parsed");
	labels_json(&j, e->parsed);
	json_key(&j, "line");
	json_str(&j, e->line);
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static bool needs_quotes(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\r' || s.p[i] == '\n')
			return true;
	return false;
}

/* RFC 4180. What a spreadsheet would take for a formula gets an apostrophe. */
static void put_cell(struct buf *b, struct slice s)
{
	bool quotes = needs_quotes(s);

	if (quotes)
		buf_putc(b, '"');
	if (s.n > 0 && memchr("=+-@\t\r", s.p[0], 6) != NULL)
		buf_putc(b, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_putc(b, '"');
		buf_putc(b, s.p[i]);
	}
	if (quotes)
		buf_putc(b, '"');
}

static void put_labels_cell(struct buf *b, struct labels l)
{
	struct buf text;

	buf_init(&text);
	labels_json(&(struct json_out){ .b = &text }, l);
	put_cell(b, buf_slice(&text));
	buf_fini(&text);
}

static void put_csv(struct buf *b, const struct page *p, const struct page_entry *e)
{
	struct labels labels = p->stream[e->stream];

	put_time(b, e->ts);
	buf_printf(b, ",%lld,", (long long)e->ts);
	put_cell(b, labels_get(e->meta, SLICE("detected_level")));
	buf_putc(b, ',');
	put_cell(b, labels_get(labels, SLICE("service_name")));
	buf_putc(b, ',');
	put_labels_cell(b, labels);
	buf_putc(b, ',');
	put_labels_cell(b, e->meta);
	buf_putc(b, ',');
	put_cell(b, e->line);
	buf_puts(b, "\r\n");
}

static void put_page(struct buf *b, enum format format, const struct page *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct page_entry *e = &p->entry[i];

		switch (format) {
		case FORMAT_JSONL: put_jsonl(b, p, e); break;
		case FORMAT_CSV: put_csv(b, p, e); break;
		case FORMAT_TEXT:
			buf_add(b, e->line);
			buf_putc(b, '\n');
			break;
		}
	}
}

/* ------------------------------------------------------------------ turns */

static void submit(struct export *x);

/* err NULL: all of it was written. A failure after the beginning shows as a cut connection. */
static void end(struct export *x, const struct err *err)
{
	struct req *req = x->job->req;

	running_remove(x->job);
	if (err != NULL && x->started)
		log_warn("export cut off", KVS("tenant", req->tenant), KV("error", err->msg));
	if (x->started) {
		req_stream_end(req, err == NULL);
		return;
	}
	job_refuse(x->job, err);
	req_finish_from_any_thread(req);
}

/* On the loop thread, under the request's lock, in which an export may not end: its turn is not refused here, as the
 * scheduler outlives the server. */
static void on_low(void *arg)
{
	struct export *x = arg;

	if (atomic_exchange(&x->turn, TURN_ROOM) == TURN_PARKED)
		submit(x);
}

static void begin(struct export *x)
{
	struct req *req = x->job->req;

	req_add_header(req, "Cache-Control", "no-store");
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_add_header(req, "Content-Disposition", formats[x->format].disposition);
	req_stream_start(req, 200, formats[x->format].content_type, on_low, x);
	x->started = true;
}

/* REQ_STREAM_GONE: the client has left. */
static enum req_stream write_page(struct export *x, const struct page *page)
{
	enum req_stream room;
	struct buf b;

	buf_init(&b);
	if (!x->started) {
		begin(x);
		buf_puts(&b, formats[x->format].head);
	}
	put_page(&b, x->format, page);
	atomic_store(&x->turn, TURN_NONE);
	room = b.n > 0 ? req_stream_write(x->job->req, buf_slice(&b)) : REQ_STREAM_OK;
	buf_fini(&b);
	return room;
}

static void step(struct sched_job *sched_job, const struct err *refused)
{
	struct job *job = (struct job *)sched_job; /* its first member */
	struct export *x = job->state;
	const struct params_query *q = &job->query;
	const struct page_request r = {
		.tenant = job->req->tenant,
		.text = q->text,
		.start = q->range.start,
		.end = q->range.end,
		.limit = PAGE_ENTRIES,
		.backward = q->backward,
		.after = x->has_cursor ? &x->cursor : NULL,
		.limits = &job->limits,
	};
	struct page page;
	struct err err;

	if (refused != NULL) {
		end(x, refused);
		return;
	}
	if (query_control_check(&job->control, &err) == -1 ||
	    page_run(job->api->engine, &r, &job->control, &page, &err) == -1) {
		end(x, &err);
		return;
	}
	enum req_stream room = write_page(x, &page);
	bool more = page.more && room != REQ_STREAM_GONE;
	x->has_cursor = true;
	x->cursor = page.cursor;
	page_fini(&page);
	if (!more)
		end(x, NULL);
	else if (room == REQ_STREAM_OK || atomic_exchange(&x->turn, TURN_PARKED) == TURN_ROOM)
		submit(x);
}

/* Every page has the time of a query. */
static void submit(struct export *x)
{
	struct job *job = x->job;
	struct err err;

	if (job->limits.query_timeout > 0)
		job->control.deadline_mono_ns = clock_mono_ns() + job->limits.query_timeout;
	job->sched_job.deadline_mono_ns = job->control.deadline_mono_ns;
	/* The number of those that may wait was looked at when it began. */
	if (sched_submit(job->api->sched, job->req->tenant,
			 x->has_cursor ? 0 : (size_t)job->limits.max_queued_queries, &job->sched_job,
			 &err) == -1)
		end(x, &err);
}

/* ------------------------------------------------------------------ the handler */

static int format_by_name(struct slice name, enum format *out, struct err *err)
{
	if (name.n == 0)
		name = SLICE("jsonl");
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (slice_is(name, formats[i].name)) {
			*out = (enum format)i;
			return 0;
		}
	return err_set(err, ERR_BAD_REQUEST, "format is jsonl, text or csv, not %.*s",
		       SLICE_ARG(slice_sub(name, 0, 64)));
}

void export_lines(struct req *req)
{
	struct job *job = job_new(req);
	struct export *x = arena_new(&req->arena, struct export);
	struct err err;

	x->job = job;
	job->state = x;
	job->text = req_param(req, SLICE("query"));
	if (params_query_range(&req->params, job->now, &job->query, &err) == -1 ||
	    format_by_name(req_param(req, SLICE("format")), &x->format, &err) == -1 ||
	    params_apply_limits(&job->limits, job->now, &job->query.range, &err) == -1) {
		job_refuse(job, &err);
		return;
	}
	job->sched_job.run = step;
	job->sched_job.class = SCHED_QUERY;
	job->sched_job.cancelled = &job->control.cancelled;
	req_defer(req);
	job_watch_client(job);
	running_add(job);
	submit(x);
}
