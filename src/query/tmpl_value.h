/* query/tmpl_value.h - the values that templates compute with, typed as Go's reflection sees them, because
 * error messages and printf name the types. Small, passed around by copy; texts, lists and maps live in the
 * arena of the execution or are borrowed from the entry. */
#ifndef QUERY_TMPL_VALUE_H
#define QUERY_TMPL_VALUE_H

#include "model/labels.h"
#include "query/tmpl_time.h"

enum tmpl_kind {
	TMPL_NONE, /* no value at all: what a null becomes at the end of a pipeline */
	TMPL_NULL, /* an empty interface: null in JSON, nil as an argument */
	TMPL_BOOL,
	TMPL_INTEGER,
	TMPL_BYTE, /* of a string; unsigned */
	TMPL_FLOAT,
	TMPL_COMPLEX,
	TMPL_TEXT,
	TMPL_TIME,
	TMPL_LIST,
	TMPL_MAP,    /* of JSON */
	TMPL_LABELS, /* the data of the template: text to text */
};
/* Of TMPL_INTEGER. */
enum tmpl_int_type { TMPL_INT_PLAIN, TMPL_INT_64, TMPL_INT_DURATION, TMPL_INT_MONTH, TMPL_INT_WEEKDAY };

struct tmpl_value;
struct tmpl_member {
	struct slice key;
	struct tmpl_value *value;
};
struct tmpl_value {
	enum tmpl_kind kind;
	enum tmpl_int_type type;
	bool fixed; /* a map which has these members and no other: what asks for another fails */
	bool boxed; /* seen through an interface: an element of JSON that has not been through a pipeline */
	union {
		bool truth;
		int64_t i;
		double f;
		struct {
			double re, im;
		} complex;
		struct slice s;
		struct go_time time;
		struct {
			struct tmpl_value *v;
			size_t n;
		} list;
		struct {
			struct tmpl_member *v; /* sorted by key */
			size_t n;
		} map;
		struct labels labels; /* sorted by name */
	};
};

#define TMPL_ABSENT ((struct tmpl_value){ .kind = TMPL_NONE })

static inline struct tmpl_value tmpl_text(struct slice s)
{
	return (struct tmpl_value){ .kind = TMPL_TEXT, .s = s };
}

static inline struct tmpl_value tmpl_int(int64_t i)
{
	return (struct tmpl_value){ .kind = TMPL_INTEGER, .type = TMPL_INT_PLAIN, .i = i };
}

static inline struct tmpl_value tmpl_int_of(enum tmpl_int_type type, int64_t i)
{
	return (struct tmpl_value){ .kind = TMPL_INTEGER, .type = type, .i = i };
}

static inline struct tmpl_value tmpl_float(double f)
{
	return (struct tmpl_value){ .kind = TMPL_FLOAT, .f = f };
}

static inline struct tmpl_value tmpl_bool(bool b)
{
	return (struct tmpl_value){ .kind = TMPL_BOOL, .truth = b };
}

static inline struct tmpl_value tmpl_time(struct go_time t)
{
	return (struct tmpl_value){ .kind = TMPL_TIME, .time = t };
}

const char *tmpl_type_name(const struct tmpl_value *v); /* Go's: map[string]interface {} */
bool tmpl_truth(const struct tmpl_value *v);
bool tmpl_empty(const struct tmpl_value *v); /* as `default` sees it */
/* Loose conversions: what is no number is 0. */
int64_t tmpl_to_int(const struct tmpl_value *v);
double tmpl_to_float(const struct tmpl_value *v);
/* Kind NONE: there is no such key. */
struct tmpl_value tmpl_map_get(const struct tmpl_value *map, struct slice key);
size_t tmpl_len(const struct tmpl_value *v); /* of a text, list or map */

#endif
