/* spoor push [FILE]: lines of a file or of stdin to the server, in batches. A batch that the server is too
 * busy for is sent again: with the same timestamps, so that nothing is stored twice. */
#include "cli/cli.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_BYTES = 1 << 20,
	MAX_LINE_BYTES = 16 << 20,
	MAX_TRIES = 12,
	IDLE_MS = 1000, /* a batch is sent when its source falls silent */
};

struct push {
	int fd;
	struct buf input; /* read and not yet a whole line */
	struct buf batch; /* values (lines) or the body itself (--json) */
	struct json_out json;
	size_t n_batch;
	struct labels labels;
	struct buf path;
	const char *content_type;
	bool plain_json;
	int64_t last_ts;
	uint64_t n_lines, n_bytes;
	bool refused; /* the server has refused something for good */
	int64_t start_ns;
};

static int parse_labels(struct cli *c, struct push *p)
{
	struct label *v = arena_array(&c->arena, struct label, c->opt.labels.n + 1);
	size_t n = c->opt.labels.n;

	for (size_t i = 0; i < n; i++) {
		struct slice text = slice_cstr(c->opt.labels.v[i]);
		size_t eq = slice_find_byte(text, '=');

		if (eq == SLICE_NONE || !label_name_valid(slice_sub(text, 0, eq)) || eq + 1 == text.n)
			return cli_fail(c, CLI_USAGE, "--label %s: expected NAME=VALUE", c->opt.labels.v[i]);
		v[i] = (struct label){ slice_sub(text, 0, eq), slice_from(text, eq + 1) };
	}
	if (n == 0)
		v[n++] = (struct label){ SLICE("job"), SLICE("spoor-push") };
	struct slice twice = labels_sort(v, n);
	if (twice.p != NULL)
		return cli_fail(c, CLI_USAGE, "--label %.*s is given twice", SLICE_ARG(twice));
	p->labels = (struct labels){ v, n };
	return 0;
}

static void batch_start(struct push *p)
{
	buf_reset(&p->batch);
	p->n_batch = 0;
	if (p->plain_json)
		return;
	p->json = (struct json_out){ .b = &p->batch };
	json_open(&p->json, '{');
	json_key(&p->json, "streams");
	json_open(&p->json, '[');
	json_open(&p->json, '{');
	json_key(&p->json, "stream");
	json_open(&p->json, '{');
	for (size_t i = 0; i < p->labels.n; i++) {
		json_key_slice(&p->json, p->labels.v[i].name);
		json_str(&p->json, p->labels.v[i].value);
	}
	json_close(&p->json, '}');
	json_key(&p->json, "values");
	json_open(&p->json, '[');
}

static void batch_add(struct push *p, struct slice line)
{
	char ts[32];

	if (slice_ends(line, SLICE("\r")))
		line.n--;
	if (p->plain_json) {
		buf_add(&p->batch, line);
		buf_putc(&p->batch, '\n');
	} else {
		/* strictly ascending, so that lines keep their order */
		p->last_ts = MAX(clock_now_ns(), p->last_ts + 1);
		snprintf(ts, sizeof(ts), "%" PRId64, p->last_ts);
		json_open(&p->json, '[');
		json_cstr(&p->json, ts);
		json_str(&p->json, line);
		json_close(&p->json, ']');
	}
	p->n_batch++;
	p->n_lines++;
	p->n_bytes += line.n + 1;
}

static void batch_end(struct push *p)
{
	if (!p->plain_json)
		buf_puts(&p->batch, "]}]}");
}

static void sleep_ns(int64_t ns)
{
	struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/* One try. 0: stored, or refused for good (p->refused); CLI_TRY_AGAIN and *wait_ns; else an exit code. */
static int send_once(struct cli *c, struct push *p, int64_t *wait_ns)
{
	const struct response *r;
	struct err err;

	if (client_request(c->client, "POST", buf_slice(&p->path), p->content_type, buf_slice(&p->batch), &r,
			   &err) == -1) {
		cli_fail(c, 0, "%s", err.msg);
		return err.code == ERR_UNAVAILABLE || err.code == ERR_TIMEOUT ? CLI_TRY_AGAIN
									      : CLI_BAD_ANSWER;
	}
	if (r->status >= 200 && r->status < 300)
		return 0;
	cli_say_answer(c, r);
	if (r->status == 429 || r->status >= 500) {
		if (r->retry_after_s >= 0)
			*wait_ns = MIN(r->retry_after_s, 60) * NS_PER_S;
		return CLI_TRY_AGAIN;
	}
	p->refused = true; /* of a 400, what was valid is stored; the message says what was not */
	return r->status == 400 ? 0 : cli_status_code(r->status);
}

static int batch_send(struct cli *c, struct push *p)
{
	int64_t backoff = NS_PER_S / 2, wait;
	int rc = 0;

	if (p->n_batch == 0)
		return 0;
	batch_end(p);
	for (int i = 0; i < MAX_TRIES; i++) {
		wait = backoff;
		rc = send_once(c, p, &wait);
		if (rc != CLI_TRY_AGAIN)
			break;
		if (i + 1 < MAX_TRIES) {
			cli_progress(c, "waiting %.1f s to try again", (double)wait / 1e9);
			sleep_ns(MAX(wait, NS_PER_S / 10));
		}
		backoff = MIN(2 * backoff, 10 * NS_PER_S);
	}
	double seconds = (double)(clock_mono_ns() - p->start_ns) / 1e9;
	struct buf size = { 0 };
	text_bytes_human(&size, p->n_bytes);
	cli_progress(c, "%" PRIu64 " lines, %.*s, %.0f lines/s", p->n_lines, SLICE_ARG(buf_slice(&size)),
		     seconds > 0 ? (double)p->n_lines / seconds : 0.0);
	buf_fini(&size);
	batch_start(p);
	return rc;
}

/* Whole lines out of the input into batches; the rest stays. */
static int take_lines(struct cli *c, struct push *p, bool at_end)
{
	struct slice rest = buf_slice(&p->input);
	int rc = 0;

	while (rest.n > 0 && rc == 0) {
		size_t lf = slice_find_byte(rest, '\n');

		if (lf == SLICE_NONE && !at_end)
			break;
		struct slice line = slice_sub(rest, 0, lf);
		rest = slice_from(rest, lf == SLICE_NONE ? rest.n : lf + 1);
		if (line.n > 0)
			batch_add(p, line);
		if (p->batch.n >= BATCH_BYTES)
			rc = batch_send(c, p);
	}
	memmove(p->input.p, rest.p != NULL ? rest.p : p->input.p, rest.n);
	p->input.n = rest.n;
	if (p->input.n > MAX_LINE_BYTES)
		return cli_fail(c, CLI_REFUSED, "line %" PRIu64 " is longer than %d bytes", p->n_lines + 1,
				MAX_LINE_BYTES);
	return rc;
}

/* 1: there is something to read; 0: the source has been silent for a while. */
static bool wait_for_input(const struct push *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };

	return p->n_batch == 0 || poll(&fd, 1, IDLE_MS) != 0;
}

static int push_all(struct cli *c, struct push *p)
{
	int rc = 0;

	while (rc == 0) {
		if (!wait_for_input(p)) {
			rc = batch_send(c, p);
			continue;
		}
		ssize_t n = read(p->fd, buf_reserve(&p->input, 65536), 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return cli_fail(c, CLI_IO, "cannot read: %m");
		p->input.n += (size_t)n;
		rc = take_lines(c, p, n == 0);
		if (n == 0)
			break;
	}
	return rc == 0 ? batch_send(c, p) : rc;
}

static void set_path(struct cli *c, struct push *p)
{
	p->plain_json = c->opt.json;
	p->content_type = p->plain_json ? "application/x-ndjson" : "application/json";
	buf_puts(&p->path, p->plain_json ? "/api/v1/ingest" : "/loki/api/v1/push");
	if (p->plain_json && c->opt.label_fields != NULL)
		cli_add_param(&p->path, "labels", slice_cstr(c->opt.label_fields));
}

int cmd_push(struct cli *c, int argc, char **argv)
{
	struct push p = { .fd = STDIN_FILENO, .start_ns = clock_mono_ns() };
	int rc;

	if (c->opt.json ? c->opt.labels.n > 0 : c->opt.label_fields != NULL)
		return cli_fail(c, CLI_USAGE, "--label is for lines, --label-fields for --json");
	rc = parse_labels(c, &p);
	if (rc == 0 && argc == 1 && strcmp(argv[0], "-") != 0) {
		p.fd = open(argv[0], O_RDONLY | O_CLOEXEC);
		if (p.fd == -1)
			rc = cli_fail(c, CLI_IO, "%s: %m", argv[0]);
	}
	if (rc == 0)
		rc = cli_connect(c);
	if (rc == 0) {
		set_path(c, &p);
		batch_start(&p);
		rc = push_all(c, &p);
		cli_progress_end(c);
	}
	if (rc == 0 && !c->opt.quiet)
		fprintf(stderr, "%" PRIu64 " lines pushed\n", p.n_lines);
	if (p.fd > STDIN_FILENO)
		close(p.fd);
	buf_fini(&p.input);
	buf_fini(&p.batch);
	buf_fini(&p.path);
	return rc == 0 && p.refused ? CLI_REFUSED : rc;
}
