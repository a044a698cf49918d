/* Any bytes as a query: parse, format, parse again. The canonical text must be valid and its own canonical
 * text. */
#include <stdio.h>
#include <stdlib.h>

#include "logql/fmt.h"
#include "logql/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, struct slice text, const char *why)
{
	fprintf(stderr, "%s: %.*s\n%s\n", what, SLICE_ARG(text), why);
	abort();
}

static void check_again(struct slice text, bool pretty)
{
	struct arena arena;
	struct logql *q;
	struct err err;
	struct buf again;

	arena_init(&arena);
	buf_init(&again);
	if (text.n <= LOGQL_MAX_TEXT_BYTES) { /* formatting may make a query longer than allowed */
		if (logql_parse(text, &arena, &q, NULL, &err) == -1)
			fail("the canonical text is refused", text, err.msg);
		(pretty ? logql_fmt_pretty : logql_fmt)(&again, q->root);
		if (!slice_eq(buf_slice(&again), text)) {
			buf_cstr_end(&again);
			fail("the canonical text changes", text, again.p);
		}
		logql_free(q);
	}
	buf_fini(&again);
	arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct logql *q;
	struct logql_pos where;
	struct err err;
	struct buf text;

	arena_init(&arena);
	buf_init(&text);
	if (logql_parse(slice_of(data, size), &arena, &q, &where, &err) == 0) {
		logql_fmt(&text, q->root);
		check_again(buf_slice(&text), false);
		buf_reset(&text);
		logql_fmt_pretty(&text, q->root);
		check_again(buf_slice(&text), true);
		logql_free(q);
	}
	if (logql_parse_selector(slice_of(data, size), LOGQL_ALLOW_EMPTY, &arena, &q, NULL, &err) == 0)
		logql_free(q);
	buf_fini(&text);
	arena_fini(&arena);
	return 0;
}
