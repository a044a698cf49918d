/* The functions that Go's templates have by themselves. */
#include <stdio.h>
#include "base/mem.h"
#include "base/text.h"
#include "query/tmpl_func.h"

#define UNUSED(x) ((void)(x))

static const struct tmpl_value *concrete(const struct tmpl_value *v)
{
	static const struct tmpl_value none = { .kind = TMPL_NONE };

	return v->kind == TMPL_NULL ? &none : v;
}

static bool not_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_bool(!tmpl_truth(arg));
	return true;
}

/* ---- comparison ---- */

enum basic { BASIC_NONE, BASIC_BOOL, BASIC_COMPLEX, BASIC_INT, BASIC_FLOAT, BASIC_STRING, BASIC_UINT };

static enum basic basic_of(const struct tmpl_value *v)
{
	switch (v->kind) {
	case TMPL_BOOL: return BASIC_BOOL;
	case TMPL_INTEGER: return BASIC_INT;
	case TMPL_BYTE: return BASIC_UINT;
	case TMPL_FLOAT: return BASIC_FLOAT;
	case TMPL_COMPLEX: return BASIC_COMPLEX;
	case TMPL_TEXT: return BASIC_STRING;
	default: return BASIC_NONE;
	}
}

static bool whole(enum basic a, enum basic b)
{
	return (a == BASIC_INT || a == BASIC_UINT) && (b == BASIC_INT || b == BASIC_UINT);
}

static bool incompatible(struct tmpl_run *r, const struct tmpl_value *a, const struct tmpl_value *b)
{
	return tmpl_fail(r, "incompatible types for comparison: %s and %s", tmpl_type_name(a),
			 tmpl_type_name(b));
}

/* Values of the same basic type. */
static bool same(const struct tmpl_value *a, const struct tmpl_value *b)
{
	switch (a->kind) {
	case TMPL_BOOL: return a->truth == b->truth;
	case TMPL_FLOAT: return a->f == b->f;
	case TMPL_COMPLEX: return a->complex.re == b->complex.re && a->complex.im == b->complex.im;
	case TMPL_TEXT: return slice_eq(a->s, b->s);
	default: return a->i == b->i;
	}
}

/* By the format, into the arena; cut where it is long. */
static bool formatted(struct tmpl_run *r, struct slice format, const struct tmpl_value *v, struct slice *out)
{
	struct tmpl_sink sink = tmpl_sink(r);
	struct tmpl_value text;

	tmpl_printf(&sink, format, v, 1);
	if (!tmpl_sink_value(r, &sink, &text))
		return false;
	*out = slice_sub(text.s, 0, 500);
	return true;
}

/* Times can be compared; lists and maps only with nil. */
static bool same_other(struct tmpl_run *r, const struct tmpl_value *a, const struct tmpl_value *b, bool *out)
{
	struct slice x, y;
	bool is_nil_a = a->kind == TMPL_NONE, is_nil_b = b->kind == TMPL_NONE;
	bool map_a = a->kind == TMPL_MAP || a->kind == TMPL_LABELS,
	     map_b = b->kind == TMPL_MAP || b->kind == TMPL_LABELS;

	if (is_nil_a || is_nil_b) {
		*out = is_nil_a == is_nil_b;
		return true;
	}
	if (a->kind != b->kind && !(map_a && map_b)) {
		if (!formatted(r, SLICE("%s"), a, &x) || !formatted(r, SLICE("%v"), b, &y))
			return false;
		return tmpl_fail(r, "non-comparable types %.*s: %s, %s: %.*s", SLICE_ARG(x),
				 tmpl_type_name(a), tmpl_type_name(b), SLICE_ARG(y));
	}
	if (b->kind != TMPL_TIME) {
		if (!formatted(r, SLICE("%s"), b, &y))
			return false;
		return tmpl_fail(r, "non-comparable type %.*s: %s", SLICE_ARG(y), tmpl_type_name(b));
	}
	*out = go_time_cmp(&a->time, &b->time) == 0 && a->time.zone == b->time.zone;
	return true;
}

static bool equal(struct tmpl_run *r, const struct tmpl_value *a, const struct tmpl_value *b, bool *out)
{
	enum basic x, y;

	a = concrete(a);
	b = concrete(b);
	x = basic_of(a);
	y = basic_of(b);
	*out = false;
	if (x != y && whole(x, y)) {
		*out = a->i == b->i;
		return true;
	}
	if (x != y)
		return a->kind == TMPL_NONE || b->kind == TMPL_NONE || incompatible(r, a, b);
	if (x == BASIC_NONE)
		return same_other(r, a, b, out);
	*out = same(a, b);
	return tmpl_charge(r, a->kind == TMPL_TEXT ? MIN(a->s.n, b->s.n) : 0);
}

static bool eq(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool found = false;

	if (n < 2)
		return tmpl_fail(r, "missing argument for comparison");
	for (size_t i = 1; i < n && !found; i++)
		if (!equal(r, &arg[0], &arg[i], &found))
			return false;
	*out = tmpl_bool(found);
	return true;
}

static bool ne(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool found;

	UNUSED(n);
	if (!equal(r, &arg[0], &arg[1], &found))
		return false;
	*out = tmpl_bool(!found);
	return true;
}

static bool less(struct tmpl_run *r, const struct tmpl_value *arg, bool *out)
{
	const struct tmpl_value *a = concrete(&arg[0]), *b = concrete(&arg[1]);
	enum basic x = basic_of(a), y = basic_of(b);

	if (x == BASIC_NONE || y == BASIC_NONE)
		return tmpl_fail(r, "invalid type for comparison");
	if (x != y && !whole(x, y))
		return incompatible(r, a, b);
	switch (x) {
	case BASIC_FLOAT: *out = a->f < b->f; break;
	case BASIC_STRING: *out = slice_cmp(a->s, b->s) < 0; break;
	case BASIC_INT:
	case BASIC_UINT: *out = a->i < b->i; break;
	default: return tmpl_fail(r, "invalid type for comparison");
	}
	return tmpl_charge(r, x == BASIC_STRING ? MIN(a->s.n, b->s.n) : 0);
}

static bool lt(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool v;

	UNUSED(n);
	if (!less(r, arg, &v))
		return false;
	*out = tmpl_bool(v);
	return true;
}

static bool ge(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool v;

	UNUSED(n);
	if (!less(r, arg, &v))
		return false;
	*out = tmpl_bool(!v);
	return true;
}

static bool less_or_equal(struct tmpl_run *r, const struct tmpl_value *arg, bool *out)
{
	if (!less(r, arg, out))
		return false;
	return *out || equal(r, &arg[0], &arg[1], out);
}

static bool le(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool v;

	UNUSED(n);
	if (!less_or_equal(r, arg, &v))
		return false;
	*out = tmpl_bool(v);
	return true;
}

static bool gt(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	bool v;

	UNUSED(n);
	if (!less_or_equal(r, arg, &v))
		return false;
	*out = tmpl_bool(!v);
	return true;
}

/* ---- parts of values ---- */

static bool index_of(struct tmpl_run *r, const struct tmpl_value *i, size_t cap, size_t *out)
{
	i = concrete(i);
	if (i->kind == TMPL_NONE)
		return tmpl_fail(r, "cannot index slice/array with nil");
	if (i->kind != TMPL_INTEGER && i->kind != TMPL_BYTE)
		return tmpl_fail(r, "cannot index slice/array with type %s", tmpl_type_name(i));
	if (i->i < 0 || (uint64_t)i->i > cap)
		return tmpl_fail(r, "index out of range: %lld", (long long)i->i);
	*out = (size_t)i->i;
	return true;
}

static bool element(struct tmpl_run *r, struct tmpl_value *item, const struct tmpl_value *i)
{
	size_t at;

	if (!index_of(r, i, tmpl_len(item), &at))
		return false;
	if (at == tmpl_len(item))
		return tmpl_fail(r, "reflect: %s index out of range",
				 item->kind == TMPL_TEXT ? "string" : "slice");
	if (item->kind == TMPL_TEXT)
		*item = (struct tmpl_value){ .kind = TMPL_BYTE, .i = (unsigned char)item->s.p[at] };
	else
		*item = item->list.v[at];
	return true;
}

static bool member(struct tmpl_run *r, struct tmpl_value *item, const struct tmpl_value *key)
{
	bool labels = item->kind == TMPL_LABELS;

	key = concrete(key);
	if (key->kind == TMPL_NONE)
		return tmpl_fail(r, "value is nil; should be of type string");
	if (key->kind != TMPL_TEXT)
		return tmpl_fail(r, "value has type %s; should be string", tmpl_type_name(key));
	*item = tmpl_map_get(item, key->s);
	if (item->kind == TMPL_NONE)
		*item = labels ? tmpl_text(SLICE("")) : (struct tmpl_value){ .kind = TMPL_NULL };
	return true;
}

static bool index_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_value item = *concrete(&arg[0]);

	if (item.kind == TMPL_NONE)
		return tmpl_fail(r, "index of untyped nil");
	for (size_t i = 1; i < n; i++) {
		bool ok;

		switch (item.kind) {
		case TMPL_NULL: return tmpl_fail(r, "index of nil pointer");
		case TMPL_TEXT:
		case TMPL_LIST: ok = element(r, &item, &arg[i]); break;
		case TMPL_MAP:
		case TMPL_LABELS: ok = member(r, &item, &arg[i]); break;
		default: return tmpl_fail(r, "can't index item of type %s", tmpl_type_name(&item));
		}
		if (!ok)
			return false;
	}
	*out = item;
	return true;
}

static bool slice_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_value item = *concrete(&arg[0]);
	size_t bound[3] = { 0, tmpl_len(&item), 0 };

	if (item.kind == TMPL_NONE)
		return tmpl_fail(r, "slice of untyped nil");
	if (n > 4)
		return tmpl_fail(r, "too many slice indexes: %zu", n - 1);
	if (item.kind != TMPL_TEXT && item.kind != TMPL_LIST)
		return tmpl_fail(r, "can't slice item of type %s", tmpl_type_name(&item));
	if (item.kind == TMPL_TEXT && n == 4)
		return tmpl_fail(r, "cannot 3-index slice a string");
	for (size_t i = 1; i < n; i++) {
		if (arg[i].boxed || arg[i].kind == TMPL_NULL)
			return tmpl_fail(r, "cannot index slice/array with type interface {}");
		if (!index_of(r, &arg[i], tmpl_len(&item), &bound[i - 1]))
			return false;
	}
	if (bound[0] > bound[1])
		return tmpl_fail(r, "invalid slice index: %zu > %zu", bound[0], bound[1]);
	if (n == 4 && bound[1] > bound[2])
		return tmpl_fail(r, "invalid slice index: %zu > %zu", bound[1], bound[2]);
	*out = item;
	if (item.kind == TMPL_TEXT) {
		out->s = slice_sub(item.s, bound[0], bound[1] - bound[0]);
	} else {
		out->list.v = item.list.v + bound[0];
		out->list.n = bound[1] - bound[0];
	}
	return true;
}

static bool len(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	switch (arg->kind) {
	case TMPL_TEXT:
	case TMPL_LIST:
	case TMPL_MAP:
	case TMPL_LABELS: *out = tmpl_int((int64_t)tmpl_len(arg)); return true;
	case TMPL_NULL: return tmpl_fail(r, "len of nil pointer");
	case TMPL_NONE: return tmpl_fail(r, "reflect: call of reflect.Value.Type on zero Value");
	default: return tmpl_fail(r, "len of type %s", tmpl_type_name(arg));
	}
}

/* ---- printing ---- */

static bool print(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);

	tmpl_print_all(&sink, arg, n);
	return tmpl_sink_value(r, &sink, out);
}

static bool println(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);

	tmpl_println_all(&sink, arg, n);
	return tmpl_sink_value(r, &sink, out);
}

static bool printf_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct tmpl_sink sink = tmpl_sink(r);

	tmpl_printf(&sink, arg[0].s, arg + 1, n - 1);
	return tmpl_sink_value(r, &sink, out);
}

/* ---- escaping ---- */

/* The arguments as print makes them, but that null is <no value>. */
static bool printed(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct slice *out)
{
	struct tmpl_value *copy = arena_array(r->arena, struct tmpl_value, n), text;

	for (size_t i = 0; i < n; i++)
		copy[i] = concrete(&arg[i])->kind == TMPL_NONE ? tmpl_text(SLICE("<no value>")) : arg[i];
	if (!print(r, copy, n, &text))
		return false;
	*out = text.s;
	return true;
}

static struct slice html_of(char c)
{
	switch (c) {
	case '\0': return SLICE("\xef\xbf\xbd");
	case '"': return SLICE("&#34;");
	case '\'': return SLICE("&#39;");
	case '&': return SLICE("&amp;");
	case '<': return SLICE("&lt;");
	case '>': return SLICE("&gt;");
	default: return (struct slice){ NULL, 0 };
	}
}

static bool html(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s;

	if (!printed(r, arg, n, &s))
		return false;
	struct tmpl_sink sink = tmpl_sink(r);
	for (size_t i = 0; i < s.n; i++) {
		struct slice escaped = html_of(s.p[i]);

		tmpl_sink_put(&sink, escaped.p != NULL ? escaped : slice_sub(s, i, 1));
	}
	return tmpl_sink_value(r, &sink, out);
}

static bool printable(struct slice rune)
{
	struct buf quoted;

	buf_init(&quoted);
	text_go_quote(&quoted, rune);
	bool ok = quoted.n == rune.n + 2;
	buf_fini(&quoted);
	return ok;
}

static void js_rune(struct tmpl_sink *sink, uint32_t rune, struct slice s)
{
	char escaped[16];

	if (rune < 0x80 && rune >= ' ' && strchr("\\'\"<>&=", (int)rune) == NULL) {
		tmpl_sink_put(sink, s);
	} else if (rune == '\\' || rune == '\'' || rune == '"') {
		tmpl_sink_put(sink, SLICE("\\"));
		tmpl_sink_put(sink, s);
	} else if (rune >= 0x80 && (rune == 0xfffd || printable(s))) {
		tmpl_sink_put(sink, s);
	} else {
		int n = snprintf(escaped, sizeof(escaped), "\\u%04X", rune);

		tmpl_sink_put(sink, slice_of(escaped, (size_t)n));
	}
}

static bool js(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s;

	if (!printed(r, arg, n, &s))
		return false;
	struct tmpl_sink sink = tmpl_sink(r);
	for (size_t len; s.n > 0 && !sink.full; s = slice_from(s, len)) {
		uint32_t rune = utf8_decode(s, &len);

		js_rune(&sink, rune, slice_sub(s, 0, len));
	}
	return tmpl_sink_value(r, &sink, out);
}

static bool urlquery(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	struct slice s;

	if (!printed(r, arg, n, &s))
		return false;
	struct tmpl_sink sink = tmpl_sink(r);
	tmpl_url_escape(&sink, s);
	return tmpl_sink_value(r, &sink, out);
}

tmpl_function *const tmpl_go_functions[TMPL_N_FUNCS] = {
	[TMPL_FN_NOT] = not_,	    [TMPL_FN_EQ] = eq,
	[TMPL_FN_NE] = ne,	    [TMPL_FN_LT] = lt,
	[TMPL_FN_LE] = le,	    [TMPL_FN_GT] = gt,
	[TMPL_FN_GE] = ge,	    [TMPL_FN_HTML] = html,
	[TMPL_FN_JS] = js,	    [TMPL_FN_URLQUERY] = urlquery,
	[TMPL_FN_INDEX] = index_,   [TMPL_FN_SLICE] = slice_,
	[TMPL_FN_LEN] = len,	    [TMPL_FN_PRINT] = print,
	[TMPL_FN_PRINTF] = printf_, [TMPL_FN_PRINTLN] = println,
};
