/* spoor tail LOGQL: the newest lines, and then all that come, until it is interrupted. When the connection breaks it
 * goes on where it was: the server's event ids say where that is. */
#include "cli/cli.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/events.h"
#include "cli/times.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { DEFAULT_LINES = 10, MAX_PAUSE_S = 15 };

struct tail {
	struct cli *cli;
	struct events events;
	struct arena arena; /* of one event */
	struct buf cursor;
	unsigned pause_s; /* before the next attempt to connect */
	int rc;
};

static void say_dropped(struct tail *t, const json_t *frame)
{
	size_t n = json_array_size(json_object_get(frame, "dropped_entries"));

	if (n > 0)
		cli_fail(t->cli, 0, "%zu line%s dropped by the server: this end reads too slowly", n,
			 n == 1 ? " was" : "s were");
}

static int show_stream(struct tail *t, const json_t *stream)
{
	struct cli *c = t->cli;
	const json_t *values = json_object_get(stream, "values");
	struct entry e = { .labels = cli_labels(c, json_object_get(stream, "stream")) };

	for (size_t i = 0; i < json_array_size(values); i++) {
		const json_t *pair = json_array_get(values, i);
		struct slice ts = cli_string(json_array_get(pair, 0));

		e.line = cli_string(json_array_get(pair, 1));
		if (ts.p == NULL || e.line.p == NULL || !slice_to_i64(ts, &e.ts))
			return cli_fail(c, CLI_BAD_ANSWER, "the server's answer does not look like Loki's");
		render_entry(&c->out, &c->render, &e, (struct labels){ 0 });
	}
	return 0;
}

static void note_cursor(struct tail *t, struct slice id)
{
	buf_reset(&t->cursor);
	buf_add(&t->cursor, id);
	t->pause_s = 0;
}

static bool on_event(void *arg, struct slice type, struct slice id, struct slice data)
{
	struct tail *t = arg;
	struct cli *c = t->cli;
	struct arena_mark mark = arena_mark(&c->arena);
	json_error_t why;

	if (data.p == NULL) { /* nothing came yet, but the tail is where it can go on */
		note_cursor(t, id);
		return true;
	}
	if (slice_is(type, "failed")) {
		t->rc = cli_fail(c, CLI_REFUSED, "the server ends the tail: %.*s", SLICE_ARG(data));
		return false;
	}
	json_t *frame = json_loadb(data.p, data.n, JSON_ALLOW_NUL, &why);
	if (frame == NULL) {
		t->rc = cli_fail(c, CLI_BAD_ANSWER, "the server's answer is not JSON: %s", why.text);
		return false;
	}
	const json_t *streams = json_object_get(frame, "streams");
	for (size_t i = 0; i < json_array_size(streams) && t->rc == 0; i++)
		t->rc = show_stream(t, json_array_get(streams, i));
	say_dropped(t, frame);
	json_decref(frame);
	arena_rewind(&c->arena, mark);
	if (t->rc == 0)
		t->rc = cli_flush(c);
	note_cursor(t, id);
	return t->rc == 0;
}

static bool on_bytes(void *arg, struct slice piece)
{
	struct tail *t = arg;

	if (events_feed(&t->events, piece))
		return true;
	if (t->rc == 0)
		t->rc = cli_fail(t->cli, CLI_BAD_ANSWER, "an event of the server is too large");
	return false;
}

static int make_path(struct cli *c, struct slice query, struct buf *path)
{
	int64_t since = NS_PER_H;
	uint64_t limit = DEFAULT_LINES;
	char number[32];

	if (c->opt.since != NULL && !duration_parse(slice_cstr(c->opt.since), &since))
		return cli_fail(c, CLI_USAGE, "--since %s is no duration, e.g. 15m or 7d", c->opt.since);
	int rc = cli_number(c, "--limit", c->opt.limit, UINT32_MAX, &limit);
	if (rc != 0)
		return rc;
	buf_puts(path, "/api/v1/tail");
	cli_add_param(path, "query", query);
	snprintf(number, sizeof(number), "%" PRId64, limit > 0 ? c->now - since : c->now);
	cli_add_param(path, "start", slice_cstr(number));
	snprintf(number, sizeof(number), "%" PRIu64, MAX(limit, (uint64_t)1));
	cli_add_param(path, "limit", slice_cstr(number));
	return 0;
}

/* One connection. What may pass is tried again; a refusal is final. */
static int follow(struct tail *t, struct slice path, bool *again)
{
	const struct response *r;
	struct buf header = { 0 };
	struct err err;

	buf_puts(&header, "Accept: text/event-stream");
	if (t->cursor.n > 0)
		buf_printf(&header, "\r\nLast-Event-ID: %.*s", SLICE_ARG(buf_slice(&t->cursor)));
	buf_cstr_end(&header);
	events_reset(&t->events);
	int rc = client_stream(t->cli->client, path, header.p, on_bytes, t, &r, &err);
	buf_fini(&header);
	*again = false;
	if (t->rc != 0)
		return t->rc;
	if (rc == -1) {
		*again = t->cursor.n > 0;
		return cli_fail(t->cli, CLI_UNREACHABLE, "%s", err.msg);
	}
	if (r->status == 200) {
		*again = true;
		return 0;
	}
	cli_say_answer(t->cli, r);
	*again = t->cursor.n > 0 && (r->status == 429 || r->status >= 500);
	return cli_status_code(r->status);
}

int cmd_tail(struct cli *c, int argc, char **argv)
{
	struct tail t = { .cli = c };
	struct buf path = { 0 };
	bool again = true;

	(void)argc;
	if (c->opt.timeout == NULL)
		c->opt.timeout = "60s"; /* of silence: the server says something each 15 s */
	int rc = make_path(c, slice_cstr(argv[0]), &path);
	if (rc == 0)
		rc = cli_connect(c);
	events_init(&t.events, on_event, &t);
	while (rc == 0 && again) {
		rc = follow(&t, buf_slice(&path), &again);
		if (!again)
			break;
		rc = 0;
		t.pause_s = MIN(MAX(2 * t.pause_s, 1u), (unsigned)MAX_PAUSE_S);
		sleep(t.pause_s);
	}
	events_fini(&t.events);
	buf_fini(&t.cursor);
	buf_fini(&path);
	return rc;
}
