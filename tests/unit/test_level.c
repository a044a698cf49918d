/* Which level Loki would detect: the table of its API, and the order in which sources count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ingest/level.h"

static const struct {
	const char *line, *level;
} lines[] = {
	{ "ERROR something", "error" },
	{ "[warn] x", "warn" },
	{ "misc:error x", "unknown" },
	{ "debug: hello", "debug" },
	{ "error=1 x", "error" },
	{ "lvl=dbg", "debug" },
	{ "level=info level=error", "info" },
	{ "level=weird x", "unknown" },
	{ "Error!", "error" },
	{ "{\"a\":{\"severity\":\"fatal\"}}", "fatal" },
	{ "{\"level\":\"weird\"}", "unknown" },
	{ "{\"lvl\":30}", "unknown" },
	{ "{\"log\":{\"level\":\"error\"}}", "error" },
	{ "{\"msg\":\"an error occurred\"}", "error" },
	{ "information only", "unknown" },
	{ "info, warn", "info" },
	{ "error.", "unknown" },
	{ "error;", "unknown" },
	{ "errors", "unknown" },
	{ "TRACE|x", "trace" },
	{ "", "unknown" },
	{ " ", "unknown" },
	{ "x", "unknown" },
	/* JSON: first string in document order, one level of nesting, exact names */
	{ "{\"x\":{\"y\":{\"level\":\"error\"}},\"level\":\"warn\"}", "warn" },
	{ "{\"level\":5,\"severity\":\"ERROR\"}", "error" },
	{ "{\"a\":[{\"level\":\"error\"}],\"level\":\"debug\"}", "debug" },
	{ "{\"a\":{\"lvl\":\"warn\"},\"level\":\"error\"}", "warn" },
	{ "{\"a\":{},\"level\":\"error\"}", "error" },
	{ "{\"LeVeL\":\"error\"}", "error" }, /* by keyword: the quotes bound it */
	{ "{\"LeVeL\":\"erro\"}", "unknown" },
	{ " {\"msg\":\"say \\\"hi\\\"\",\"Level\":\"Warning\"} ", "warn" },
	{ "{\"level\":\"info\"", "info" },
	{ "{\"level\":\"weird\",\"msg\":\"fatal\"}", "fatal" },
	{ "{\"message\":\"a} {\",\"level\":\"INF\"}", "info" },
	{ "{}", "unknown" },
	{ "{\"a\"}", "unknown" },
	{ "{\"a\":}", "unknown" },
	/* logfmt: the name that comes first in the list */
	{ "severity=warn level=error", "error" },
	{ "LEVEL=error", "error" },
	{ "ts=1 msg=\"x level=error\" lvl=warn", "warn" },
	{ "level=\"info\" x", "info" },
	{ "severity_text=critical", "critical" },
	{ "log.level=debug lvl=error", "debug" },
	{ "level=a=b severity=warn", "warn" },
	{ "level= severity=warn", "warn" }, /* an empty value is no level: the keyword after = decides */
	{ "GET /x?level=error HTTP/1.1", "error" },
	/* keywords */
	{ "a (critical) b", "critical" },
	{ "x err y", "error" },
	{ "terror", "unknown" },
	{ "warning info", "warn" },
	{ "a 'fatal'", "fatal" },
	{ "some long text in front of it so that vectors are used: |warn| and more", "warn" },
	{ "0123456789abcd error", "error" },
	{ "0123456789abcde error", "error" },
	{ "0123456789abcdef error", "error" },
	{ "0123456789abcdef error 0123456789", "error" },
	{ "0123456789abcdef\ninfo", "info" },
	{ "127.0.0.1 - - [15/Jan/2026:10:00:00 +0000] \"GET /info HTTP/1.1\" 200 5", "unknown" },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		size_t n = strlen(lines[i].line);
		char *copy = xmalloc(n + 1);

		memcpy(copy, lines[i].line, n);
		copy = xrealloc(copy, n > 0 ? n : 1); /* exactly sized */
		struct slice level = level_of_line(slice_of(copy, n));
		if (!slice_is(level, lines[i].level))
			fail_msg("%s: %.*s", lines[i].line, SLICE_ARG(level));
		free(copy);
	}
}

static const struct {
	const char *meta[6]; /* name, value, ... */
	const char *level;
} metas[] = {
	{ { "level", "WARN" }, "warn" },
	{ { "level", "Foo" }, "Foo" },
	{ { "detected_level", "Err", "level", "info" }, "error" },
	{ { "detected_level", "odd" }, "odd" },
	{ { "severity_text", "warning", "severity_number", "17" }, "warn" },
	{ { "severity_number", "1" }, "trace" },
	{ { "severity_number", "9" }, "info" },
	{ { "severity_number", "17" }, "error" },
	{ { "severity_number", "24" }, "fatal" },
	{ { "severity_number", "25" }, "unknown" },
	{ { "severity_number", "0" }, "unknown" },
	{ { "severity_number", "x" }, "info" },
	{ { "severity", "debug", "level", "info" }, "info" },
	{ { "other", "error" }, "fatal" }, /* the line's */
};

static void test_metadata(void **state)
{
	struct slice none = { NULL, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(metas); i++) {
		struct label l[3];
		size_t n = 0;

		for (; n < 3 && metas[i].meta[2 * n] != NULL; n++)
			l[n] = (struct label){ slice_cstr(metas[i].meta[2 * n]),
					       slice_cstr(metas[i].meta[2 * n + 1]) };
		struct slice level = level_detect(none, l, n, SLICE("level=fatal"));
		if (!slice_is(level, metas[i].level))
			fail_msg("case %zu: %.*s", i, SLICE_ARG(level));
	}
}

static void test_stream_labels_come_before_metadata(void **state)
{
	struct label l[] = { { SLICE("app"), SLICE("x") }, { SLICE("level"), SLICE("Info") } };
	struct label m[] = { { SLICE("level"), SLICE("error") } };
	struct label d[] = { { SLICE("detected_level"), SLICE("debug") } };
	struct slice of_labels = level_of_labels((struct labels){ l, 2 });

	(void)state;
	assert_true(slice_is(of_labels, "info"));
	assert_null(level_of_labels((struct labels){ l, 1 }).p);
	assert_true(slice_is(level_detect(of_labels, m, 1, SLICE("fatal")), "info"));
	assert_true(slice_is(level_detect(of_labels, d, 1, SLICE("fatal")), "debug"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_stream_labels_come_before_metadata),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
