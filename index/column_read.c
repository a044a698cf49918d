/* Sections of a chunk of codec 2, and the values of its columns in one block. */
#include "index/column_read.h"
#include "index/bitpack.h"
#include "index/chunk_internal.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <lz4.h>

_Static_assert((int)COLUMNS_SLACK >= (int)BITPACK_SLACK, "numbers are unpacked where sections are read to");

struct columns *columns_new(void)
{
	struct columns *c = xcalloc(1, sizeof(*c));

	arena_init(&c->arena);
	return c;
}

void columns_free(struct columns *c)
{
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	buf_fini(&c->stored);
	buf_fini(&c->window);
	free(c->state);
	free(c->column);
	free(c);
}

void columns_reset(struct columns *c)
{
	enum { KEEP = 16 << 20 };
	size_t total = c->arena.total;
	/* So that the next block, much like this one, finds one piece of memory that is large enough. */
	bool in_pieces = c->arena.block != NULL && total > c->arena.used * 2;

	c->h = NULL;
	c->sk = NULL;
	c->line = NULL;
	c->candidates = NULL;
	c->n_memo = 0;
	if (total > KEEP || (in_pieces && total > c->arena.first)) {
		arena_fini(&c->arena);
		arena_init_blocks(&c->arena, total > KEEP ? 1 << 20 : total, KEEP);
	} else {
		arena_reset(&c->arena);
	}
}

void *columns_alloc(struct columns *c, size_t n)
{
	return arena_alloc(&c->arena, n);
}

int columns_check_memory(const struct columns *c, struct err *err)
{
	return c->arena.total <= COLUMNS_MAX_MEMORY
		       ? 0
		       : chunk_corrupt(err, "a block that takes too much memory");
}

/* ---- sections ------------------------------------------------------------------------------------------------- */

void columns_want_all(struct columns *c)
{
	uint64_t from = c->h->info.header_bytes, n = c->h->info.total_bytes - from;
	struct err ignored;

	if (c->window_of == c->sk->id || n > COLUMNS_WINDOW)
		return;
	buf_reset(&c->window);
	buf_reserve(&c->window, n + 1);
	c->window_of = 0;
	/* If that fails, the section at fault will say so. */
	if (c->src.read(c->src.arg, from, n, c->window.p, &ignored) == 0) {
		c->window.n = n;
		c->window_of = c->sk->id;
	}
}

/* The stored bytes of a section, wherever they are; verified. */
static const char *fetch(struct columns *c, const struct section *s, struct err *err)
{
	const char *p;

	if (c->window_of == c->sk->id) {
		p = c->window.p + (s->off - c->h->info.header_bytes);
	} else {
		buf_reset(&c->stored);
		p = buf_reserve(&c->stored, (size_t)s->stored + 1);
		if (c->src.read(c->src.arg, s->off, s->stored, c->stored.p, err) == -1)
			return NULL;
	}
	if ((uint32_t)hash64(slice_of(p, s->stored)) != s->sum) {
		chunk_corrupt(err, "bad section checksum");
		return NULL;
	}
	c->count.bytes_stored += s->stored;
	c->count.bytes_raw += s->raw;
	return p;
}

/* Into the arena, with slack behind it. */
static int read_section(struct columns *c, struct arena *a, const struct section *s, struct slice *out,
			struct err *err)
{
	const char *from = fetch(c, s, err);

	if (from == NULL)
		return -1;
	char *to = arena_alloc(a, (size_t)s->raw + COLUMNS_SLACK);
	if (s->stored == s->raw)
		memcpy(to, from, s->raw);
	else if (LZ4_decompress_safe(from, to, (int)s->stored, (int)s->raw) != (int)s->raw)
		return chunk_corrupt(err, "section does not decompress to its size");
	memset(to + s->raw, 0, COLUMNS_SLACK);
	*out = slice_of(to, s->raw);
	return columns_check_memory(c, err);
}

/* ---- going to a block ----------------------------------------------------------------------------------------- */

static int read_times(struct columns *c, struct err *err)
{
	const struct chunk_block *b = &c->h->block[c->block];
	struct slice raw;

	if (read_section(c, &c->arena, &c->sk->times[c->block], &raw, err) == -1)
		return -1;
	struct cursor cur = cursor_of(raw);
	int64_t *ts = columns_alloc(c, c->n_rows * sizeof(*ts));
	numbers_read(&cur, c->n_rows, ts);
	if (cur.bad || cursor_left(&cur) != 0)
		return chunk_corrupt(err, "impossible times");
	uint64_t first = (uint64_t)b->first_ts, divisor = c->sk->divisor;
	int64_t before = b->first_ts;
	bool bad = false;
	for (uint32_t i = 0; i < c->n_rows; i++) {
		ts[i] = (int64_t)(first + (uint64_t)ts[i] * divisor);
		bad |= ts[i] < before;
		before = ts[i];
	}
	if (bad || before > b->last_ts)
		return chunk_corrupt(err, "entry outside its block");
	c->ts = ts;
	return 0;
}

/* The skeleton may be others', too, so what is added to descriptors is added to copies. */
static void use_column(struct columns *c)
{
	size_t n = c->sk->n_columns;

	if (c->column_of == c->sk->id)
		return;
	if (c->cap_column < n) {
		free(c->column);
		c->column = xmalloc(n * sizeof(*c->column));
		c->cap_column = n;
	}
	memcpy(c->column, c->sk->column, n * sizeof(*c->column));
	c->column_of = c->sk->id;
}

int columns_start(struct columns *c, const struct chunk_header *h, size_t block, struct chunk_source src,
		  struct err *err)
{
	size_t n = h->columns->n_columns;

	if (c->h == h && c->chunk == h->columns->id && c->block == block)
		return 0;
	columns_reset(c);
	if (c->cap_state < n) {
		free(c->state);
		c->state = xmalloc(n * sizeof(*c->state));
		c->cap_state = n;
	}
	memset(c->state, 0, n * sizeof(*c->state));
	c->sk = h->columns;
	c->chunk = c->sk->id;
	use_column(c);
	c->src = src;
	c->block = block;
	c->n_rows = h->block[block].n_entries;
	c->h = h;
	if (read_times(c, err) == -1) {
		columns_reset(c);
		return -1;
	}
	return 0;
}

/* ---- row maps ------------------------------------------------------------------------------------------------- */

/* Where some of the parent's values have none of this column's. */
static uint32_t map_rows(struct columns *c, const struct column_place *place,
			 const struct column_state *parent, uint32_t n_templates, struct column_state *s)
{
	uint32_t n_parent = parent->n, n = 0;
	uint8_t *has = columns_alloc(c, n_templates);
	uint32_t *at = columns_alloc(c, n_parent * sizeof(*at)),
		 *row = columns_alloc(c, (n_parent + 1) * sizeof(*row));
	const uint32_t *id = parent->data.id, *parent_row = parent->data.row;

	memset(has, 0, n_templates);
	for (uint32_t i = 0; i < place->n_in; i++)
		has[place->in[i]] = 1;
	for (uint32_t i = 0; i < n_parent; i++) {
		at[i] = n;
		row[n] = parent_row != NULL ? parent_row[i] : i;
		n += has[id[i]];
	}
	s->at = at;
	s->data.row = row;
	return n;
}

int columns_map(struct columns *c, uint32_t column, struct err *err)
{
	struct column_state *s = &c->state[column];
	const struct column_place *place = &c->sk->place[column];
	const struct column *col = &c->column[column];
	uint32_t n = c->n_rows;

	if (s->mapped)
		return 0;
	s->n = place->n[c->block];
	if (col->parent != COLUMN_NONE) {
		uint32_t above = (uint32_t)col->parent;
		const struct column_data *ignored;

		/* Recursion ends at COLUMNS_MAX_DEPTH. */
		if (columns_data(c, above, &ignored, err) == -1)
			return -1;
		const struct column_state *parent = &c->state[above];
		n = parent->n;
		s->data.row = parent->data.row;
		if (place->n_in != c->column[above].n_templates && n > 0)
			n = map_rows(c, place, parent, c->column[above].n_templates, s);
		if (n == parent->n) {
			s->at = NULL;
			s->data.row = parent->data.row;
		}
	}
	if (s->n != n)
		return chunk_corrupt(err, "a column with too few or too many values");
	s->data.n = n;
	s->mapped = true;
	return 0;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static void read_exceptions(struct columns *c, struct cursor *cur, struct column_data *d)
{
	uint64_t n = cursor_varint(cur), at = 0;

	if (n > d->n || n > cursor_left(cur) / 2) {
		cur->bad = true;
		return;
	}
	uint32_t *number = columns_alloc(c, n * sizeof(*number));
	struct slice *text = columns_alloc(c, n * sizeof(*text));
	for (uint64_t k = 0; k < n; k++) {
		uint64_t step = cursor_varint(cur);

		if (step >= d->n || (k > 0 && step == 0) || at + step >= d->n) {
			cur->bad = true;
			return;
		}
		at += step;
		number[k] = (uint32_t)at;
		text[k] = cursor_lenslice(cur);
	}
	d->n_exceptions = (uint32_t)n;
	d->exception_at = number;
	d->exception = text;
}

static void read_numbers(struct columns *c, struct cursor *cur, struct column_data *d)
{
	int64_t *v = columns_alloc(c, d->n * sizeof(*v));

	numbers_read(cur, d->n, v);
	d->num = v;
}

static void read_ids(struct columns *c, struct cursor *cur, uint32_t limit, struct column_data *d)
{
	uint32_t *v = columns_alloc(c, d->n * sizeof(*v));

	numbers_read_ids(cur, d->n, limit, v);
	d->id = v;
}

static void read_text(struct columns *c, struct cursor *cur, struct column_data *d)
{
	struct slice *v = columns_alloc(c, d->n * sizeof(*v));
	int64_t *length = columns_alloc(c, d->n * sizeof(*length));

	numbers_read(cur, d->n, length);
	if (cur->bad)
		return;
	const char *p = cur->p;
	uint64_t left = cursor_left(cur);
	for (uint32_t i = 0; i < d->n; i++) {
		uint64_t n = (uint64_t)length[i];

		if (n > left) {
			cur->bad = true;
			return;
		}
		v[i] = slice_of(p, n);
		p += n;
		left -= n;
	}
	cur->p = p;
	d->text = v;
}

static void read_values(struct columns *c, const struct column *col, struct cursor *cur,
			struct column_data *d)
{
	switch (col->kind) {
	case COLUMN_DICT: read_ids(c, cur, col->n_values, d); break;
	case COLUMN_TEMPLATES: read_ids(c, cur, col->n_templates, d); break;
	case COLUMN_INT:
	case COLUMN_DECIMAL:
	case COLUMN_IPV4:
	case COLUMN_TIME: read_numbers(c, cur, d); break;
	case COLUMN_HEX:
	case COLUMN_UUID:
		d->fixed = (const unsigned char *)cursor_bytes(cur, (size_t)d->n * col->fixed_bytes).p;
		break;
	case COLUMN_TEXT: read_text(c, cur, d); break;
	case COLUMN_CONST:
	case COLUMN_N_KINDS: assert(false);
	}
}

static int load(struct columns *c, uint32_t column, struct err *err)
{
	struct column_state *s = &c->state[column];
	const struct column *col = &c->column[column];
	struct slice raw;

	if (columns_map(c, column, err) == -1)
		return -1;
	if (s->n > 0 && col->kind != COLUMN_CONST) {
		if (read_section(c, &c->arena, &c->sk->place[column].section[c->block], &raw, err) == -1)
			return -1;
		struct cursor cur = cursor_of(raw);
		struct column_data d = s->data;
		read_values(c, col, &cur, &d);
		if (col->has_exceptions && !cur.bad)
			read_exceptions(c, &cur, &d);
		if (cur.bad || cursor_left(&cur) != 0)
			return chunk_corrupt(err, "impossible values of a column");
		s->data = d;
	}
	if (columns_check_memory(c, err) == -1)
		return -1;
	s->loaded = true;
	c->count.columns_decoded++;
	return 0;
}

int columns_data(struct columns *c, uint32_t column, const struct column_data **out, struct err *err)
{
	struct column_state *s = &c->state[column];

	assert(column < c->sk->n_columns);
	if (!s->loaded && load(c, column, err) == -1)
		return -1;
	*out = &s->data;
	return 0;
}

/* Reads a dictionary into the skeleton. Under its lock. */
static struct column_dict *read_dict(struct columns *c, uint32_t column, struct err *err)
{
	struct arena *a = &c->sk->arena;
	uint32_t n = c->sk->column[column].n_values;
	struct slice raw;

	if (read_section(c, a, &c->sk->place[column].dict, &raw, err) == -1)
		return NULL;
	struct cursor cur = cursor_of(raw);
	struct column_dict *dict = arena_new(a, struct column_dict);
	struct slice *v = arena_array(a, struct slice, n);
	uint8_t seen[256] = { 0 };
	for (uint32_t i = 0; i < n; i++) {
		v[i] = cursor_lenslice(&cur);
		for (size_t k = 0; k < v[i].n; k++)
			seen[(unsigned char)v[i].p[k]] = 1;
	}
	for (unsigned b = 0; b < sizeof(seen); b++)
		if (seen[b])
			byte_set_add(&dict->bytes, (unsigned char)b);
	dict->value = v;
	if (cur.bad || cursor_left(&cur) != 0) {
		chunk_corrupt(err, "impossible dictionary");
		return NULL;
	}
	return dict;
}

static const struct column_dict *find_dict(struct columns *c, uint32_t column, struct err *err)
{
	struct chunk_columns *sk = c->sk;
	struct column_place *place = &sk->place[column];
	struct column_dict *dict = atomic_load_explicit(&place->loaded, memory_order_acquire);

	if (dict != NULL)
		return dict;
	pthread_mutex_lock(&sk->lock);
	dict = atomic_load_explicit(&place->loaded, memory_order_relaxed);
	if (dict == NULL) {
		struct arena_mark mark = arena_mark(&sk->arena);

		dict = read_dict(c, column, err);
		if (dict != NULL)
			atomic_store_explicit(&place->loaded, dict, memory_order_release);
		else
			arena_rewind(&sk->arena, mark);
	}
	pthread_mutex_unlock(&sk->lock);
	return dict;
}

int columns_values(struct columns *c, uint32_t column, struct err *err)
{
	struct column *col = &c->column[column];

	if (col->value != NULL || col->kind != COLUMN_DICT)
		return 0;
	const struct column_dict *dict = find_dict(c, column, err);
	if (dict == NULL)
		return -1;
	col->value = dict->value;
	/* Of exceptions only the set of all their bytes is known, which was joined to that of all bytes. */
	if (!col->has_exceptions)
		col->bytes = dict->bytes;
	return 0;
}

uint64_t columns_chunk(const struct columns *c)
{
	return c->sk->id;
}

uint32_t columns_n(const struct columns *c)
{
	return c->sk->n_columns;
}

uint32_t columns_n_rows(const struct columns *c)
{
	return c->n_rows;
}

const struct column *columns_get(const struct columns *c, uint32_t column)
{
	assert(column < c->sk->n_columns);
	return &c->column[column];
}

/* ---- metadata ------------------------------------------------------------------------------------------------- */

/* Each row's text, distinct by content. */
static int metas_by_content(struct columns *c, const uint32_t *row, uint32_t n_rows,
			    struct columns_metas *out, struct err *err)
{
	uint32_t *number = columns_alloc(c, n_rows * sizeof(*number)),
		 *end = columns_alloc(c, n_rows * sizeof(*end));
	struct slice *set = columns_alloc(c, n_rows * sizeof(*set));
	uint32_t n = 0;
	struct buf text;
	struct map by_content;
	int rc = -1;

	buf_init(&text);
	map_init(&by_content);
	for (uint32_t i = 0; i < n_rows; i++) {
		if (columns_text(c, COLUMN_META, row[i], &text, err) == -1)
			goto out;
		if (text.n > COLUMNS_MAX_LINES) {
			chunk_corrupt(err, "metadata is too large");
			goto out;
		}
		end[i] = (uint32_t)text.n;
	}
	const char *p = memcpy(columns_alloc(c, text.n + 1), text.n > 0 ? text.p : "", text.n);
	for (uint32_t i = 0, from = 0; i < n_rows; from = end[i++]) {
		struct slice meta = slice_of(p + from, end[i] - from);
		bool is_new;
		void **slot = map_put(&by_content, meta, &is_new);

		if (is_new) {
			set[n++] = meta;
			*slot = (void *)(uintptr_t)n;
		}
		number[i] = (uint32_t)(uintptr_t)*slot - 1;
	}
	*out = (struct columns_metas){ number, set, n, 0 };
	rc = columns_check_memory(c, err);
out:
	map_fini(&by_content);
	buf_fini(&text);
	return rc;
}

/* How many sets can values of the template make up? 0: too many, or not only small dictionaries. */
static uint32_t count_sets(const struct columns *c, const struct line_template *t)
{
	uint64_t n = 1;

	if (t->shape != SHAPE_META)
		return 0;
	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct column *col = &c->column[t->slot[k].column];

		if ((col->kind != COLUMN_CONST && col->kind != COLUMN_DICT) || col->has_exceptions)
			return 0;
		n *= col->n_values;
		if (n > COLUMNS_MAX_SETS)
			return 0;
	}
	return (uint32_t)n;
}

/* The number of a set has the slots' ids as digits, the last one's lowest. */
static void write_set(const struct columns *c, const struct line_template *t, uint32_t number, uint32_t n,
		      struct buf *out)
{
	buf_varint(out, t->n_slots);
	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct column *col = &c->column[t->slot[k].column];

		n /= col->n_values;
		buf_lenslice(out, t->slot[k].before);
		buf_lenslice(out, col->value[number / n]);
		number %= n;
	}
}

/* Fills first[0 .. n_templates]; the number of all sets, 0: too many; -1: error. */
static int number_sets(struct columns *c, const struct column *col, uint32_t *first, struct err *err)
{
	uint32_t n = 0;

	for (uint32_t t = 0; t < col->n_templates; t++) {
		uint32_t more = count_sets(c, &col->templ[t]);

		if (more == 0 || n + more > COLUMNS_MAX_SETS)
			return 0;
		for (uint32_t k = 0; k < col->templ[t].n_slots; k++)
			if (columns_values(c, col->templ[t].slot[k].column, err) == -1)
				return -1;
		first[t] = n;
		n += more;
	}
	first[col->n_templates] = n;
	return (int)n;
}

/* Into the skeleton. Under its lock. */
static const struct column_sets *make_sets(struct columns *c, const struct column *col, const uint32_t *first,
					   uint32_t n)
{
	struct arena *a = &c->sk->arena;
	struct column_sets *sets = arena_new(a, struct column_sets);
	uint32_t *end = columns_alloc(c, (n + 1) * sizeof(*end)), i = 0;
	struct buf b;

	buf_init(&b);
	for (uint32_t t = 0; n > 0 && t < col->n_templates; t++)
		for (uint32_t k = first[t]; k < first[t + 1] && b.n <= COLUMNS_MAX_SET_BYTES; k++) {
			write_set(c, &col->templ[t], k - first[t], first[t + 1] - first[t], &b);
			end[i++] = (uint32_t)b.n;
		}
	if (n > 0 && b.n <= COLUMNS_MAX_SET_BYTES) {
		struct slice *meta = arena_array(a, struct slice, n);
		const char *text = arena_dup(a, buf_slice(&b)).p;

		for (i = 0; i < n; i++)
			meta[i] =
				slice_of(text + (i > 0 ? end[i - 1] : 0), end[i] - (i > 0 ? end[i - 1] : 0));
		sets->meta = meta;
		sets->n = n;
		sets->first = memcpy(arena_array(a, uint32_t, col->n_templates + 1), first,
				     (col->n_templates + 1) * sizeof(*first));
	}
	buf_fini(&b);
	return sets;
}

/* The sets if they are few, so that all blocks of the chunk share them; *out NULL: they are not. */
static int find_sets(struct columns *c, const struct column_sets **out, struct err *err)
{
	struct chunk_columns *sk = c->sk;
	const struct column *col = &c->column[COLUMN_META];
	const struct column_sets *sets = atomic_load_explicit(&sk->sets, memory_order_acquire);

	*out = NULL;
	if (sets == NULL) {
		if (col->kind != COLUMN_TEMPLATES || col->n_templates > COLUMNS_MAX_SETS)
			return 0;
		uint32_t *first = columns_alloc(c, (col->n_templates + 1) * sizeof(*first));
		int n = number_sets(c, col, first, err);
		if (n == -1)
			return -1;
		pthread_mutex_lock(&sk->lock);
		sets = atomic_load_explicit(&sk->sets, memory_order_relaxed);
		if (sets == NULL)
			atomic_store_explicit(&sk->sets, sets = make_sets(c, col, first, (uint32_t)n),
					      memory_order_release);
		pthread_mutex_unlock(&sk->lock);
	}
	*out = sets->meta != NULL ? sets : NULL;
	return 0;
}

static int metas_by_ids(struct columns *c, const struct column_sets *sets, const uint32_t *row, uint32_t n,
			struct columns_metas *out, struct err *err)
{
	const struct column *col = &c->column[COLUMN_META];
	const uint32_t *id = c->state[COLUMN_META].data.id;
	uint32_t *number = columns_alloc(c, n * sizeof(*number));
	const struct column_data *d;

	for (uint32_t i = 0; i < n; i++) {
		const struct line_template *t = &col->templ[id[row[i]]];
		uint32_t sum = 0;

		for (uint32_t k = 0; k < t->n_slots; k++) {
			uint32_t column = t->slot[k].column;

			if (columns_data(c, column, &d, err) == -1)
				return -1;
			sum = sum * c->column[column].n_values +
			      (d->id != NULL ? d->id[column_at(&c->state[column], row[i])] : 0);
		}
		number[i] = sets->first[id[row[i]]] + sum;
	}
	*out = (struct columns_metas){ number, sets->meta, sets->n, c->sk->id };
	return 0;
}

int columns_metas(struct columns *c, const uint32_t *row, uint32_t n, struct columns_metas *out,
		  struct err *err)
{
	const struct column *col = &c->column[COLUMN_META];
	const struct column_sets *sets;
	const struct column_data *d;

	if (columns_data(c, COLUMN_META, &d, err) == -1 || columns_values(c, COLUMN_META, err) == -1 ||
	    find_sets(c, &sets, err) == -1)
		return -1;
	if (sets != NULL)
		return metas_by_ids(c, sets, row, n, out, err);
	if ((col->kind != COLUMN_DICT && col->kind != COLUMN_CONST) || d->n_exceptions > 0)
		return metas_by_content(c, row, n, out, err);
	uint32_t *number = columns_alloc(c, n * sizeof(*number));
	for (uint32_t i = 0; i < n; i++)
		number[i] = d->id != NULL ? d->id[row[i]] : 0;
	*out = (struct columns_metas){ number, col->value, col->n_values, c->sk->id };
	return 0;
}

/* ---- struct chunk_codec --------------------------------------------------------------------------------------- */

enum { FEW_LEFT = 16 };

static uint32_t count_set(const uint64_t *bits, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t w = 0; w < (n + 63) / 64; w++)
		sum += (uint32_t)__builtin_popcountll(bits[w]);
	return sum;
}

static struct columns *of_scratch(struct chunk_scratch *s)
{
	if (s->columns == NULL)
		s->columns = columns_new();
	return s->columns;
}

int columns_block_may_match(const struct chunk_header *h, size_t i, struct chunk_source src,
			    const struct slice *needles, size_t n_needles, struct chunk_scratch *s,
			    struct err *err)
{
	struct columns *c = of_scratch(s);
	bool exact;

	if (n_needles == 0)
		return 1;
	if (columns_start(c, h, i, src, err) == -1)
		return -1;
	size_t n_words = (c->n_rows + 63) / 64;
	uint64_t *rows = columns_alloc(c, n_words * sizeof(*rows));
	memset(rows, 0xff, n_words * sizeof(*rows));
	if (c->n_rows % 64 != 0)
		rows[n_words - 1] = (UINT64_C(1) << (c->n_rows % 64)) - 1;
	/* The longest needle comes first. Once it leaves few rows, searching all of them for another is no gain. */
	for (size_t k = 0, left = c->n_rows; k < n_needles && left * FEW_LEFT >= c->n_rows; k++) {
		if (columns_search(c, needles[k], rows, &exact, err) == -1)
			return -1;
		left = count_set(rows, c->n_rows);
		if (left == 0)
			return 0;
	}
	c->candidates = rows;
	return 1;
}

/* Numbers of the rows to yield. */
static const uint32_t *wanted_rows(struct columns *c, uint32_t *n_out)
{
	uint32_t *row = columns_alloc(c, c->n_rows * sizeof(*row));
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_rows; i++) {
		row[n] = i;
		n += columns_is_candidate(c, i);
	}
	*n_out = n;
	return row;
}

int columns_row_lengths(struct columns *c, const uint32_t *row, uint32_t n, struct slice *line,
			struct err *err)
{
	uint32_t *length = columns_alloc(c, c->n_rows * sizeof(*length));

	if (columns_lengths(c, 0, c->n_rows, length, err) == -1)
		return -1;
	for (uint32_t k = 0; k < n; k++)
		line[k] = slice_of(NULL, length[row[k]]);
	return 0;
}

int columns_block_read(const struct chunk_header *h, size_t i, struct chunk_source src, bool with_lines,
		       struct chunk_scratch *s, struct err *err)
{
	struct columns *c = of_scratch(s);
	struct columns_metas metas;
	uint32_t n;

	if (columns_start(c, h, i, src, err) == -1)
		return -1;
	if (with_lines && c->candidates == NULL)
		columns_want_all(c);
	const uint32_t *row = wanted_rows(c, &n);
	chunk_scratch_reserve(s, n);
	int rc = with_lines ? columns_lines(c, row, n, s->line, err)
			    : columns_row_lengths(c, row, n, s->line, err);
	if (rc == -1 || columns_metas(c, row, n, &metas, err) == -1)
		return -1;
	for (uint32_t k = 0; k < n; k++)
		s->ts[k] = c->ts[row[k]];
	memcpy(s->meta, metas.number, n * sizeof(*s->meta));
	chunk_scratch_reserve_metas(s, metas.n);
	memcpy(s->metas, metas.v, metas.n * sizeof(*s->metas));
	s->n = n;
	s->n_metas = metas.n;
	s->metas_key = metas.key;
	return 0;
}
