#include "api/grpc.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"

enum { MAX_TEXT = 1024, VARINT = 0, BYTES = 2 };

const char *grpc_status_name(enum grpc_status s)
{
	switch (s) {
	case GRPC_OK: return "OK";
	case GRPC_CANCELLED: return "Canceled";
	case GRPC_INVALID_ARGUMENT: return "InvalidArgument";
	case GRPC_DEADLINE_EXCEEDED: return "DeadlineExceeded";
	case GRPC_PERMISSION_DENIED: return "PermissionDenied";
	case GRPC_RESOURCE_EXHAUSTED: return "ResourceExhausted";
	case GRPC_UNIMPLEMENTED: return "Unimplemented";
	case GRPC_INTERNAL: return "Internal";
	case GRPC_UNAVAILABLE: return "Unavailable";
	case GRPC_UNAUTHENTICATED: return "Unauthenticated";
	case GRPC_UNKNOWN: break;
	}
	return "Unknown";
}

enum grpc_status grpc_status_of_http(int status)
{
	switch (status) {
	case 401: return GRPC_UNAUTHENTICATED;
	case 403: return GRPC_PERMISSION_DENIED;
	case 404:
	case 405:
	case 501: return GRPC_UNIMPLEMENTED;
	case 408:
	case 504: return GRPC_DEADLINE_EXCEEDED;
	case 413: return GRPC_RESOURCE_EXHAUSTED; /* without a RetryInfo: never again */
	case 429: return GRPC_UNAVAILABLE;
	case 499: return GRPC_CANCELLED;
	default: break;
	}
	if (status >= 200 && status < 300)
		return GRPC_OK;
	if (status >= 400 && status < 500)
		return GRPC_INVALID_ARGUMENT;
	if (status >= 300 && status < 400)
		return GRPC_UNIMPLEMENTED; /* no path of ours */
	return status >= 500 ? GRPC_UNAVAILABLE : GRPC_UNKNOWN;
}

/* ---------------------------------------------------------------- messages */

void grpc_reader_init(struct grpc_reader *r)
{
	*r = (struct grpc_reader){ 0 };
}

static enum grpc_event bad(struct grpc_reader *r, const char *why)
{
	r->why = why;
	return GRPC_BAD;
}

static enum grpc_event read_prefix(struct grpc_reader *r, struct slice *in)
{
	size_t n = MIN(in->n, sizeof(r->prefix) - r->n_prefix);

	memcpy(r->prefix + r->n_prefix, in->p, n);
	r->n_prefix += n;
	*in = slice_from(*in, n);
	if (r->n_prefix < sizeof(r->prefix))
		return GRPC_MORE;
	if (r->prefix[0] > 1)
		return bad(r, "unknown flags before the message");
	r->compressed = r->prefix[0] == 1;
	r->length = (uint32_t)r->prefix[1] << 24 | (uint32_t)r->prefix[2] << 16 |
		    (uint32_t)r->prefix[3] << 8 | r->prefix[4];
	r->left = r->length;
	return GRPC_MESSAGE;
}

enum grpc_event grpc_read(struct grpc_reader *r, struct slice *in, struct slice *data)
{
	if (r->why != NULL)
		return GRPC_BAD;
	if (in->n == 0)
		return GRPC_MORE;
	if (r->n_prefix < sizeof(r->prefix))
		return read_prefix(r, in);
	if (r->left == 0)
		return bad(r, "more than one message in the request");
	*data = slice_sub(*in, 0, r->left);
	*in = slice_from(*in, data->n);
	r->left -= (uint32_t)data->n;
	return GRPC_BYTES;
}

bool grpc_read_whole(const struct grpc_reader *r)
{
	return r->why == NULL && r->n_prefix == sizeof(r->prefix) && r->left == 0;
}

void grpc_put_message(struct buf *out, struct slice message)
{
	buf_putc(out, 0);
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_putc(out, (char)(message.n >> shift));
	buf_add(out, message);
}

/* ---------------------------------------------------------------- headers */

void grpc_put_text(struct buf *out, struct slice text)
{
	static const char hex[] = "0123456789ABCDEF";

	text = slice_trim(slice_sub(text, 0, MAX_TEXT));
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= 0x20 && c < 0x7f && c != '%') {
			buf_putc(out, (char)c);
			continue;
		}
		buf_putc(out, '%');
		buf_putc(out, hex[c >> 4]);
		buf_putc(out, hex[c & 15]);
	}
}

/* Without padding. */
static void put_base64(struct buf *out, struct slice s)
{
	buf_base64(out, s);
	while (s.n > 0 && out->p[out->n - 1] == '=')
		out->n--;
}

static void put_tag(struct buf *b, unsigned field, unsigned wire)
{
	buf_varint(b, field << 3 | wire);
}

static void put_bytes(struct buf *b, unsigned field, struct slice s)
{
	put_tag(b, field, BYTES);
	buf_lenslice(b, s);
}

static void put_number(struct buf *b, unsigned field, uint64_t v)
{
	put_tag(b, field, VARINT);
	buf_varint(b, v);
}

void grpc_put_retry_details(struct buf *out, enum grpc_status s, struct slice text, unsigned seconds)
{
	struct buf duration = { 0 }, info = { 0 }, any = { 0 }, status = { 0 };

	put_number(&duration, 1, seconds);
	put_bytes(&info, 1, buf_slice(&duration));
	put_bytes(&any, 1, SLICE("type.googleapis.com/google.rpc.RetryInfo"));
	put_bytes(&any, 2, buf_slice(&info));
	put_number(&status, 1, (uint64_t)s);
	put_bytes(&status, 2, slice_sub(text, 0, MAX_TEXT));
	put_bytes(&status, 3, buf_slice(&any));
	put_base64(out, buf_slice(&status));
	buf_fini(&duration);
	buf_fini(&info);
	buf_fini(&any);
	buf_fini(&status);
}

bool grpc_parse_timeout(struct slice s, int64_t *ns)
{
	static const struct {
		char unit;
		int64_t ns;
	} units[] = { { 'H', 3600 * NS_PER_S }, { 'M', NS_PER_MIN }, { 'S', NS_PER_S },
		      { 'm', NS_PER_MS },	{ 'u', NS_PER_US },  { 'n', 1 } };
	int64_t n = 0;

	if (s.n < 2 || s.n > 9)
		return false;
	for (size_t i = 0; i + 1 < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = 10 * n + (s.p[i] - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].unit == s.p[s.n - 1]) {
			if (__builtin_mul_overflow(n, units[i].ns, ns))
				*ns = INT64_MAX;
			return true;
		}
	return false;
}

bool grpc_is_content_type(struct slice s)
{
	struct slice type = slice_trim(slice_sub(s, 0, slice_find_byte(s, ';')));

	return slice_eq_nocase(type, SLICE("application/grpc")) ||
	       slice_eq_nocase(type, SLICE("application/grpc+proto"));
}
