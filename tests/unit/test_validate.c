/* What is refused of a push, in which words, and what is added to the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ingest/decode.h"
#include "ingest/labelset.h"
#include "ingest/limit.h"
#include "ingest/validate.h"

/* 2026-11-23T09:14:19Z */
#define NOW 1795425259000000000

static const struct limits defaults = {
	.ingestion_rate_mb = 50,
	.ingestion_burst_size_mb = 100,
	.max_line_size = 256 * 1024,
	.max_label_names_per_series = 15,
	.max_label_name_length = 1024,
	.max_label_value_length = 2048,
	.max_stream_labels_size = 65536,
	.allow_structured_metadata = true,
	.max_structured_metadata_size = 65536,
	.max_structured_metadata_entries_count = 128,
	.reject_old_samples = true,
	.reject_old_samples_max_age = 168 * NS_PER_H,
	.creation_grace_period = 10 * NS_PER_MIN,
	.discover_log_levels = true,
	.discover_service_name = true,
};

struct push {
	struct batch b;
	struct limits l;
	struct tally t;
	struct buf text;
};

static int setup(void **state)
{
	struct push *p = xcalloc(1, sizeof(*p));

	batch_init(&p->b);
	buf_init(&p->text);
	p->l = defaults;
	p->b.tenant = SLICE("ooo");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct push *p = *state;

	batch_fini(&p->b);
	buf_fini(&p->text);
	free(p);
	return 0;
}

static void stream(struct push *p, const char *labels)
{
	struct batch_stream *s = batch_add_stream(&p->b);
	struct err err;

	assert_int_equal(labelset_parse(slice_cstr(labels), &p->b.arena, &s->labels, &err), 0);
}

static struct batch_entry *entry(struct push *p, int64_t ts, const char *line)
{
	struct batch_entry *e = batch_add_entry(&p->b);

	e->ts = ts;
	e->line = slice_cstr(line);
	return e;
}

static struct batch_entry *entry_with(struct push *p, const char *const *meta)
{
	struct batch_entry *e = entry(p, NOW, "level=info");

	e->meta = arena_array(&p->b.arena, struct label, 16);
	for (; *meta != NULL; meta += 2)
		e->meta[e->n_meta++] = (struct label){ slice_cstr(meta[0]), slice_cstr(meta[1]) };
	return e;
}

static void validate(struct push *p)
{
	validate_batch(&p->b, &p->l, NOW, &p->t);
	buf_reset(&p->text);
	tally_text(&p->t, &p->text);
	buf_cstr_end(&p->text);
}

static void expect_labels(const struct push *p, size_t i, const char *text)
{
	struct buf b;

	buf_init(&b);
	labels_format(&b, p->b.streams.v[i].labels);
	buf_cstr_end(&b);
	assert_string_equal(b.p, text);
	buf_fini(&b);
}

static void expect_meta(const struct batch_entry *e, const char *text)
{
	struct buf b;

	buf_init(&b);
	labels_format(&b, (struct labels){ e->meta, e->n_meta });
	buf_cstr_end(&b);
	assert_string_equal(b.p, text);
	buf_fini(&b);
}

static void test_service_name(void **state)
{
	static const struct {
		const char *sent, *stored;
	} cases[] = {
		{ "{}", "{service_name=\"unknown_service\"}" },
		{ "{app=\"x\"}", "{app=\"x\", service_name=\"x\"}" },
		{ "{service_name=\"s\",app=\"x\"}", "{app=\"x\", service_name=\"s\"}" },
		{ "{zone=\"z\",job=\"j\",app=\"x\",service=\"s\"}",
		  "{app=\"x\", job=\"j\", service=\"s\", service_name=\"s\", zone=\"z\"}" },
		{ "{k8s_job_name=\"k\"}", "{k8s_job_name=\"k\", service_name=\"k\"}" },
		{ "{other=\"k\"}", "{other=\"k\", service_name=\"unknown_service\"}" },
	};
	struct push *p = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stream(p, cases[i].sent);
		entry(p, NOW, "a");
	}
	validate(p);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_labels(p, i, cases[i].stored);
	assert_int_equal(p->t.n_entries, ARRAY_LEN(cases));
	assert_string_equal(p->text.p, "");
	assert_true(p->b.streams.v[0].hash != p->b.streams.v[1].hash);
}

static void test_without_discovery(void **state)
{
	struct push *p = *state;

	p->l.discover_service_name = false;
	p->l.discover_log_levels = false;
	stream(p, "{}");
	entry(p, NOW, "error");
	stream(p, "{app=\"x\"}");
	entry(p, NOW, "error");
	validate(p);
	assert_string_equal(p->text.p, "error at least one label pair is required per stream");
	assert_true(p->b.streams.v[0].rejected);
	expect_labels(p, 1, "{app=\"x\"}");
	assert_int_equal(p->b.entries.v[1].n_meta, 0);
	assert_int_equal(p->t.discarded_entries[DISCARD_MISSING_LABELS], 1);
}

static void test_label_checks(void **state)
{
	static const struct {
		const char *labels, *says;
		enum discard_reason why;
	} cases[] = {
		{ "{l0=\"v\",l1=\"v\",l2=\"v\",l3=\"v\"}",
		  "entry for stream '{l0=\"v\", l1=\"v\", l2=\"v\", l3=\"v\", "
		  "service_name=\"unknown_service\"}' has 4 label names; "
		  "limit 3",
		  DISCARD_TOO_MANY_LABELS },
		{ "{long_name_=\"v\"}",
		  "stream '{long_name_=\"v\", service_name=\"unknown_service\"}' has label name too long: "
		  "'long_name_'",
		  DISCARD_LABEL_NAME_TOO_LONG },
		{ "{a=\"0123456789012345678\"}",
		  "stream '{a=\"0123456789012345678\", service_name=\"unknown_service\"}' has label value "
		  "too long: "
		  "'0123456789012345678'",
		  DISCARD_LABEL_VALUE_TOO_LONG },
		{ "{a=\"b\",a=\"c\"}",
		  "stream '{a=\"b\", a=\"c\", service_name=\"unknown_service\"}' has duplicate label name: "
		  "'a'",
		  DISCARD_DUPLICATE_LABELS },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		void *one = NULL;
		setup(&one);
		struct push *p = one;

		p->l.max_label_names_per_series = 3;
		p->l.max_label_name_length = i == 1 ? 9 : 12;
		p->l.max_label_value_length = 18;
		stream(p, cases[i].labels);
		entry(p, NOW, "abc");
		entry(p, NOW, "def");
		stream(p, "{a=\"1\",b=\"2\",c=\"3\"}"); /* service_name does not count */
		p->l.max_label_names_per_series = 3;
		entry(p, NOW, "kept");
		if (i == 1)
			p->b.streams.v[1].n = 0; /* there even service_name is too long */
		validate(p);
		assert_string_equal(p->text.p, cases[i].says);
		assert_true(p->b.streams.v[0].rejected);
		assert_int_equal(p->t.discarded_entries[cases[i].why], 2);
		assert_int_equal(p->t.discarded_bytes[cases[i].why], 6);
		assert_int_equal(p->t.n_entries, i == 1 ? 0 : 1);
		teardown(&one);
	}
}

static void test_times(void **state)
{
	struct push *p = *state;

	stream(p, "{app=\"x\"}");
	entry(p, 1700000000000000000, "old");
	entry(p, NOW + 60 * NS_PER_MIN, "new");
	entry(p, NOW - 168 * NS_PER_H, "just in time");
	entry(p, NOW + 10 * NS_PER_MIN, "just in time");
	entry(p, TS_TOO_OLD, "year 1");
	validate(p);
	assert_string_equal(p->text.p, "1 errors like: entry for stream '{app=\"x\", service_name=\"x\"}' "
				       "has timestamp too old: 2023-11-14T22:13:20Z, "
				       "oldest acceptable timestamp is: 2026-11-16T09:14:19Z; "
				       "1 errors like: entry for stream '{app=\"x\", service_name=\"x\"}' "
				       "has timestamp too new: 2026-11-23T10:14:19Z; "
				       "1 errors like: entry for stream '{app=\"x\", service_name=\"x\"}' "
				       "has timestamp too old: 0001-01-01T00:00:00Z, "
				       "oldest acceptable timestamp is: 2026-11-16T09:14:19Z");
	assert_true(p->b.entries.v[0].rejected && p->b.entries.v[1].rejected && p->b.entries.v[4].rejected);
	assert_false(p->b.entries.v[2].rejected || p->b.entries.v[3].rejected);
	assert_int_equal(p->t.n_entries, 2);
	assert_int_equal(p->t.discarded_entries[DISCARD_TOO_OLD], 2);
	assert_int_equal(p->t.discarded_entries[DISCARD_TOO_NEW], 1);
}

static void test_old_entries_are_fine_when_allowed(void **state)
{
	struct push *p = *state;

	p->l.reject_old_samples = false;
	stream(p, "{app=\"x\"}");
	entry(p, 5, "very old");
	entry(p, TS_TOO_OLD, "older than time");
	validate(p);
	assert_false(p->b.entries.v[0].rejected);
	assert_true(p->b.entries.v[1].rejected);
}

static void test_line_size(void **state)
{
	struct push *p = *state;

	p->l.max_line_size = 20;
	stream(p, "{app=\"x\"}");
	entry(p, NOW, "0123456789012345678901234567890");
	entry(p, NOW, "01234567890123456789");
	validate(p);
	assert_string_equal(
		p->text.p,
		"max entry size '20' bytes exceeded for stream '{app=\"x\", service_name=\"x\"}' while "
		"adding an entry with length '31' bytes");
	assert_true(p->b.entries.v[0].rejected);
	assert_int_equal(p->t.discarded_bytes[DISCARD_LINE_TOO_LONG], 31);

	p->l.max_line_size_truncate = true;
	p->t = (struct tally){ 0 };
	validate(p);
	assert_false(p->b.entries.v[0].rejected);
	assert_int_equal(p->b.entries.v[0].line.n, 20);
}

static void test_metadata_limits(void **state)
{
	static const char *const meta[] = { "a", "0123456789", "b", "0123456789", "c", "0123456789", NULL };
	static const struct {
		const char *says;
		enum discard_reason why;
	} cases[] = {
		{ "stream '{app=\"x\", service_name=\"x\"}' includes structured metadata, but this feature "
		  "is disallowed. Please "
		  "see `limits_config.allow_structured_metadata` or contact your Loki administrator to "
		  "enable it",
		  DISCARD_META_DISALLOWED },
		{ "stream '{app=\"x\", service_name=\"x\"}' has structured metadata too large: '33' bytes, "
		  "limit: '20' bytes. "
		  "Please see `limits_config.max_structured_metadata_size` or contact your Loki "
		  "administrator to increase it",
		  DISCARD_META_TOO_LARGE },
		{ "stream '{app=\"x\", service_name=\"x\"}' has too many structured metadata labels: '3', "
		  "limit: '2'. Please "
		  "see `limits_config.max_structured_metadata_entries_count` or contact your Loki "
		  "administrator to increase it",
		  DISCARD_META_TOO_MANY },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		void *one = NULL;
		setup(&one);
		struct push *p = one;

		p->l.allow_structured_metadata = i != 0;
		p->l.max_structured_metadata_size = i == 1 ? 20 : 100;
		p->l.max_structured_metadata_entries_count = i == 2 ? 2 : 10;
		stream(p, "{app=\"x\"}");
		entry_with(p, meta);
		entry(p, NOW, "kept");
		validate(p);
		assert_string_equal(p->text.p, cases[i].says);
		assert_true(p->b.entries.v[0].rejected);
		assert_false(p->b.entries.v[1].rejected);
		assert_int_equal(p->t.discarded_entries[cases[i].why], 1);
		assert_int_equal(p->b.entries.v[1].n_meta,
				 i == 0 ? 0 : 1); /* no level where there is no metadata */
		teardown(&one);
	}
}

static void test_metadata_is_made_clean(void **state)
{
	static const char *const meta[] = {
		"z",   "1",	   "a..b", "2",	     "1num", "3",     "\xc3\xbcn\xc3\xaf",
		"4",   "__dunder", "5",	   "__x__",  "6",    "empty", "",
		"a-b", "7",	   "bad",  "x\xffy", NULL
	};
	struct push *p = *state;

	stream(p, "{app=\"x\"}");
	entry_with(p, meta);
	validate(p);
	assert_string_equal(p->text.p, "");
	/* a..b and a-b are one name, and the last one wins */
	expect_meta(
		&p->b.entries.v[0],
		"{__x__=\"6\", _dunder=\"5\", _n_=\"4\", a_b=\"7\", bad=\"x y\", detected_level=\"info\", "
		"key_1num=\"3\", z=\"1\"}");
}

static void test_metadata_without_a_name(void **state)
{
	static const char *const dashes[] = { "---", "1", NULL }, *const empty[] = { "", "1", NULL };
	struct push *p = *state;

	stream(p, "{app=\"x\"}");
	entry_with(p, dashes);
	entry_with(p, empty);
	validate(p);
	assert_int_equal(p->t.discarded_entries[DISCARD_META_NAME], 2);
	assert_non_null(
		strstr(p->text.p, "normalization for label name \"---\" resulted in invalid name \"_\""));
	assert_non_null(strstr(p->text.p, "label name is empty"));
}

static void test_detected_level(void **state)
{
	static const char *const own[] = { "detected_level", "WARN", "z", "1", NULL }, *const other[] = {
		"a", "1", "z", "2", NULL
	};
	struct push *p = *state;

	stream(p, "{app=\"x\"}");
	entry(p, NOW, "level=error");
	entry(p, NOW, "nothing");
	entry_with(p, own);
	entry_with(p, other);
	stream(p, "{level=\"Odd\"}");
	entry(p, NOW, "level=error");
	validate(p);
	expect_meta(&p->b.entries.v[0], "{detected_level=\"error\"}");
	expect_meta(&p->b.entries.v[1], "{detected_level=\"unknown\"}");
	expect_meta(&p->b.entries.v[2], "{detected_level=\"warn\", z=\"1\"}");
	expect_meta(&p->b.entries.v[3], "{a=\"1\", detected_level=\"info\", z=\"2\"}");
	expect_meta(&p->b.entries.v[4], "{detected_level=\"Odd\"}");
}

static void test_texts_are_grouped(void **state)
{
	struct push *p = *state;
	char line[64];

	p->l.max_line_size = 3;
	stream(p, "{app=\"x\"}");
	entry(p, NOW, "0123");
	entry(p, NOW, "4567");
	validate(p);
	assert_string_equal(p->text.p,
			    "2 errors like: max entry size '3' bytes exceeded for stream '{app=\"x\", "
			    "service_name=\"x\"}' while adding an entry with length '4' bytes");
	for (int i = 5; i < 40; i++) {
		snprintf(line, sizeof(line), "%0*d", i, 0);
		entry(p, NOW, arena_cstr(&p->b.arena, slice_cstr(line)));
	}
	p->t = (struct tally){ 0 };
	validate(p);
	assert_int_equal(p->t.n_errors, 37);
	assert_int_equal(p->t.n_texts, TALLY_EXAMPLES);
	assert_non_null(strstr(p->text.p, "; and 26 more errors"));
}

static void test_what_is_echoed_is_cut_and_escaped(void **state)
{
	struct push *p = *state;
	struct buf b;

	buf_init(&b);
	buf_puts(&b, "{a=\"\\u001b[31m");
	for (int i = 0; i < 3000; i++)
		buf_putc(&b, 'x');
	buf_puts(&b, "\"}");
	buf_cstr_end(&b);
	stream(p, b.p);
	entry(p, NOW, "a");
	validate(p);
	assert_true(p->text.n < 700);
	assert_null(strchr(p->text.p, '\x1b'));
	buf_fini(&b);
}

static void test_spread_times(void **state)
{
	struct push *p = *state;

	p->l.increment_duplicate_timestamp = true;
	stream(p, "{app=\"x\"}");
	entry(p, NOW, "a");
	entry(p, NOW, "b");
	entry(p, NOW, "c");
	entry(p, NOW, "c");
	entry(p, NOW + 9, "d");
	validate(p);
	assert_true(p->b.entries.v[1].ts == NOW + 1 && p->b.entries.v[2].ts == NOW + 2 &&
		    p->b.entries.v[4].ts == NOW + 9);
	assert_true(p->b.entries.v[3].ts == NOW); /* the same line again is a duplicate */
}

static void test_streams_without_entries(void **state)
{
	struct push *p = *state;

	stream(p, "{app=\"x\"}");
	validate(p);
	assert_true(p->b.streams.v[0].rejected);
	assert_int_equal(p->t.n_errors, 0);
}

/* ---------------------------------------------------------------- rates */

static void test_tenant_rate(void **state)
{
	struct push *p = *state;
	struct rate *r = rate_new();
	struct buf text;

	buf_init(&text);
	p->l.ingestion_rate_mb = 0.001;
	p->l.ingestion_burst_size_mb = 0.001;
	p->b.tenant = SLICE("ratelim");
	stream(p, "{app=\"x\"}");
	entry(p, NOW, arena_printf(&p->b.arena, "%02000d", 0));
	validate(p);
	assert_int_equal(p->t.n_bytes, 2000);
	assert_false(limit_tenant(r, &p->b, &p->l, &p->t, &text));
	buf_cstr_end(&text);
	assert_string_equal(
		text.p,
		"ingestion rate limit exceeded for user ratelim (limit: 1048 bytes/sec) while attempting to "
		"ingest '1' lines totaling '2000' bytes, reduce log volume or contact your Loki "
		"administrator "
		"to see if the limit can be increased");
	assert_int_equal(p->t.n_entries, 0);
	assert_int_equal(p->t.discarded_bytes[DISCARD_RATE_LIMITED], 2000);
	buf_fini(&text);
	rate_free(r);
}

static void test_stream_rate(void **state)
{
	struct push *p = *state;
	struct rate *r = rate_new();
	struct buf text;

	buf_init(&text);
	p->l.per_stream_rate_limit = 1024;
	p->l.per_stream_rate_limit_burst = 1024;
	p->b.tenant = SLICE("streamrate");
	stream(p, "{app=\"x\"}");
	entry(p, NOW, arena_printf(&p->b.arena, "%02000d", 0));
	stream(p, "{app=\"y\"}");
	entry(p, NOW, "small");
	validate(p);
	assert_true(limit_tenant(r, &p->b, &p->l, &p->t, &text));
	assert_int_equal(limit_streams(r, &p->b, &p->l, &p->t, &text), 1);
	buf_cstr_end(&text);
	assert_string_equal(
		text.p,
		"entry with timestamp 2026-11-23 09:14:19 +0000 UTC ignored, reason: 'Per stream rate limit "
		"exceeded "
		"(limit: 1KB/sec) while attempting to ingest for stream '{app=\"x\", service_name=\"x\"}' "
		"totaling "
		"2000B, consider splitting a stream via additional labels or contact your Loki administrator "
		"to see "
		"if the limit can be increased',\n"
		"user 'streamrate', total ignored: 1 out of 1 for stream: {app=\"x\", service_name=\"x\"}");
	assert_true(p->b.entries.v[0].rejected);
	assert_false(p->b.entries.v[1].rejected);
	assert_int_equal(p->t.n_entries, 1);
	assert_int_equal(p->t.n_bytes, 5);
	buf_fini(&text);
	rate_free(r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_service_name),
		T(test_without_discovery),
		T(test_label_checks),
		T(test_times),
		T(test_old_entries_are_fine_when_allowed),
		T(test_line_size),
		T(test_metadata_limits),
		T(test_metadata_is_made_clean),
		T(test_metadata_without_a_name),
		T(test_detected_level),
		T(test_texts_are_grouped),
		T(test_what_is_echoed_is_cut_and_escaped),
		T(test_spread_times),
		T(test_streams_without_entries),
		T(test_tenant_rate),
		T(test_stream_rate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
