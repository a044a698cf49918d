#include "cli/cli.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/times.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

/* Of one answer: a page of log lines, a long list of labels. */
enum { MAX_ANSWER_BYTES = 1 << 30 };

int cli_fail(struct cli *c, int code, const char *fmt, ...)
{
	struct buf text = { 0 }, shown = { 0 };
	va_list ap;

	cli_progress_end(c);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (isatty(STDERR_FILENO))
		text_terminal(&shown, buf_slice(&text));
	else
		buf_add(&shown, buf_slice(&text));
	fprintf(stderr, "spoor: %.*s\n", SLICE_ARG(buf_slice(&shown)));
	buf_fini(&text);
	buf_fini(&shown);
	return code;
}

/* ------------------------------------------------------------------ credentials */

/* The first line of a file. */
static int read_secret(struct cli *c, const char *path, char **out)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return cli_fail(c, CLI_IO, "%s: %m", path);
	bool ok = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	if (!ok)
		return cli_fail(c, CLI_IO, "%s: no line in it", path);
	line[strcspn(line, "\r\n")] = '\0';
	*out = arena_cstr(&c->arena, slice_cstr(line));
	explicit_bzero(line, sizeof(line));
	return 0;
}

static int prompt_password(struct cli *c, char **out)
{
	struct termios before, silent;
	char line[1024];

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) == -1)
		return cli_fail(
			c, CLI_USAGE,
			"a password is needed: --password-file, SPOOR_PASSWORD, or a terminal to ask on");
	fprintf(stderr, "Password for %s: ", c->opt.user);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	bool ok = fgets(line, sizeof(line), stdin) != NULL;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	if (!ok)
		return cli_fail(c, CLI_USAGE, "no password given");
	line[strcspn(line, "\r\n")] = '\0';
	*out = arena_cstr(&c->arena, slice_cstr(line));
	explicit_bzero(line, sizeof(line));
	return 0;
}

static int get_password(struct cli *c, char **out)
{
	if (c->opt.password_file != NULL)
		return read_secret(c, c->opt.password_file, out);
	*out = getenv("SPOOR_PASSWORD");
	return *out != NULL ? 0 : prompt_password(c, out);
}

static int get_authorization(struct cli *c, const char **out)
{
	struct buf header = { 0 };
	char *secret = NULL;
	int rc = 0;

	if (c->opt.token_file != NULL)
		rc = read_secret(c, c->opt.token_file, &secret);
	else if (c->opt.user == NULL)
		secret = getenv("SPOOR_TOKEN");
	if (rc != 0 || (secret == NULL && c->opt.user == NULL))
		return rc;
	if (secret != NULL) {
		*out = arena_printf(&c->arena, "Bearer %s", secret);
		return 0;
	}
	rc = get_password(c, &secret);
	if (rc != 0)
		return rc;
	buf_puts(&header, "Basic ");
	buf_base64(&header, slice_cstr(arena_printf(&c->arena, "%s:%s", c->opt.user, secret)));
	*out = arena_cstr(&c->arena, buf_slice(&header));
	buf_fini(&header);
	return 0;
}

/* ------------------------------------------------------------------ requests */

int cli_connect(struct cli *c)
{
	struct client_options o = {
		.url = c->opt.addr,
		.ca_file = c->opt.ca_file != NULL ? c->opt.ca_file : getenv("SPOOR_CA_FILE"),
		.cert_file = c->opt.cert_file,
		.key_file = c->opt.key_file,
		.tenant = c->opt.org_id,
		.max_answer_bytes = MAX_ANSWER_BYTES,
		.timeout_ns = 5 * NS_PER_MIN,
	};
	struct err err;

	if (c->opt.timeout != NULL && !duration_parse(slice_cstr(c->opt.timeout), &o.timeout_ns))
		return cli_fail(c, CLI_USAGE, "--timeout %s is no duration, e.g. 30s", c->opt.timeout);
	int rc = get_authorization(c, &o.authorization);
	if (rc != 0)
		return rc;
	return client_new(&o, &c->client, &err) == -1 ? cli_fail(c, CLI_USAGE, "%s", err.msg) : 0;
}

int cli_status_code(int status)
{
	switch (status) {
	case 401:
	case 403: return CLI_NOT_PERMITTED;
	case 404: return CLI_NOT_FOUND;
	case 408:
	case 429:
	case 502:
	case 503:
	case 504: return CLI_TRY_AGAIN;
	default: return status >= 500 ? CLI_BAD_ANSWER : CLI_REFUSED;
	}
}

void cli_say_answer(struct cli *c, const struct response *r)
{
	struct slice text = slice_trim(slice_sub(buf_slice(&r->body), 0, 4096));

	cli_fail(c, 0, "the server answers %d: %.*s", r->status, SLICE_ARG(text));
}

/* 0 after a 2xx. */
static int request(struct cli *c, const char *method, struct slice path, const struct response **out)
{
	struct err err;

	if (client_request(c->client, method, path, NULL, slice_of(NULL, 0), out, &err) == -1)
		return cli_fail(c,
				err.code == ERR_UNAVAILABLE ? CLI_UNREACHABLE
				: err.code == ERR_TIMEOUT   ? CLI_TRY_AGAIN
							    : CLI_BAD_ANSWER,
				"%s", err.msg);
	if ((*out)->status / 100 == 2)
		return 0;
	cli_say_answer(c, *out);
	return cli_status_code((*out)->status);
}

int cli_send(struct cli *c, const char *method, struct slice path)
{
	const struct response *r;

	return request(c, method, path, &r);
}

int cli_get_json(struct cli *c, struct slice path, json_t **out)
{
	const struct response *r;
	json_error_t why;
	int rc = request(c, "GET", path, &r);

	if (rc != 0)
		return rc;
	*out = json_loadb(r->body.p != NULL ? r->body.p : "", r->body.n, JSON_ALLOW_NUL, &why);
	if (*out == NULL)
		return cli_fail(c, CLI_BAD_ANSWER, "the server's answer is not JSON: %s", why.text);
	return 0;
}

void cli_add_param(struct buf *path, const char *name, struct slice value)
{
	buf_putc(path, slice_find_byte(buf_slice(path), '?') == SLICE_NONE ? '?' : '&');
	buf_puts(path, name);
	buf_putc(path, '=');
	text_url_escape(path, value);
}

struct slice cli_string(const json_t *s)
{
	return json_is_string(s) ? slice_of(json_string_value(s), json_string_length(s)) : slice_of(NULL, 0);
}

struct labels cli_labels(struct cli *c, const json_t *object)
{
	json_t *o = (json_t *)(uintptr_t)object; /* jansson's iterators are not const */
	struct label *v = arena_array(&c->arena, struct label, json_object_size(o) + 1);
	size_t n = 0;

	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		struct slice value = cli_string(json_object_iter_value(it));

		if (value.p != NULL)
			v[n++] = (struct label){ arena_dup(&c->arena, slice_cstr(json_object_iter_key(it))),
						 arena_dup(&c->arena, value) };
	}
	labels_sort(v, n);
	return (struct labels){ v, n };
}

/* ------------------------------------------------------------------ samples */

static int read_sample(struct cli *c, const json_t *pair, struct labels labels, struct sample *out)
{
	const json_t *seconds = json_array_get(pair, 0);

	out->value = cli_string(json_array_get(pair, 1));
	out->labels = labels;
	if (!json_is_number(seconds) || out->value.p == NULL)
		return cli_fail(c, CLI_BAD_ANSWER, "the server's answer does not look like Loki's");
	double s = json_number_value(seconds);
	if (!(s > -9e9 && s < 9e9))
		return cli_fail(c, CLI_BAD_ANSWER, "the server's answer does not look like Loki's");
	out->ts = (int64_t)(s * 1000 + (s < 0 ? -0.5 : 0.5)) * NS_PER_MS; /* the server writes milliseconds */
	return 0;
}

int cli_show_samples(struct cli *c, const char *type, const json_t *result)
{
	VEC(struct sample) samples = { 0 };
	struct sample s;
	int rc = 0;

	if (strcmp(type, "scalar") == 0) {
		rc = read_sample(c, result, (struct labels){ 0 }, &s);
		if (rc == 0)
			vec_push(&samples, s);
	}
	for (size_t i = 0; i < json_array_size(result) && rc == 0 && strcmp(type, "scalar") != 0; i++) {
		const json_t *series = json_array_get(result, i);
		const json_t *values = json_object_get(series, "values"),
			     *one = json_object_get(series, "value");
		struct labels labels = cli_labels(c, json_object_get(series, "metric"));

		for (size_t k = 0; k < (one != NULL ? 1 : json_array_size(values)) && rc == 0; k++) {
			rc = read_sample(c, one != NULL ? one : json_array_get(values, k), labels, &s);
			if (rc == 0)
				vec_push(&samples, s);
		}
	}
	if (rc == 0 && samples.n > 0) {
		render_samples(&c->out, &c->render, samples.v, samples.n);
		rc = cli_flush(c);
	}
	if (rc == 0 && samples.n == 0)
		rc = CLI_NOTHING;
	vec_fini(&samples);
	return rc;
}

/* ------------------------------------------------------------------ options */

int cli_number(struct cli *c, const char *option, const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v;

	if (text == NULL)
		return 0;
	if (!slice_to_u64(slice_cstr(text), &v) || v > max)
		return cli_fail(c, CLI_USAGE, "%s %s is no number from 0 to %llu", option, text,
				(unsigned long long)max);
	*out = v;
	return 0;
}

static int get_time(struct cli *c, const char *option, const char *text, int64_t *out)
{
	if (text != NULL && !time_parse(slice_cstr(text), c->now, out))
		return cli_fail(c, CLI_USAGE,
				"%s %s is no time, e.g. 2026-01-15T10:00:00Z, 15m, now or Unix seconds",
				option, text);
	return 0;
}

int cli_range(struct cli *c, const char *default_since, int64_t *start, int64_t *end)
{
	const char *since = c->opt.since != NULL ? c->opt.since : default_since;
	int64_t ago;

	if (!duration_parse(slice_cstr(since), &ago))
		return cli_fail(c, CLI_USAGE, "--since %s is no duration, e.g. 15m or 7d", since);
	*end = c->now;
	int rc = get_time(c, "--to", c->opt.to, end);
	if (rc != 0)
		return rc;
	if (__builtin_sub_overflow(*end, ago, start))
		*start = INT64_MIN;
	rc = get_time(c, "--from", c->opt.from, start);
	if (rc == 0 && *start >= *end)
		return cli_fail(c, CLI_USAGE, "the time range is empty: it starts at or after its end");
	return rc;
}

int cli_add_range(struct cli *c, const char *default_since, struct buf *path)
{
	int64_t start, end;
	char number[32];
	int rc = cli_range(c, default_since, &start, &end);

	if (rc != 0)
		return rc;
	snprintf(number, sizeof(number), "%" PRId64, start);
	cli_add_param(path, "start", slice_cstr(number));
	snprintf(number, sizeof(number), "%" PRId64, end);
	cli_add_param(path, "end", slice_cstr(number));
	return 0;
}

/* ------------------------------------------------------------------ output */

int cli_flush(struct cli *c)
{
	size_t n = fwrite(c->out.p != NULL ? c->out.p : "", 1, c->out.n, stdout);
	bool ok = n == c->out.n && fflush(stdout) == 0;

	buf_reset(&c->out);
	return ok ? 0 : cli_fail(c, CLI_IO, "cannot write: %m");
}

void cli_progress(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	if (!c->progress)
		return;
	fputs("\r\x1b[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
}

void cli_progress_end(struct cli *c)
{
	if (c->progress)
		fputs("\r\x1b[K", stderr);
}
