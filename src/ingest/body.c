#include "ingest/body.h"
#include "ingest/gunzip.h"
#include "ingest/loki_json.h"
#include "ingest/loki_proto.h"
#include "ingest/otlp.h"
#include "ingest/plain_json.h"
#include "ingest/snappy.h"
#include "ingest/too_large.h"
#include "ingest/unpack.h"
#include "base/text.h"

enum coding { CODING_NONE, CODING_SNAPPY, CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_LZ4 };

static bool is_token_char(char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static size_t token_len(struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_token_char(s.p[n]))
		n++;
	return n;
}

int body_media_type(struct slice content_type, char out[128], struct err *err)
{
	size_t end = slice_find_byte(content_type, ';');
	struct slice s = slice_trim(slice_sub(content_type, 0, end));
	size_t type = token_len(s), sub;

	if (type == 0)
		return err_set(err, ERR_BAD_REQUEST, "mime: no media type");
	if (type == s.n)
		return err_set(err, ERR_BAD_REQUEST, "mime: expected slash after first token");
	if (s.p[type] != '/')
		return err_set(err, ERR_BAD_REQUEST, "mime: expected slash after first token");
	sub = token_len(slice_from(s, type + 1));
	if (sub == 0)
		return err_set(err, ERR_BAD_REQUEST, "mime: expected token after slash");
	if (type + 1 + sub != s.n)
		return err_set(err, ERR_BAD_REQUEST, "mime: unexpected content after media subtype");
	if (s.n >= 128)
		return err_set(err, ERR_BAD_REQUEST, "mime: media type is too long");
	for (size_t i = 0; i < s.n; i++)
		out[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
	out[s.n] = '\0';
	return 0;
}

static int coding_of(struct slice name, enum coding *out, struct err *err)
{
	static const struct {
		const char *name;
		enum coding coding;
	} known[] = {
		{ "", CODING_NONE },	 { "identity", CODING_NONE },	{ "snappy", CODING_SNAPPY },
		{ "gzip", CODING_GZIP }, { "deflate", CODING_DEFLATE },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (slice_is(name, known[i].name)) {
			*out = known[i].coding;
			return 0;
		}
	}
	return err_set(err, ERR_BAD_REQUEST, "Content-Encoding \"%.*s\" not supported",
		       (int)(name.n > 64 ? 64 : name.n), name.p);
}

static int uncompress(enum coding coding, struct slice *body, const struct room *room, struct buf *out,
		      struct err *err)
{
	int rc;

	switch (coding) {
	case CODING_GZIP: rc = gunzip(*body, room, out, err); break;
	case CODING_DEFLATE: rc = inflate_any(*body, room, out, err); break;
	case CODING_ZSTD: rc = unpack_zstd(*body, room, out, err); break;
	case CODING_LZ4: rc = unpack_lz4(*body, room, out, err); break;
	case CODING_SNAPPY: rc = snappy_decode(*body, room, out, err); break;
	default: return body->n > room->limit ? err_too_large(err, body->n, room->limit) : 0;
	}
	*body = buf_slice(out);
	return rc;
}

/* A page on another site can send these types without asking anyone. */
static bool is_form_type(const char *type)
{
	return strcmp(type, "text/plain") == 0 || strcmp(type, "application/x-www-form-urlencoded") == 0 ||
	       strcmp(type, "multipart/form-data") == 0;
}

static int decode_push(const struct body_headers *h, enum coding coding, struct slice body,
		       const struct decode_options *o, struct buf scratch[2], struct batch *out,
		       const char **format, struct err *err)
{
	char type[128];

	if (body_media_type(h->content_type, type, err) == -1)
		return -1;
	if (is_form_type(type))
		return err_set(
			err, ERR_BAD_REQUEST,
			"Content-Type %s is not accepted: use application/json or application/x-protobuf",
			type);
	/* "snappy" says nothing: protobuf bodies always are, JSON bodies never. */
	if (coding == CODING_SNAPPY)
		coding = CODING_NONE;
	if (uncompress(coding, &body, &h->room, &scratch[0], err) == -1)
		return -1;
	if (strcmp(type, "application/json") == 0) {
		*format = "json";
		return (h->kind == PUSH_LEGACY ? decode_loki_json_legacy : decode_loki_json)(body, o, out,
											     err);
	}
	*format = "protobuf";
	if (uncompress(CODING_SNAPPY, &body, &h->room, &scratch[1], err) == -1)
		return -1;
	return decode_loki_proto(body, o, out, err);
}

/* ---------------------------------------------------------------- OTLP */

static int otlp_coding(struct slice name, enum coding *out, struct err *err)
{
	struct buf shown;

	if (name.n == 0 || slice_is(name, "identity")) {
		*out = CODING_NONE;
	} else if (slice_is(name, "gzip")) {
		*out = CODING_GZIP;
	} else if (slice_is(name, "zstd")) {
		*out = CODING_ZSTD;
	} else if (slice_is(name, "lz4")) {
		*out = CODING_LZ4;
	} else {
		buf_init(&shown);
		text_terminal(&shown, slice_sub(name, 0, 64));
		err_set(err, ERR_BAD_REQUEST,
			"unsupported content encoding %.*s: only gzip, lz4 and zstd are supported",
			SLICE_ARG(buf_slice(&shown)));
		buf_fini(&shown);
		return -1;
	}
	return 0;
}

static int otlp_type(struct slice content_type, bool *json, struct err *err)
{
	struct buf shown;
	char type[128];

	if (body_media_type(content_type, type, err) == 0) {
		*json = strcmp(type, "application/json") == 0;
		if (*json || strcmp(type, "application/x-protobuf") == 0)
			return 0;
	}
	buf_init(&shown);
	text_terminal(&shown, slice_sub(content_type, 0, 128));
	err_set(err, ERR_BAD_REQUEST, "content type: %.*s is not supported", SLICE_ARG(buf_slice(&shown)));
	buf_fini(&shown);
	return -1;
}

int body_open_otlp(const struct body_headers *h, struct slice *body, struct buf *scratch, bool *json,
		   struct err *err)
{
	enum coding coding;

	if (body->p == NULL)
		*body = slice_of("", 0);
	if (otlp_type(h->content_type, json, err) == -1 ||
	    otlp_coding(h->content_encoding, &coding, err) == -1)
		return -1;
	return uncompress(coding, body, &h->room, scratch, err);
}

static int decode_otlp(const struct body_headers *h, struct slice body, const struct decode_options *o,
		       struct buf *scratch, struct batch *out, const char **format, struct err *err)
{
	bool json;

	if (body_open_otlp(h, &body, scratch, &json, err) == -1)
		return -1;
	*format = json ? "otlp_json" : "otlp_protobuf";
	return (json ? decode_otlp_json : decode_otlp_proto)(body, o, out, err);
}

int body_decode(const struct body_headers *h, struct slice body, const struct decode_options *o,
		struct buf scratch[2], struct batch *out, const char **format, struct err *err)
{
	enum coding coding = CODING_NONE;

	*format = "unknown";
	if (body.p == NULL)
		body = slice_of("", 0);
	if (h->kind == PUSH_OTLP)
		return decode_otlp(h, body, o, &scratch[0], out, format, err);
	if (coding_of(h->content_encoding, &coding, err) == -1)
		return -1;
	if (h->kind != PUSH_PLAIN)
		return decode_push(h, coding, body, o, scratch, out, format, err);
	*format = "lines";
	if (uncompress(coding, &body, &h->room, &scratch[0], err) == -1)
		return -1;
	return decode_plain_json(body, o, out, err);
}
