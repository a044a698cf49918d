#include "daemon/settings.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <assert.h>
#include <math.h>

#define RELOAD	true
#define RESTART false

const struct setting settings_table[] = {
#define SECTION(title) { .doc = (title) },
#define GLOBAL(name_, type_, reload_, def_, min_, max_, doc_)                                                \
	{ #name_, SETTING_##type_, false, reload_, offsetof(struct settings, name_), def_, min_, max_, NULL, \
	  doc_ },
#define TENANT(name_, type_, reload_, def_, min_, max_, doc_)                                                \
	{ #name_,                                                                                            \
	  SETTING_##type_,                                                                                   \
	  true,                                                                                              \
	  reload_,                                                                                           \
	  offsetof(struct settings, limits.name_),                                                           \
	  def_,                                                                                              \
	  min_,                                                                                              \
	  max_,                                                                                              \
	  NULL,                                                                                              \
	  doc_ },
#define CHOICE(name_, choices_, reload_, def_, doc_)                                                         \
	{                                                                                                    \
		#name_, SETTING_CHOICE, false, reload_, offsetof(struct settings, name_), def_, 0,           \
		0,	choices_,	doc_                                                                 \
	},
#include "daemon/settings.def"
#undef SECTION
#undef GLOBAL
#undef TENANT
#undef CHOICE
};
const size_t settings_n = ARRAY_LEN(settings_table);

static const struct {
	const char *suffix;
	unsigned shift;
} byte_units[] = {
	{ "", 0 },     { "B", 0 },   { "KB", 10 }, { "K", 10 },	  { "KiB", 10 }, { "MB", 20 }, { "M", 20 },
	{ "MiB", 20 }, { "GB", 30 }, { "G", 30 },  { "GiB", 30 }, { "TB", 40 },	 { "T", 40 },  { "TiB", 40 },
};

const struct setting *setting_find(struct slice name)
{
	for (size_t i = 0; i < settings_n; i++) {
		if (settings_table[i].name != NULL && slice_is(name, settings_table[i].name))
			return &settings_table[i];
	}
	return NULL;
}

/* Levenshtein's distance of two short names. */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned row[65];

	assert(a.n <= 64 && b.n <= 64);
	for (size_t j = 0; j <= b.n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned replace = diagonal + (a.p[i - 1] != b.p[j - 1]);

			diagonal = row[j];
			row[j] = MIN(replace, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.n];
}

const struct setting *setting_closest(struct slice name)
{
	const struct setting *best = NULL;
	unsigned best_distance = (unsigned)MIN(name.n / 3 + 1, 4);

	if (name.n > 64)
		return NULL;
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL)
			continue;
		unsigned d = distance(name, slice_cstr(row->name));
		if (d < best_distance) {
			best = row;
			best_distance = d;
		}
	}
	return best;
}

const char *setting_type_text(const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL: return "boolean";
	case SETTING_INT: return "number";
	case SETTING_FLOAT: return "decimal number";
	case SETTING_BYTES: return "size";
	case SETTING_DURATION: return "duration";
	case SETTING_STRING: return "text";
	case SETTING_LIST: return "list";
	case SETTING_CHOICE: return row->choices;
	}
	return "";
}

static const char *example(const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL: return "true or false";
	case SETTING_INT: return "a whole number, e.g. 100";
	case SETTING_FLOAT: return "a number, e.g. 4.5";
	case SETTING_BYTES: return "a size, e.g. 256KB, 64MB or 1048576";
	case SETTING_DURATION: return "a duration, e.g. 30s, 1h30m or 7d";
	default: return "text";
	}
}

static bool parse_bool(struct slice text, bool *out)
{
	bool yes = slice_is(text, "true") || slice_is(text, "yes") || slice_is(text, "on");

	*out = yes;
	return yes || slice_is(text, "false") || slice_is(text, "no") || slice_is(text, "off");
}

static bool parse_bytes(struct slice text, uint64_t *out)
{
	size_t digits = 0;
	uint64_t v;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	struct slice unit = slice_trim(slice_from(text, digits));
	if (!slice_to_u64(slice_sub(text, 0, digits), &v))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(byte_units); i++) {
		if (slice_eq_nocase(unit, slice_cstr(byte_units[i].suffix)))
			return !__builtin_mul_overflow(v, UINT64_C(1) << byte_units[i].shift, out);
	}
	return false;
}

static bool parse_duration(struct slice text, int64_t *out)
{
	char why[256];

	return clock_parse_prom_duration(text, out, why, sizeof(why)) || clock_parse_go_duration(text, out);
}

static bool parse_choice(const struct setting *row, struct slice text, int *out)
{
	struct slice rest = slice_cstr(row->choices);

	for (int i = 0;; i++) {
		size_t bar = slice_find_byte(rest, '|');

		if (slice_eq(text, slice_sub(rest, 0, bar)))
			return *out = i, true;
		if (bar == SLICE_NONE)
			return false;
		rest = slice_from(rest, bar + 1);
	}
}

static struct slice choice_name(const struct setting *row, int i)
{
	struct slice rest = slice_cstr(row->choices);

	while (i-- > 0)
		rest = slice_from(rest, slice_find_byte(rest, '|') + 1);
	return slice_sub(rest, 0, slice_find_byte(rest, '|'));
}

/* Where doc says what 0 means, 0 is a value (settings.def). */
static bool may_be_zero(const struct setting *row)
{
	return strstr(row->doc, "0 = ") != NULL;
}

static int check_range(const struct setting *row, double v, struct slice text, struct err *err)
{
	struct settings bound = { 0 };
	struct buf low = { 0 }, high = { 0 };
	void *field = (char *)&bound + row->offset;

	if ((v >= row->min && v <= row->max) || (v == 0 && may_be_zero(row)))
		return 0;
	for (int i = 0; i < 2; i++) {
		double d = i == 0 ? row->min : row->max;

		if (row->type == SETTING_FLOAT)
			*(double *)field = d;
		else
			*(uint64_t *)field = (uint64_t)d;
		setting_format(row, &bound, i == 0 ? &low : &high);
	}
	err_set(err, ERR_CONFIG, "%s is %.*s, must be between %.*s and %.*s%s", row->name, SLICE_ARG(text),
		SLICE_ARG(buf_slice(&low)), SLICE_ARG(buf_slice(&high)), may_be_zero(row) ? ", or 0" : "");
	buf_fini(&low);
	buf_fini(&high);
	return -1;
}

static int set_list_text(const struct setting *row, struct slice text, struct arena *a, struct settings *s,
			 struct err *err)
{
	size_t n = 0, cap = 1;

	for (size_t i = 0; i < text.n; i++)
		cap += text.p[i] == ',';
	struct slice *v = arena_array(a, struct slice, cap);
	while (text.n > 0) {
		size_t comma = slice_find_byte(text, ',');
		struct slice item = slice_trim(slice_sub(text, 0, comma));

		if (item.n > 0)
			v[n++] = item;
		text = comma == SLICE_NONE ? SLICE("") : slice_from(text, comma + 1);
	}
	return setting_set_list(row, v, n, a, s, err);
}

int setting_set_list(const struct setting *row, const struct slice *v, size_t n, struct arena *a,
		     struct settings *s, struct err *err)
{
	if (row->type != SETTING_LIST)
		return err_set(err, ERR_CONFIG, "%s is not a list but %s", row->name, example(row));
	struct slice *copy = arena_array(a, struct slice, n + 1);
	for (size_t i = 0; i < n; i++) {
		if (v[i].n == 0)
			return err_set(err, ERR_CONFIG, "%s has an empty item", row->name);
		copy[i] = arena_dup(a, v[i]);
	}
	*(struct setting_list *)((char *)s + row->offset) = (struct setting_list){ copy, n };
	return 0;
}

/* What was parsed, before its range is known to be right. */
union value {
	bool b;
	uint64_t u;
	double f;
	int64_t ns;
	int choice;
};

static bool parse_value(const struct setting *row, struct slice text, union value *v, double *as_double)
{
	*as_double = 0;
	switch (row->type) {
	case SETTING_BOOL: return parse_bool(text, &v->b);
	case SETTING_CHOICE: return parse_choice(row, text, &v->choice);
	case SETTING_INT:
		if (!slice_to_u64(text, &v->u))
			return false;
		return *as_double = (double)v->u, true;
	case SETTING_BYTES:
		if (!parse_bytes(text, &v->u))
			return false;
		return *as_double = (double)v->u, true;
	case SETTING_FLOAT:
		if (!slice_to_double(text, &v->f) || !isfinite(v->f))
			return false;
		return *as_double = v->f, true;
	case SETTING_DURATION:
		if (!parse_duration(text, &v->ns))
			return false;
		return *as_double = (double)v->ns, true;
	default: return false;
	}
}

int setting_set(const struct setting *row, struct slice text, struct arena *a, struct settings *s,
		struct err *err)
{
	void *field = (char *)s + row->offset;
	union value v;
	double as_double;

	if (memchr(text.p != NULL ? text.p : "", '\0', text.n) != NULL)
		return err_set(err, ERR_CONFIG, "%s holds a NUL byte", row->name);
	if (row->type == SETTING_LIST)
		return set_list_text(row, text, a, s, err);
	if (row->type == SETTING_STRING) {
		*(const char **)field = arena_cstr(a, text);
		return 0;
	}
	if (!parse_value(row, text, &v, &as_double)) {
		if (row->type == SETTING_CHOICE)
			return err_set(err, ERR_CONFIG, "%s is \"%.*s\", must be one of %s", row->name,
				       SLICE_ARG(slice_sub(text, 0, 256)), row->choices);
		return err_set(err, ERR_CONFIG, "%s is \"%.*s\", must be %s", row->name,
			       SLICE_ARG(slice_sub(text, 0, 256)), example(row));
	}
	if (row->type != SETTING_BOOL && row->type != SETTING_CHOICE &&
	    check_range(row, as_double, text, err) == -1)
		return -1;
	switch (row->type) {
	case SETTING_BOOL: *(bool *)field = v.b; break;
	case SETTING_CHOICE: *(int *)field = v.choice; break;
	case SETTING_FLOAT: *(double *)field = v.f; break;
	case SETTING_DURATION: *(int64_t *)field = v.ns; break;
	default: *(uint64_t *)field = v.u; break;
	}
	return 0;
}

static void format_bytes(uint64_t n, struct buf *out)
{
	static const char *const unit[] = { "", "KB", "MB", "GB", "TB" };
	size_t i = 0;

	while (n > 0 && n % 1024 == 0 && i + 1 < ARRAY_LEN(unit)) {
		n /= 1024;
		i++;
	}
	buf_printf(out, "%llu%s", (unsigned long long)n, unit[i]);
}

static void format_duration(int64_t ns, struct buf *out)
{
	if (ns % NS_PER_MS == 0)
		clock_format_prom_duration(out, ns);
	else
		clock_format_go_duration(out, ns);
}

/* A YAML scalar: plain where nothing can be misread, else in single quotes. */
static void format_text(struct slice s, struct buf *out)
{
	bool plain = s.n > 0;

	for (size_t i = 0; i < s.n && plain; i++) {
		char c = s.p[i];

		plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(i > 0 && c != '\0' && strchr("._-/:", c) != NULL) || c == '/' || c == '_';
	}
	if (plain && s.p[s.n - 1] != ':') {
		buf_add(out, s);
		return;
	}
	if (!utf8_valid(s) || memchr(s.p != NULL ? s.p : "", '\n', s.n) != NULL) {
		text_go_quote(out, s); /* YAML's double-quoted form knows the same escapes */
		return;
	}
	buf_putc(out, '\'');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\'')
			buf_putc(out, '\'');
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '\'');
}

static void format_list(const struct setting_list *l, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			buf_puts(out, ", ");
		format_text(l->v[i], out);
	}
	buf_putc(out, ']');
}

void setting_format(const struct setting *row, const struct settings *s, struct buf *out)
{
	const void *field = (const char *)s + row->offset;

	switch (row->type) {
	case SETTING_BOOL: buf_puts(out, *(const bool *)field ? "true" : "false"); break;
	case SETTING_INT: buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)field); break;
	case SETTING_FLOAT: text_float(out, *(const double *)field); break;
	case SETTING_BYTES: format_bytes(*(const uint64_t *)field, out); break;
	case SETTING_DURATION: format_duration(*(const int64_t *)field, out); break;
	case SETTING_STRING: format_text(slice_cstr(*(const char *const *)field), out); break;
	case SETTING_LIST: format_list(field, out); break;
	case SETTING_CHOICE: buf_add(out, choice_name(row, *(const int *)field)); break;
	}
}

bool setting_equal(const struct setting *row, const struct settings *a, const struct settings *b)
{
	struct buf x = { 0 }, y = { 0 };

	setting_format(row, a, &x);
	setting_format(row, b, &y);
	bool equal = slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}

static size_t field_size(const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL: return sizeof(bool);
	case SETTING_CHOICE: return sizeof(int);
	case SETTING_STRING: return sizeof(const char *);
	case SETTING_LIST: return sizeof(struct setting_list);
	default: return sizeof(uint64_t);
	}
}

void setting_copy(const struct setting *row, struct settings *to, const struct settings *from,
		  struct arena *a)
{
	const void *src = (const char *)from + row->offset;
	void *dst = (char *)to + row->offset;
	struct err err;

	if (row->type == SETTING_STRING) {
		*(const char **)dst = arena_cstr(a, slice_cstr(*(const char *const *)src));
	} else if (row->type == SETTING_LIST) {
		const struct setting_list *l = src;
		int rc = setting_set_list(row, l->v, l->n, a, to, &err);
		assert(rc == 0);
	} else {
		memcpy(dst, src, field_size(row));
	}
}

void settings_defaults(struct settings *s, struct arena *a)
{
	struct err err;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL)
			continue;
		int rc = setting_set(row, slice_cstr(row->def), a, s, &err);
		assert(rc == 0);
	}
}

static bool is_stricter(double a, double b, bool zero_is_none)
{
	if (zero_is_none && (a == 0 || b == 0))
		return b == 0 && a != 0;
	return a < b;
}

static void tighten(const struct setting *row, void *to, const void *other)
{
	bool zero_is_none = may_be_zero(row);

	switch (row->type) {
	case SETTING_BOOL: *(bool *)to = *(bool *)to && *(const bool *)other; break;
	case SETTING_FLOAT:
		if (is_stricter(*(const double *)other, *(double *)to, zero_is_none))
			*(double *)to = *(const double *)other;
		break;
	case SETTING_DURATION:
		if (is_stricter((double)*(const int64_t *)other, (double)*(int64_t *)to, zero_is_none))
			*(int64_t *)to = *(const int64_t *)other;
		break;
	case SETTING_INT:
	case SETTING_BYTES:
		if (is_stricter((double)*(const uint64_t *)other, (double)*(uint64_t *)to, zero_is_none))
			*(uint64_t *)to = *(const uint64_t *)other;
		break;
	default: break; /* there is no stricter text */
	}
}

void limits_tighten(struct limits *to, const struct limits *other)
{
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->tenant)
			tighten(row, (char *)to + row->offset - offsetof(struct settings, limits),
				(const char *)other + row->offset - offsetof(struct settings, limits));
	}
}
