/* query/json_object.h - walks one JSON object of a log line, leniently: values end at , } ] or white space,
 *numbers are not validated, a trailing comma and text after the object are fine. Nothing is allocated; slices
 *point into the text. Pure.
 *
 *	struct json_object o = json_object_of(line);
 *	while ((rc = json_object_next(&o, &m)) == 1)
 *		...                             a nested object: json_object_of(m.value)
 *	if (rc == -1)
 *		json_scan_error_text(o.error)                                                              */
#ifndef QUERY_JSON_OBJECT_H
#define QUERY_JSON_OBJECT_H

#include "base/arena.h"

enum json_type { JSON_STRING, JSON_NUMBER, JSON_BOOL, JSON_NULL, JSON_OBJECT, JSON_ARRAY };

enum json_scan_error {
	JSON_SCAN_OK,
	JSON_SCAN_NO_OBJECT, /* not an object, or no closing brace */
	JSON_SCAN_NO_ARRAY_END,
	JSON_SCAN_NO_STRING_END,
	JSON_SCAN_BAD_VALUE,
	JSON_SCAN_MALFORMED,
	JSON_SCAN_BAD_ESCAPE, /* in a key; set by whoever decodes keys */
	JSON_SCAN_TOO_DEEP,   /* set by whoever descends */
};

struct json_object {
	struct slice text;
	size_t off;
	bool started;
	enum json_scan_error error;
};

struct json_member {
	struct slice key; /* between the quotes */
	bool key_escaped; /* holds a backslash */
	enum json_type type;
	struct slice value; /* strings: between the quotes; objects and arrays with their brackets */
	bool escaped;
	bool ascii; /* of a string: nothing else stands in it, but for escapes */
};

static inline struct json_object json_object_of(struct slice text)
{
	return (struct json_object){ .text = text };
}

/* 1: *m is filled; 0: the object is complete; -1: o->error says what is wrong. */
int json_object_next(struct json_object *o, struct json_member *m);
/* The value behind o->off, whatever stands before it: fills m->type, value, escaped and moves o->off behind it.
 * 1, or -1. */
int json_object_value(struct json_object *o, struct json_member *m);
static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves o->off to the next byte that is no white space; false at the end of the text. */
static inline bool json_object_skip_space(struct json_object *o)
{
	while (o->off < o->text.n && json_is_space(o->text.p[o->off]))
		o->off++;
	return o->off < o->text.n;
}

/* o->off is behind an opening quote: *out is the text up to the closing one, and o->off moves behind that.
 * False if there is none. */
bool json_object_string(struct json_object *o, struct slice *out, bool *escaped);
/* o->off is at an opening bracket: moves behind the closing one. False if there is none. */
bool json_object_skip_block(struct json_object *o);
const char *json_scan_error_text(enum json_scan_error e);

/* The text of an escaped string, in the arena. False for an invalid escape. */
bool json_unescape(struct slice s, struct arena *a, struct slice *out);

#endif
