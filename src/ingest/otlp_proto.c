/* ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
 * ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; }
 * Resource     { repeated KeyValue attributes = 1; }
 * ScopeLogs    { InstrumentationScope scope = 1; repeated LogRecord log_records = 2; }
 * InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3;
 *                        uint32 dropped_attributes_count = 4; }
 * LogRecord    { fixed64 time_unix_nano = 1; enum severity_number = 2; string severity_text = 3; AnyValue body = 5;
 *                repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8;
 *                bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11; string event_name = 12; }
 * KeyValue     { string key = 1; AnyValue value = 2; }
 * AnyValue     { oneof: string 1; bool 2; int64 3; double 4; ArrayValue 5; KeyValueList 6; bytes 7 }
 *
 * A resource is read before its scopes and a scope before its records, wherever it stands. */
#include "ingest/otlp.h"
#include "ingest/pb.h"

static int cut_short(struct otlp *m)
{
	return err_set(m->err, ERR_BAD_REQUEST, "unexpected EOF");
}

static int wrong_type(struct otlp *m, const struct pb_field *f, const char *name)
{
	return err_set(m->err, ERR_BAD_REQUEST, "proto: wrong wireType = %d for field %s", (int)f->type,
		       name);
}

/* ---------------------------------------------------------------- values */

static int read_value(struct otlp *m, struct slice bytes, unsigned depth, struct otlp_value *out);

static int read_member(struct otlp *m, struct slice bytes, unsigned depth, struct slice *key,
		       struct otlp_value *value)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	*key = SLICE("");
	value->type = OTLP_UNSET;
	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, f.number == 1 ? "Key" : "Value");
		if (f.number == 1)
			*key = f.bytes;
		else if (read_value(m, f.bytes, depth, value) == -1)
			return -1;
	}
	return c.bad ? cut_short(m) : 0;
}

/* ArrayValue and KeyValueList */
static int read_elements(struct otlp *m, struct slice bytes, bool members, unsigned depth,
			 struct otlp_node **first)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;
	int rc;

	*first = NULL;
	while (pb_next(&c, &f)) {
		if (f.number != 1)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, "Values");
		struct otlp_node *n = otlp_node(m);
		if (n == NULL)
			return -1;
		*first = n;
		first = &n->next;
		if (members)
			rc = read_member(m, f.bytes, depth, &n->key, &n->value);
		else
			rc = read_value(m, f.bytes, depth, &n->value);
		if (rc == -1)
			return -1;
	}
	return c.bad ? cut_short(m) : 0;
}

/* depth: 1 for a value that stands in no other. */
static int read_value(struct otlp *m, struct slice bytes, unsigned depth, struct otlp_value *out)
{
	static const enum pb_type wanted[] = {
		[1] = PB_BYTES, [2] = PB_VARINT, [3] = PB_VARINT, [4] = PB_FIXED64,
		[5] = PB_BYTES, [6] = PB_BYTES,	 [7] = PB_BYTES
	};
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	if (depth > OTLP_MAX_DEPTH)
		return otlp_too_deep(m);
	out->type = OTLP_UNSET;
	while (pb_next(&c, &f)) {
		if (f.number > 7)
			continue;
		if (f.type != wanted[f.number])
			return wrong_type(m, &f, "Value");
		switch (f.number) {
		case 1:
			out->type = OTLP_STRING;
			out->text = f.bytes;
			break;
		case 2:
			out->type = OTLP_BOOL;
			out->truth = f.value != 0;
			break;
		case 3:
			out->type = OTLP_INT;
			out->number = (int64_t)f.value;
			break;
		case 4:
			out->type = OTLP_DOUBLE;
			memcpy(&out->real, &f.value, sizeof(out->real));
			break;
		case 7:
			out->type = OTLP_BYTES;
			out->text = f.bytes;
			break;
		default:
			out->type = f.number == 5 ? OTLP_ARRAY : OTLP_MAP;
			if (read_elements(m, f.bytes, f.number == 6, depth + 1, &out->first) == -1)
				return -1;
			break;
		}
	}
	return c.bad ? cut_short(m) : 0;
}

static int read_attribute(struct otlp *m, struct slice bytes,
			  int (*add)(struct otlp *m, struct slice key, const struct otlp_value *v))
{
	struct otlp_value value;
	struct slice key;

	otlp_value_begin(m);
	return read_member(m, bytes, 1, &key, &value) == -1 ? -1 : add(m, key, &value);
}

/* ---------------------------------------------------------------- records */

static int read_body(struct otlp *m, struct slice bytes, struct slice *out)
{
	struct otlp_value value;

	otlp_value_begin(m);
	return read_value(m, bytes, 1, &value) == -1 ? -1 : otlp_body(m, &value, out);
}

enum { RECORD_FIELDS = 12 };

static const struct {
	enum pb_type type;
	const char *name;
} record_fields[RECORD_FIELDS + 1] = {
	[1] = { PB_FIXED64, "TimeUnixNano" }, [2] = { PB_VARINT, "SeverityNumber" },
	[3] = { PB_BYTES, "SeverityText" },   [5] = { PB_BYTES, "Body" },
	[6] = { PB_BYTES, "Attributes" },     [7] = { PB_VARINT, "DroppedAttributesCount" },
	[8] = { PB_FIXED32, "Flags" },	      [9] = { PB_BYTES, "TraceId" },
	[10] = { PB_BYTES, "SpanId" },	      [11] = { PB_FIXED64, "ObservedTimeUnixNano" },
	[12] = { PB_BYTES, "EventName" },
};

static int read_record(struct otlp *m, struct slice bytes)
{
	struct otlp_record r = { .body = SLICE("") };
	struct cursor c = cursor_of(bytes);
	struct pb_field f;
	int rc = 0;

	otlp_record_begin(m);
	while (rc == 0 && pb_next(&c, &f)) {
		if (f.number > RECORD_FIELDS || record_fields[f.number].name == NULL)
			continue;
		if (f.type != record_fields[f.number].type)
			return wrong_type(m, &f, record_fields[f.number].name);
		switch (f.number) {
		case 1: r.time_ns = f.value; break;
		case 2: r.severity = (int32_t)f.value; break;
		case 3: r.severity_text = f.bytes; break;
		case 5: rc = read_body(m, f.bytes, &r.body); break;
		case 6: rc = read_attribute(m, f.bytes, otlp_record_attribute); break;
		case 7: r.n_dropped = (uint32_t)f.value; break;
		case 8: r.flags = (uint32_t)f.value; break;
		case 9: rc = otlp_check_id(m, r.trace_id = f.bytes, 16, "TraceID"); break;
		case 10: rc = otlp_check_id(m, r.span_id = f.bytes, 8, "SpanID"); break;
		case 11: r.observed_ns = f.value; break;
		default: r.event_name = f.bytes; break;
		}
	}
	if (rc == -1)
		return -1;
	return c.bad ? cut_short(m) : otlp_record_done(m, &r);
}

/* ---------------------------------------------------------------- scopes and resources */

static int read_scope(struct otlp *m, struct slice bytes, struct otlp_scope *s)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	while (pb_next(&c, &f)) {
		if (f.number > 4)
			continue;
		if (f.type != (f.number == 4 ? PB_VARINT : PB_BYTES))
			return wrong_type(m, &f, "Scope");
		if (f.number == 1)
			s->name = f.bytes;
		else if (f.number == 2)
			s->version = f.bytes;
		else if (f.number == 4)
			s->n_dropped = (uint32_t)f.value;
		else if (read_attribute(m, f.bytes, otlp_scope_attribute) == -1)
			return -1;
	}
	return c.bad ? cut_short(m) : 0;
}

static int read_resource(struct otlp *m, struct slice bytes)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	while (pb_next(&c, &f)) {
		if (f.number != 1)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, "Attributes");
		if (read_attribute(m, f.bytes, otlp_resource_attribute) == -1)
			return -1;
	}
	return c.bad ? cut_short(m) : 0;
}

/* The scope as far as it stands behind the cursor, which stays where it is. */
static int find_scope(struct otlp *m, struct cursor c, struct otlp_scope *scope)
{
	struct pb_field f;

	while (pb_next(&c, &f))
		if (pb_is(&f, 1, PB_BYTES) && read_scope(m, f.bytes, scope) == -1)
			return -1;
	return 0;
}

/* The scope comes first in what all encoders write; so records are read as they come, and it is looked for only where it
 * did not. */
static int read_scope_logs(struct otlp *m, struct slice bytes)
{
	struct otlp_scope scope = { 0 };
	struct cursor c = cursor_of(bytes);
	bool has_scope = false, has_records = false;
	struct pb_field f;

	otlp_scope_begin(m);
	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, f.number == 1 ? "Scope" : "LogRecords");
		if (f.number == 1 && !has_records) {
			has_scope = true;
			if (read_scope(m, f.bytes, &scope) == -1)
				return -1;
		} else if (f.number == 2) {
			if (!has_records && ((!has_scope && find_scope(m, c, &scope) == -1) ||
					     otlp_scope_done(m, &scope) == -1))
				return -1;
			has_records = true;
			if (read_record(m, f.bytes) == -1)
				return -1;
		}
	}
	return c.bad ? cut_short(m) : 0;
}

static int read_resource_logs(struct otlp *m, struct slice bytes)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	otlp_resource_begin(m);
	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, f.number == 1 ? "Resource" : "ScopeLogs");
		if (f.number == 1 && read_resource(m, f.bytes) == -1)
			return -1;
	}
	if (c.bad)
		return cut_short(m);
	for (c = cursor_of(bytes); pb_next(&c, &f);)
		if (f.number == 2 && read_scope_logs(m, f.bytes) == -1)
			return -1;
	return 0;
}

static int read_request(struct otlp *m, struct slice body)
{
	struct cursor c = cursor_of(body);
	struct pb_field f;

	while (pb_next(&c, &f)) {
		if (f.number != 1)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(m, &f, "ResourceLogs");
		if (read_resource_logs(m, f.bytes) == -1)
			return -1;
	}
	return c.bad ? cut_short(m) : 0;
}

int decode_otlp_proto(struct slice body, const struct decode_options *o, struct batch *out, struct err *err)
{
	struct otlp m;

	otlp_init(&m, body, o, out, err);
	return otlp_fini(&m, read_request(&m, body));
}
