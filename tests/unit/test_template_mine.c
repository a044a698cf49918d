/* Templates and values give back each text, byte for byte; what repeats becomes few templates, and columns are shared as they
 * should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/vec.h"
#include "index/template_mine.h"
#include "model/labels.h"

struct texts {
	struct arena arena;
	VEC(struct slice) v;
	struct template_miner *miner;
	struct mined m;
	uint32_t seed;
};

static int set_up(void **state)
{
	struct texts *t = xcalloc(1, sizeof(*t));

	arena_init(&t->arena);
	t->miner = template_miner_new();
	t->seed = 5;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct texts *t = *state;

	arena_fini(&t->arena);
	vec_fini(&t->v);
	template_miner_free(t->miner);
	free(t);
	return 0;
}

static uint32_t below(struct texts *t, uint32_t n)
{
	t->seed = t->seed * 1664525 + 1013904223;
	return (t->seed >> 8) % n;
}

__attribute__((format(printf, 2, 3))) static void add(struct texts *t, const char *fmt, ...)
{
	struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	vec_push(&t->v, arena_dup(&t->arena, buf_slice(&b)));
	buf_fini(&b);
}

static void put_text(const struct mined_template *templ, const struct slice *value, struct buf *out)
{
	buf_reset(out);
	if (templ->shape == SHAPE_META)
		buf_varint(out, templ->n_slots);
	for (uint32_t k = 0; k < templ->n_slots; k++) {
		if (templ->shape == SHAPE_META) {
			buf_lenslice(out, templ->slot[k].before);
			buf_lenslice(out, value[k]);
		} else {
			buf_add(out, templ->slot[k].before);
			buf_add(out, value[k]);
		}
	}
	buf_add(out, templ->tail);
}

/* Rebuilds all texts from templates and columns. */
static void expect_texts(struct texts *t)
{
	const struct mined *m = &t->m;
	size_t *at = xcalloc(m->n_columns + 1, sizeof(*at));
	struct slice value[COLUMNS_MAX_SLOTS];
	struct buf b = { 0 };

	for (size_t i = 0; i < t->v.n; i++) {
		assert_true(m->id[i] < m->n_templates);
		const struct mined_template *templ = &m->templ[m->id[i]];

		for (uint32_t k = 0; k < templ->n_slots; k++) {
			uint32_t c = templ->slot[k].column;

			assert_true(c < m->n_columns && at[c] < m->column[c].n);
			if (m->column[c].entry != NULL)
				assert_int_equal(m->column[c].entry[at[c]], i);
			for (uint32_t j = 0; j < k; j++)
				assert_true(templ->slot[j].column != c);
			value[k] = m->column[c].v[at[c]++];
		}
		put_text(templ, value, &b);
		assert_true(slice_eq(buf_slice(&b), t->v.v[i]));
	}
	for (uint32_t c = 0; c < m->n_columns; c++) {
		assert_int_equal(at[c], m->column[c].n);
		assert_true(at[c] > 0);
	}
	buf_fini(&b);
	free(at);
}

static bool mine(struct texts *t, enum mine_what what)
{
	struct mine_input in = {
		.what = what, .text = t->v.v, .n = t->v.n, .n_blocks = 4, .max_columns = 1024
	};

	if (!template_mine(t->miner, &in, &t->m))
		return false;
	expect_texts(t);
	return true;
}

static uint32_t n_of_shape(const struct texts *t, enum line_shape shape)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->m.n_templates; i++)
		n += t->m.templ[i].shape == shape;
	return n;
}

static void json_keys_share_columns(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 2000; i++)
		if (below(t, 3) == 0)
			add(t, "{\"level\": \"info\", \"n\": %u, \"http\": {\"status\": %u}}", below(t, 100),
			    below(t, 600));
		else
			add(t, "{\"level\": \"%s\", \"n\": %u}", below(t, 2) ? "warn" : "a \\\"b\\\"",
			    below(t, 100));
	assert_true(mine(t, MINE_LINES));
	assert_int_equal(t->m.n_templates, 2);
	assert_int_equal(n_of_shape(t, SHAPE_JSON), 2);
	assert_int_equal(t->m.n_columns, 3);
	assert_int_equal(t->m.n_raw, 0);
}

static void keys_twice_have_columns_of_their_own(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 500; i++)
		add(t, "{\"a\": %u, \"a\": %u, \"a\": \"%u\"}", below(t, 100), below(t, 100), below(t, 100));
	assert_true(mine(t, MINE_LINES));
	assert_int_equal(t->m.n_templates, 1);
	assert_int_equal(t->m.n_columns, 3);
}

static void shapes_live_side_by_side(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 3000; i++)
		switch (below(t, 4)) {
		case 0: add(t, "level=info n=%u msg=\"took %u ms\"", below(t, 9), below(t, 999)); break;
		case 1: add(t, "{\"n\": %u, \"ok\": %s}", below(t, 9), below(t, 2) ? "true" : "false"); break;
		case 2: add(t, "{not json %u", below(t, 100000)); break;
		default:
			add(t, "Accepted connection %u from 10.0.%u.%u", below(t, 999), below(t, 256),
			    below(t, 256));
		}
	assert_true(mine(t, MINE_LINES));
	assert_int_equal(n_of_shape(t, SHAPE_LOGFMT), 1);
	assert_int_equal(n_of_shape(t, SHAPE_JSON), 1);
	assert_int_equal(n_of_shape(t, SHAPE_PLAIN), 2);
	assert_int_equal(t->m.n_raw, 0);
}

static void put_word(struct texts *t, char *to)
{
	size_t n = 3 + below(t, 7);

	for (size_t i = 0; i < n; i++)
		to[i] = (char)('a' + below(t, 26));
	to[n] = '\0';
}

static void rare_words_become_slots(void **state)
{
	struct texts *t = *state;
	char user[16];

	for (int i = 0; i < 4000; i++) {
		put_word(t, user);
		if (below(t, 2) == 0)
			add(t, "Failed password for invalid user %s from 10.0.0.%u port %u ssh2", user,
			    below(t, 256), below(t, 65536));
		else
			add(t, "session opened for %s_%s by (uid=%u)", user, user, below(t, 10));
	}
	assert_true(mine(t, MINE_LINES));
	assert_in_range(t->m.n_templates, 2, 6);
	assert_true(t->m.n_raw < 200);
}

static void plain_templates_of_one_beginning_share_columns(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 1000; i++)
		if (below(t, 2) == 0)
			add(t, "%u worker %u: read %u bytes", below(t, 1000), below(t, 9), below(t, 999));
		else
			add(t, "%u worker %u: wrote %u bytes", below(t, 1000), below(t, 9), below(t, 999));
	assert_true(mine(t, MINE_LINES));
	assert_int_equal(t->m.n_templates, 2);
	assert_int_equal(t->m.n_columns, 4);
	assert_true(t->m.column[0].n == 1000 && t->m.column[0].entry == NULL);
}

static void text_without_repetition_is_left_alone(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 6000; i++) {
		char line[100];
		size_t n = below(t, sizeof(line));

		for (size_t k = 0; k < n; k++)
			line[k] = (char)('!' + below(t, 90));
		vec_push(&t->v, arena_dup(&t->arena, slice_of(line, n)));
	}
	assert_false(mine(t, MINE_LINES));
	assert_false(mine(t, MINE_PLAIN));
}

static void endless_keys_are_bounded(void **state)
{
	struct texts *t = *state;
	char key[16];

	for (int i = 0; i < 6000; i++) {
		put_word(t, key);
		add(t, "{\"%s\": %u}", key, below(t, 100));
	}
	if (mine(t, MINE_LINES))
		assert_true(t->m.n_columns <= 1024);
}

static void metadata_by_names(void **state)
{
	struct texts *t = *state;

	for (int i = 0; i < 500; i++) {
		struct buf b = { 0 };
		char a[16], c[16];

		put_word(t, a);
		put_word(t, c);
		struct label l[] = { { SLICE("a"), slice_cstr(a) },
				     { SLICE("b"), SLICE("") },
				     { SLICE("c"), slice_cstr(c) } };
		labels_encode(&b, (struct labels){ l, below(t, 4) });
		if (i == 77)
			buf_puts(&b, "more"); /* no canonical set */
		vec_push(&t->v, arena_dup(&t->arena, buf_slice(&b)));
		buf_fini(&b);
	}
	vec_push(&t->v, slice_of("\x80\x00", 2));
	vec_push(&t->v, slice_of("", 0));
	assert_true(mine(t, MINE_META));
	assert_int_equal(n_of_shape(t, SHAPE_META), 4);
	assert_int_equal(t->m.n_columns, 4);
	assert_int_equal(t->m.n_raw, 3);
}

/* Lines made of pieces that are almost, but not quite, JSON, logfmt and so on. */
static void odd_lines(void **state)
{
	static const char *const piece[] = { "{\"a\": ", "}",	 "\"",	   "1",	     "x=",
					     " ",	 "\\",	 "key",	   "12.5ms", "[",
					     "]",	 ",",	 "null",   "true",   "2026-01-15T10:00:02Z",
					     "10.0.0.1", "\xff", "abc123", "{}",     "a=1 b=2" };
	struct texts *t = *state;

	for (int round = 0; round < 200; round++) {
		size_t n = 20 + below(t, 200);

		t->v.n = 0;
		arena_reset(&t->arena);
		for (size_t i = 0; i < n; i++) {
			struct buf b = { 0 };
			size_t pieces = below(t, 1 + (uint32_t)round % 7);

			for (size_t k = 0; k < pieces; k++)
				buf_puts(&b, piece[below(t, ARRAY_LEN(piece))]);
			vec_push(&t->v, arena_dup(&t->arena, buf_slice(&b)));
			buf_fini(&b);
		}
		mine(t, MINE_LINES);
		mine(t, MINE_PLAIN);
		mine(t, MINE_META);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(json_keys_share_columns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys_twice_have_columns_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shapes_live_side_by_side, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rare_words_become_slots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(plain_templates_of_one_beginning_share_columns, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(text_without_repetition_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(endless_keys_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(metadata_by_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(odd_lines, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
