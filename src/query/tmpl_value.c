#include "query/tmpl_value.h"

#include <math.h>
#include "logql/units.h"

const char *tmpl_type_name(const struct tmpl_value *v)
{
	static const char *const ints[] = {
		[TMPL_INT_PLAIN] = "int",
		[TMPL_INT_64] = "int64",
		[TMPL_INT_DURATION] = "time.Duration",
		[TMPL_INT_MONTH] = "time.Month",
		[TMPL_INT_WEEKDAY] = "time.Weekday",
	};
	static const char *const kinds[] = {
		[TMPL_NONE] = "<nil>",
		[TMPL_NULL] = "interface {}",
		[TMPL_BOOL] = "bool",
		[TMPL_BYTE] = "uint8",
		[TMPL_FLOAT] = "float64",
		[TMPL_COMPLEX] = "complex128",
		[TMPL_TEXT] = "string",
		[TMPL_TIME] = "time.Time",
		[TMPL_LIST] = "[]interface {}",
		[TMPL_MAP] = "map[string]interface {}",
		[TMPL_LABELS] = "map[string]string",
	};

	return v->kind == TMPL_INTEGER ? ints[v->type] : kinds[v->kind];
}

bool tmpl_truth(const struct tmpl_value *v)
{
	return v->kind == TMPL_TIME || !tmpl_empty(v);
}

bool tmpl_empty(const struct tmpl_value *v)
{
	switch (v->kind) {
	case TMPL_NONE:
	case TMPL_NULL: return true;
	case TMPL_BOOL: return !v->truth;
	case TMPL_INTEGER:
	case TMPL_BYTE: return v->i == 0;
	case TMPL_FLOAT: return v->f == 0;
	case TMPL_COMPLEX: return v->complex.re == 0 && v->complex.im == 0;
	case TMPL_TIME: return false;
	case TMPL_TEXT:
	case TMPL_LIST:
	case TMPL_MAP:
	case TMPL_LABELS: return tmpl_len(v) == 0;
	}
	return false;
}

size_t tmpl_len(const struct tmpl_value *v)
{
	switch (v->kind) {
	case TMPL_TEXT: return v->s.n;
	case TMPL_LIST: return v->list.n;
	case TMPL_MAP: return v->map.n;
	case TMPL_LABELS: return v->labels.n;
	default: return 0;
	}
}

/* ---- conversions ---- */

/* -12 of -12.5; the text itself if it is not of this form. */
static struct slice without_fraction(struct slice s)
{
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'), point;

	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	point = i;
	if (i == s.n || s.p[i] != '.')
		return s;
	for (i++; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return s;
	return slice_sub(s, 0, point);
}

static int64_t float_to_int(double f)
{
	return f >= -0x1p63 && f < 0x1p63 ? (int64_t)f : INT64_MIN;
}

int64_t tmpl_to_int(const struct tmpl_value *v)
{
	int64_t i;

	switch (v->kind) {
	case TMPL_BOOL: return v->truth;
	case TMPL_INTEGER: return v->type == TMPL_INT_DURATION ? 0 : v->i;
	case TMPL_BYTE: return v->i;
	case TMPL_FLOAT: return float_to_int(v->f);
	case TMPL_TEXT: return units_parse_go_int(without_fraction(v->s), &i) ? i : 0;
	default: return 0;
	}
}

/* Most numbers are short and decimal: nothing to allocate. */
static bool small_decimal(struct slice s, double *out)
{
	static const double powers[] = { 1,   1e1, 1e2,	 1e3,  1e4,  1e5,  1e6,	 1e7,
					 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	bool negative = s.n > 0 && s.p[0] == '-', point = false;
	size_t n_behind = 0, n = 0;
	int64_t v = 0;

	for (size_t i = negative; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
		} else if (s.p[i] >= '0' && s.p[i] <= '9' && n < 15) {
			v = v * 10 + (s.p[i] - '0');
			n++;
			n_behind += point;
		} else {
			return false;
		}
	}
	if (n == 0)
		return false;
	*out = (double)v / powers[n_behind];
	if (negative)
		*out = -*out;
	return true;
}

static double text_to_float(struct slice s)
{
	struct err ignored;
	double f;

	if (small_decimal(s, &f) || units_parse_number(s, &f, &ignored) == 0)
		return f;
	return 0;
}

double tmpl_to_float(const struct tmpl_value *v)
{
	switch (v->kind) {
	case TMPL_BOOL: return v->truth;
	case TMPL_INTEGER: return v->type == TMPL_INT_DURATION ? 0 : (double)v->i;
	case TMPL_BYTE: return (double)v->i;
	case TMPL_FLOAT: return v->f;
	case TMPL_TEXT: return text_to_float(v->s);
	default: return 0;
	}
}

struct tmpl_value tmpl_map_get(const struct tmpl_value *map, struct slice key)
{
	if (map->kind == TMPL_LABELS) {
		struct slice v = labels_get(map->labels, key);

		return v.p != NULL ? tmpl_text(v) : TMPL_ABSENT;
	}
	size_t lo = 0, hi = map->map.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = slice_cmp(map->map.v[mid].key, key);

		if (c == 0)
			return *map->map.v[mid].value;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return TMPL_ABSENT;
}
