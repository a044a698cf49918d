#include "api/url.h"
#include "base/text.h"

/* As Go words it: the escape is quoted, at most three bytes of it. */
static int bad_escape(struct slice at, struct err *err)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, slice_sub(at, 0, 3));
	err_set(err, ERR_BAD_REQUEST, "invalid URL escape %.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

static bool escape_at(struct slice s, size_t i, char *out)
{
	if (s.n - i < 3)
		return false;
	int hi = text_hex_digit(s.p[i + 1]), lo = text_hex_digit(s.p[i + 2]);
	if (hi < 0 || lo < 0)
		return false;
	*out = (char)(hi << 4 | lo);
	return true;
}

int url_unescape(struct arena *a, struct slice in, bool form, struct slice *out, struct err *err)
{
	if (slice_find_byte(in, '%') == SLICE_NONE && (!form || slice_find_byte(in, '+') == SLICE_NONE)) {
		*out = in.p != NULL ? in : SLICE("");
		return 0;
	}
	char *p = arena_alloc_bytes(a, in.n);
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '%') {
			if (!escape_at(in, i, &c))
				return bad_escape(slice_from(in, i), err);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		p[n++] = c;
	}
	*out = slice_of(p, n);
	return 0;
}

static bool never_matches(struct slice segment)
{
	return slice_is(segment, ".") || slice_is(segment, "..") ||
	       slice_find_byte(segment, '\0') != SLICE_NONE;
}

int url_path_decode(struct arena *a, struct slice raw, struct slice *out, enum url_path *kind,
		    struct err *err)
{
	struct buf b;
	enum url_path k = slice_find(raw, SLICE("//")) != SLICE_NONE ? URL_PATH_UNCLEAN : URL_PATH_PLAIN;
	int rc = -1;

	buf_init(&b);
	for (struct slice rest = raw; rest.n > 0;) { /* always at a slash */
		struct slice segment;
		size_t n = slice_find_byte(slice_from(rest, 1), '/');

		if (n == SLICE_NONE)
			n = rest.n - 1;
		if (url_unescape(a, slice_sub(rest, 1, n), false, &segment, err) == -1)
			goto out;
		if (never_matches(segment))
			k = URL_PATH_NEVER;
		else if (slice_find_byte(segment, '/') != SLICE_NONE)
			k = k == URL_PATH_PLAIN || k == URL_PATH_ESCAPED ? URL_PATH_ESCAPED : URL_PATH_NEVER;
		buf_putc(&b, '/');
		buf_add(&b, segment);
		rest = slice_from(rest, n + 1);
	}
	*out = arena_dup(a, buf_slice(&b));
	*kind = k;
	rc = 0;
out:
	buf_fini(&b);
	return rc;
}

static bool is_path_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("/%-._~!$&'()*+,=:@", c) != NULL);
}

void url_path_clean(struct buf *b, struct slice raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '/' && i > 0 && raw.p[i - 1] == '/')
			continue;
		if (is_path_byte(raw.p[i]))
			buf_putc(b, raw.p[i]);
		else
			buf_printf(b, "%%%02X", (unsigned char)raw.p[i]);
	}
}

static size_t count_pairs(struct slice text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '&';
	return n;
}

static int parse_pair(struct arena *a, struct slice pair, struct url_param *out, struct err *err)
{
	size_t eq = slice_find_byte(pair, '=');

	if (slice_find_byte(pair, ';') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "invalid semicolon separator in query");
	if (url_unescape(a, slice_sub(pair, 0, eq), true, &out->name, err) == -1)
		return -1;
	return url_unescape(a, eq == SLICE_NONE ? SLICE("") : slice_from(pair, eq + 1), true, &out->value,
			    err);
}

int url_params_add(struct url_params *p, struct arena *a, struct slice text, struct err *err)
{
	size_t n = p->n, most = count_pairs(text);

	if (text.n == 0)
		return 0;
	if (most > URL_MAX_PARAMS - n)
		return err_set(err, ERR_BAD_REQUEST, "too many parameters, limit: %d", URL_MAX_PARAMS);
	struct url_param *v = arena_array(a, struct url_param, n + most);
	if (n > 0)
		memcpy(v, p->v, n * sizeof(*v));
	for (struct slice rest = text; rest.n > 0;) {
		size_t amp = slice_find_byte(rest, '&');
		struct slice pair = slice_sub(rest, 0, amp);

		if (pair.n > 0 && parse_pair(a, pair, &v[n++], err) == -1)
			return -1;
		rest = slice_from(rest, amp == SLICE_NONE ? rest.n : amp + 1);
	}
	*p = (struct url_params){ v, n };
	return 0;
}

bool url_params_next(const struct url_params *p, size_t *i, struct slice name, struct slice *value)
{
	while (*i < p->n) {
		const struct url_param *param = &p->v[(*i)++];

		if (slice_eq(param->name, name)) {
			*value = param->value;
			return true;
		}
	}
	return false;
}

struct slice url_params_first(const struct url_params *p, struct slice name)
{
	struct slice value = { NULL, 0 };
	size_t i = 0;

	url_params_next(p, &i, name, &value);
	return value;
}
