/* api/deletes.c - delete requests: make, list, cancel. As in Loki parameters stand in the URL alone; a form body is
 * ignored. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"
#include "query/erase.h"

enum deletion_mode { DELETION_DISABLED, DELETION_FILTER_ONLY, DELETION_FULL };

static enum deletion_mode mode_of(const struct limits *limits)
{
	struct slice mode = slice_cstr(limits->deletion_mode);

	return slice_is(mode, "filter-and-delete") ? DELETION_FULL
	       : slice_is(mode, "filter-only")	   ? DELETION_FILTER_ONLY
						   : DELETION_DISABLED;
}

/* False: answered with 403. */
static bool is_allowed(struct job *job)
{
	struct err err;

	if (mode_of(&job->limits) != DELETION_DISABLED)
		return true;
	err_set(&err, ERR_FORBIDDEN, "deletion is not available for this tenant");
	job_refuse(job, &err);
	return false;
}

/* ---- times: Unix seconds or RFC 3339, nothing else ---- */

static int parse_time(struct slice text, const char *which, int64_t *out, struct err *err)
{
	enum { UNIX_SECONDS_DIGITS = 10 };
	uint64_t seconds;

	if (text.n <= UNIX_SECONDS_DIGITS && slice_to_u64(text, &seconds)) {
		*out = (int64_t)seconds * NS_PER_S;
		return 0;
	}
	if (clock_parse_rfc3339(text, out))
		return 0;
	return err_set(err, ERR_BAD_REQUEST, "invalid %s time: require unix seconds or RFC3339 format",
		       which);
}

static int parse_range(const struct job *job, struct timerange *out, struct err *err)
{
	struct slice start = req_param(job->req, SLICE("start")), end = req_param(job->req, SLICE("end"));
	int64_t now = job->now - job->now % NS_PER_MS;

	if (start.n == 0)
		return err_set(err, ERR_BAD_REQUEST, "start time not set");
	out->end = now;
	if (parse_time(start, "start", &out->start, err) == -1 ||
	    (end.n > 0 && parse_time(end, "end", &out->end, err) == -1))
		return -1;
	if (out->end > job->now)
		return err_set(err, ERR_BAD_REQUEST, "deletes in the future are not allowed");
	if (out->start >= out->end)
		return err_set(err, ERR_BAD_REQUEST, "start time can't be greater than or equal to end time");
	return 0;
}

/* ---- make ---- */

static int work_create(struct job *job, struct buf *body, struct err *err)
{
	const struct delete_request r = { .query = job->query.text,
					  .start = job->query.range.start,
					  .end = job->query.range.end,
					  .filter_only = mode_of(&job->limits) == DELETION_FILTER_ONLY };

	(void)body;
	return delete_create(job->api->engine, job->req->tenant, &r, err);
}

void deletes_create(struct req *req)
{
	struct job *job = job_new(req);
	struct err err;

	if (!is_allowed(job))
		return;
	job->text = job->query.text = req_param(req, SLICE("query"));
	int rc = job->query.text.n == 0 ? err_set(&err, ERR_BAD_REQUEST, "query not set")
					: delete_check_query(job->query.text, &err);
	if (rc == 0)
		rc = parse_range(job, &job->query.range, &err);
	if (rc == 0)
		job_submit(job, SCHED_META, work_create);
	else
		job_refuse(job, &err);
}

/* ---- list ---- */

static void put_time(struct json_out *j, const char *key, int64_t ns)
{
	json_key(j, key);
	json_float(j, (double)(ns / NS_PER_MS) / 1000);
}

static void put_request(struct json_out *j, const struct delete_info *d)
{
	json_open(j, '{');
	json_key(j, "request_id");
	json_str(j, d->id);
	put_time(j, "start_time", d->start);
	put_time(j, "end_time", d->end);
	json_key(j, "query");
	json_str(j, d->query);
	json_key(j, "status");
	json_str(j, d->status);
	put_time(j, "created_at", d->created_ns);
	json_key(j, "user_id");
	json_cstr(j, "");
	json_key(j, "deleted_entries");
	json_int(j, (int64_t)d->n_entries);
	json_key(j, "deleted_bytes");
	json_int(j, (int64_t)d->n_bytes);
	json_key(j, "rewritten_chunks");
	json_int(j, (int64_t)d->n_chunks);
	if (d->filter_only) {
		json_key(j, "filter_only");
		json_bool(j, true);
	}
	if (d->purged_ns != 0)
		put_time(j, "purged_at", d->purged_ns);
	json_close(j, '}');
}

/* True: those that meet *r are wanted. Only one of start and end yields nothing. */
static int parse_filter(const struct job *job, struct timerange *r, struct err *err)
{
	struct slice start = req_param(job->req, SLICE("start")), end = req_param(job->req, SLICE("end"));

	*r = TIMERANGE_ALL;
	if (start.n == 0 && end.n == 0)
		return 0;
	if ((start.n > 0 && parse_time(start, "start", &r->start, err) == -1) ||
	    (end.n > 0 && parse_time(end, "end", &r->end, err) == -1))
		return -1;
	if (start.n == 0 || end.n == 0)
		*r = (struct timerange){ INT64_MAX, INT64_MIN };
	return 0;
}

void deletes_list(struct req *req)
{
	struct job *job = job_new(req);
	struct delete_info *v;
	struct timerange range;
	struct err err;
	struct buf body;
	size_t n;

	if (!is_allowed(job))
		return;
	if (parse_filter(job, &range, &err) == -1) {
		job_refuse(job, &err);
		return;
	}
	buf_init(&body);
	struct json_out j = { .b = &body };
	delete_list(job->api->engine, req->tenant, &req->arena, &v, &n);
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++)
		if (v[i].start <= range.end && v[i].end >= range.start)
			put_request(&j, &v[i]);
	json_close(&j, ']');
	req_reply(req, 200, "application/json", &body);
	buf_fini(&body);
}

/* ---- cancel ---- */

static int work_cancel(struct job *job, struct buf *body, struct err *err)
{
	struct slice force = req_param(job->req, SLICE("force"));
	bool forced = slice_is(force, "true") || slice_is(force, "1") || slice_is(force, "t") ||
		      slice_is(force, "T") || slice_is(force, "True") || slice_is(force, "TRUE");

	(void)body;
	return delete_cancel(job->api->engine, job->req->tenant, job->name, forced, err);
}

void deletes_cancel(struct req *req)
{
	struct job *job = job_new(req);

	if (!is_allowed(job))
		return;
	job->name = req_param(req, SLICE("request_id"));
	if (job->name.p == NULL)
		job->name = SLICE("");
	job_submit(job, SCHED_META, work_cancel);
}
