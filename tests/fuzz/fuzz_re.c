/* Regular expressions. First byte: flags; then the pattern up to a NUL; then the text. What our parser
 * accepts libre2 must compile, but for the limit on size; and every match must hold the literals said to be
 * in all. */
#include <stdio.h>
#include <stdlib.h>
#include "base/re.h"
#include "base/re_literals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_match(const struct re *re, const struct re_node *node, struct arena *a, struct slice text)
{
	struct slice group[RE_MAX_GROUPS + 1], lit[4];
	bool found = re_match(re, text);

	if (re_find(re, text, group, RE_MAX_GROUPS + 1) != found)
		abort();
	if (!found)
		return;
	for (size_t i = 0; i <= RE_MAX_GROUPS; i++)
		if (group[i].p != NULL && text.p != NULL &&
		    (group[i].p < text.p || group[i].p + group[i].n > text.p + text.n))
			abort();
	for (size_t i = re_literals(node, a, lit, 4); i > 0; i--)
		if (slice_find(group[0], lit[i - 1]) == SLICE_NONE)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), pattern;
	struct arena a;
	struct re_node *node;
	struct re *re = NULL;
	struct err err = { 0 }, err2 = { 0 };

	if (size == 0)
		return 0;
	unsigned flags = data[0] & (RE_ANCHORED | RE_DOT_NL);
	rest = slice_from(rest, 1);
	size_t end = slice_find_byte(rest, '\0');
	pattern = slice_sub(rest, 0, end == SLICE_NONE ? rest.n : end);
	rest = slice_from(rest, pattern.n + 1);
	arena_init(&a);
	int parsed = re_parse(pattern, flags, &a, &node, &err);
	int compiled = re_compile(pattern, flags, &re, &err2);
	if (parsed == -1 && compiled == 0)
		abort();
	if (parsed == 0 && compiled == -1 &&
	    !slice_starts(slice_cstr(err2.msg), SLICE("regular expression is too large"))) {
		fprintf(stderr, "%.*s: %s\n", SLICE_ARG(pattern), err2.msg);
		abort();
	}
	if (compiled == 0)
		check_match(re, node, &a, rest);
	re_free(re);
	arena_fini(&a);
	return 0;
}
