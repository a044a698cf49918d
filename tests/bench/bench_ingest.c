/* Bytes a second of each step of the write path on one core, over generated pushes: lines as OpenTelemetry's Python
 * formatter, a logfmt writer and nginx write them, packed into Loki's JSON and into snappy protobuf, and into OTLP with attributes, level and trace context.
 *
 *	bench_ingest [seconds for each step]
 *
 * "raw" counts bytes of log lines, "wire" counts bytes of the body. */
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_out.h"
#include "ingest/correlate.h"
#include "ingest/level.h"
#include "ingest/loki_json.h"
#include "ingest/loki_proto.h"
#include "ingest/otlp.h"
#include "ingest/patterns.h"
#include "ingest/plain_json.h"
#include "ingest/shape.h"
#include "ingest/snappy.h"
#include "ingest/validate.h"

enum { STREAMS = 40, LINES = 100 };
#define NOW 1795425259000000000

static struct buf lines[STREAMS * LINES];
static struct buf json, proto, packed, ndjson, otlp, otlp_text, scratch;
static size_t raw_bytes;
static double seconds = 1;

static uint64_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static void put_line(struct buf *b, int kind)
{
	static const char *const level[] = { "INFO", "INFO", "INFO", "WARNING", "ERROR", "DEBUG" };
	static const char *const what[] = { "GET /api/v1/orders", "charged card", "cache miss",
					    "retrying upstream call", "order placed" };
	unsigned long long a = (unsigned long long)rnd(1u << 30) << 32 | rnd(1u << 30),
			   c = (unsigned long long)rnd(1u << 30) << 32 | rnd(1u << 30);

	if (kind == 0)
		buf_printf(b,
			   "{\"timestamp\": \"2026-11-23T09:14:%02u.%06uZ\", \"level\": \"%s\", \"logger\": "
			   "\"shop.%u\", "
			   "\"message\": \"%s for user %u took %u ms\", \"otelTraceID\": \"%016llx%016llx\", "
			   "\"otelSpanID\": "
			   "\"%016llx\", \"otelTraceSampled\": true, \"otelServiceName\": \"checkout\", "
			   "\"order_id\": %u}",
			   rnd(60), rnd(1000000), level[rnd(6)], rnd(9), what[rnd(5)], rnd(10000), rnd(900),
			   a, c, c ^ a, rnd(100000));
	else if (kind == 1)
		buf_printf(b,
			   "ts=2026-11-23T09:14:%02u.%03uZ level=%s caller=handler.go:%u msg=\"%s\" "
			   "method=GET path=/api/v1/items/%u "
			   "status=%u duration=%ums bytes=%u trace_id=%016llx%016llx span_id=%016llx "
			   "peer=10.0.%u.%u:%u",
			   rnd(60), rnd(1000), level[rnd(6)], rnd(300), what[rnd(5)], rnd(5000),
			   200 + rnd(300), rnd(900), rnd(60000), a, c, a ^ c, rnd(255), rnd(255),
			   1024 + rnd(60000));
	else
		buf_printf(b,
			   "10.%u.%u.%u - - [23/Nov/2026:09:14:%02u +0000] \"GET /static/app-%u.js "
			   "HTTP/1.1\" %u %u "
			   "\"https://shop.example.org/cart\" \"Mozilla/5.0 (X11; Linux x86_64) "
			   "AppleWebKit/537.36 (KHTML, like "
			   "Gecko) Chrome/120.0.0.0 Safari/537.36\" rt=0.%03u",
			   rnd(255), rnd(255), rnd(255), rnd(60), rnd(500), 200 + rnd(300), rnd(100000),
			   rnd(1000));
}

static void put_bytes(struct buf *b, unsigned field, struct slice s)
{
	buf_varint(b, field << 3 | 2);
	buf_lenslice(b, s);
}

static void generate(void)
{
	struct buf stream, entry, ts;
	size_t n;

	buf_init(&stream);
	buf_init(&entry);
	buf_init(&ts);
	buf_puts(&json, "{\"streams\":[");
	for (unsigned i = 0; i < STREAMS; i++) {
		buf_reset(&stream);
		buf_printf(
			&json,
			"%s{\"stream\":{\"app\":\"shop-%u\",\"env\":\"prod\",\"pod\":\"p-%u\"},\"values\":[",
			i > 0 ? "," : "", i / 4, i);
		buf_reset(&ts);
		buf_printf(&ts, "{app=\"shop-%u\", env=\"prod\", pod=\"p-%u\"}", i / 4, i);
		put_bytes(&stream, 1, buf_slice(&ts));
		for (unsigned k = 0; k < LINES; k++) {
			struct buf *line = &lines[i * LINES + k];

			put_line(line, i % 10 < 6 ? 0 : i % 10 < 9 ? 1 : 2);
			raw_bytes += line->n;
			buf_printf(&json, "%s[\"%llu\",", k > 0 ? "," : "", (unsigned long long)NOW - k);
			json_quote(&json, buf_slice(line), false);
			buf_puts(&json, "]");
			buf_reset(&ts);
			buf_varint(&ts, 1 << 3);
			buf_varint(&ts, NOW / NS_PER_S);
			buf_varint(&ts, 2 << 3);
			buf_varint(&ts, k);
			buf_reset(&entry);
			put_bytes(&entry, 1, buf_slice(&ts));
			put_bytes(&entry, 2, buf_slice(line));
			put_bytes(&stream, 2, buf_slice(&entry));
			buf_add(&ndjson, buf_slice(line));
			buf_putc(&ndjson, '\n');
		}
		buf_puts(&json, "]}");
		put_bytes(&proto, 1, buf_slice(&stream));
	}
	buf_puts(&json, "]}");
	n = snappy_max_compressed_length(proto.n);
	snappy_compress(proto.p, proto.n, buf_reserve(&packed, n), &n);
	packed.n = n;
	buf_fini(&stream);
	buf_fini(&entry);
	buf_fini(&ts);
}

static void put_attribute(struct buf *b, struct buf *text, unsigned field, const char *key,
			  struct slice value, const char *comma)
{
	struct buf any, pair;

	buf_init(&any);
	buf_init(&pair);
	put_bytes(&any, 1, value);
	put_bytes(&pair, 1, slice_cstr(key));
	put_bytes(&pair, 2, buf_slice(&any));
	put_bytes(b, field, buf_slice(&pair));
	buf_printf(text, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":\"%.*s\"}}", comma, key,
		   SLICE_ARG(value));
	buf_fini(&any);
	buf_fini(&pair);
}

/* A record as an SDK's log bridge sends it. */
static void put_otlp_record(struct buf *scope, struct buf *text, struct slice line, unsigned k)
{
	uint64_t ts = NOW - k, id[3] = { hash_mix(k + 1), hash_mix(line.n), hash_mix(k * 7 + 5) };
	struct buf record, any;

	buf_init(&record);
	buf_init(&any);
	buf_varint(&record, 1 << 3 | 1);
	buf_u64le(&record, ts);
	buf_varint(&record, 11 << 3 | 1);
	buf_u64le(&record, ts + 1000);
	buf_varint(&record, 2 << 3);
	buf_varint(&record, 9);
	put_bytes(&record, 3, SLICE("INFO"));
	put_bytes(&any, 1, line);
	put_bytes(&record, 5, buf_slice(&any));
	buf_printf(text,
		   "%s{\"timeUnixNano\":\"%llu\",\"observedTimeUnixNano\":\"%llu\",\"severityNumber\":9,"
		   "\"severityText\":\"INFO\",\"body\":{\"stringValue\":",
		   k > 0 ? "," : "", (unsigned long long)ts, (unsigned long long)ts + 1000);
	json_quote(text, line, false);
	buf_puts(text, "},\"attributes\":[");
	put_attribute(&record, text, 6, "code.filepath", SLICE("/srv/shop/handler.py"), "");
	put_attribute(&record, text, 6, "code.function", SLICE("checkout"), ",");
	put_bytes(&record, 9, slice_of(id, 16));
	put_bytes(&record, 10, slice_of(id + 2, 8));
	buf_printf(text, "],\"traceId\":\"%016llx%016llx\",\"spanId\":\"%016llx\",\"flags\":1}",
		   (unsigned long long)id[0], (unsigned long long)id[1], (unsigned long long)id[2]);
	buf_varint(&record, 8 << 3 | 5);
	buf_u32le(&record, 1);
	put_bytes(scope, 2, buf_slice(&record));
	buf_fini(&record);
	buf_fini(&any);
}

static void generate_otlp(void)
{
	struct buf resource, scope, inner, name;

	buf_init(&resource);
	buf_init(&scope);
	buf_init(&inner);
	buf_init(&name);
	buf_puts(&otlp_text, "{\"resourceLogs\":[");
	for (unsigned i = 0; i < STREAMS; i++) {
		buf_reset(&inner);
		buf_reset(&name);
		buf_printf(&name, "shop-%u", i);
		buf_printf(&otlp_text, "%s{\"resource\":{\"attributes\":[", i > 0 ? "," : "");
		put_attribute(&inner, &otlp_text, 1, "service.name", buf_slice(&name), "");
		put_attribute(&inner, &otlp_text, 1, "k8s.pod.name", buf_slice(&name), ",");
		put_attribute(&inner, &otlp_text, 1, "host.name", SLICE("node-7"), ",");
		put_attribute(&inner, &otlp_text, 1, "telemetry.sdk.language", SLICE("python"), ",");
		buf_reset(&resource);
		put_bytes(&resource, 1, buf_slice(&inner));
		buf_puts(&otlp_text,
			 "]},\"scopeLogs\":[{\"scope\":{\"name\":\"shop.handler\"},\"logRecords\":[");
		buf_reset(&inner);
		put_bytes(&inner, 1, SLICE("shop.handler"));
		buf_reset(&scope);
		put_bytes(&scope, 1, buf_slice(&inner));
		for (unsigned k = 0; k < LINES; k++)
			put_otlp_record(&scope, &otlp_text, buf_slice(&lines[i * LINES + k]), k);
		buf_puts(&otlp_text, "]}]}");
		put_bytes(&resource, 2, buf_slice(&scope));
		put_bytes(&otlp, 1, buf_slice(&resource));
	}
	buf_puts(&otlp_text, "]}");
	buf_fini(&resource);
	buf_fini(&scope);
	buf_fini(&inner);
	buf_fini(&name);
}

/* ---------------------------------------------------------------- steps */

static struct batch batch;
static struct correlator correlator;
static struct trace_keys *keys;
static const struct slice otlp_labels[] = { { "service.name", 12 }, { "k8s.pod.name", 12 } };
static struct decode_options options = { .now_ns = NOW, .otlp_labels = otlp_labels, .n_otlp_labels = 2 };
static volatile size_t sink;

static void reset(void)
{
	arena_reset(&batch.arena);
	batch.streams.n = batch.entries.n = 0;
}

static void check(int rc, const struct err *err)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s\n", err->msg);
	exit(1);
}

static void step_json(void)
{
	struct err err;

	reset();
	check(decode_loki_json(buf_slice(&json), &options, &batch, &err), &err);
}

static void step_snappy(void)
{
	struct err err;

	check(snappy_decode(buf_slice(&packed), &(struct room){ .limit = 1 << 30 }, &scratch, &err), &err);
}

static void step_proto(void)
{
	struct err err;

	reset();
	check(decode_loki_proto(buf_slice(&proto), &options, &batch, &err), &err);
}

static void step_otlp(void)
{
	struct err err;

	reset();
	check(decode_otlp_proto(buf_slice(&otlp), &options, &batch, &err), &err);
}

static void step_otlp_json(void)
{
	struct err err;

	reset();
	check(decode_otlp_json(buf_slice(&otlp_text), &options, &batch, &err), &err);
}

static void step_lines(void)
{
	struct err err;

	reset();
	check(decode_plain_json(buf_slice(&ndjson), &options, &batch, &err), &err);
}

static void step_level(void)
{
	for (size_t i = 0; i < STREAMS * LINES; i++)
		sink += level_of_line(buf_slice(&lines[i])).n;
}

static void step_find(void)
{
	for (size_t i = 0; i < STREAMS * LINES; i++) {
		trace_find(keys, buf_slice(&lines[i]), SLICE(""), SLICE(""), &correlator.of_entry);
		sink += correlator.of_entry.n_tokens;
	}
}

static void step_shape(void)
{
	for (size_t i = 0; i < STREAMS * LINES; i++)
		sink += shape_hash(buf_slice(&lines[i]));
}

static void validate(void)
{
	static const struct limits limits = { .max_line_size = 1 << 18,
					      .max_label_names_per_series = 15,
					      .max_label_name_length = 1024,
					      .max_label_value_length = 2048,
					      .max_structured_metadata_size = 65536,
					      .max_structured_metadata_entries_count = 128,
					      .allow_structured_metadata = true,
					      .reject_old_samples = true,
					      .reject_old_samples_max_age = NS_PER_DAY,
					      .creation_grace_period = NS_PER_H,
					      .discover_log_levels = true,
					      .discover_service_name = true };
	struct tally t = { 0 };

	validate_batch(&batch, &limits, NOW, &t);
	if (t.n_entries != STREAMS * LINES)
		exit(1);
}

static void step_decode_validate(void)
{
	step_json();
	validate();
}

static void step_otlp_validate(void)
{
	step_otlp();
	validate();
}

static void step_all(void)
{
	step_decode_validate();
	correlate_batch(&correlator, keys, &batch);
}

static struct patterns *patterns;

static void step_all_and_patterns(void)
{
	step_all();
	clock_fake_advance(NS_PER_S); /* so that no line is passed over */
	patterns_see(patterns, &batch);
}

static void step_all_and_sample(void)
{
	step_all();
	patterns_see(patterns, &batch);
}

/* CPU time of this process: a busy machine does not change the figures much. */
static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void measure(const char *name, void (*step)(void), size_t wire)
{
	int64_t start, now;
	size_t n = 0;

	step();
	start = cpu_ns();
	do {
		step();
		n++;
		now = cpu_ns();
	} while ((double)(now - start) < seconds * 1e9);
	double s = (double)(now - start) / 1e9 / (double)n;
	printf("%-34s %8.0f MB/s raw  %8.0f MB/s wire  %7.1f ns/line\n", name, (double)raw_bytes / s / 1e6,
	       (double)wire / s / 1e6, s * 1e9 / (STREAMS * LINES));
}

int main(int argc, char **argv)
{
	static const struct slice names[] = { { "trace_id", 8 },     { "traceid", 7 },	    { "trace.id", 8 },
					      { "otelTraceID", 11 }, { "dd.trace_id", 11 }, { "@tr", 3 } };
	static const struct slice fields[] = { { "order_id", 8 } };

	if (argc > 1)
		seconds = strtod(argv[1], NULL);
	generate();
	generate_otlp();
	batch_init(&batch);
	keys = trace_keys_new(names, 6, NULL, 0);
	printf("%d lines, %zu bytes raw, %zu as JSON, %zu as protobuf, %zu packed\n", STREAMS * LINES,
	       raw_bytes, json.n, proto.n, packed.n);
	measure("decode JSON", step_json, json.n);
	measure("snappy", step_snappy, packed.n);
	measure("decode protobuf", step_proto, proto.n);
	measure("decode OTLP protobuf", step_otlp, otlp.n);
	measure("decode OTLP JSON", step_otlp_json, otlp_text.n);
	measure("decode lines", step_lines, ndjson.n);
	measure("detect level", step_level, raw_bytes);
	measure("trace_find", step_find, raw_bytes);
	trace_keys_free(keys);
	keys = trace_keys_new(names, 6, fields, 1);
	measure("trace_find, one indexed field", step_find, raw_bytes);
	trace_keys_free(keys);
	keys = trace_keys_new(names, 6, NULL, 0);
	measure("JSON + validate", step_decode_validate, json.n);
	measure("JSON + validate + correlate", step_all, json.n);
	measure("OTLP protobuf + validate", step_otlp_validate, otlp.n);
	clock_fake(NOW);
	patterns = patterns_open(&(struct patterns_options){
		.dir = "/nonexistent", .memory_bytes = 64 << 20, .tenant_bytes = 64 << 20 });
	measure("shape of a line", step_shape, raw_bytes);
	batch.tenant = SLICE("bench");
	measure("… + patterns of all lines", step_all_and_patterns, json.n);
	measure("… + patterns of a sample", step_all_and_sample, json.n);
	patterns_close(patterns);
	trace_keys_free(keys);
	correlator_fini(&correlator);
	batch_fini(&batch);
	for (size_t i = 0; i < STREAMS * LINES; i++)
		buf_fini(&lines[i]);
	buf_fini(&json);
	buf_fini(&proto);
	buf_fini(&packed);
	buf_fini(&ndjson);
	buf_fini(&otlp);
	buf_fini(&otlp_text);
	buf_fini(&scratch);
	return 0;
}
