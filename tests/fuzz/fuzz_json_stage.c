/* Fuzzes the json stage: any line yields labels with valid, distinct names, with or without hints. */
#include "query/stage_json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct label_set *s)
{
	struct label_vec v = { 0 };

	label_set_list(s, LABEL_CAT_ALL, &v);
	for (size_t i = 0; i < v.n; i++) {
		assert(label_name_valid(v.v[i].name));
		assert(v.v[i].value.p != NULL);
		assert(i == 0 || slice_cmp(v.v[i - 1].name, v.v[i].name) < 0);
		assert(slice_starts(v.v[i].name, SLICE("__error")) ||
		       label_set_get(s, v.v[i].name).p != NULL);
	}
	vec_fini(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct label stream[] = { { { "a", 1 }, { "1", 1 } } };
	struct slice names[] = { SLICE("a"), SLICE("a_extracted"), SLICE("b_c") };
	struct label_needs needs = { .all = true };
	uint8_t found[3] = { 0 };
	struct parse_hints hints = { .needs = &needs, .found = found };
	struct slice line = slice_of(data, size);
	struct label_base base;
	struct label_set set;
	struct arena arena;

	if (size == 0)
		line = SLICE("");
	arena_init(&arena);
	label_set_init(&set);
	label_base_init(&base, (struct labels){ stream, 1 }, SLICE(""), &arena);
	label_set_start(&set, &base);
	stage_json_run(line, &set, &hints, &arena);
	stage_json_run(line, &set, &hints, &arena);
	check(&set);
	needs = (struct label_needs){ .n = 3, .names = names };
	label_set_start(&set, &base);
	parse_hints_start(&hints);
	stage_json_run(line, &set, &hints, &arena);
	check(&set);
	label_set_fini(&set);
	arena_fini(&arena);
	return 0;
}
