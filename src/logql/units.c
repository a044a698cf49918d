#include "logql/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static int number_error(struct err *err, struct slice text, const char *why)
{
	struct buf b;

	buf_init(&b);
	text_go_quote(&b, text);
	err_set(err, ERR_BAD_REQUEST, "strconv.ParseFloat: parsing %.*s: %s", SLICE_ARG(buf_slice(&b)), why);
	buf_fini(&b);
	return -1;
}

static struct slice skip_sign(struct slice s)
{
	return s.n > 0 && (s.p[0] == '+' || s.p[0] == '-') ? slice_from(s, 1) : s;
}

static bool is_hex_prefix(struct slice s)
{
	return s.n > 2 && s.p[0] == '0' && lower(s.p[1]) == 'x';
}

/* Underscores stand between digits, or between a base prefix and a digit. */
static bool underscores_ok(struct slice s)
{
	bool hex, after_digit, after_underscore = false;

	s = skip_sign(s);
	hex = is_hex_prefix(s);
	after_digit = hex;
	for (size_t i = hex ? 2 : 0; i < s.n; i++) {
		if (s.p[i] == '_') {
			if (!after_digit)
				return false;
			after_digit = false;
			after_underscore = true;
		} else if (is_digit(s.p[i]) || (hex && text_hex_digit(s.p[i]) >= 0)) {
			after_digit = true;
			after_underscore = false;
		} else {
			if (after_underscore)
				return false;
			after_digit = false;
		}
	}
	return !after_underscore;
}

/* The mantissa at s.p[i]; false when it holds no digit. */
static bool scan_mantissa(struct slice s, size_t *i, bool hex)
{
	bool digits = false, dot = false;

	for (; *i < s.n; (*i)++) {
		char c = s.p[*i];

		if (c == '.' && !dot)
			dot = true;
		else if (is_digit(c) || (hex && text_hex_digit(c) >= 0))
			digits = true;
		else if (c != '_')
			break;
	}
	return digits;
}

static bool number_syntax_ok(struct slice s)
{
	size_t i;
	bool hex;

	s = skip_sign(s);
	hex = is_hex_prefix(s);
	i = hex ? 2 : 0;
	if (!scan_mantissa(s, &i, hex))
		return false;
	if (i == s.n)
		return !hex;
	if (lower(s.p[i++]) != (hex ? 'p' : 'e'))
		return false;
	if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
		i++;
	if (i == s.n || !is_digit(s.p[i]))
		return false;
	while (i < s.n && (is_digit(s.p[i]) || s.p[i] == '_'))
		i++;
	return i == s.n;
}

static bool number_special(struct slice text, double *out)
{
	struct slice s = skip_sign(text);
	bool negative = text.n > 0 && text.p[0] == '-';

	if (slice_eq_nocase(text, SLICE("nan"))) {
		*out = NAN;
		return true;
	}
	if (slice_eq_nocase(s, SLICE("inf")) || slice_eq_nocase(s, SLICE("infinity"))) {
		*out = negative ? -INFINITY : INFINITY;
		return true;
	}
	return false;
}

int units_parse_number(struct slice text, double *out, struct err *err)
{
	struct buf b;
	double v;

	if (number_special(text, out))
		return 0;
	if (!number_syntax_ok(text) || (memchr(text.p, '_', text.n) != NULL && !underscores_ok(text)))
		return number_error(err, text, "invalid syntax");
	buf_init(&b);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '_')
			buf_putc(&b, text.p[i]);
	buf_cstr_end(&b);
	v = strtod(b.p, NULL);
	buf_fini(&b);
	if (isinf(v))
		return number_error(err, text, "value out of range");
	*out = v;
	return 0;
}

static unsigned int_base(struct slice *digits)
{
	char c = digits->n > 1 ? digits->p[1] : '\0';

	if (digits->n == 0 || digits->p[0] != '0' || digits->n == 1)
		return 10;
	if (digits->n > 2 && (c == 'x' || c == 'X' || c == 'b' || c == 'B' || c == 'o' || c == 'O')) {
		*digits = slice_from(*digits, 2);
		return c == 'x' || c == 'X' ? 16 : c == 'b' || c == 'B' ? 2 : 8;
	}
	*digits = slice_from(*digits, 1);
	return 8;
}

bool units_parse_go_uint(struct slice text, uint64_t *out)
{
	struct slice digits = text;
	unsigned base = int_base(&digits);
	bool after_digit = digits.p != text.p; /* or after a prefix: there an underscore may stand */
	uint64_t v = 0;

	for (size_t i = 0; i < digits.n; i++) {
		char c = digits.p[i];
		int d = text_hex_digit(c);

		if (c == '_' && after_digit) {
			after_digit = false;
			continue;
		}
		if (d < 0 || (unsigned)d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
		after_digit = true;
	}
	if (digits.n == 0 || !after_digit)
		return false;
	*out = v;
	return true;
}

bool units_parse_go_int(struct slice text, int64_t *out)
{
	bool negative = text.n > 0 && text.p[0] == '-';
	uint64_t v;

	if (text.n > 0 && (text.p[0] == '-' || text.p[0] == '+'))
		text = slice_from(text, 1);
	if (!units_parse_go_uint(text, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* ---- durations ---- */

struct unit {
	const char *name;
	uint64_t ns;
	int rank; /* of Prometheus units: ascending from the largest */
};

static const uint64_t second_ns = 1000000000;

static const struct unit go_units[] = {
	{ "ns", 1, 0 },	      { "us", 1000, 0 },      { "\xc2\xb5s", 1000, 0 }, { "\xce\xbcs", 1000, 0 },
	{ "ms", 1000000, 0 }, { "s", 1000000000, 0 }, { "m", 60000000000, 0 },	{ "h", 3600000000000, 0 },
};

static const struct unit prom_units[] = {
	{ "y", 31536000000000000, 1 }, { "w", 604800000000000, 2 }, { "d", 86400000000000, 3 },
	{ "h", 3600000000000, 4 },     { "m", 60000000000, 5 },	    { "s", 1000000000, 6 },
	{ "ms", 1000000, 7 },
};

static const struct unit *unit_find(const struct unit *units, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(name, units[i].name))
			return &units[i];
	return NULL;
}

/* As the time package quotes: every byte that is not printable ASCII as \xhh. */
static void time_quote(struct buf *b, struct slice s)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c >= 0x80)
			buf_printf(b, "\\x%02x", c);
		else if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else
			buf_putc(b, (char)c);
	}
	buf_putc(b, '"');
}

/* what unit is not empty: "time: what unit in duration text", else "time: what text" */
static int go_duration_error(struct err *err, const char *what, struct slice unit, struct slice text)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "time: %s ", what);
	if (unit.n > 0) {
		time_quote(&b, unit);
		buf_puts(&b, " in duration ");
	}
	time_quote(&b, text);
	err_set(err, ERR_BAD_REQUEST, "%.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

/* Digits at the start of *s. False when they exceed 2^63. */
static bool go_leading_int(struct slice *s, uint64_t *out)
{
	uint64_t v = 0;

	while (s->n > 0 && is_digit(s->p[0])) {
		if (v > (1ULL << 63) / 10)
			return false;
		v = v * 10 + (uint64_t)(s->p[0] - '0');
		if (v > 1ULL << 63)
			return false;
		*s = slice_from(*s, 1);
	}
	*out = v;
	return true;
}

/* Digits after the dot; those that no longer fit are dropped. */
static void go_leading_fraction(struct slice *s, uint64_t *out, double *scale)
{
	uint64_t v = 0;
	bool full = false;

	*scale = 1;
	for (; s->n > 0 && is_digit(s->p[0]); *s = slice_from(*s, 1)) {
		uint64_t next;

		if (full)
			continue;
		full = v > ((1ULL << 63) - 1) / 10;
		next = full ? 0 : v * 10 + (uint64_t)(s->p[0] - '0');
		full = full || next > 1ULL << 63;
		if (full)
			continue;
		v = next;
		*scale *= 10;
	}
	*out = v;
}

/* One "12.5ms" at the start of *s, added to *total. */
static int go_duration_part(struct slice *s, struct slice text, uint64_t *total, struct err *err)
{
	const char *invalid = "invalid duration";
	uint64_t v = 0, f = 0;
	double scale = 1;
	size_t before = s->n, n = 0;
	bool digits;

	if (s->p[0] != '.' && !is_digit(s->p[0]))
		return go_duration_error(err, invalid, SLICE(""), text);
	if (!go_leading_int(s, &v))
		return go_duration_error(err, invalid, SLICE(""), text);
	digits = s->n != before;
	if (s->n > 0 && s->p[0] == '.') {
		*s = slice_from(*s, 1);
		before = s->n;
		go_leading_fraction(s, &f, &scale);
		digits = digits || s->n != before;
	}
	if (!digits)
		return go_duration_error(err, invalid, SLICE(""), text);
	while (n < s->n && s->p[n] != '.' && !is_digit(s->p[n]))
		n++;
	if (n == 0)
		return go_duration_error(err, "missing unit in duration", SLICE(""), text);
	const struct unit *unit = unit_find(go_units, ARRAY_LEN(go_units), slice_sub(*s, 0, n));
	if (unit == NULL)
		return go_duration_error(err, "unknown unit", slice_sub(*s, 0, n), text);
	*s = slice_from(*s, n);
	if (v > (1ULL << 63) / unit->ns)
		return go_duration_error(err, invalid, SLICE(""), text);
	v *= unit->ns;
	if (f > 0)
		v += (uint64_t)((double)f * ((double)unit->ns / scale));
	if (v > 1ULL << 63 || *total + v > 1ULL << 63)
		return go_duration_error(err, invalid, SLICE(""), text);
	*total += v;
	return 0;
}

int units_parse_go_duration(struct slice text, int64_t *out_ns, struct err *err)
{
	struct slice s = skip_sign(text);
	bool negative = text.n > 0 && text.p[0] == '-';
	uint64_t total = 0;

	if (slice_is(s, "0")) {
		*out_ns = 0;
		return 0;
	}
	if (s.n == 0)
		return go_duration_error(err, "invalid duration", SLICE(""), text);
	while (s.n > 0)
		if (go_duration_part(&s, text, &total, err) == -1)
			return -1;
	if (!negative && total > INT64_MAX)
		return go_duration_error(err, "invalid duration", SLICE(""), text);
	*out_ns = negative ? (int64_t)(0 - total) : (int64_t)total;
	return 0;
}

static int prom_duration_error(struct err *err, struct slice unit, struct slice text)
{
	struct buf b;

	buf_init(&b);
	if (unit.n > 0) {
		buf_puts(&b, "unknown unit ");
		text_go_quote(&b, unit);
		buf_puts(&b, " in duration ");
	} else {
		buf_puts(&b, "not a valid duration string: ");
	}
	text_go_quote(&b, text);
	err_set(err, ERR_BAD_REQUEST, "%.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

/* One "12h" at the start of *s. */
static int prom_duration_part(struct slice *s, struct slice text, int *rank, uint64_t *total, struct err *err)
{
	size_t n_digits = 0, n_unit = 0;
	uint64_t v;

	while (n_digits < s->n && is_digit(s->p[n_digits]))
		n_digits++;
	if (!slice_to_u64(slice_sub(*s, 0, n_digits), &v))
		return prom_duration_error(err, SLICE(""), text);
	*s = slice_from(*s, n_digits);
	while (n_unit < s->n && !is_digit(s->p[n_unit]))
		n_unit++;
	if (n_unit == 0)
		return prom_duration_error(err, SLICE(""), text);
	const struct unit *unit = unit_find(prom_units, ARRAY_LEN(prom_units), slice_sub(*s, 0, n_unit));
	if (unit == NULL)
		return prom_duration_error(err, slice_sub(*s, 0, n_unit), text);
	if (unit->rank <= *rank)
		return prom_duration_error(err, SLICE(""), text);
	*rank = unit->rank;
	*s = slice_from(*s, n_unit);
	if (v > INT64_MAX / unit->ns || *total + v * unit->ns > INT64_MAX)
		return err_set(err, ERR_BAD_REQUEST, "duration out of range");
	*total += v * unit->ns;
	return 0;
}

int units_parse_prom_duration(struct slice text, int64_t *out_ns, struct err *err)
{
	struct slice s = text;
	uint64_t total = 0;
	int rank = 0;

	if (text.n == 0)
		return err_set(err, ERR_BAD_REQUEST, "empty duration string");
	if (slice_is(text, "0"))
		s.n = 0;
	while (s.n > 0)
		if (prom_duration_part(&s, text, &rank, &total, err) == -1)
			return -1;
	*out_ns = (int64_t)total;
	return 0;
}

/* v / unit with its fraction, without trailing zeros. */
static void put_fraction(struct buf *b, uint64_t v, uint64_t unit)
{
	uint64_t rest = v % unit;

	buf_printf(b, "%llu", (unsigned long long)(v / unit));
	if (rest == 0)
		return;
	buf_putc(b, '.');
	while (rest > 0) {
		unit /= 10;
		buf_putc(b, (char)('0' + rest / unit));
		rest %= unit;
	}
}

void units_fmt_go_duration(struct buf *b, int64_t ns)
{
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	if (ns < 0)
		buf_putc(b, '-');
	if (v == 0) {
		buf_puts(b, "0s");
	} else if (v < 1000) {
		buf_printf(b, "%lluns", (unsigned long long)v);
	} else if (v < 1000000) {
		put_fraction(b, v, 1000);
		buf_puts(b, "\xc2\xb5s");
	} else if (v < second_ns) {
		put_fraction(b, v, 1000000);
		buf_puts(b, "ms");
	} else {
		if (v >= 3600 * second_ns)
			buf_printf(b, "%lluh", (unsigned long long)(v / (3600 * second_ns)));
		if (v >= 60 * second_ns)
			buf_printf(b, "%llum", (unsigned long long)(v / (60 * second_ns) % 60));
		put_fraction(b, v % (60 * second_ns), second_ns);
		buf_putc(b, 's');
	}
}

void units_fmt_prom_duration(struct buf *b, int64_t ns)
{
	uint64_t left = (uint64_t)ns / 1000000 * 1000000;

	if (left == 0) {
		buf_puts(b, "0s");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(prom_units); i++) {
		const struct unit *u = &prom_units[i];
		bool whole_only = u->rank <= 2; /* 90d reads better than 12w6d */

		if (left < u->ns || (whole_only && left % u->ns != 0))
			continue;
		buf_printf(b, "%llu%s", (unsigned long long)(left / u->ns), u->name);
		left %= u->ns;
	}
}

/* ---- byte sizes ---- */

static const struct {
	const char *name;
	double bytes;
} size_units[] = {
	{ "", 1 },	   { "b", 1 },	      { "k", 1e3 },	 { "kb", 1e3 },	    { "ki", 0x1p10 },
	{ "kib", 0x1p10 }, { "m", 1e6 },      { "mb", 1e6 },	 { "mi", 0x1p20 },  { "mib", 0x1p20 },
	{ "g", 1e9 },	   { "gb", 1e9 },     { "gi", 0x1p30 },	 { "gib", 0x1p30 }, { "t", 1e12 },
	{ "tb", 1e12 },	   { "ti", 0x1p40 },  { "tib", 0x1p40 }, { "p", 1e15 },	    { "pb", 1e15 },
	{ "pi", 0x1p50 },  { "pib", 0x1p50 }, { "e", 1e18 },	 { "eb", 1e18 },    { "ei", 0x1p60 },
	{ "eib", 0x1p60 },
};

static int size_unit(struct slice name, double *out, struct err *err)
{
	struct buf b;

	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (slice_eq_nocase(name, slice_cstr(size_units[i].name))) {
			*out = size_units[i].bytes;
			return 0;
		}
	}
	buf_init(&b);
	for (size_t i = 0; i < name.n; i++)
		buf_putc(&b, lower(name.p[i]));
	err_set(err, ERR_BAD_REQUEST, "unhandled size name: %.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

int units_parse_bytes(struct slice text, uint64_t *out, struct err *err)
{
	struct buf digits;
	double number, unit;
	size_t n = 0;
	int rc;

	buf_init(&digits);
	for (; n < text.n && (is_digit(text.p[n]) || text.p[n] == '.' || text.p[n] == ','); n++)
		if (text.p[n] != ',')
			buf_putc(&digits, text.p[n]);
	rc = units_parse_number(buf_slice(&digits), &number, err);
	buf_fini(&digits);
	if (rc == -1 || size_unit(slice_trim(slice_from(text, n)), &unit, err) == -1)
		return -1;
	if (number * unit >= 0x1p64)
		return err_set(err, ERR_BAD_REQUEST, "too large: %.*s", SLICE_ARG(text));
	*out = (uint64_t)(number * unit);
	return 0;
}

void units_fmt_bytes(struct buf *b, uint64_t n)
{
	static const char *const names[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	uint64_t unit = 1;
	size_t i = 0;

	if (n < 10) {
		buf_printf(b, "%lluB", (unsigned long long)n);
		return;
	}
	for (; n / unit >= 1000; i++)
		unit *= 1000;
	double v = floor((double)n / (double)unit * 10 + 0.5) / 10;
	buf_printf(b, v < 10 ? "%.1f%s" : "%.0f%s", v, names[i]);
}

void units_fmt_number(struct buf *b, double v)
{
	char tmp[40];
	double abs = fabs(v);

	if (!isfinite(v) || v == 0 || (abs >= 1e-4 && abs < 1e21)) {
		text_float(b, v);
		return;
	}
	for (int prec = 0; prec <= 17; prec++) {
		snprintf(tmp, sizeof(tmp), "%.*e", prec, v);
		if (strtod(tmp, NULL) == v)
			break;
	}
	buf_puts(b, tmp);
}
