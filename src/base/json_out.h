/* base/json_out.h - writes JSON into a buf. The writer puts the commas; nesting is the caller's to balance. */
#ifndef BASE_JSON_OUT_H
#define BASE_JSON_OUT_H

#include "base/buf.h"

/* A string with its quotes. Escapes as Go's encoding/json: invalid UTF-8 becomes \ufffd; with html, also
 * < > & U+2028 U+2029 as \uXXXX. */
void json_quote(struct buf *b, struct slice s, bool html);

struct json_out {
	struct buf *b;
	bool comma; /* a value precedes in this container */
};

static inline void json_sep(struct json_out *j)
{
	if (j->comma)
		buf_putc(j->b, ',');
	j->comma = true;
}

static inline void json_open(struct json_out *j, char bracket)
{
	json_sep(j);
	buf_putc(j->b, bracket);
	j->comma = false;
}

static inline void json_close(struct json_out *j, char bracket)
{
	buf_putc(j->b, bracket);
	j->comma = true;
}

void json_key(struct json_out *j, const char *key); /* a constant that needs no escapes */
void json_key_slice(struct json_out *j, struct slice key);
void json_str(struct json_out *j, struct slice s);
void json_cstr(struct json_out *j, const char *s);
void json_int(struct json_out *j, int64_t v);
void json_int_text(struct json_out *j,
		   int64_t v); /* as a string: a JSON number is a double to many readers */
void json_bool(struct json_out *j, bool v);
void json_put_null(struct json_out *j);
void json_float(struct json_out *j, double v);

/* Whole members. */
void json_key_int_text(struct json_out *j, const char *key, int64_t v);
void json_key_strs(struct json_out *j, const char *key, const struct slice *v, size_t n);

#endif
