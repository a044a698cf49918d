#include "api/http1.h"
#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <stdint.h>

enum {
	MAX_METHOD = 32,
	MAX_CHUNK_DIGITS = 15, /* 2^60 cannot overflow */
	MAX_CHUNK_LINE = 1024,
	MAX_EXTENSION_BYTES = 16384, /* all chunk lines of a request beyond their digits */
	MAX_TRAILER_BYTES = 8192,
};

enum state {
	AT_REQUEST_LINE,
	AT_HEADER,
	AT_BODY,
	AT_CHUNK_SIZE,
	AT_CHUNK_DATA,
	AT_CHUNK_END,
	AT_TRAILER,
	AT_DONE,
	AT_BAD,
};

/* What a step says to the loop of http1_feed: one of enum http1_event, or: */
enum { AGAIN = -1 };

struct http1_field {
	size_t name_off, name_n, value_off, value_n;
};

/* Where a second one would leave it to each reader which of them counts. */
static const struct slice singletons[] = {
	{ "host", 4 },
	{ "content-length", 14 },
	{ "transfer-encoding", 17 },
	{ "content-type", 12 },
	{ "content-encoding", 16 },
	{ "x-scope-orgid", 13 },
	{ "authorization", 13 },
	{ "origin", 6 },
	{ "sec-fetch-site", 14 },
	{ "expect", 6 },
	{ "upgrade", 7 },
};

static bool is_token_char(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_token_char(s.p[i]))
			return false;
	return s.n > 0;
}

/* No control character but the tab; bytes over 0x7f may stand. */
static bool is_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static int bad(struct http1 *p, int status, const char *why)
{
	p->state = AT_BAD;
	p->status = status;
	p->why = why;
	return HTTP1_BAD;
}

void http1_init(struct http1 *p, const struct http1_limits *limits)
{
	*p = (struct http1){ .limits = *limits, .state = AT_REQUEST_LINE };
	buf_init(&p->line);
}

void http1_head_fini(struct http1_head *h)
{
	free(h->raw);
	free(h->header);
	*h = (struct http1_head){ .content_length = -1 };
}

void http1_fini(struct http1 *p)
{
	http1_head_fini(&p->head);
	buf_fini(&p->line);
	free(p->field);
	p->field = NULL;
	p->n_fields = p->cap_fields = 0;
}

void http1_reset(struct http1 *p)
{
	struct http1_limits limits = p->limits;

	http1_fini(p);
	http1_init(p, &limits);
}

void http1_head_take(struct http1 *p, struct http1_head *out)
{
	*out = p->head;
	p->head = (struct http1_head){ .content_length = -1 };
}

/* Moves one line from the input to p->line. AGAIN: it is complete, *line is it without CRLF, and the next one
 * starts behind it. max bounds all of p->line. */
static int take_line(struct http1 *p, struct slice *in, size_t max, int too_long, struct slice *line)
{
	size_t lf = slice_find_byte(*in, '\n');
	size_t n = lf == SLICE_NONE ? in->n : lf + 1;

	if (n > max - p->line.n)
		return bad(p, too_long,
			   too_long == 414 ? "request line too long" : "header or chunk line too long");
	buf_append(&p->line, in->p, n);
	*in = slice_from(*in, n);
	if (lf == SLICE_NONE)
		return HTTP1_MORE;
	size_t end = p->line.n - 1;
	if (end == p->line_start || p->line.p[end - 1] != '\r')
		return bad(p, 400, "line ends in LF without CR");
	*line = slice_of(p->line.p + p->line_start, end - 1 - p->line_start);
	p->line_start = p->line.n;
	return is_text(*line) ? AGAIN : bad(p, 400, "control character in request head");
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int parse_version(struct http1 *p, struct slice v)
{
	if (v.n != 8 || !slice_starts(v, SLICE("HTTP/")) || !is_digit(v.p[5]) || v.p[6] != '.' ||
	    !is_digit(v.p[7]))
		return bad(p, 400, "malformed request line");
	if (v.p[5] != '1' || v.p[7] > '1')
		return bad(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	p->head.minor = v.p[7] - '0';
	return AGAIN;
}

/* Offsets into p->line: it may still move. */
static int parse_request_line(struct http1 *p, struct slice line)
{
	size_t sp1 = slice_find_byte(line, ' ');

	if (sp1 == SLICE_NONE || sp1 > MAX_METHOD || !is_token(slice_sub(line, 0, sp1)))
		return bad(p, 400, "malformed request line");
	struct slice rest = slice_from(line, sp1 + 1);
	size_t sp2 = slice_find_byte(rest, ' ');
	if (sp2 == SLICE_NONE || sp2 == 0)
		return bad(p, 400, "malformed request line");
	if (parse_version(p, slice_from(rest, sp2 + 1)) != AGAIN)
		return HTTP1_BAD;
	for (size_t i = 0; i < sp2; i++)
		if (rest.p[i] == '\t' || rest.p[i] == '#')
			return bad(p, 400, "malformed request target");
	p->field = xmalloc(16 * sizeof(*p->field));
	p->cap_fields = 16;
	size_t off = (size_t)(line.p - p->line.p);
	p->field[0] = (struct http1_field){ off, sp1, off + sp1 + 1, sp2 };
	p->n_fields = 1;
	p->state = AT_HEADER;
	return AGAIN;
}

static int parse_field(struct http1 *p, struct slice line, struct slice *name, struct slice *value)
{
	size_t colon = slice_find_byte(line, ':');

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return bad(p, 400, "folded header line");
	if (colon == SLICE_NONE || !is_token(slice_sub(line, 0, colon)))
		return bad(p, 400, "malformed header line");
	*name = slice_sub(line, 0, colon);
	*value = slice_trim(slice_from(line, colon + 1));
	return AGAIN;
}

static int parse_header(struct http1 *p, struct slice line)
{
	struct slice name, value;

	if (parse_field(p, line, &name, &value) != AGAIN)
		return HTTP1_BAD;
	if (p->n_fields > p->limits.max_headers)
		return bad(p, 431, "too many headers");
	if (p->n_fields == p->cap_fields) {
		p->cap_fields *= 2;
		p->field = xrealloc(p->field, p->cap_fields * sizeof(*p->field));
	}
	p->field[p->n_fields++] = (struct http1_field){ (size_t)(name.p - p->line.p), name.n,
							(size_t)(value.p - p->line.p), value.n };
	return AGAIN;
}

struct slice http1_header_get(const struct http1_head *h, struct slice name)
{
	for (size_t i = 0; i < h->n_headers; i++)
		if (slice_eq_nocase(h->header[i].name, name))
			return h->header[i].value;
	return (struct slice){ NULL, 0 };
}

bool http1_header_has_token(const struct http1_head *h, struct slice name, struct slice token)
{
	for (size_t i = 0; i < h->n_headers; i++) {
		struct slice rest = h->header[i].value;

		if (!slice_eq_nocase(h->header[i].name, name))
			continue;
		while (rest.n > 0) {
			size_t comma = slice_find_byte(rest, ',');
			struct slice word = slice_sub(rest, 0, comma);

			if (slice_eq_nocase(slice_trim(word), token))
				return true;
			rest = slice_from(rest, comma == SLICE_NONE ? rest.n : comma + 1);
		}
	}
	return false;
}

static bool has_duplicate(const struct http1_head *h)
{
	for (size_t s = 0; s < ARRAY_LEN(singletons); s++) {
		size_t n = 0;

		for (size_t i = 0; i < h->n_headers; i++)
			n += slice_eq_nocase(h->header[i].name, singletons[s]);
		if (n > 1)
			return true;
	}
	return false;
}

/* name[:port] or [v6][:port], in the characters that hosts are made of */
static bool is_host(struct slice h)
{
	size_t end = h.n > 0 && h.p[0] == '[' ? slice_find_byte(h, ']') : slice_find_byte(h, ':');
	bool v6 = h.n > 0 && h.p[0] == '[';

	if (v6 && end == SLICE_NONE)
		return false;
	struct slice name = v6 ? slice_sub(h, 1, end - 1) : slice_sub(h, 0, end);
	struct slice port = v6 ? slice_from(h, end + 1) : slice_from(h, name.n);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '.' &&
		    c != '-' && c != '_' && !(v6 && c == ':'))
			return false;
	}
	if (port.n > 0 && (port.p[0] != ':' || port.n > 6))
		return false;
	for (size_t i = 1; i < port.n; i++)
		if (!is_digit(port.p[i]))
			return false;
	return name.n > 0;
}

/* http://authority/path becomes /path; the authority must be the Host. */
static int reduce_absolute(struct http1 *p)
{
	struct http1_head *h = &p->head;
	struct slice rest = slice_from(h->target, 7);
	size_t end = 0;

	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	struct slice authority = slice_sub(rest, 0, end);
	if (!is_host(authority) || (h->host.p != NULL && !slice_eq_nocase(authority, h->host)))
		return bad(p, 400, "request target and Host name different hosts");
	h->host = authority;
	h->target = slice_from(rest, end);
	if (h->target.n == 0)
		h->target = SLICE("/");
	else if (h->target.p[0] ==
		 '?') /* the byte before it belongs to the authority, which stays as it is */
		return bad(p, 400, "malformed request target");
	return AGAIN;
}

static int check_target(struct http1 *p)
{
	struct http1_head *h = &p->head;

	if (h->target.p[0] == '/')
		return AGAIN;
	if (h->target.n > 7 && slice_eq_nocase(slice_sub(h->target, 0, 7), SLICE("http://")))
		return reduce_absolute(p);
	if (slice_is(h->method, "OPTIONS") && slice_is(h->target, "*"))
		return AGAIN;
	if (slice_is(h->method, "CONNECT") && is_host(h->target))
		return AGAIN;
	return bad(p, 400, "malformed request target");
}

static int check_host(struct http1 *p)
{
	struct http1_head *h = &p->head;

	h->host = http1_header_get(h, SLICE("host"));
	if (h->host.p == NULL)
		return h->minor == 0 ? AGAIN : bad(p, 400, "Host header is missing");
	return is_host(h->host) ? AGAIN : bad(p, 400, "malformed Host header");
}

static int check_length(struct http1 *p, struct slice v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		if (!is_digit(v.p[i]))
			return bad(p, 400, "malformed Content-Length");
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(v.p[i] - '0'), &n) || n > INT64_MAX)
			return bad(p, 400, "malformed Content-Length");
	}
	if (v.n == 0)
		return bad(p, 400, "malformed Content-Length");
	p->head.content_length = (int64_t)n;
	return AGAIN;
}

static int check_framing(struct http1 *p)
{
	struct http1_head *h = &p->head;
	struct slice length = http1_header_get(h, SLICE("content-length"));
	struct slice coding = http1_header_get(h, SLICE("transfer-encoding"));

	if (coding.p != NULL) {
		if (length.p != NULL)
			return bad(p, 400, "both Content-Length and Transfer-Encoding");
		if (h->minor == 0 || !slice_eq_nocase(coding, SLICE("chunked")))
			return bad(p, 400, "unknown Transfer-Encoding");
		h->chunked = true;
	} else if (length.p != NULL && check_length(p, length) != AGAIN) {
		return HTTP1_BAD;
	}
	return AGAIN;
}

static int check_expect(struct http1 *p)
{
	struct slice expect = http1_header_get(&p->head, SLICE("expect"));

	if (expect.p == NULL || p->head.minor == 0)
		return AGAIN;
	if (!slice_eq_nocase(expect, SLICE("100-continue")))
		return bad(p, 417, "unknown Expect");
	p->head.expect_continue = true;
	return AGAIN;
}

static struct slice at(const struct http1_head *h, size_t off, size_t n)
{
	return slice_of(h->raw + off, n);
}

/* The head stands in p->line for good: the slices can be made. */
static void resolve(struct http1 *p)
{
	struct http1_head *h = &p->head;
	const struct http1_field *f = p->field;
	size_t n;

	h->raw = buf_take(&p->line, &n);
	p->line_start = 0;
	h->method = at(h, f[0].name_off, f[0].name_n);
	h->target = at(h, f[0].value_off, f[0].value_n);
	h->n_headers = p->n_fields - 1;
	h->header = xmalloc((h->n_headers > 0 ? h->n_headers : 1) * sizeof(*h->header));
	for (size_t i = 0; i < h->n_headers; i++)
		h->header[i] = (struct http1_header){ at(h, f[i + 1].name_off, f[i + 1].name_n),
						      at(h, f[i + 1].value_off, f[i + 1].value_n) };
}

static int finish_head(struct http1 *p)
{
	struct http1_head *h = &p->head;

	h->content_length = -1;
	resolve(p);
	if (has_duplicate(h))
		return bad(p, 400, "header given twice");
	if (check_host(p) != AGAIN || check_target(p) != AGAIN || check_framing(p) != AGAIN ||
	    check_expect(p) != AGAIN)
		return HTTP1_BAD;
	h->keep_alive = h->minor == 1 && !http1_header_has_token(h, SLICE("connection"), SLICE("close"));
	p->left = h->content_length > 0 ? (uint64_t)h->content_length : 0;
	p->state = h->chunked ? AT_CHUNK_SIZE : p->left > 0 ? AT_BODY : AT_DONE;
	return HTTP1_HEAD;
}

static int step_request_line(struct http1 *p, struct slice *in)
{
	struct slice line;

	if (p->line.n == 0 && in->n > 0 && in->p[0] != '\r' && in->p[0] != '\n' && !is_token_char(in->p[0]))
		return bad(p, 400, "malformed request line");
	int rc = take_line(p, in, p->limits.max_head_bytes, 414, &line);
	if (rc != AGAIN)
		return rc;
	if (line.n == 0 && !p->skipped_line) { /* old clients send an empty line after a body */
		p->skipped_line = true;
		buf_reset(&p->line);
		p->line_start = 0;
		return AGAIN;
	}
	return parse_request_line(p, line);
}

static int step_header(struct http1 *p, struct slice *in)
{
	struct slice line;
	int rc = take_line(p, in, p->limits.max_head_bytes, 431, &line);

	if (rc != AGAIN)
		return rc;
	return line.n == 0 ? finish_head(p) : parse_header(p, line);
}

static int step_data(struct http1 *p, struct slice *in, struct slice *data, enum state next)
{
	if (in->n == 0)
		return HTTP1_MORE;
	*data = slice_sub(*in, 0, p->left > in->n ? in->n : (size_t)p->left);
	*in = slice_from(*in, data->n);
	p->left -= data->n;
	if (p->left == 0)
		p->state = (int)next;
	return HTTP1_BODY;
}

/* One line of the chunked coding, alone in p->line. */
static int take_chunk_line(struct http1 *p, struct slice *in, size_t max, struct slice *line)
{
	int rc = take_line(p, in, max, 400, line);

	if (rc == AGAIN) {
		buf_reset(&p->line); /* the bytes stay until the next line is taken */
		p->line_start = 0;
	}
	return rc;
}

static int step_chunk_size(struct http1 *p, struct slice *in)
{
	struct slice line;
	int rc = take_chunk_line(p, in, MAX_CHUNK_LINE, &line);
	size_t i = 0;

	if (rc != AGAIN)
		return rc;
	p->left = 0;
	for (int digit; i < line.n && i <= MAX_CHUNK_DIGITS && (digit = text_hex_digit(line.p[i])) >= 0; i++)
		p->left = p->left << 4 | (uint64_t)digit;
	if (i == 0 || i > MAX_CHUNK_DIGITS || (i < line.n && line.p[i] != ';'))
		return bad(p, 400, "malformed chunk size");
	p->n_extra += line.n - i;
	if (p->n_extra > MAX_EXTENSION_BYTES)
		return bad(p, 400, "too many chunk extensions");
	p->state = p->left > 0 ? AT_CHUNK_DATA : AT_TRAILER;
	if (p->left == 0)
		p->n_extra = 0;
	return AGAIN;
}

static int step_chunk_end(struct http1 *p, struct slice *in)
{
	struct slice line;
	int rc = take_chunk_line(p, in, 2, &line);

	if (rc == AGAIN)
		p->state = AT_CHUNK_SIZE;
	return rc;
}

static int step_trailer(struct http1 *p, struct slice *in)
{
	struct slice line, name, value;
	int rc = take_chunk_line(p, in, MAX_TRAILER_BYTES, &line);

	if (rc != AGAIN)
		return rc;
	if (line.n == 0) {
		p->state = AT_DONE;
		return AGAIN;
	}
	p->n_extra += line.n;
	if (p->n_extra > MAX_TRAILER_BYTES || ++p->n_trailers > p->limits.max_headers)
		return bad(p, 431, "trailers too large");
	return parse_field(p, line, &name, &value);
}

static int step(struct http1 *p, struct slice *in, struct slice *data)
{
	switch ((enum state)p->state) {
	case AT_REQUEST_LINE: return step_request_line(p, in);
	case AT_HEADER: return step_header(p, in);
	case AT_BODY: return step_data(p, in, data, AT_DONE);
	case AT_CHUNK_SIZE: return step_chunk_size(p, in);
	case AT_CHUNK_DATA: return step_data(p, in, data, AT_CHUNK_END);
	case AT_CHUNK_END: return step_chunk_end(p, in);
	case AT_TRAILER: return step_trailer(p, in);
	case AT_DONE: return HTTP1_DONE;
	case AT_BAD: return HTTP1_BAD;
	}
	assert(false);
	return HTTP1_BAD;
}

enum http1_event http1_feed(struct http1 *p, struct slice *in, struct slice *data)
{
	int rc;

	do
		rc = step(p, in, data);
	while (rc == AGAIN);
	return (enum http1_event)rc;
}

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 413, "Request Entity Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Entity" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 499, "Client Closed Request" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *http1_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}
