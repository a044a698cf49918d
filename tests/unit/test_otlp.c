/* OTLP logs: what becomes of resources, scopes and records, in both encodings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingest/otlp.h"
#include "ingest/validate.h"

#define NOW 1795425259000000000

static const struct slice index_labels[] = { { "service.name", 12 },
					     { "k8s.pod.name", 12 },
					     { "k8s.container.name", 18 },
					     { "container.name", 14 },
					     { "cloud.region", 12 } };
static struct decode_options options = { .now_ns = NOW,
					 .otlp_labels = index_labels,
					 .n_otlp_labels = ARRAY_LEN(index_labels) };

/* ---------------------------------------------------------------- a second encoder: from JSON to protobuf */

static void put_tag(struct buf *b, unsigned number, unsigned type)
{
	buf_varint(b, number << 3 | type);
}

static void put_bytes(struct buf *b, unsigned number, struct slice s)
{
	put_tag(b, number, 2);
	buf_lenslice(b, s);
}

static void put_text(struct buf *b, unsigned number, const json_t *v)
{
	if (v != NULL)
		put_bytes(b, number, slice_of(json_string_value(v), json_string_length(v)));
}

static uint64_t number_of(const json_t *v)
{
	if (json_is_string(v))
		return strtoull(json_string_value(v), NULL, 10);
	return (uint64_t)json_integer_value(v);
}

static void put_fixed64(struct buf *b, unsigned number, const json_t *v)
{
	if (v == NULL)
		return;
	put_tag(b, number, 1);
	buf_u64le(b, number_of(v));
}

static void put_varint(struct buf *b, unsigned number, const json_t *v)
{
	if (v == NULL)
		return;
	put_tag(b, number, 0);
	buf_varint(b, number_of(v));
}

static void put_hex(struct buf *b, unsigned number, const json_t *v)
{
	const char *text = json_string_value(v);
	struct buf bytes;

	if (v == NULL)
		return;
	buf_init(&bytes);
	for (; *text != '\0'; text += 2)
		buf_putc(&bytes, (char)(text_hex_digit(text[0]) << 4 | text_hex_digit(text[1])));
	put_bytes(b, number, buf_slice(&bytes));
	buf_fini(&bytes);
}

static void put_pairs(struct buf *b, unsigned number, const json_t *list);

static void put_value(struct buf *b, const json_t *v)
{
	const json_t *x;
	struct buf inner, element;
	size_t i;

	buf_init(&inner);
	buf_init(&element);
	put_text(b, 1, json_object_get(v, "stringValue"));
	if ((x = json_object_get(v, "boolValue")) != NULL) {
		put_tag(b, 2, 0);
		buf_varint(b, json_is_true(x));
	}
	if ((x = json_object_get(v, "intValue")) != NULL) {
		put_tag(b, 3, 0);
		buf_varint(b, json_is_string(x) ? (uint64_t)strtoll(json_string_value(x), NULL, 10)
						: (uint64_t)json_integer_value(x));
	}
	if ((x = json_object_get(v, "doubleValue")) != NULL) {
		double d = json_is_string(x) ? strtod(json_string_value(x), NULL) : json_number_value(x);

		put_tag(b, 4, 1);
		buf_append(b, &d, 8);
	}
	if ((x = json_object_get(v, "arrayValue")) != NULL) {
		const json_t *one;
		json_array_foreach(json_object_get(x, "values"), i, one)
		{
			buf_reset(&element);
			put_value(&element, one);
			put_bytes(&inner, 1, buf_slice(&element));
		}
		put_bytes(b, 5, buf_slice(&inner));
	}
	if ((x = json_object_get(v, "kvlistValue")) != NULL) {
		put_pairs(&inner, 1, json_object_get(x, "values"));
		put_bytes(b, 6, buf_slice(&inner));
	}
	/* the tests have but these bytes in base64 */
	if ((x = json_object_get(v, "bytesValue")) != NULL)
		put_bytes(b, 7,
			  strcmp(json_string_value(x), "AP8+") == 0 ? slice_of("\0\xff\x3e", 3)
								    : slice_of("a", 1));
	buf_fini(&inner);
	buf_fini(&element);
}

static void put_pairs(struct buf *b, unsigned number, const json_t *list)
{
	struct buf pair, value;
	const json_t *one;
	size_t i;

	buf_init(&pair);
	buf_init(&value);
	json_array_foreach(list, i, one)
	{
		buf_reset(&pair);
		buf_reset(&value);
		put_text(&pair, 1, json_object_get(one, "key"));
		if (json_object_get(one, "value") != NULL) {
			put_value(&value, json_object_get(one, "value"));
			put_bytes(&pair, 2, buf_slice(&value));
		}
		put_bytes(b, number, buf_slice(&pair));
	}
	buf_fini(&pair);
	buf_fini(&value);
}

static void put_record(struct buf *b, const json_t *r)
{
	const json_t *x;
	struct buf inner;

	buf_init(&inner);
	put_fixed64(b, 1, json_object_get(r, "timeUnixNano"));
	if (json_is_integer(x = json_object_get(r, "severityNumber")))
		put_varint(b, 2, x);
	put_text(b, 3, json_object_get(r, "severityText"));
	if ((x = json_object_get(r, "body")) != NULL) {
		put_value(&inner, x);
		put_bytes(b, 5, buf_slice(&inner));
	}
	put_pairs(b, 6, json_object_get(r, "attributes"));
	put_varint(b, 7, json_object_get(r, "droppedAttributesCount"));
	if ((x = json_object_get(r, "flags")) != NULL) {
		put_tag(b, 8, 5);
		buf_u32le(b, (uint32_t)number_of(x));
	}
	put_hex(b, 9, json_object_get(r, "traceId"));
	put_hex(b, 10, json_object_get(r, "spanId"));
	put_fixed64(b, 11, json_object_get(r, "observedTimeUnixNano"));
	put_text(b, 12, json_object_get(r, "eventName"));
	put_tag(b, 99, 0); /* a field of tomorrow */
	buf_varint(b, 7);
	buf_fini(&inner);
}

static void put_scope_logs(struct buf *b, const json_t *s)
{
	const json_t *scope = json_object_get(s, "scope"), *one;
	struct buf inner;
	size_t i;

	buf_init(&inner);
	/* Records first: the order of fields says nothing. */
	json_array_foreach(json_object_get(s, "logRecords"), i, one)
	{
		buf_reset(&inner);
		put_record(&inner, one);
		put_bytes(b, 2, buf_slice(&inner));
	}
	if (scope != NULL) {
		buf_reset(&inner);
		put_text(&inner, 1, json_object_get(scope, "name"));
		put_text(&inner, 2, json_object_get(scope, "version"));
		put_pairs(&inner, 3, json_object_get(scope, "attributes"));
		put_varint(&inner, 4, json_object_get(scope, "droppedAttributesCount"));
		put_bytes(b, 1, buf_slice(&inner));
	}
	put_bytes(b, 3, SLICE("https://schema.example"));
	buf_fini(&inner);
}

static void to_proto(const char *text, struct buf *out)
{
	json_t *root = json_loads(text, JSON_ALLOW_NUL, NULL);
	const json_t *rl, *sl;
	struct buf resource, inner;
	size_t i, k;

	assert_non_null(root);
	buf_init(&resource);
	buf_init(&inner);
	json_array_foreach(json_object_get(root, "resourceLogs"), i, rl)
	{
		buf_reset(&resource);
		json_array_foreach(json_object_get(rl, "scopeLogs"), k, sl)
		{
			buf_reset(&inner);
			put_scope_logs(&inner, sl);
			put_bytes(&resource, 2, buf_slice(&inner));
		}
		buf_reset(&inner);
		put_pairs(&inner, 1, json_object_get(json_object_get(rl, "resource"), "attributes"));
		put_bytes(&resource, 1, buf_slice(&inner));
		put_bytes(out, 1, buf_slice(&resource));
	}
	json_decref(root);
	buf_fini(&resource);
	buf_fini(&inner);
}

/* ---------------------------------------------------------------- batches as text */

/* {labels} ts line name=value… and a newline, for each entry; strings as Go quotes them */
static void show(const struct batch *b, struct buf *out)
{
	for (size_t i = 0; i < b->streams.n; i++) {
		const struct batch_stream *s = &b->streams.v[i];

		for (size_t k = 0; k < s->n; k++) {
			const struct batch_entry *e = &b->entries.v[s->first + k];

			labels_format(out, s->labels);
			buf_printf(out, " %lld ", (long long)e->ts);
			text_go_quote(out, e->line);
			for (size_t j = 0; j < e->n_meta; j++) {
				buf_printf(out, " %.*s=", SLICE_ARG(e->meta[j].name));
				text_go_quote(out, e->meta[j].value);
			}
			buf_putc(out, '\n');
		}
	}
	buf_cstr_end(out);
}

static int decode_copy(decode_fn decode, struct slice body, struct buf *out, struct err *err)
{
	/* A block of that size, so that a sanitizer sees reads past its end. */
	char *copy = xmalloc(body.n > 0 ? body.n : 1);
	struct batch b;

	if (body.n > 0)
		memcpy(copy, body.p, body.n);
	batch_init(&b);
	int rc = decode(slice_of(copy, body.n), &options, &b, err);
	if (rc == 0)
		show(&b, out);
	batch_fini(&b);
	free(copy);
	return rc;
}

static void expect(decode_fn decode, struct slice body, const char *want)
{
	struct buf out;
	struct err err;

	buf_init(&out);
	if (decode_copy(decode, body, &out, &err) == -1)
		fail_msg("%s\nfor %.*s", err.msg, SLICE_ARG(body));
	buf_cstr_end(&out);
	assert_string_equal(out.p, want);
	buf_fini(&out);
}

static void expect_both(const char *json, const char *want)
{
	struct buf proto;

	buf_init(&proto);
	to_proto(json, &proto);
	expect(decode_otlp_json, slice_cstr(json), want);
	expect(decode_otlp_proto, buf_slice(&proto), want);
	buf_fini(&proto);
}

static void expect_error(decode_fn decode, struct slice body, enum err_code code, const char *says)
{
	struct buf out;
	struct err err;

	buf_init(&out);
	assert_int_equal(decode_copy(decode, body, &out, &err), -1);
	assert_int_equal(err.code, code);
	if (strstr(err.msg, says) == NULL)
		fail_msg("%s does not say %s", err.msg, says);
	buf_fini(&out);
}

#define LOGS(resource, scope, records)                                                                       \
	"{\"resourceLogs\":[{\"resource\":{\"attributes\":[" resource "]},\"scopeLogs\":[{\"scope\":{" scope \
	"},\"logRecords\":[" records "]}]}]}"
#define STR(key, value) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"
#define ANY(key, value) "{\"key\":\"" key "\",\"value\":" value "}"

/* ---------------------------------------------------------------- the mapping */

static void test_example(void **state)
{
	(void)state;
	expect_both(
		LOGS(STR("service.name", "svc") "," STR("k8s.pod.name", "p1") "," STR("host.name", "h"),
		     "\"name\":\"my.scope\",\"version\":\"1.2\"",
		     "{\"timeUnixNano\":\"1795425370588302071\",\"observedTimeUnixNano\":"
		     "\"1795425370588302076\","
		     "\"severityNumber\":9,\"severityText\":\"Information\",\"body\":{\"stringValue\":\"b\"},"
		     "\"attributes\":[" ANY(
			     "http.status",
			     "{\"intValue\":200}") "],\"flags\":1,\"eventName\":\"evt\","
						   "\"traceId\":\"000102030405060708090A0b0c0d0e0f\","
						   "\"spanId\":\"0001020304050607\"}"),
		"{k8s_pod_name=\"p1\", service_name=\"svc\"} 1795425370588302071 \"b\" event_name=\"evt\" "
		"flags=\"1\" "
		"host_name=\"h\" http_status=\"200\" observed_timestamp=\"1795425370588302076\" "
		"scope_name=\"my.scope\" "
		"scope_version=\"1.2\" severity_number=\"9\" severity_text=\"Information\" "
		"span_id=\"0001020304050607\" trace_id=\"000102030405060708090a0b0c0d0e0f\"\n");
}

/* One record, without a resource: what stands behind "{} ". */
static const struct {
	const char *record, *want;
} records[] = {
	/* times */
	{ "{}", "1795425259000000000 \"\"" },
	{ "{\"timeUnixNano\":\"5\"}", "5 \"\"" },
	{ "{\"timeUnixNano\":5,\"observedTimeUnixNano\":6}", "5 \"\" observed_timestamp=\"6\"" },
	{ "{\"timeUnixNano\":\"0\",\"observedTimeUnixNano\":\"6\"}", "6 \"\"" },
	{ "{\"timeUnixNano\":\"18446744073709551615\"}", "9223372036854775807 \"\"" },
	/* fields that are zero are not there */
	{ "{\"severityNumber\":0,\"severityText\":\"\",\"flags\":0,\"droppedAttributesCount\":0,"
	  "\"eventName\":\"\","
	  "\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"\"}",
	  "1795425259000000000 \"\"" },
	{ "{\"severityNumber\":24,\"flags\":257,\"droppedAttributesCount\":3}",
	  "1795425259000000000 \"\" dropped_attributes_count=\"3\" flags=\"257\" severity_number=\"24\"" },
	/* bodies */
	{ "{\"body\":{\"stringValue\":\"a\\nb\"}}", "1795425259000000000 \"a\\nb\"" },
	{ "{\"body\":{}}", "1795425259000000000 \"\"" },
	{ "{\"body\":{\"boolValue\":true}}", "1795425259000000000 \"true\"" },
	{ "{\"body\":{\"boolValue\":false}}", "1795425259000000000 \"false\"" },
	{ "{\"body\":{\"intValue\":-42}}", "1795425259000000000 \"-42\"" },
	{ "{\"body\":{\"intValue\":\"-9223372036854775808\"}}",
	  "1795425259000000000 \"-9223372036854775808\"" },
	{ "{\"body\":{\"doubleValue\":1.5}}", "1795425259000000000 \"1.5\"" },
	{ "{\"body\":{\"doubleValue\":1.0}}", "1795425259000000000 \"1\"" },
	{ "{\"body\":{\"doubleValue\":-0.0}}", "1795425259000000000 \"-0\"" },
	{ "{\"body\":{\"doubleValue\":1e-7}}", "1795425259000000000 \"1e-7\"" },
	{ "{\"body\":{\"doubleValue\":1.25e-12}}", "1795425259000000000 \"1.25e-12\"" },
	{ "{\"body\":{\"doubleValue\":0.000001}}", "1795425259000000000 \"0.000001\"" },
	{ "{\"body\":{\"doubleValue\":1e20}}", "1795425259000000000 \"100000000000000000000\"" },
	{ "{\"body\":{\"doubleValue\":1e21}}", "1795425259000000000 \"1e+21\"" },
	{ "{\"body\":{\"doubleValue\":\"NaN\"}}", "1795425259000000000 \"NaN\"" },
	{ "{\"body\":{\"doubleValue\":\"-Infinity\"}}", "1795425259000000000 \"-Inf\"" },
	{ "{\"body\":{\"bytesValue\":\"AP8+\"}}", "1795425259000000000 \"AP8+\"" },
	{ "{\"body\":{\"bytesValue\":\"YQ==\"}}", "1795425259000000000 \"YQ==\"" },
	{ "{\"body\":{\"arrayValue\":{\"values\":[{\"intValue\":1},{\"stringValue\":\"two\"},{\"boolValue\":"
	  "true},{},"
	  "{\"doubleValue\":2.5},{\"bytesValue\":\"AP8+\"},{\"arrayValue\":{\"values\":[]}}]}}}",
	  "1795425259000000000 \"[1,\\\"two\\\",true,null,2.5,\\\"AP8+\\\",[]]\"" },
	{ "{\"body\":{\"kvlistValue\":{\"values\":[" STR("z", "<x>&") "," ANY("m", "{}") "," ANY(
		  "a", "{\"intValue\":0}") "," ANY("a", "{\"intValue\":1}") "]}}}",
	  "1795425259000000000 \"{\\\"a\\\":1,\\\"m\\\":null,\\\"z\\\":\\\"<x>&\\\"}\"" },
	{ "{\"body\":{\"kvlistValue\":{\"values\":[" ANY(
		  "b", "{\"kvlistValue\":{\"values\":[" STR("y", "1") "," STR("x", "2") "]}}") "]}}}",
	  "1795425259000000000 \"{\\\"b\\\":{\\\"x\\\":\\\"2\\\",\\\"y\\\":\\\"1\\\"}}\"" },
	/* attributes */
	{ "{\"attributes\":[" STR("k", "v") "," ANY("n", "{\"intValue\":\"7\"}") "," ANY(
		  "d", "{\"doubleValue\":0.5}") "," ANY("b",
							"{\"boolValue\":true}") "," ANY("x",
											"{\"bytesValue\":"
											"\"AP8+\"}") "]}",
	  "1795425259000000000 \"\" b=\"true\" d=\"0.5\" k=\"v\" n=\"7\" x=\"AP8+\"" },
	{ "{\"attributes\":[" ANY(
		  "nested",
		  "{\"kvlistValue\":{\"values\":[" ANY(
			  "a", "{\"kvlistValue\":{\"values\":[" ANY("b", "{\"intValue\":1}") "," STR(
				       "c.d", "2") "," ANY("e", "{}") "]}}") "," STR("1", "f") "]}}") "]}",
	  "1795425259000000000 \"\" nested_1=\"f\" nested_a_b=\"1\" nested_a_c_d=\"2\"" },
	{ "{\"attributes\":[" ANY("m", "{\"kvlistValue\":{\"values\":[]}}") "," ANY("u", "{}") "," STR(
		  "e", "") ",{\"key\":\"k\"}]}",
	  "1795425259000000000 \"\"" },
	{ "{\"attributes\":[" ANY(
		  "l",
		  "{\"arrayValue\":{\"values\":[{\"stringValue\":\"<\"},{\"kvlistValue\":{\"values\":[" STR(
			  "a", "b") "]}}]}}") "]}",
	  "1795425259000000000 \"\" l=\"[\\\"<\\\",{\\\"a\\\":\\\"b\\\"}]\"" },
	/* names */
	{ "{\"attributes\":[" STR("a..b", "1") "," STR("\xc3\xbcn\xc3\xaf", "2") "," STR(
		  "__dunder", "3") "," STR("1num", "4") "," STR("__x__", "5") "," STR("c d", "6") "]}",
	  "1795425259000000000 \"\" __x__=\"5\" _dunder=\"3\" _n_=\"2\" a_b=\"1\" c_d=\"6\" key_1num=\"4\"" },
	{ "{\"attributes\":[" STR("a.b", "first") "," STR("a_b", "last") "]}",
	  "1795425259000000000 \"\" a_b=\"last\"" },
	/* a field wins over an attribute of its name */
	{ "{\"severityText\":\"WARN\",\"attributes\":[" STR("severity_text", "mine") "," STR("flags",
											     "mine") "]}",
	  "1795425259000000000 \"\" flags=\"mine\" severity_text=\"WARN\"" },
	{ "{\"eventName\":\"evt\",\"attributes\":[" STR("event_name", "mine") "," STR("event.name",
										      "mine") "]}",
	  "1795425259000000000 \"\" event_name=\"evt\"" },
	{ "{\"attributes\":[" STR("event_name", "mine") "]}",
	  "1795425259000000000 \"\" event_name=\"mine\"" },
};

static void test_records(void **state)
{
	char body[2048], want[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		snprintf(body, sizeof(body), "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[%s]}]}]}",
			 records[i].record);
		snprintf(want, sizeof(want), "{} %s\n", records[i].want);
		expect_both(body, want);
	}
}

static void test_scope_and_resource(void **state)
{
	(void)state;
	/* a scope's fields win over its attributes, both over the resource, that over the record */
	expect_both(LOGS(STR("level", "of resource") "," STR("who", "resource") "," STR("service.name", "s"),
			 "\"name\":\"n\",\"droppedAttributesCount\":2,\"attributes\":[" STR(
				 "who", "scope") "," STR("scope.name", "attribute") "," STR("scope.version",
											    "v") "]",
			 "{\"attributes\":[" STR("level", "of record") "," STR("own", "1") "," STR(
				 "who", "record") "]},{}"),
		    "{service_name=\"s\"} 1795425259000000000 \"\" level=\"of resource\" own=\"1\" "
		    "scope_dropped_attributes_count=\"2\" "
		    "scope_name=\"n\" scope_version=\"v\" who=\"scope\"\n"
		    "{service_name=\"s\"} 1795425259000000000 \"\" level=\"of resource\" "
		    "scope_dropped_attributes_count=\"2\" "
		    "scope_name=\"n\" scope_version=\"v\" who=\"scope\"\n");
	/* labels: by the list, any type of value, empty ones dropped, the last of equal names */
	expect_both(
		LOGS(ANY("service.name", "{\"intValue\":5}") "," STR("k8s.pod.name", "") "," STR(
			     "cloud.region",
			     "a") "," STR("cloud.region",
					  "b") "," STR("k8s_pod_name",
						       "no label") "," ANY("container.name",
									   "{\"arrayValue\":{\"values\":[{"
									   "\"intValue\":1}]}}"),
		     "", "{}"),
		"{cloud_region=\"b\", container_name=\"[1]\", service_name=\"5\"} 1795425259000000000 \"\" "
		"k8s_pod_name=\"no label\"\n");
}

/* Resources with equal labels are one stream, wherever they stand; what else they say stays with their own records. */
static void test_streams_are_merged(void **state)
{
#define RESOURCE(service, host, first, second)                                                               \
	"{\"resource\":{\"attributes\":[" STR("host", host) "," STR(                                         \
		"service.name",                                                                              \
		service) "]},\"scopeLogs\":["                                                                \
			 "{\"logRecords\":[{\"timeUnixNano\":" first                                         \
			 "}]},{\"scope\":{\"name\":\"s\"},\"logRecords\":[{\"timeUnixNano\":" second "}]}]}"
	(void)state;
	expect_both(
		"{\"resourceLogs\":[" RESOURCE("a", "1", "1", "2") "," RESOURCE(
			"b", "2", "3", "4") "," RESOURCE("a", "3", "5",
							 "6") "," RESOURCE("a", "4", "7",
									   "8") "," RESOURCE("c", "5", "9",
											     "10") ",{}]}",
		"{service_name=\"a\"} 1 \"\" host=\"1\"\n{service_name=\"a\"} 2 \"\" host=\"1\" "
		"scope_name=\"s\"\n"
		"{service_name=\"a\"} 5 \"\" host=\"3\"\n{service_name=\"a\"} 6 \"\" host=\"3\" "
		"scope_name=\"s\"\n"
		"{service_name=\"a\"} 7 \"\" host=\"4\"\n{service_name=\"a\"} 8 \"\" host=\"4\" "
		"scope_name=\"s\"\n"
		"{service_name=\"b\"} 3 \"\" host=\"2\"\n{service_name=\"b\"} 4 \"\" host=\"2\" "
		"scope_name=\"s\"\n"
		"{service_name=\"c\"} 9 \"\" host=\"5\"\n{service_name=\"c\"} 10 \"\" host=\"5\" "
		"scope_name=\"s\"\n");
}

static void test_nothing_in_it(void **state)
{
	(void)state;
	expect_both("{}", "");
	expect_both("{\"resourceLogs\":[]}", "");
	expect_both(LOGS(STR("service.name", "s"), "\"name\":\"n\"", ""), "");
	expect(decode_otlp_json, SLICE(""), "");
	expect(decode_otlp_json, SLICE(" \n"), "");
}

/* ---------------------------------------------------------------- JSON's own */

static const struct {
	const char *record, *want;
} json_only[] = {
	{ "{\"severityNumber\":\"SEVERITY_NUMBER_ERROR\"}", " severity_number=\"17\"" },
	{ "{\"severityNumber\":\"SEVERITY_NUMBER_TRACE\"}", " severity_number=\"1\"" },
	{ "{\"severityNumber\":\"SEVERITY_NUMBER_FATAL4\"}", " severity_number=\"24\"" },
	{ "{\"severityNumber\":\"SEVERITY_NUMBER_UNSPECIFIED\"}", "" },
	{ "{\"severityNumber\":\"13\"}", " severity_number=\"13\"" },
	{ "{\"flags\":\"1\",\"droppedAttributesCount\":\"2\"}",
	  " dropped_attributes_count=\"2\" flags=\"1\"" },
	{ "{\"severity_text\":\"x\",\"trace_id\":\"0AF7651916CD43DD8448EB211C80319C\"}",
	  " severity_text=\"x\" trace_id=\"0af7651916cd43dd8448eb211c80319c\"" },
	{ "{\"attributes\":[{\"value\":{\"int_value\":1e3},\"key\":\"k\"}]}", " k=\"1000\"" },
	{ "{\"attributes\":[{\"key\":\"k\",\"value\":{\"bytesValue\":\"_-8\"}}]}", " k=\"/+8=\"" },
	{ "{\"unknown\":{\"a\":[1,{\"b\":[]}]},\"attributes\":null,\"body\":null,\"severityText\":null,"
	  "\"traceId\":null,"
	  "\"timeUnixNano\":null,\"severityNumber\":null,\"flags\":null}",
	  "" },
	{ "{\"attributes\":[{\"key\":\"a\\u002eb\",\"value\":{\"stringValue\":\"\\u00fc\",\"x\":{}},\"y\":[]}"
	  "]}",
	  " a_b=\"\xc3\xbc\"" },
	{ "{\"body\":{\"arrayValue\":{}},\"attributes\":[{\"key\":\"k\",\"value\":{\"kvlistValue\":null}}]}",
	  NULL },
};

static void test_json(void **state)
{
	char body[2048], want[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(json_only); i++) {
		snprintf(body, sizeof(body),
			 "{\"resource_logs\":[{\"scope_logs\":[{\"log_records\":[%s]}]}]}",
			 json_only[i].record);
		snprintf(want, sizeof(want), "{} 1795425259000000000 %s\n",
			 json_only[i].want == NULL ? "\"[]\"" : "\"\"");
		if (json_only[i].want != NULL)
			snprintf(want + strlen(want) - 1, sizeof(want) - strlen(want), "%s\n",
				 json_only[i].want);
		expect(decode_otlp_json, slice_cstr(body), want);
	}
}

/* Keys in any order: what comes too early is read once what it needs is known. */
static void test_json_order(void **state)
{
	(void)state;
	expect(decode_otlp_json,
	       SLICE("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":"
		     "\"a\\tb\"}}],"
		     "\"scope\":{\"name\":\"\\u0073\"}}],\"schemaUrl\":\"x\",\"resource\":{\"attributes\":"
		     "[" STR("service.name", "x\\\\y") "," STR("h", "1") "]}}]}"),
	       "{service_name=\"x\\\\y\"} 1795425259000000000 \"a\\tb\" h=\"1\" scope_name=\"s\"\n");
}

/* ---------------------------------------------------------------- refusals */

static void test_json_errors(void **state)
{
	static const struct {
		const char *record, *says;
	} cases[] = {
		{ "{\"traceId\":\"0af7\"}", "invalid length for TraceID" },
		{ "{\"spanId\":\"0af7651916cd43dd8448eb211c80319c\"}", "invalid length for SpanID" },
		{ "{\"spanId\":\"0af7651916cd43d\"}", "invalid length for SpanID" },
		{ "{\"traceId\":\"0af7651916cd43dd8448eb211c80319x\"}", "expected an id in hex" },
		{ "{\"severityNumber\":\"LOUD\"}", "expected a severity number" },
		{ "{\"severityNumber\":1e99}", "expected a severity number" },
		{ "{\"timeUnixNano\":\"soon\"}", "expected an integer" },
		{ "{\"timeUnixNano\":-5}", "expected an integer" },
		{ "{\"flags\":4294967296}", "32 bits" },
		{ "{\"body\":{\"intValue\":\"1.5\"}}", "expected a 64-bit integer" },
		{ "{\"body\":{\"boolValue\":1}}", "expected true or false" },
		{ "{\"body\":{\"bytesValue\":\"a\"}}", "base64" },
		{ "{\"body\":{\"bytesValue\":\"a*b=\"}}", "base64" },
		{ "{\"body\":\"text\"}", "expected '{'" },
		{ "{\"attributes\":{}}", "expected '['" },
		{ "{\"attributes\":[" STR("", "v") "]}", "symbolizer lookup: label name is empty" },
		{ "{", "invalid JSON" },
		{ "5", "expected '{'" },
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(body, sizeof(body),
			 "{\"resourceLogs\":[{\"scopeLogs\":[{\"scope\":{},\"logRecords\":[%s]}]}]}",
			 cases[i].record);
		expect_error(decode_otlp_json, slice_cstr(body), ERR_BAD_REQUEST, cases[i].says);
	}
}

static void test_proto_errors(void **state)
{
	static const struct {
		struct slice record;
		const char *says;
	} cases[] = {
		{ { "\x4a\x02xx", 4 }, "invalid length for TraceID" },
		{ { "\x52\x01x", 3 }, "invalid length for SpanID" },
		{ { "\x08\x01", 2 }, "wrong wireType = 0 for field TimeUnixNano" },
		{ { "\x2a\x02\x08\x01", 4 }, "wrong wireType = 0 for field Value" },
		{ { "\x32\x05\x12\x03\x0a\x01v", 7 }, "symbolizer lookup: label name is empty" },
		{ { "\x2a\x05\x0a", 3 }, "unexpected EOF" },
		{ { "\x0b", 1 }, "unexpected EOF" },
	};
	struct buf scope, resource, body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_init(&scope);
		buf_init(&resource);
		buf_init(&body);
		put_bytes(&scope, 2, cases[i].record);
		put_bytes(&resource, 2, buf_slice(&scope));
		put_bytes(&body, 1, buf_slice(&resource));
		expect_error(decode_otlp_proto, buf_slice(&body), ERR_BAD_REQUEST, cases[i].says);
		buf_fini(&scope);
		buf_fini(&resource);
		buf_fini(&body);
	}
}

/* Cut anywhere: an error, except where a whole message happens to end, which is at no byte but 0. */
static void test_cuts(void **state)
{
	struct buf body, out;
	struct err err;

	(void)state;
	buf_init(&body);
	buf_init(&out);
	to_proto(LOGS(STR("service.name", "s"), "\"name\":\"n\"",
		      "{\"body\":{\"kvlistValue\":{\"values\":[" STR("a", "b") "]}},\"attributes\":[" STR(
			      "k", "v") "]}"),
		 &body);
	for (size_t n = 1; n < body.n; n++)
		assert_int_equal(
			decode_copy(decode_otlp_proto, slice_sub(buf_slice(&body), 0, n), &out, &err), -1);
	buf_fini(&body);
	buf_fini(&out);
}

static char *nested(unsigned depth)
{
	struct buf b;

	buf_init(&b);
	for (unsigned i = 1; i < depth; i++)
		buf_puts(&b, i % 2 == 1 ? "{\"arrayValue\":{\"values\":["
					: "{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":");
	buf_puts(&b, "{\"intValue\":1}");
	for (unsigned i = depth - 1; i > 0; i--)
		buf_puts(&b, i % 2 == 1 ? "]}}" : "}]}}");
	buf_cstr_end(&b);
	return buf_take(&b, &(size_t){ 0 });
}

static void test_depth(void **state)
{
	(void)state;
	for (unsigned depth = OTLP_MAX_DEPTH; depth <= OTLP_MAX_DEPTH + 1; depth++) {
		char *value = nested(depth);
		/* the second with its keys in the wrong order, so that it is stepped over first */
		char *json[] = { xasprintf(LOGS("", "", "{\"body\":%s}"), value),
				 xasprintf("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":%s}"
					   "]}],\"resource\":{}}]}",
					   value) };

		for (size_t i = 0; i < 2; i++) {
			struct buf proto, out;
			struct err err;

			buf_init(&proto);
			buf_init(&out);
			to_proto(json[i], &proto);
			int want = depth <= OTLP_MAX_DEPTH ? 0 : -1;
			assert_int_equal(decode_copy(decode_otlp_json, slice_cstr(json[i]), &out, &err),
					 want);
			assert_int_equal(decode_copy(decode_otlp_proto, buf_slice(&proto), &out, &err), want);
			if (want == -1)
				assert_string_equal(err.msg, "a value is nested deeper than 32 levels");
			buf_fini(&proto);
			buf_fini(&out);
			free(json[i]);
		}
		free(value);
	}
}

/* A small body that would become a large batch. */
static void test_too_much(void **state)
{
	struct buf b, record, pair, map, logs, scope;

	(void)state;
	buf_init(&b);
	buf_init(&record);
	buf_init(&pair);
	buf_init(&map);
	buf_init(&logs);
	buf_init(&scope);
	/* a resource with many attributes, times many empty records */
	for (int i = 0; i < 9000; i++) {
		buf_reset(&pair);
		buf_printf(&pair, "\x0a\x05%05d\x12\x03\x0a\x01v", i);
		put_bytes(&record, 1, buf_slice(&pair));
	}
	put_bytes(&logs, 1, buf_slice(&record));
	for (int i = 0; i < 500; i++)
		put_bytes(&scope, 2, SLICE(""));
	put_bytes(&logs, 2, buf_slice(&scope));
	put_bytes(&b, 1, buf_slice(&logs));
	expect_error(decode_otlp_proto, buf_slice(&b), ERR_TOO_LARGE, "too many attributes in one push");
	/* a nested attribute with a long name above many short ones */
	buf_reset(&record);
	for (int i = 0; i < 9000; i++)
		buf_append(&map, "\x0a\x08\x0a\x01k\x12\x03\x0a\x01v", 10);
	buf_reset(&scope);
	put_bytes(&scope, 6, buf_slice(&map)); /* AnyValue */
	buf_reset(&pair);
	buf_varint(&pair, 1 << 3 | 2);
	buf_varint(&pair, 4000);
	memset(buf_reserve(&pair, 4000), 'n', 4000);
	pair.n += 4000;
	put_bytes(&pair, 2, buf_slice(&scope));
	put_bytes(&record, 6, buf_slice(&pair));
	buf_reset(&scope);
	for (int i = 0; i < 4; i++)
		put_bytes(&scope, 2, buf_slice(&record));
	buf_reset(&logs);
	put_bytes(&logs, 2, buf_slice(&scope));
	buf_reset(&b);
	put_bytes(&b, 1, buf_slice(&logs));
	expect_error(decode_otlp_proto, buf_slice(&b), ERR_TOO_LARGE, "too large as text");
	/* limits of a push */
	options.max_entries = 1;
	expect_error(decode_otlp_json, SLICE(LOGS("", "", "{},{}")), ERR_TOO_LARGE, "too many entries");
	options.max_entries = 0;
	options.max_streams = 1;
	expect_error(decode_otlp_json,
		     SLICE("{\"resourceLogs\":[" RESOURCE("a", "1", "1", "2") "," RESOURCE("b", "1", "1",
											   "2") "]}"),
		     ERR_TOO_LARGE, "too many streams");
	options.max_streams = 0;
	buf_fini(&b);
	buf_fini(&record);
	buf_fini(&pair);
	buf_fini(&map);
	buf_fini(&logs);
	buf_fini(&scope);
}

/* ---------------------------------------------------------------- through validation */

static void validated(const char *json, struct tally *t, struct buf *out)
{
	static const struct limits limits = { .max_label_names_per_series = 4,
					      .max_structured_metadata_entries_count = 128,
					      .allow_structured_metadata = true,
					      .discover_log_levels = true,
					      .discover_service_name = true };
	struct batch b;
	struct err err;
	struct buf text;

	*t = (struct tally){ 0 };
	buf_reset(out);
	buf_init(&text);
	batch_init(&b);
	assert_int_equal(decode_otlp_json(slice_cstr(json), &options, &b, &err), 0);
	validate_batch(&b, &limits, NOW, t);
	tally_text(t, out);
	if (t->n_errors == 0)
		show(&b, out);
	buf_cstr_end(out);
	batch_fini(&b);
	buf_fini(&text);
}

static void test_validation(void **state)
{
	static const struct {
		const char *json, *want;
	} cases[] = {
		{ LOGS("", "", "{}"), "{service_name=\"unknown_service\"} 1795425259000000000 \"\" "
				      "detected_level=\"unknown\"\n" },
		/* only labels lead to a service name */
		{ LOGS(STR("k8s.container.name", "k") "," STR("container.name", "c"), "", "{}"),
		  "{container_name=\"c\", k8s_container_name=\"k\", service_name=\"c\"} 1795425259000000000 "
		  "\"\" "
		  "detected_level=\"unknown\"\n" },
		{ LOGS(STR("app", "x"), "", "{}"), "{service_name=\"unknown_service\"} 1795425259000000000 "
						   "\"\" app=\"x\" detected_level=\"unknown\"\n" },
		/* the text beats the number */
		{ LOGS("", "", "{\"severityNumber\":9,\"severityText\":\"ERR\"}"),
		  "{service_name=\"unknown_service\"} 1795425259000000000 \"\" detected_level=\"error\" "
		  "severity_number=\"9\" severity_text=\"ERR\"\n" },
		{ LOGS("", "", "{\"severityNumber\":21,\"body\":{\"stringValue\":\"level=info\"}}"),
		  "{service_name=\"unknown_service\"} 1795425259000000000 \"level=info\" "
		  "detected_level=\"fatal\" "
		  "severity_number=\"21\"\n" },
		/* service_name is not counted */
		{ LOGS(STR("service.name", "s") "," STR("k8s.pod.name", "p") "," STR(
			       "k8s.container.name", "k") "," STR("container.name",
								  "c") "," STR("cloud.region", "r"),
		       "", "{}"),
		  "{cloud_region=\"r\", container_name=\"c\", k8s_container_name=\"k\", k8s_pod_name=\"p\", "
		  "service_name=\"s\"} 1795425259000000000 \"\" detected_level=\"unknown\"\n" },
		{ LOGS("", "",
		       "{\"attributes\":[" STR("---", "v") "]},{\"timeUnixNano\":1795425259000000001}"),
		  "stream '{service_name=\"unknown_service\"}': normalization for label name \"---\" "
		  "resulted in invalid "
		  "name \"_\"" },
	};
	struct tally t;
	struct buf out;

	(void)state;
	buf_init(&out);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		validated(cases[i].json, &t, &out);
		assert_string_equal(out.p, cases[i].want);
		assert_int_equal(t.n_entries, 1);
	}
	buf_fini(&out);
}

/* ---------------------------------------------------------------- what is only counted */

static void test_counts(void **state)
{
	static const char *const bad_json[] = { "[]", "{", "{\"resourceSpans\":[{]}" };
	static const char spans[] =
		"{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"spans\":[{\"events\":[{}]},{}]},"
		"{\"scope\":{}}]},{\"scopeSpans\":[{\"spans\":[{}]}]}]}";
	static const char points[] =
		"{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"a\",\"sum\":{"
		"\"dataPoints\":[{},{}]}},"
		"{\"gauge\":{\"dataPoints\":[{\"x\":[]}]}},{\"histogram\":{\"dataPoints\":[]}},"
		"{\"exponentialHistogram\":{\"dataPoints\":[{}]}},{\"summary\":{\"dataPoints\":[{}]}}]}]}]}";
	/* resource { scope { span, span } } { scope { span } }; the same for data points */
	static const char proto_spans[] = "\x0a\x06\x12\x04\x12\x00\x12\x00\x0a\x04\x12\x02\x12\x00";
	static const char proto_points[] =
		"\x0a\x10\x12\x0e\x12\x06\x3a\x04\x0a\x00\x0a\x00\x12\x04\x5a\x02\x0a\x00";
	struct err err;
	uint64_t n = 0;

	(void)state;
	assert_int_equal(otlp_count_json(OTLP_TRACES, slice_cstr(spans), &n, &err), 0);
	assert_int_equal(n, 3);
	assert_int_equal(otlp_count_json(OTLP_METRICS, slice_cstr(points), &n, &err), 0);
	assert_int_equal(n, 5);
	assert_int_equal(otlp_count_json(OTLP_METRICS, slice_cstr(spans), &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(
		otlp_count_proto(OTLP_TRACES, slice_of(proto_spans, sizeof(proto_spans) - 1), &n, &err), 0);
	assert_int_equal(n, 3);
	assert_int_equal(
		otlp_count_proto(OTLP_METRICS, slice_of(proto_points, sizeof(proto_points) - 1), &n, &err),
		0);
	assert_int_equal(n, 3);
	assert_int_equal(otlp_count_proto(OTLP_METRICS, SLICE(""), &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(otlp_count_json(OTLP_METRICS, SLICE(""), &n, &err), 0);
	assert_int_equal(otlp_count_proto(OTLP_TRACES, slice_of(proto_spans, 5), &n, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	for (size_t i = 0; i < ARRAY_LEN(bad_json); i++)
		assert_int_equal(otlp_count_json(OTLP_TRACES, slice_cstr(bad_json[i]), &n, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_scope_and_resource),
		cmocka_unit_test(test_streams_are_merged),
		cmocka_unit_test(test_nothing_in_it),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_order),
		cmocka_unit_test(test_json_errors),
		cmocka_unit_test(test_proto_errors),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_validation),
		cmocka_unit_test(test_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
