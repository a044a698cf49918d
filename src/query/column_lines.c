#include "query/column_lines.h"
#include "query/linefilter.h"

enum {
	MAX_TESTS = 64,
	MAX_LITERALS = 64,
	REBUILD_ROWS = 256,
	FEW_LEFT = 16, /* one row in so many: to rebuild these costs less than one more search of all */
};

void rows_add_range(uint64_t *rows, size_t from, size_t to)
{
	for (; from < to && from % 64 != 0; from++)
		rows_add(rows, from);
	for (; from + 64 <= to; from += 64)
		rows[from / 64] = UINT64_MAX;
	for (; from < to; from++)
		rows_add(rows, from);
}

/* Word w, without the bits outside of [from, to). */
static uint64_t word_within(const uint64_t *rows, size_t w, size_t from, size_t to)
{
	uint64_t x = rows[w];

	if (w == from / 64)
		x &= UINT64_MAX << (from % 64);
	if (w == to / 64)
		x &= (UINT64_C(1) << (to % 64)) - 1;
	return x;
}

size_t rows_count(const uint64_t *rows, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t w = from / 64; w * 64 < to; w++)
		n += (size_t)__builtin_popcountll(word_within(rows, w, from, to));
	return n;
}

size_t rows_next(const uint64_t *rows, size_t from, size_t to)
{
	for (size_t w = from / 64; w * 64 < to; w++) {
		uint64_t x = word_within(rows, w, from, to);

		if (x != 0)
			return w * 64 + (size_t)__builtin_ctzll(x);
	}
	return SLICE_NONE;
}

void column_lines_fini(struct column_lines *l)
{
	vec_fini(&l->any);
	vec_fini(&l->one);
	vec_fini(&l->row);
	vec_fini(&l->line);
}

/* The rows that hold one of the literals. *exact: they do, and not just perhaps. */
static int search_any(struct column_lines *l, struct columns *c, const struct slice *literal, size_t n,
		      const uint64_t *rows, bool *exact, struct err *err)
{
	size_t words = rows_words(columns_n_rows(c));

	vec_reserve(&l->any, words);
	vec_reserve(&l->one, words);
	memset(l->any.v, 0, words * sizeof(*l->any.v));
	*exact = true;
	for (size_t i = 0; i < n; i++) {
		bool one_exact = true;

		memcpy(l->one.v, rows, words * sizeof(*rows));
		if (columns_search(c, literal[i], l->one.v, &one_exact, err) == -1)
			return -1;
		*exact = *exact && one_exact;
		for (size_t w = 0; w < words; w++)
			l->any.v[w] |= l->one.v[w];
	}
	return 0;
}

/* The test is about literals alone. */
static int run_any_of(struct column_lines *l, struct columns *c, const struct slice *literal, size_t n,
		      bool negative, uint64_t *rows, bool *decided, struct err *err)
{
	size_t words = rows_words(columns_n_rows(c));
	bool exact;

	if (search_any(l, c, literal, n, rows, &exact, err) == -1)
		return -1;
	for (size_t w = 0; w < words; w++) {
		if (!negative)
			rows[w] &= l->any.v[w];
		else if (exact)
			rows[w] &= ~l->any.v[w];
		else if (l->any.v[w] != 0)
			*decided = false;
	}
	if (!negative && !exact)
		*decided = false;
	return 0;
}

static int run_test(struct column_lines *l, const struct line_test *t, struct columns *c, uint64_t *rows,
		    bool *decided, struct err *err)
{
	struct slice literal[MAX_LITERALS];
	bool negative, exact;
	size_t n_rows = columns_n_rows(c), n = line_test_any_of(t, &negative, literal, MAX_LITERALS);

	if (n > 0)
		return run_any_of(l, c, literal, n, negative, rows, decided, err);
	*decided = false;
	n = line_test_required(t, literal, MAX_LITERALS);
	for (size_t i = 0; i < n && rows_count(rows, 0, n_rows) * FEW_LEFT > n_rows; i++)
		if (columns_search(c, literal[i], rows, &exact, err) == -1)
			return -1;
	return 0;
}

/* Rebuilds the rows' lines and asks all the tests. */
static int run_lines(struct column_lines *l, const struct pipeline *p, struct columns *c, uint64_t *rows,
		     struct err *err)
{
	size_t n = columns_n_rows(c), from = 0;

	vec_reserve(&l->row, REBUILD_ROWS);
	vec_reserve(&l->line, REBUILD_ROWS);
	while ((from = rows_next(rows, from, n)) != SLICE_NONE) {
		size_t k = 0;

		for (; k < REBUILD_ROWS && (from = rows_next(rows, from, n)) != SLICE_NONE; from++)
			l->row.v[k++] = (uint32_t)from;
		if (columns_lines(c, l->row.v, k, l->line.v, err) == -1)
			return -1;
		for (size_t i = 0; i < k; i++)
			if (!pipeline_line(p, l->line.v[i]))
				rows_remove(rows, l->row.v[i]);
		from = (size_t)l->row.v[k - 1] + 1;
	}
	return 0;
}

int column_lines_filter(struct column_lines *l, const struct pipeline *p, struct columns *c, uint64_t *rows,
			struct err *err)
{
	const struct line_test *test[MAX_TESTS];
	size_t n = pipeline_line_tests(p, test, MAX_TESTS);
	bool decided = n <= MAX_TESTS;

	for (size_t i = 0; i < MIN(n, (size_t)MAX_TESTS); i++)
		if (run_test(l, test[i], c, rows, &decided, err) == -1)
			return -1;
	return decided ? 0 : run_lines(l, p, c, rows, err);
}
