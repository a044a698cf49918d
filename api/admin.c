/* api/admin.c - what operators and probes ask: readiness, metrics, configuration, log level, flush. */
#include "api/handlers.h"
#include "api/job.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/text.h"

#include <signal.h>
#include <unistd.h>

static const char text_plain[] = "text/plain; charset=utf-8";

static void reply_buf(struct req *req, int status, const char *type, struct buf *body)
{
	req_reply(req, status, type, body);
	buf_fini(body);
}

void admin_ready(struct req *req)
{
	struct api_context *api = req->app;
	bool for_readers = slice_is(req_param(req, SLICE("mode")), "read");
	struct buf body;

	buf_init(&body);
	bool ready = api->ready(api->arg, for_readers, &body);
	if (ready) {
		buf_reset(&body);
		buf_puts(&body, "ready");
	}
	buf_putc(&body, '\n');
	if (req_param(req, SLICE("verbose")).p != NULL)
		api->status(api->arg, &body);
	if (!ready)
		req_add_header(req, "Retry-After", "1");
	reply_buf(req, ready ? 200 : 503, text_plain, &body);
}

/* One item of an Accept header, "type/subtype; q=0.5; version=1.0.0". */
struct accepted {
	struct slice type, version; /* version absent if not given */
	double q;
};

static struct accepted next_accepted(struct slice *rest)
{
	size_t comma = slice_find_byte(*rest, ',');
	struct slice item = slice_sub(*rest, 0, comma);
	size_t semicolon = slice_find_byte(item, ';');
	struct accepted a = { .type = slice_trim(slice_sub(item, 0, semicolon)), .q = 1 };

	*rest = slice_from(*rest, comma == SLICE_NONE ? rest->n : comma + 1);
	while (semicolon != SLICE_NONE) {
		item = slice_from(item, semicolon + 1);
		semicolon = slice_find_byte(item, ';');
		struct slice parameter = slice_trim(slice_sub(item, 0, semicolon));
		if (slice_starts(parameter, SLICE("version=")))
			a.version = slice_from(parameter, sizeof("version=") - 1);
		else if (slice_starts(parameter, SLICE("q=")) &&
			 !slice_to_double(slice_from(parameter, sizeof("q=") - 1), &a.q))
			a.q = 0;
	}
	return a;
}

/* OpenMetrics is sent to those who ask for it by name and like it better than plain text. */
static enum metrics_format metrics_format(struct slice accept)
{
	double openmetrics = 0, text = 0;

	while (accept.p != NULL && accept.n > 0) {
		struct accepted a = next_accepted(&accept);

		if (slice_is(a.type, "application/openmetrics-text") &&
		    (a.version.p == NULL || slice_is(a.version, "1.0.0") || slice_is(a.version, "0.0.1")))
			openmetrics = MAX(openmetrics, a.q);
		else if (slice_is(a.type, "text/plain"))
			text = MAX(text, a.q);
	}
	return openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}

void admin_metrics(struct req *req)
{
	static const char *const types[] = {
		[METRICS_TEXT] = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
		[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};
	enum metrics_format format = metrics_format(req_header(req, SLICE("Accept")));
	struct api_context *api = req->app;
	struct buf body;

	buf_init(&body);
	if (api->before_metrics != NULL)
		api->before_metrics(api->arg);
	metrics_render_as(&body, format);
	reply_buf(req, 200, types[format], &body);
}

void admin_buildinfo(struct req *req)
{
	struct api_context *api = req->app;
	struct json_out j = { .b = &(struct buf){ 0 } };
	char *revision = arena_printf(&req->arena, "spoor-%s", api->version);

	json_open(&j, '{');
	json_key(&j, "version");
	json_cstr(&j, API_VERSION);
	json_key(&j, "revision");
	json_cstr(&j, revision);
	json_key(&j, "branch");
	json_cstr(&j, "main");
	json_key(&j, "buildUser");
	json_cstr(&j, "");
	json_key(&j, "buildDate");
	json_cstr(&j, "");
	json_key(&j, "goVersion");
	json_cstr(&j, "");
	json_close(&j, '}');
	buf_putc(j.b, '\n');
	reply_buf(req, 200, "application/json", j.b);
}

void admin_config(struct req *req)
{
	struct api_context *api = req->app;
	struct buf body;

	buf_init(&body);
	api->config(api->arg, req_param(req, SLICE("mode")), &body);
	reply_buf(req, 200, text_plain, &body);
}

void admin_tenant_limits(struct req *req)
{
	struct api_context *api = req->app;
	struct buf body;

	buf_init(&body);
	api->tenant_limits(api->arg, req->tenant, &body);
	reply_buf(req, 200, text_plain, &body);
}

void admin_services(struct req *req)
{
	struct api_context *api = req->app;
	struct buf body;

	buf_init(&body);
	api->services(api->arg, &body);
	reply_buf(req, 200, text_plain, &body);
}

/* {"status":"…","message":"…"}; status may be NULL. */
static void reply_message(struct req *req, int code, const char *status, struct slice message)
{
	struct json_out j = { .b = &(struct buf){ 0 } };

	json_open(&j, '{');
	if (status != NULL) {
		json_key(&j, "status");
		json_cstr(&j, status);
	}
	json_key(&j, "message");
	json_str(&j, message);
	json_close(&j, '}');
	reply_buf(req, code, "application/json; charset=utf-8", j.b);
}

void admin_log_level(struct req *req)
{
	char *text = arena_printf(&req->arena, "Current log level is %s", log_level_name(log_get_level()));

	reply_message(req, 200, NULL, slice_cstr(text));
}

void admin_set_log_level(struct req *req)
{
	struct slice name = req_param(req, SLICE("log_level"));
	enum log_level level;
	struct buf text;

	buf_init(&text);
	if (log_level_parse(name, &level)) {
		log_set_level(level);
		buf_printf(&text, "Log level set to %s", log_level_name(level));
		reply_message(req, 200, "success", buf_slice(&text));
	} else {
		buf_puts(&text, "unrecognized log level ");
		text_go_quote(&text, slice_sub(name, 0, 256));
		reply_message(req, 400, "failed", buf_slice(&text));
	}
	buf_fini(&text);
}

/* An empty body makes the answer a 204. */
static int work_flush(struct job *job, struct buf *body, struct err *err)
{
	(void)body;
	return job->api->flush(job->api->arg, err);
}

void admin_flush(struct req *req)
{
	struct job *job = job_new(req);

	job->limits.query_timeout = 0;
	job->limits.max_queued_queries = 0;
	job_submit(job, SCHED_META, work_flush);
}

static int work_shutdown(struct job *job, struct buf *body, struct err *err)
{
	if (work_flush(job, body, err) == -1)
		return -1;
	if (!slice_is(req_param(job->req, SLICE("terminate")), "false"))
		kill(getpid(), SIGTERM); /* the answer is still sent: stopping waits for requests in work */
	return 0;
}

void admin_shutdown(struct req *req)
{
	struct job *job = job_new(req);

	job->limits.query_timeout = 0;
	job->limits.max_queued_queries = 0;
	job_submit(job, SCHED_META, work_shutdown);
}

/* Nothing has to be prepared: stopping writes all that is in memory anyway. The mark is kept for tools that ask. */
void admin_prepare_shutdown(struct req *req)
{
	static _Atomic bool is_set;
	struct buf body;

	if (slice_is(req->method, "GET")) {
		buf_init(&body);
		buf_puts(&body, atomic_load(&is_set) ? "set" : "unset");
		reply_buf(req, 200, text_plain, &body);
		return;
	}
	atomic_store(&is_set, slice_is(req->method, "POST"));
	req_reply(req, 204, NULL, NULL);
}
