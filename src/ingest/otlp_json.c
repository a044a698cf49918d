/* The same messages as in otlp_proto.c in protobuf's JSON form, as OTLP bends it: lowerCamelCase names (the original
 * ones are taken, too), 64-bit integers as strings or numbers, enums as numbers or names, ids as hex, other bytes as
 * base64. Keys come in any order, unknown ones are skipped, null means absent.
 *
 * A resource is read before its scopes and a scope before its records: if they come the other way round, the later ones
 * are stepped over at first and read at the end of the object. */
#include "ingest/json_scan.h"
#include "ingest/otlp.h"
#include "base/base64.h"
#include "base/text.h"

#include <math.h>

struct reader {
	struct json_scan s;
	struct otlp m;
};

static bool skip_null(struct reader *r)
{
	if (jscan_peek(&r->s) != 'n' || r->s.end - r->s.p < 4 || memcmp(r->s.p, "null", 4) != 0)
		return false;
	r->s.p += 4;
	return true;
}

/* Which of the names the key is: its index, or n. */
static size_t which(struct slice key, const struct slice (*names)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(key, names[i][0]) || slice_eq(key, names[i][1]))
			return i;
	return n;
}

#define NAME(camel, snake)                                                                                   \
	{                                                                                                    \
		{ camel, sizeof(camel) - 1 },                                                                \
		{                                                                                            \
			snake, sizeof(snake) - 1                                                             \
		}                                                                                            \
	}

/* Each element of an array, or none at null. */
static int each(struct reader *r, int (*read_one)(struct reader *r))
{
	bool first = true;
	int rc;

	if (skip_null(r))
		return 0;
	while ((rc = jscan_next_element(&r->s, &first)) == 1)
		if (read_one(r) == -1)
			return -1;
	return rc;
}

/* ---------------------------------------------------------------- scalars */

static int fail_at(struct reader *r, const char *at, const char *what)
{
	r->s.p = at;
	return jscan_fail(&r->s, what);
}

/* The text of a number, in quotes or not. */
static int read_number(struct reader *r, struct slice *text, const char **at)
{
	char c = jscan_peek(&r->s);

	*at = r->s.p;
	return c == '"' ? jscan_string(&r->s, text) : jscan_scalar(&r->s, text);
}

static int read_i64(struct reader *r, int64_t *out)
{
	struct slice text;
	const char *at;
	double v;

	if (skip_null(r))
		return 0;
	if (read_number(r, &text, &at) == -1)
		return -1;
	if (slice_to_i64(text, out))
		return 0;
	/* 1.7e3 */
	if (!slice_to_double(text, &v) || !(v >= -0x1p63 && v < 0x1p63) || v != floor(v))
		return fail_at(r, at, "expected a 64-bit integer");
	*out = (int64_t)v;
	return 0;
}

static int read_u64(struct reader *r, uint64_t *out)
{
	struct slice text;
	const char *at;
	double v;

	if (skip_null(r))
		return 0;
	if (read_number(r, &text, &at) == -1)
		return -1;
	if (slice_to_u64(text, out))
		return 0;
	if (!slice_to_double(text, &v) || !(v >= 0 && v < 0x1p64) || v != floor(v))
		return fail_at(r, at, "expected an integer of 64 bits that is not negative");
	*out = (uint64_t)v;
	return 0;
}

static int read_u32(struct reader *r, uint32_t *out)
{
	uint64_t v = *out;
	const char *at;

	jscan_ws(&r->s);
	at = r->s.p;
	if (read_u64(r, &v) == -1)
		return -1;
	if (v > UINT32_MAX)
		return fail_at(r, at, "expected an integer of 32 bits");
	*out = (uint32_t)v;
	return 0;
}

static int read_double(struct reader *r, double *out)
{
	struct slice text;
	const char *at;

	if (read_number(r, &text, &at) == -1)
		return -1;
	if (slice_is(text, "NaN"))
		*out = (double)NAN;
	else if (slice_is(text, "Infinity"))
		*out = (double)INFINITY;
	else if (slice_is(text, "-Infinity"))
		*out = (double)-INFINITY;
	else if (!slice_to_double(text, out))
		return fail_at(r, at, "expected a number");
	return 0;
}

static int read_bool(struct reader *r, bool *out)
{
	struct slice text;
	const char *at;

	if (read_number(r, &text, &at) == -1)
		return -1;
	if (!slice_is(text, "true") && !slice_is(text, "false"))
		return fail_at(r, at, "expected true or false");
	*out = slice_is(text, "true");
	return 0;
}

static int read_text(struct reader *r, struct slice *out)
{
	return skip_null(r) ? 0 : jscan_string(&r->s, out);
}

/* Hex digits of n bytes, or of none, into bytes. */
static int read_id(struct reader *r, char *bytes, size_t n, const char *name, struct slice *out)
{
	struct slice text = SLICE("");
	const char *at;

	jscan_ws(&r->s);
	at = r->s.p;
	if (read_text(r, &text) == -1)
		return -1;
	if (text.n % 2 != 0 || otlp_check_id(&r->m, slice_of(bytes, text.n / 2), n, name) == -1)
		return err_set(r->s.err, ERR_BAD_REQUEST, "invalid length for %s: %zu hex digits, not %zu",
			       name, text.n, 2 * n);
	for (size_t i = 0; i < text.n / 2; i++) {
		int high = text_hex_digit(text.p[2 * i]), low = text_hex_digit(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return fail_at(r, at, "expected an id in hex");
		bytes[i] = (char)(high << 4 | low);
	}
	*out = slice_of(bytes, text.n / 2);
	return 0;
}

/* SEVERITY_NUMBER_WARN2 */
static int severity_of(struct slice name, int32_t *out)
{
	static const char *const levels[] = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" };
	const struct slice prefix = SLICE("SEVERITY_NUMBER_");
	int32_t step = 0;

	if (!slice_starts(name, prefix))
		return -1;
	name = slice_from(name, prefix.n);
	if (slice_is(name, "UNSPECIFIED")) {
		*out = 0;
		return 0;
	}
	if (name.n > 0 && name.p[name.n - 1] >= '2' && name.p[name.n - 1] <= '4') {
		step = name.p[name.n - 1] - '1';
		name.n--;
	}
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (slice_is(name, levels[i])) {
			*out = (int32_t)i * 4 + 1 + step;
			return 0;
		}
	}
	return -1;
}

static int read_severity(struct reader *r, int32_t *out)
{
	struct slice text;
	const char *at;
	int64_t v;

	if (skip_null(r))
		return 0;
	if (read_number(r, &text, &at) == -1)
		return -1;
	if (slice_to_i64(text, &v) && v >= INT32_MIN && v <= INT32_MAX) {
		*out = (int32_t)v;
		return 0;
	}
	return severity_of(text, out) == -1 ? fail_at(r, at, "expected a severity number or its name") : 0;
}

/* Either alphabet, with padding or without. */
static int read_bytes(struct reader *r, struct slice *out)
{
	struct slice text;
	uint32_t bits = 0;
	size_t n = 0, digits;
	const char *at;
	char *p;

	jscan_ws(&r->s);
	at = r->s.p;
	if (jscan_string(&r->s, &text) == -1)
		return -1;
	for (digits = text.n; digits > 0 && text.n - digits < 2 && text.p[digits - 1] == '='; digits--)
		;
	p = arena_alloc_bytes(r->s.arena, digits / 4 * 3 + 3);
	for (size_t i = 0; i < digits; i++) {
		int d = text.p[i] == '-' ? 62 : text.p[i] == '_' ? 63 : base64_digit(text.p[i]);

		if (d < 0)
			return fail_at(r, at, "expected bytes in base64");
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 > 0)
			p[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	if (digits % 4 == 1)
		return fail_at(r, at, "expected bytes in base64");
	*out = slice_of(p, n);
	return 0;
}

/* ---------------------------------------------------------------- values */

static int read_value(struct reader *r, unsigned depth, struct otlp_value *out);

/* {"key":"a","value":{…}} */
static int read_member(struct reader *r, unsigned depth, struct slice *name, struct otlp_value *value)
{
	struct slice key;
	bool first = true;
	int rc;

	*name = SLICE("");
	value->type = OTLP_UNSET;
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		if (slice_is(key, "key"))
			rc = read_text(r, name);
		else if (slice_is(key, "value"))
			rc = read_value(r, depth, value);
		else
			rc = jscan_skip_deep(&r->s);
		if (rc == -1)
			return -1;
	}
	return rc;
}

static int read_nodes(struct reader *r, bool members, unsigned depth, struct otlp_node **at)
{
	bool first = true;
	int rc;

	*at = NULL;
	if (skip_null(r))
		return 0;
	while ((rc = jscan_next_element(&r->s, &first)) == 1) {
		struct otlp_node *n = otlp_node(&r->m);

		if (n == NULL)
			return -1;
		*at = n;
		at = &n->next;
		if (members)
			rc = read_member(r, depth, &n->key, &n->value);
		else
			rc = read_value(r, depth, &n->value);
		if (rc == -1)
			return -1;
	}
	return rc;
}

/* {"values":[…]} */
static int read_elements(struct reader *r, bool members, unsigned depth, struct otlp_node **out)
{
	struct slice key;
	bool first = true;
	int rc;

	*out = NULL;
	if (skip_null(r))
		return 0;
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		if (slice_is(key, "values"))
			rc = read_nodes(r, members, depth, out);
		else
			rc = jscan_skip_deep(&r->s);
		if (rc == -1)
			return -1;
	}
	return rc;
}

/* One member of an AnyValue; a null leaves the value as it was. */
static int read_choice(struct reader *r, size_t choice, unsigned depth, struct otlp_value *out)
{
	if (choice < OTLP_ARRAY && skip_null(r))
		return 0;
	out->type = (enum otlp_type)choice;
	switch (out->type) {
	case OTLP_STRING: return jscan_string(&r->s, &out->text);
	case OTLP_BOOL: return read_bool(r, &out->truth);
	case OTLP_INT: return read_i64(r, &out->number);
	case OTLP_DOUBLE: return read_double(r, &out->real);
	case OTLP_BYTES: return read_bytes(r, &out->text);
	case OTLP_ARRAY: return read_elements(r, false, depth + 1, &out->first);
	case OTLP_MAP: return read_elements(r, true, depth + 1, &out->first);
	case OTLP_UNSET: break;
	}
	return jscan_skip_deep(&r->s);
}

/* depth: 1 for a value that stands in no other. */
static int read_value(struct reader *r, unsigned depth, struct otlp_value *out)
{
	/* in the order of enum otlp_type; the first stands for what is unknown */
	static const struct slice names[][2] = { NAME("", ""),
						 NAME("stringValue", "string_value"),
						 NAME("boolValue", "bool_value"),
						 NAME("intValue", "int_value"),
						 NAME("doubleValue", "double_value"),
						 NAME("bytesValue", "bytes_value"),
						 NAME("arrayValue", "array_value"),
						 NAME("kvlistValue", "kvlist_value") };
	struct slice key;
	bool first = true;
	int rc;

	out->type = OTLP_UNSET;
	if (skip_null(r))
		return 0;
	if (depth > OTLP_MAX_DEPTH)
		return otlp_too_deep(&r->m);
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		size_t choice = which(key, names, ARRAY_LEN(names)) % ARRAY_LEN(names);

		rc = choice == OTLP_UNSET ? jscan_skip_deep(&r->s) : read_choice(r, choice, depth, out);
		if (rc == -1)
			return -1;
	}
	return rc;
}

static int read_attribute(struct reader *r,
			  int (*add)(struct otlp *m, struct slice key, const struct otlp_value *v))
{
	struct otlp_value value;
	struct slice key;

	otlp_value_begin(&r->m);
	return read_member(r, 1, &key, &value) == -1 ? -1 : add(&r->m, key, &value);
}

static int resource_attribute(struct reader *r)
{
	return read_attribute(r, otlp_resource_attribute);
}

static int scope_attribute(struct reader *r)
{
	return read_attribute(r, otlp_scope_attribute);
}

static int record_attribute(struct reader *r)
{
	return read_attribute(r, otlp_record_attribute);
}

/* ---------------------------------------------------------------- records */

static int read_body(struct reader *r, struct slice *out)
{
	struct otlp_value value;

	otlp_value_begin(&r->m);
	return read_value(r, 1, &value) == -1 ? -1 : otlp_body(&r->m, &value, out);
}

enum record_field {
	TIME,
	BODY,
	ATTRIBUTES,
	OBSERVED_TIME,
	SEVERITY_NUMBER,
	SEVERITY_TEXT,
	TRACE_ID,
	SPAN_ID,
	FLAGS,
	EVENT_NAME,
	DROPPED,
	N_RECORD_FIELDS
};

static const struct slice record_names[N_RECORD_FIELDS][2] = {
	[TIME] = NAME("timeUnixNano", "time_unix_nano"),
	[BODY] = NAME("body", "body"),
	[ATTRIBUTES] = NAME("attributes", "attributes"),
	[OBSERVED_TIME] = NAME("observedTimeUnixNano", "observed_time_unix_nano"),
	[SEVERITY_NUMBER] = NAME("severityNumber", "severity_number"),
	[SEVERITY_TEXT] = NAME("severityText", "severity_text"),
	[TRACE_ID] = NAME("traceId", "trace_id"),
	[SPAN_ID] = NAME("spanId", "span_id"),
	[FLAGS] = NAME("flags", "flags"),
	[EVENT_NAME] = NAME("eventName", "event_name"),
	[DROPPED] = NAME("droppedAttributesCount", "dropped_attributes_count"),
};

static int read_record(struct reader *r)
{
	struct otlp_record rec = { .body = SLICE("") };
	char trace_id[16], span_id[8];
	struct slice key;
	bool first = true;
	int rc;

	otlp_record_begin(&r->m);
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		switch ((enum record_field)which(key, record_names, N_RECORD_FIELDS)) {
		case TIME: rc = read_u64(r, &rec.time_ns); break;
		case BODY: rc = read_body(r, &rec.body); break;
		case ATTRIBUTES: rc = each(r, record_attribute); break;
		case OBSERVED_TIME: rc = read_u64(r, &rec.observed_ns); break;
		case SEVERITY_NUMBER: rc = read_severity(r, &rec.severity); break;
		case SEVERITY_TEXT: rc = read_text(r, &rec.severity_text); break;
		case TRACE_ID: rc = read_id(r, trace_id, 16, "TraceID", &rec.trace_id); break;
		case SPAN_ID: rc = read_id(r, span_id, 8, "SpanID", &rec.span_id); break;
		case FLAGS: rc = read_u32(r, &rec.flags); break;
		case EVENT_NAME: rc = read_text(r, &rec.event_name); break;
		case DROPPED: rc = read_u32(r, &rec.n_dropped); break;
		case N_RECORD_FIELDS: rc = jscan_skip_deep(&r->s); break;
		}
		if (rc == -1)
			return -1;
	}
	return rc == -1 ? -1 : otlp_record_done(&r->m, &rec);
}

/* ---------------------------------------------------------------- scopes and resources */

/* A value that was stepped over, to be read later. */
struct later {
	const char *begin, *end; /* begin == NULL: nothing */
};

static int put_off(struct reader *r, struct later *l)
{
	jscan_ws(&r->s);
	l->begin = r->s.p;
	if (jscan_skip_deep(&r->s) == -1)
		return -1;
	l->end = r->s.p;
	return 0;
}

static int read_put_off(struct reader *r, const struct later *l, int (*read_one)(struct reader *r))
{
	const char *p = r->s.p, *end = r->s.end;
	int rc;

	if (l->begin == NULL)
		return 0;
	r->s.p = l->begin;
	r->s.end = l->end;
	rc = each(r, read_one);
	if (rc == 0)
		r->s.p = p;
	r->s.end = end;
	return rc;
}

static int read_resource(struct reader *r)
{
	struct slice key;
	bool first = true;
	int rc;

	if (skip_null(r))
		return 0;
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		rc = slice_is(key, "attributes") ? each(r, resource_attribute) : jscan_skip_deep(&r->s);
		if (rc == -1)
			return -1;
	}
	return rc;
}

static int read_scope(struct reader *r, struct otlp_scope *scope)
{
	struct slice key;
	bool first = true;
	int rc;

	if (skip_null(r))
		return 0;
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		if (slice_is(key, "name"))
			rc = read_text(r, &scope->name);
		else if (slice_is(key, "version"))
			rc = read_text(r, &scope->version);
		else if (slice_is(key, "attributes"))
			rc = each(r, scope_attribute);
		else if (slice_eq(key, record_names[DROPPED][0]) || slice_eq(key, record_names[DROPPED][1]))
			rc = read_u32(r, &scope->n_dropped);
		else
			rc = jscan_skip_deep(&r->s);
		if (rc == -1)
			return -1;
	}
	return rc;
}

static int read_scope_logs(struct reader *r)
{
	static const struct slice names[][2] = { NAME("scope", "scope"), NAME("logRecords", "log_records") };
	struct otlp_scope scope = { 0 };
	struct later records = { NULL, NULL };
	bool first = true, has_scope = false;
	struct slice key;
	int rc;

	otlp_scope_begin(&r->m);
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		size_t field = which(key, names, 2);

		if (field == 0 && !has_scope) {
			has_scope = true;
			rc = read_scope(r, &scope);
			if (rc == 0)
				rc = otlp_scope_done(&r->m, &scope);
		} else if (field == 1 && has_scope) {
			rc = each(r, read_record);
		} else {
			rc = field == 1 ? put_off(r, &records) : jscan_skip_deep(&r->s);
		}
		if (rc == -1)
			return -1;
	}
	return rc == -1 ? -1 : read_put_off(r, &records, read_record);
}

static int read_resource_logs(struct reader *r)
{
	static const struct slice names[][2] = { NAME("resource", "resource"),
						 NAME("scopeLogs", "scope_logs") };
	struct later scopes = { NULL, NULL };
	bool first = true, has_resource = false;
	struct slice key;
	int rc;

	otlp_resource_begin(&r->m);
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		size_t field = which(key, names, 2);

		if (field == 0 && !has_resource) {
			has_resource = true;
			rc = read_resource(r);
		} else if (field == 1 && has_resource) {
			rc = each(r, read_scope_logs);
		} else {
			rc = field == 1 ? put_off(r, &scopes) : jscan_skip_deep(&r->s);
		}
		if (rc == -1)
			return -1;
	}
	return rc == -1 ? -1 : read_put_off(r, &scopes, read_scope_logs);
}

static int read_request(struct reader *r)
{
	static const struct slice names[][2] = { NAME("resourceLogs", "resource_logs") };
	struct slice key;
	bool first = true;
	int rc;

	if (jscan_peek(&r->s) == '\0' && r->s.p >= r->s.end)
		return 0;
	while ((rc = jscan_next_key(&r->s, &first, &key)) == 1) {
		rc = which(key, names, 1) == 0 ? each(r, read_resource_logs) : jscan_skip_deep(&r->s);
		if (rc == -1)
			return -1;
	}
	return rc;
}

int decode_otlp_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err)
{
	struct reader r;

	jscan_init(&r.s, body, &out->arena, err);
	otlp_init(&r.m, body, o, out, err);
	return otlp_fini(&r.m, read_request(&r));
}
