#include "cli/response.h"
#include "base/mem.h"

void response_init(struct response *r, size_t max_body)
{
	memset(r, 0, sizeof(*r));
	r->max_body = max_body;
	r->retry_after_s = -1;
}

void response_fini(struct response *r)
{
	buf_fini(&r->head);
	buf_fini(&r->body);
	buf_fini(&r->line);
}

void response_reset(struct response *r)
{
	buf_reset(&r->head);
	buf_reset(&r->body);
	buf_reset(&r->line);
	r->status = 0;
	r->keep_alive = false;
	r->retry_after_s = -1;
	r->state = RESPONSE_HEAD;
	r->left = 0;
}

/* Takes one line off *s, without its end. */
static bool take_line(struct slice *s, struct slice *line)
{
	size_t lf = slice_find_byte(*s, '\n');

	if (lf == SLICE_NONE)
		return false;
	*line = slice_sub(*s, 0, lf);
	if (slice_ends(*line, SLICE("\r")))
		line->n--;
	*s = slice_from(*s, lf + 1);
	return true;
}

struct slice response_header(const struct response *r, const char *name)
{
	struct slice rest = buf_slice(&r->head), line;

	if (!take_line(&rest, &line))
		return slice_of(NULL, 0);
	while (take_line(&rest, &line)) {
		size_t colon = slice_find_byte(line, ':');

		if (colon != SLICE_NONE && slice_eq_nocase(slice_sub(line, 0, colon), slice_cstr(name)))
			return slice_trim(slice_from(line, colon + 1));
	}
	return slice_of(NULL, 0);
}

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "not an HTTP answer: %s", what);
}

static int too_large(const struct response *r, struct err *err)
{
	return err_set(err, ERR_TOO_LARGE, "the answer is larger than %zu bytes", r->max_body);
}

static int parse_status(struct response *r, struct slice line, struct err *err)
{
	uint64_t status;

	if (!slice_starts(line, SLICE("HTTP/1.")) || line.n < 12 || line.p[8] != ' ')
		return bad(err, "status line");
	if (!slice_to_u64(slice_sub(line, 9, 3), &status) || status < 100 || status > 599 ||
	    (line.n > 12 && line.p[12] != ' '))
		return bad(err, "status code");
	r->status = (int)status;
	r->keep_alive = line.p[7] == '1';
	return 0;
}

/* What follows the headers. */
static int parse_framing(struct response *r, struct err *err)
{
	struct slice te = response_header(r, "Transfer-Encoding"),
		     length = response_header(r, "Content-Length");
	struct slice connection = response_header(r, "Connection"), retry = response_header(r, "Retry-After");
	uint64_t n;

	if (slice_eq_nocase(connection, SLICE("close")))
		r->keep_alive = false;
	if (retry.p != NULL && slice_to_u64(retry, &n) && n <= 86400)
		r->retry_after_s = (int64_t)n;
	if (r->head_only || r->status == 204 || r->status == 304) {
		r->state = RESPONSE_DONE;
	} else if (te.p != NULL) {
		if (!slice_eq_nocase(te, SLICE("chunked")))
			return bad(err, "Transfer-Encoding");
		r->state = RESPONSE_CHUNK_SIZE;
	} else if (length.p != NULL) {
		if (!slice_to_u64(length, &n))
			return bad(err, "Content-Length");
		if (n > r->max_body)
			return too_large(r, err);
		r->left = n;
		r->state = n > 0 ? RESPONSE_LENGTH : RESPONSE_DONE;
	} else {
		r->keep_alive = false;
		r->state = RESPONSE_TO_EOF;
	}
	return 0;
}

static int feed_head(struct response *r, struct slice *s, struct err *err)
{
	struct slice rest, line;

	while (s->n > 0) {
		buf_putc(&r->head, s->p[0]);
		*s = slice_from(*s, 1);
		struct slice head = buf_slice(&r->head);
		if (slice_ends(head, SLICE("\n\r\n")) || slice_ends(head, SLICE("\n\n")))
			goto complete;
		if (head.n == RESPONSE_MAX_HEAD)
			return bad(err, "headers are too long");
	}
	return 0;
complete:
	rest = buf_slice(&r->head);
	take_line(&rest, &line);
	if (parse_status(r, line, err) == -1)
		return -1;
	if (r->status < 200 && r->status != 101) { /* 100 Continue: the answer follows */
		buf_reset(&r->head);
		return 0;
	}
	return parse_framing(r, err);
}

static int feed_body(struct response *r, struct slice *s, struct err *err)
{
	size_t n = r->state == RESPONSE_TO_EOF ? s->n : (size_t)MIN(r->left, s->n);

	if (n > r->max_body - r->body.n)
		return too_large(r, err);
	buf_append(&r->body, s->p, n);
	*s = slice_from(*s, n);
	r->left -= r->state == RESPONSE_TO_EOF ? 0 : n;
	if (r->left == 0 && r->state == RESPONSE_LENGTH)
		r->state = RESPONSE_DONE;
	else if (r->left == 0 && r->state == RESPONSE_CHUNK)
		r->state = RESPONSE_CHUNK_END;
	return 0;
}

static bool parse_hex(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 15)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int digit = c >= '0' && c <= '9'		 ? c - '0'
			    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
								 : -1;

		if (digit < 0)
			return false;
		v = v << 4 | (uint64_t)digit;
	}
	*out = v;
	return true;
}

/* A line between chunks, complete in `line`. */
static int chunk_line(struct response *r, struct slice line, struct err *err)
{
	switch (r->state) {
	case RESPONSE_CHUNK_SIZE:
		if (!parse_hex(slice_trim(slice_sub(line, 0, slice_find_byte(line, ';'))), &r->left))
			return bad(err, "chunk size");
		r->state = r->left > 0 ? RESPONSE_CHUNK : RESPONSE_TRAILER;
		return 0;
	case RESPONSE_CHUNK_END:
		if (line.n > 0)
			return bad(err, "chunk end");
		r->state = RESPONSE_CHUNK_SIZE;
		return 0;
	default:
		if (line.n == 0)
			r->state = RESPONSE_DONE;
		return 0;
	}
}

static int feed_chunk_line(struct response *r, struct slice *s, struct err *err)
{
	size_t lf = slice_find_byte(*s, '\n');
	struct slice part = slice_sub(*s, 0, lf == SLICE_NONE ? s->n : lf + 1);
	struct slice rest, line;

	if (r->line.n + part.n > 4096)
		return bad(err, "chunk framing");
	buf_add(&r->line, part);
	*s = slice_from(*s, part.n);
	rest = buf_slice(&r->line);
	if (!take_line(&rest, &line))
		return 0;
	int rc = chunk_line(r, line, err);
	buf_reset(&r->line);
	return rc;
}

int response_feed(struct response *r, struct slice s, struct err *err)
{
	while (s.n > 0) {
		int rc = 0;

		switch (r->state) {
		case RESPONSE_HEAD: rc = feed_head(r, &s, err); break;
		case RESPONSE_LENGTH:
		case RESPONSE_CHUNK:
		case RESPONSE_TO_EOF: rc = feed_body(r, &s, err); break;
		case RESPONSE_CHUNK_SIZE:
		case RESPONSE_CHUNK_END:
		case RESPONSE_TRAILER: rc = feed_chunk_line(r, &s, err); break;
		case RESPONSE_DONE: return bad(err, "more bytes than announced");
		}
		if (rc == -1)
			return -1;
	}
	return r->state == RESPONSE_DONE;
}

int response_eof(struct response *r, struct err *err)
{
	if (r->state == RESPONSE_TO_EOF)
		r->state = RESPONSE_DONE;
	if (r->state == RESPONSE_DONE)
		return 1;
	return err_set(err, ERR_CORRUPT, "the server closed the connection in the middle of its answer");
}
