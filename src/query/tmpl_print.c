#include "query/tmpl_print.h"

#include <math.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

enum { MAX_WIDTH = 1000000 };

/* One formatting under way: what stands between % and the verb. */
struct fmt {
	struct tmpl_sink *out;
	bool minus, plus, sharp, space, zero;
	bool plus_v, sharp_v; /* %+v, %#v */
	bool has_width, has_prec;
	int width, prec;
};

static void print_arg(struct fmt *f, const struct tmpl_value *v, uint32_t verb);

static void put(struct fmt *f, struct slice s)
{
	tmpl_sink_put(f->out, s);
}

static void puts_(struct fmt *f, const char *s)
{
	put(f, slice_cstr(s));
}

static void put_rune(struct fmt *f, uint32_t rune)
{
	char utf8[4];

	put(f, slice_of(utf8, utf8_encode(utf8, rune)));
}

static void fill(struct fmt *f, int n)
{
	if (n > 0)
		tmpl_sink_fill(f->out, f->zero && !f->minus ? '0' : ' ', (size_t)n);
}

static void pad(struct fmt *f, struct slice s)
{
	int missing = f->has_width ? f->width - (int)MIN(utf8_count(s), (size_t)MAX_WIDTH) : 0;

	if (!f->minus)
		fill(f, missing);
	put(f, s);
	if (f->minus)
		fill(f, missing);
}

/* ---- integers ---- */

static void fmt_int(struct fmt *f, uint64_t u, unsigned base, bool is_signed, uint32_t verb)
{
	static const char small[] = "0123456789abcdefx", large[] = "0123456789ABCDEFX";
	const char *digit = verb == 'X' ? large : small;
	bool negative = is_signed && (int64_t)u < 0, zero = f->zero;
	char tmp[80];
	size_t at = sizeof(tmp);
	int prec = f->has_prec ? f->prec : 0;
	struct buf b;

	if (negative)
		u = 0 - u;
	if (f->has_prec && prec == 0 && u == 0) {
		f->zero = false;
		fill(f, f->has_width ? f->width : 0);
		f->zero = zero;
		return;
	}
	if (!f->has_prec && f->zero && !f->minus && f->has_width)
		prec = f->width - (negative || f->plus || f->space);
	do {
		tmp[--at] = digit[u % base];
		u /= base;
	} while (u > 0);
	int n = (int)(sizeof(tmp) - at);
	bool leading_zero = prec > n || tmp[at] == '0';
	buf_init(&b);
	if (negative || f->plus || f->space)
		buf_putc(&b, negative ? '-' : f->plus ? '+' : ' ');
	if (verb == 'O')
		buf_puts(&b, "0o");
	if (f->sharp && base == 2)
		buf_puts(&b, "0b");
	else if (f->sharp && base == 8 && !leading_zero)
		buf_putc(&b, '0');
	else if (f->sharp && base == 16)
		buf_append(&b, verb == 'X' ? "0X" : "0x", 2);
	for (; prec > n; prec--)
		buf_putc(&b, '0');
	buf_append(&b, tmp + at, sizeof(tmp) - at);
	f->zero = false;
	pad(f, buf_slice(&b));
	f->zero = zero;
	buf_fini(&b);
}

static uint32_t rune_of(uint64_t u)
{
	return u > 0x10ffff ? 0xfffd : (uint32_t)u;
}

static void fmt_rune(struct fmt *f, uint64_t u)
{
	char utf8[4];

	pad(f, slice_of(utf8, utf8_encode(utf8, rune_of(u))));
}

static void escape_rune(struct buf *b, uint32_t r)
{
	buf_printf(b, r < 0x10000 ? "\\u%04x" : "\\U%08x", r);
}

/* Go-quoted; with ascii, nothing else remains. */
static void quote_to(struct buf *b, struct slice s, bool ascii)
{
	struct buf quoted;
	size_t n;

	if (!ascii) {
		text_go_quote(b, s);
		return;
	}
	buf_init(&quoted);
	text_go_quote(&quoted, s);
	for (struct slice rest = buf_slice(&quoted); rest.n > 0; rest = slice_from(rest, n)) {
		uint32_t r = utf8_decode(rest, &n);

		if (r < 0x80)
			buf_putc(b, (char)r);
		else
			escape_rune(b, r);
	}
	buf_fini(&quoted);
}

static void fmt_quoted_rune(struct fmt *f, uint64_t u)
{
	uint32_t r = rune_of(u);
	char utf8[4];
	struct buf b;

	buf_init(&b);
	if (r == '\'' || r == '"') {
		buf_puts(&b, r == '"' ? "'\"'" : "'\\''");
	} else {
		quote_to(&b, slice_of(utf8, utf8_encode(utf8, r)), f->plus);
		b.p[0] = b.p[b.n - 1] = '\'';
	}
	pad(f, buf_slice(&b));
	buf_fini(&b);
}

static void fmt_unicode(struct fmt *f, uint64_t u)
{
	int prec = f->has_prec && f->prec > 4 ? f->prec : 4;
	bool zero = f->zero;
	struct buf b;
	char digits[32];

	buf_init(&b);
	int n = snprintf(digits, sizeof(digits), "%llX", (unsigned long long)u);
	buf_puts(&b, "U+");
	for (; prec > n; prec--)
		buf_putc(&b, '0');
	buf_append(&b, digits, (size_t)n);
	if (f->sharp && u <= 0x10ffff) {
		struct buf quoted;
		char utf8[4];

		buf_init(&quoted);
		text_go_quote(&quoted, slice_of(utf8, utf8_encode(utf8, (uint32_t)u)));
		if (quoted.n <= 6 && (quoted.p[1] != '\\' || u == '"' || u == '\\')) {
			buf_puts(&b, " '");
			buf_append(&b, utf8, utf8_encode(utf8, (uint32_t)u));
			buf_putc(&b, '\'');
		}
		buf_fini(&quoted);
	}
	f->zero = false;
	pad(f, buf_slice(&b));
	f->zero = zero;
	buf_fini(&b);
}

static bool fmt_integer(struct fmt *f, uint64_t u, bool is_signed, uint32_t verb)
{
	bool sharp = f->sharp;

	switch (verb) {
	case 'v':
		if (f->sharp_v && !is_signed) {
			f->sharp = true;
			fmt_int(f, u, 16, is_signed, 'v');
			f->sharp = sharp;
			return true;
		}
		fmt_int(f, u, 10, is_signed, verb);
		return true;
	case 'd': fmt_int(f, u, 10, is_signed, verb); return true;
	case 'b': fmt_int(f, u, 2, is_signed, verb); return true;
	case 'o':
	case 'O': fmt_int(f, u, 8, is_signed, verb); return true;
	case 'x':
	case 'X': fmt_int(f, u, 16, is_signed, verb); return true;
	case 'c': fmt_rune(f, u); return true;
	case 'q': fmt_quoted_rune(f, u); return true;
	case 'U': fmt_unicode(f, u); return true;
	default: return false;
	}
}

/* ---- floats ---- */

enum { MAX_PREC = 2000 };
static const char zeros[] = { [0 ... MAX_PREC - 1] = '0', '\0' };

/* How many digits tell v from its neighbours: 15 are enough for each decimal that has no more, but for the smallest
 * numbers, so that mostly one try will do. */
static int shortest_digits(double v)
{
	char tmp[40];
	int prec = fabs(v) < 1e-290 ? 0 : 14;

	for (; prec < 16; prec++) {
		snprintf(tmp, sizeof(tmp), "%.*e", prec, v);
		if (strtod(tmp, NULL) == v)
			break;
	}
	if (prec != 14)
		return prec + 1;
	const char *e = strchr(tmp, 'e');
	while (prec > 0 && e[-1] == '0') {
		e--;
		prec--;
	}
	return prec + 1;
}

/* With as few digits as tell v from its neighbours. */
static int shortest(char *out, size_t size, double v, char verb)
{
	int n = shortest_digits(v), exp10;
	char tmp[40];

	if (verb == 'e')
		return snprintf(out, size, "%.*e", n - 1, v);
	snprintf(tmp, sizeof(tmp), "%.*e", n - 1, v);
	exp10 = (int)strtol(strchr(tmp, 'e') + 1, NULL, 10);
	if (verb == 'g' && (exp10 < -4 || exp10 >= 6))
		return snprintf(out, size, "%s", tmp);
	return snprintf(out, size, "%.*f", MAX(n - 1 - exp10, 0), v);
}

/* Hexadecimal, with one bit before the point and the exponent with two digits at least. prec < 0: as many digits
 * as needed. */
static int hex_float(char *out, size_t size, double v, int prec)
{
	enum { DIGITS = 13 };
	int exp2 = 0;
	uint64_t bits = v == 0 ? 0 : (uint64_t)ldexp(frexp(fabs(v), &exp2), 4 * DIGITS + 1);
	char digits[DIGITS + 4];

	exp2 -= v != 0;
	if (prec >= 0 && prec < DIGITS) {
		uint64_t unit = UINT64_C(1) << (4 * (DIGITS - prec)), rest = bits % unit;

		bits -= rest;
		if (rest > unit / 2 || (rest == unit / 2 && (bits & unit) != 0))
			bits += unit;
		if (bits >> (4 * DIGITS + 1) != 0) {
			bits >>= 1;
			exp2++;
		}
	}
	snprintf(digits, sizeof(digits), "%0*llx", DIGITS,
		 (unsigned long long)(bits & ((UINT64_C(1) << 52) - 1)));
	int n = DIGITS;
	while (prec < 0 && n > 0 && digits[n - 1] == '0')
		n--;
	if (prec >= 0)
		n = MIN(prec, DIGITS);
	return snprintf(out, size, "%s0x%d%s%.*s%.*sp%c%02d", signbit(v) ? "-" : "",
			(int)(bits >> (4 * DIGITS)), n > 0 || prec > 0 ? "." : "", n, digits,
			MAX(prec - DIGITS, 0), zeros, exp2 < 0 ? '-' : '+', abs(exp2));
}

static int binary_float(char *out, size_t size, double v)
{
	int exp2;
	double mantissa = frexp(fabs(v), &exp2);

	if (v == 0)
		return snprintf(out, size, "%s0p-1074", signbit(v) ? "-" : "");
	int shift = exp2 - 53 < -1074 ? exp2 + 1074 : 53;
	return snprintf(out, size, "%s%lldp%+d", v < 0 ? "-" : "", (long long)ldexp(mantissa, shift),
			exp2 - shift);
}

static void upper_ascii(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 32);
}

/* The # flag: a point always, and for %g the zeros behind it that are usually dropped. num has no sign. */
static void sharpen(char *num, uint32_t verb, int prec)
{
	bool hex = verb == 'x' || verb == 'X', point = false, significant = false;
	int digits = verb == 'g' || verb == 'G' || verb == 'x' ? (prec < 0 ? 6 : prec) : 0;
	char tail[16];
	size_t n = 0;

	for (; num[n] != '\0' && num[n] != 'p' && num[n] != 'P' && (hex || (num[n] != 'e' && num[n] != 'E'));
	     n++) {
		if (num[n] == '.') {
			point = true;
			continue;
		}
		significant = significant || num[n] != '0';
		digits -= significant;
	}
	snprintf(tail, sizeof(tail), "%s", num + n);
	if (!point) {
		digits -= n == 1 && num[0] == '0';
		num[n++] = '.';
	}
	while (digits-- > 0)
		num[n++] = '0';
	memcpy(num + n, tail, strlen(tail) + 1);
}

/* prec < 0: as many digits as needed. */
static void float_text(char *out, size_t size, double v, uint32_t verb, int prec)
{
	switch (verb) {
	case 'b': binary_float(out, size, v); break;
	case 'x':
	case 'X': hex_float(out, size, v, prec); break;
	case 'e':
	case 'E':
		if (prec < 0)
			shortest(out, size, v, 'e');
		else
			snprintf(out, size, "%.*e", prec, v);
		break;
	case 'g':
	case 'G':
		if (prec < 0)
			shortest(out, size, v, 'g');
		else
			snprintf(out, size, "%.*g", prec, v);
		break;
	default: snprintf(out, size, "%.*f", prec, v); break;
	}
	if (verb == 'E' || verb == 'G' || verb == 'X')
		upper_ascii(out);
}

/* num begins with its sign. */
static void put_number(struct fmt *f, struct slice num)
{
	if (!f->plus && num.p[0] == '+') {
		pad(f, slice_from(num, 1));
	} else if (f->zero && !f->minus && f->has_width && f->width > (int)num.n) {
		put(f, slice_sub(num, 0, 1));
		fill(f, f->width - (int)num.n);
		put(f, slice_from(num, 1));
	} else {
		pad(f, num);
	}
}

static void fmt_float(struct fmt *f, double v, uint32_t verb, int prec)
{
	char text[2 * MAX_PREC + 400];
	bool zero = f->zero;

	if (f->has_prec)
		prec = f->prec;
	if (!isfinite(v)) {
		bool signed_nan = f->plus || f->space;
		const char *name = isnan(v) ? (signed_nan ? "+NaN" : "NaN") : v > 0 ? "+Inf" : "-Inf";

		f->zero = false;
		snprintf(text, sizeof(text), "%s", name);
		if (f->space && !f->plus && text[0] == '+')
			text[0] = ' ';
		pad(f, slice_cstr(text));
		f->zero = zero;
		return;
	}
	text[0] = '+';
	int cut = MIN(prec, (int)MAX_PREC);
	float_text(text + 1, sizeof(text) - 1, v, verb, cut);
	if (f->sharp && verb != 'b')
		sharpen(text + 1 + (text[1] == '-'), verb, cut);
	char *num = text[1] == '-' ? text + 1 : text;
	if (f->space && num[0] == '+' && !f->plus)
		num[0] = ' ';
	if (num[0] == ' ') {
		bool plus = f->plus;

		f->plus = true; /* the sign is shown */
		put_number(f, slice_cstr(num));
		f->plus = plus;
	} else {
		put_number(f, slice_cstr(num));
	}
	/* No double has more digits than that behind the point: the rest are zeros. */
	if (prec > cut && (verb == 'f' || verb == 'F'))
		tmpl_sink_fill(f->out, '0', (size_t)(prec - cut));
}

static bool fmt_any_float(struct fmt *f, double v, uint32_t verb)
{
	switch (verb) {
	case 'v': fmt_float(f, v, 'g', -1); return true;
	case 'b':
	case 'g':
	case 'G':
	case 'x':
	case 'X': fmt_float(f, v, verb, -1); return true;
	case 'e':
	case 'E':
	case 'f':
	case 'F': fmt_float(f, v, verb, 6); return true;
	default: return false;
	}
}

static bool fmt_complex(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	bool plus = f->plus;

	if (verb > 0x7f || strchr("vbgGxXfFeE", (int)verb) == NULL || verb == 0)
		return false;
	puts_(f, "(");
	fmt_any_float(f, v->complex.re, verb);
	f->plus = true;
	fmt_any_float(f, v->complex.im, verb);
	puts_(f, "i)");
	f->plus = plus;
	return true;
}

/* ---- strings ---- */

static struct slice cut_runes(const struct fmt *f, struct slice s)
{
	size_t at = 0, n;

	if (!f->has_prec)
		return s;
	for (int i = 0; i < f->prec && at < s.n; i++, at += n)
		utf8_decode(slice_from(s, at), &n);
	return slice_sub(s, 0, at);
}

static bool can_backquote(struct slice s)
{
	for (size_t n; s.n > 0; s = slice_from(s, n)) {
		uint32_t r = utf8_decode(s, &n);

		if ((r == 0xfffd && n == 1) || r == 0xfeff || r == '`' || r == 0x7f || (r < ' ' && r != '\t'))
			return false;
	}
	return true;
}

static void fmt_quoted(struct fmt *f, struct slice s)
{
	struct buf b;

	buf_init(&b);
	s = cut_runes(f, s);
	if (f->sharp && can_backquote(s)) {
		buf_putc(&b, '`');
		buf_add(&b, s);
		buf_putc(&b, '`');
	} else {
		quote_to(&b, s, f->plus);
	}
	pad(f, buf_slice(&b));
	buf_fini(&b);
}

static void fmt_hex(struct fmt *f, struct slice s, bool large)
{
	const char *digit = large ? "0123456789ABCDEF" : "0123456789abcdef", *prefix = large ? "0X" : "0x";
	size_t n = f->has_prec ? MIN((size_t)f->prec, s.n) : s.n, width = 2 * n;

	if (n == 0) {
		fill(f, f->has_width ? f->width : 0);
		return;
	}
	if (f->space)
		width = width * (f->sharp ? 2 : 1) + n - 1;
	else if (f->sharp)
		width += 2;
	int missing = f->has_width ? f->width - (int)MIN(width, (size_t)MAX_WIDTH) : 0;
	if (!f->minus)
		fill(f, missing);
	for (size_t i = 0; i < n && !f->out->full; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char pair[2] = { digit[c >> 4], digit[c & 15] };

		if (f->space && i > 0)
			puts_(f, " ");
		if (f->sharp && (f->space || i == 0))
			puts_(f, prefix);
		put(f, slice_of(pair, 2));
	}
	if (f->minus)
		fill(f, missing);
}

static bool fmt_string(struct fmt *f, struct slice s, uint32_t verb)
{
	switch (verb) {
	case 'v':
		if (f->sharp_v)
			fmt_quoted(f, s);
		else
			pad(f, cut_runes(f, s));
		return true;
	case 's': pad(f, cut_runes(f, s)); return true;
	case 'q': fmt_quoted(f, s); return true;
	case 'x':
	case 'X': fmt_hex(f, s, verb == 'X'); return true;
	default: return false;
	}
}

/* ---- other types ---- */

static void go_string_of_time(struct buf *b, const struct go_time *t)
{
	struct go_clock c = go_time_clock(t);

	buf_printf(b, "time.Date(%lld, time.%s, %d, %d, %d, %d, %d, ", (long long)c.year,
		   go_month_names[c.month - 1], c.day, c.hour, c.minute, c.second, t->ns);
	if (slice_is(zone_name(t->zone), "UTC") || slice_is(zone_name(t->zone), "Local")) {
		buf_printf(b, "time.%.*s)", SLICE_ARG(zone_name(t->zone)));
		return;
	}
	buf_puts(b, "time.Location(");
	text_go_quote(b, zone_name(t->zone));
	buf_puts(b, "))");
}

/* What the String method of these types gives; false: they have none. */
static bool own_string(struct buf *b, const struct tmpl_value *v)
{
	if (v->kind == TMPL_TIME) {
		go_time_format(b, &v->time, SLICE("2006-01-02 15:04:05.999999999 -0700 MST"));
		return true;
	}
	if (v->kind != TMPL_INTEGER)
		return false;
	switch (v->type) {
	case TMPL_INT_DURATION: clock_format_go_duration(b, v->i); return true;
	case TMPL_INT_MONTH:
		if (v->i >= 1 && v->i <= 12)
			buf_puts(b, go_month_names[v->i - 1]);
		else
			buf_printf(b, "%%!Month(%lld)", (long long)v->i);
		return true;
	case TMPL_INT_WEEKDAY:
		if (v->i >= 0 && v->i <= 6)
			buf_puts(b, go_weekday_names[v->i]);
		else
			buf_printf(b, "%%!Weekday(%lld)", (long long)v->i);
		return true;
	default: return false;
	}
}

static bool fmt_own_string(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	struct buf b;
	bool done;

	if (verb > 0x7f || strchr("vsxXq", (int)verb) == NULL || verb == 0 ||
	    (f->sharp_v && v->kind != TMPL_TIME))
		return false;
	buf_init(&b);
	if (f->sharp_v) {
		go_string_of_time(&b, &v->time);
		pad(f, buf_slice(&b));
		done = true;
	} else {
		done = own_string(&b, v) && fmt_string(f, buf_slice(&b), verb);
	}
	buf_fini(&b);
	return done;
}

/* Inside of a container. */
static void fmt_element(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	if (v->kind == TMPL_NULL || v->kind == TMPL_NONE)
		puts_(f, f->sharp_v ? "interface {}(nil)" : "<nil>");
	else
		print_arg(f, v, verb);
}

static void fmt_list(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	puts_(f, f->sharp_v ? "[]interface {}{" : "[");
	for (size_t i = 0; i < v->list.n && !f->out->full; i++) {
		if (i > 0)
			puts_(f, f->sharp_v ? ", " : " ");
		fmt_element(f, &v->list.v[i], verb);
	}
	puts_(f, f->sharp_v ? "}" : "]");
}

static void fmt_map(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	size_t n = tmpl_len(v);

	if (f->sharp_v) {
		puts_(f, tmpl_type_name(v));
		puts_(f, "{");
	} else {
		puts_(f, "map[");
	}
	for (size_t i = 0; i < n && !f->out->full; i++) {
		bool labels = v->kind == TMPL_LABELS;
		struct tmpl_value key = tmpl_text(labels ? v->labels.v[i].name : v->map.v[i].key);
		struct tmpl_value value = labels ? tmpl_text(v->labels.v[i].value) : *v->map.v[i].value;

		if (i > 0)
			puts_(f, f->sharp_v ? ", " : " ");
		fmt_element(f, &key, verb);
		puts_(f, ":");
		fmt_element(f, &value, verb);
	}
	puts_(f, f->sharp_v ? "}" : "]");
}

/* %!d(string=x) */
static void bad_verb(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	puts_(f, "%!");
	put_rune(f, verb);
	puts_(f, "(");
	if (v->kind == TMPL_NULL || v->kind == TMPL_NONE) {
		puts_(f, "<nil>");
	} else {
		puts_(f, tmpl_type_name(v));
		puts_(f, "=");
		print_arg(f, v, 'v');
	}
	puts_(f, ")");
}

static bool fmt_bool(struct fmt *f, bool b, uint32_t verb)
{
	if (verb != 't' && verb != 'v')
		return false;
	pad(f, b ? SLICE("true") : SLICE("false"));
	return true;
}

static bool fmt_kind(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	switch (v->kind) {
	case TMPL_NONE:
	case TMPL_NULL:
		if (verb != 'v')
			return false;
		pad(f, SLICE("<nil>"));
		return true;
	case TMPL_BOOL: return fmt_bool(f, v->truth, verb);
	case TMPL_INTEGER: return fmt_own_string(f, v, verb) || fmt_integer(f, (uint64_t)v->i, true, verb);
	case TMPL_BYTE: return fmt_integer(f, (uint64_t)v->i, false, verb);
	case TMPL_FLOAT: return fmt_any_float(f, v->f, verb);
	case TMPL_COMPLEX: return fmt_complex(f, v, verb);
	case TMPL_TEXT: return fmt_string(f, v->s, verb);
	case TMPL_TIME: return fmt_own_string(f, v, verb);
	case TMPL_LIST: fmt_list(f, v, verb); return true;
	case TMPL_MAP:
	case TMPL_LABELS: fmt_map(f, v, verb); return true;
	}
	return false;
}

static void print_arg(struct fmt *f, const struct tmpl_value *v, uint32_t verb)
{
	bool nil = v->kind == TMPL_NULL || v->kind == TMPL_NONE;

	if (verb == 'T')
		pad(f, cut_runes(f, nil ? SLICE("<nil>") : slice_cstr(tmpl_type_name(v))));
	else if (!fmt_kind(f, v, verb))
		bad_verb(f, v, verb);
}

void tmpl_print(struct tmpl_sink *out, const struct tmpl_value *v)
{
	struct fmt f = { .out = out };

	if (v->kind == TMPL_TEXT)
		tmpl_sink_put(out, v->s);
	else
		print_arg(&f, v, 'v');
}

void tmpl_print_all(struct tmpl_sink *out, const struct tmpl_value *v, size_t n)
{
	for (size_t i = 0; i < n && !out->full; i++) {
		if (i > 0 && v[i].kind != TMPL_TEXT && v[i - 1].kind != TMPL_TEXT)
			tmpl_sink_fill(out, ' ', 1);
		tmpl_print(out, &v[i]);
	}
}

void tmpl_println_all(struct tmpl_sink *out, const struct tmpl_value *v, size_t n)
{
	for (size_t i = 0; i < n && !out->full; i++) {
		if (i > 0)
			tmpl_sink_fill(out, ' ', 1);
		tmpl_print(out, &v[i]);
	}
	tmpl_sink_fill(out, '\n', 1);
}

/* ---- printf ---- */

struct printer {
	struct slice format;
	size_t i; /* in the format */
	const struct tmpl_value *arg;
	size_t n_args, next;
	bool good_index, reordered, after_index;
};

static bool get_number(struct printer *p, size_t end, int *out)
{
	size_t from = p->i;
	int v = 0;

	for (; p->i < end && p->format.p[p->i] >= '0' && p->format.p[p->i] <= '9'; p->i++) {
		if (v > MAX_WIDTH) {
			p->i = end;
			*out = 0;
			return false;
		}
		v = v * 10 + (p->format.p[p->i] - '0');
	}
	*out = v;
	return p->i > from;
}

/* [3]: the argument to take next */
static void get_index(struct printer *p)
{
	struct slice rest = slice_from(p->format, p->i);
	size_t close = slice_find_byte(rest, ']');
	size_t end = p->i + close + 1;
	int v;

	p->after_index = false;
	if (rest.n == 0 || rest.p[0] != '[')
		return;
	p->reordered = true;
	if (rest.n < 3 || close == SLICE_NONE) {
		p->good_index = false;
		p->i++;
		return;
	}
	p->i++;
	bool ok = get_number(p, end - 1, &v) && p->i == end - 1;
	p->i = end;
	if (ok && v >= 1 && (size_t)v <= p->n_args) {
		p->next = (size_t)v - 1;
		p->after_index = true;
	} else {
		p->good_index = false;
		p->after_index = ok;
	}
}

/* For * : a whole number from the arguments. */
static bool get_star(struct printer *p, int *out)
{
	*out = 0;
	if (p->next >= p->n_args)
		return false;
	const struct tmpl_value *v = &p->arg[p->next++];
	if ((v->kind != TMPL_INTEGER && v->kind != TMPL_BYTE) || v->i > MAX_WIDTH || v->i < -MAX_WIDTH)
		return false;
	*out = (int)v->i;
	return true;
}

static bool more(const struct printer *p)
{
	return p->i < p->format.n;
}

static char at(const struct printer *p)
{
	return more(p) ? p->format.p[p->i] : '\0';
}

static void get_flags(struct printer *p, struct fmt *f)
{
	for (; more(p); p->i++) {
		switch (at(p)) {
		case '#': f->sharp = true; break;
		case '0': f->zero = true; break;
		case '+': f->plus = true; break;
		case '-': f->minus = true; break;
		case ' ': f->space = true; break;
		default: return;
		}
	}
}

static void get_width(struct printer *p, struct fmt *f)
{
	if (at(p) == '*') {
		p->i++;
		f->has_width = get_star(p, &f->width);
		if (!f->has_width)
			puts_(f, "%!(BADWIDTH)");
		if (f->width < 0) {
			f->width = -f->width;
			f->minus = true;
			f->zero = false;
		}
		p->after_index = false;
		return;
	}
	f->has_width = get_number(p, p->format.n, &f->width);
	if (p->after_index && f->has_width)
		p->good_index = false;
}

static void get_prec(struct printer *p, struct fmt *f)
{
	if (at(p) != '.' || !more(p))
		return;
	p->i++;
	if (p->after_index)
		p->good_index = false;
	get_index(p);
	if (at(p) == '*') {
		p->i++;
		f->has_prec = get_star(p, &f->prec);
		if (f->prec < 0) {
			f->prec = 0;
			f->has_prec = false;
		}
		if (!f->has_prec)
			puts_(f, "%!(BADPREC)");
		p->after_index = false;
		return;
	}
	if (!get_number(p, p->format.n, &f->prec))
		f->prec = 0;
	f->has_prec = true;
}

static void bad_call(struct fmt *f, uint32_t verb, const char *what)
{
	puts_(f, "%!");
	put_rune(f, verb);
	puts_(f, what);
}

/* Behind the %. */
static void print_verb(struct printer *p, struct tmpl_sink *out)
{
	struct fmt f = { .out = out };
	uint32_t verb;
	size_t n;

	p->good_index = true;
	p->after_index = false;
	get_flags(p, &f);
	get_index(p);
	get_width(p, &f);
	get_prec(p, &f);
	if (!p->after_index)
		get_index(p);
	if (!more(p)) {
		puts_(&f, "%!(NOVERB)");
		return;
	}
	verb = utf8_decode(slice_from(p->format, p->i), &n);
	p->i += n;
	if (verb == '%') {
		puts_(&f, "%");
	} else if (!p->good_index) {
		bad_call(&f, verb, "(BADINDEX)");
	} else if (p->next >= p->n_args) {
		bad_call(&f, verb, "(MISSING)");
	} else {
		if (verb == 'v') {
			f.sharp_v = f.sharp;
			f.plus_v = f.plus;
			f.sharp = f.plus = false;
		}
		print_arg(&f, &p->arg[p->next++], verb);
	}
}

static void print_extra(struct printer *p, struct tmpl_sink *out)
{
	struct fmt f = { .out = out };

	if (p->reordered || p->next >= p->n_args)
		return;
	puts_(&f, "%!(EXTRA ");
	for (size_t i = p->next; i < p->n_args && !out->full; i++) {
		const struct tmpl_value *v = &p->arg[i];

		if (i > p->next)
			puts_(&f, ", ");
		if (v->kind == TMPL_NULL || v->kind == TMPL_NONE) {
			puts_(&f, "<nil>");
		} else {
			puts_(&f, tmpl_type_name(v));
			puts_(&f, "=");
			print_arg(&f, v, 'v');
		}
	}
	puts_(&f, ")");
}

void tmpl_printf(struct tmpl_sink *out, struct slice format, const struct tmpl_value *v, size_t n)
{
	struct printer p = { .format = format, .arg = v, .n_args = n };

	while (p.i < format.n && !out->full) {
		size_t percent = slice_find_byte(slice_from(format, p.i), '%');

		tmpl_sink_put(out, slice_sub(format, p.i, percent == SLICE_NONE ? format.n : percent));
		if (percent == SLICE_NONE)
			break;
		p.i += percent + 1;
		print_verb(&p, out);
	}
	print_extra(&p, out);
}
