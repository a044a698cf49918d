/* Copying out of a JSON string: what is resolved, where it stops, and that all ways of doing it agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ingest/unescape.h"

static const struct {
	const char *in, *out;
	size_t eaten;
} cases[] = {
	{ "", "", 0 },
	{ "plain", "plain", 5 },
	{ "\"", "", 0 },
	{ "ab\"cd", "ab", 2 },
	{ "a\\\"b\\\\c\\/d\"e", "a\"b\\c/d", 10 },
	{ "a\\n", "a", 1 },
	{ "a\\u0041", "a", 1 },
	{ "\\\\\\\\n\"", "\\\\n", 5 },
	{ "\\\\\\n", "\\", 2 },
	{ "a\\", "a", 1 },
	{ "\\\\\\", "\\", 2 },
};

/* In memory of its own exact size, so that a sanitizer sees what is read or written too far. */
static size_t run(const struct unescape_way *way, struct slice in, struct buf *out)
{
	char *text = xmalloc(MAX(in.n, (size_t)1));
	const char *p = text;

	if (in.n > 0)
		memcpy(text, in.p, in.n);
	buf_fini(out);
	out->cap = in.n + UNESCAPE_SLACK;
	out->p = xmalloc(out->cap);
	out->n = way->run(out->p, &p, text + in.n);
	size_t eaten = (size_t)(p - text);
	free(text);
	return eaten;
}

static void resolves_and_stops(void **state)
{
	struct unescape_way way[3];
	struct buf out = { 0 };

	(void)state;
	for (size_t w = 0, n = unescape_ways(way); w < n; w++)
		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			for (size_t before = 0; before < 130; before++) {
				char text[256];

				/* the same behind any number of bytes */
				memset(text, 'x', sizeof(text));
				memcpy(text + before, cases[i].in, strlen(cases[i].in));
				size_t eaten =
					run(&way[w], slice_of(text, before + strlen(cases[i].in)), &out);
				assert_int_equal(eaten, before + cases[i].eaten);
				assert_int_equal(out.n, before + strlen(cases[i].out));
				assert_memory_equal(out.p, text, before);
				assert_memory_equal(out.p + before, cases[i].out, strlen(cases[i].out));
			}
	buf_fini(&out);
}

static uint64_t seed = 7;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

/* Texts of few different bytes, so that runs of backslashes lie across the ends of blocks. */
static void all_ways_agree(void **state)
{
	static const char letters[] = "\\\\\\\\\"/nuxx\xc3\xa9 xxxxxxxxxxxxxxxx";
	struct unescape_way way[3];
	struct buf want = { 0 }, got = { 0 };
	size_t n_ways = unescape_ways(way);
	char text[400];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t n = rnd(sizeof(text)), kinds = 4 + rnd(sizeof(letters) - 5);

		for (size_t k = 0; k < n; k++)
			text[k] = rnd(8) > 0 ? letters[rnd((uint32_t)kinds)] : (char)rnd(256);
		size_t eaten = run(&way[0], slice_of(text, n), &want);
		for (size_t w = 1; w < n_ways; w++) {
			assert_int_equal(run(&way[w], slice_of(text, n), &got), eaten);
			assert_int_equal(got.n, want.n);
			assert_memory_equal(got.p, want.p, want.n);
		}
	}
	buf_fini(&want);
	buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resolves_and_stops),
		cmocka_unit_test(all_ways_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
