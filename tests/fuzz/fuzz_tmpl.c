/* Fuzzes templates: the text up to the first NUL is parsed and run, the rest is the line. Whatever it says, it ends
 * within its bounds, with text or with an error that names the place. */
#include "query/tmpl_run.h"

#include <assert.h>
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const struct tmpl *t, struct slice line, struct arena *query)
{
	static const struct label stream[] = {
		{ { "a", 1 }, { "Hello", 5 } },
		{ { "n", 1 }, { "42", 2 } },
		{ { "q", 1 }, { "{\"b\":[1,\"z\",null],\"o\":{\"x\":\"y\"}}", 33 } },
		{ { "u", 1 }, { "caf\303\251 \377", 7 } },
	};
	struct label_base base;
	struct label_set set;
	struct tmpl_run r;
	struct arena entry;
	struct slice out, error;

	arena_init(&entry);
	label_set_init(&set);
	label_base_init(&base, (struct labels){ stream, ARRAY_LEN(stream) }, SLICE(""), query);
	label_set_start(&set, &base);
	tmpl_run_init(&r);
	struct tmpl_data d = { 1768478394045305774, line, &set };
	for (int snapshot = 0; snapshot < 2; snapshot++) {
		tmpl_run_start(&r, &d, snapshot, &entry);
		if (tmpl_run(&r, t, &out, &error))
			assert(out.p != NULL && out.n <= TMPL_MAX_TEXT);
		else
			assert(slice_starts(error, SLICE("template: line:")));
	}
	tmpl_run_fini(&r);
	label_set_fini(&set);
	arena_fini(&entry);
}

static void read_field(void *arg, struct slice name)
{
	(void)arg;
	assert(name.p != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of(data, size), text = input, line = SLICE("");
	struct tmpl_reads reads = { .field = read_field };
	struct arena query;
	struct tmpl *t;
	struct err err;

	if (size == 0)
		text = input = SLICE("");
	size_t nul = slice_find_byte(input, '\0');
	if (nul != SLICE_NONE) {
		text = slice_sub(input, 0, nul);
		line = slice_from(input, nul + 1);
	}
	arena_init(&query);
	if (tmpl_parse("line", text, &query, &t, &err) == 0) {
		tmpl_reads(t, &reads);
		run(t, line, &query);
	} else {
		assert(slice_starts(slice_cstr(err.msg), SLICE("template: line:")));
	}
	arena_fini(&query);
	return 0;
}
