/* Which values hold a needle, without rebuilding them. A template is literal, slot, literal, slot, …, tail. An occurrence
 * of the needle lies in one literal (then all values of the template have it), in one slot, or spans some: then it is a
 * conjunction of simpler questions to the slots it touches, "ends with", "is", "begins with". All ways to lay the needle
 * over the template are walked through; most die at once, at a byte that a literal or a column cannot have. A question to
 * a column is answered for all its values together, once however many templates share the column; a slot with templates
 * of its own is asked the same way.
 *
 * Without a block ("dry") only what the skeleton knows answers, and "perhaps" counts as yes. */
#include "index/column_read.h"
#include "index/chunk_internal.h"
#include "base/mem.h"

#include <assert.h>

enum {
	MAX_QUESTIONS = 8,	 /* of one way; more slots than that: perhaps */
	MAX_WAYS = 64,		 /* of one template */
	MAX_STEPS = 16384,	 /* of the walk over one template */
	MAX_ALL_STEPS = 1 << 20, /* of all walks of one search */
};

/* Does a value hold x; begin with it (at_start), end with it (at_end), is it x (both)? */
struct question {
	struct slice x;
	bool at_start, at_end;
};

enum verdict { NONE, SOME, ALL };
struct answer {
	enum verdict verdict;
	const uint64_t *bits; /* SOME: by value */
};

struct asked {
	struct asked *next;
	struct question q;
	struct answer a;
};

struct search {
	struct columns *c; /* NULL: dry */
	const struct chunk_columns *sk;
	const struct column *column;
	struct arena *arena;
	struct asked **asked; /* by column */
	bool exact;
	uint32_t n_steps;
	struct err *err;
};

struct way {
	struct way *next;
	uint32_t n;
	struct {
		uint32_t column;
		const uint64_t *bits;
	} slot[MAX_QUESTIONS];
};

/* The ways to lay one question over one template. */
struct walk {
	struct search *s;
	const struct line_template *t;
	struct question q;
	struct {
		uint32_t column;
		struct question q;
	} path[MAX_QUESTIONS];
	uint32_t n_path, n_ways, n_steps;
	enum verdict verdict;
	struct way *ways;
	bool failed; /* err stands */
};

static int ask(struct search *s, uint32_t column, const struct question *q, struct answer *out);

static bool says_yes(const struct question *q, struct slice text)
{
	if (q->at_start)
		return q->at_end ? slice_eq(text, q->x) : slice_starts(text, q->x);
	return q->at_end ? slice_ends(text, q->x) : slice_find(text, q->x) != SLICE_NONE;
}

static bool has_bytes(const struct byte_set *set, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!byte_set_has(set, (unsigned char)s.p[i]))
			return false;
	return true;
}

static size_t n_words(uint32_t n)
{
	return (n + 63) / 64;
}

static void set_bit(uint64_t *bits, uint32_t i)
{
	bits[i >> 6] |= UINT64_C(1) << (i & 63);
}

static void clear_bit(uint64_t *bits, uint32_t i)
{
	bits[i >> 6] &= ~(UINT64_C(1) << (i & 63));
}

static bool has_bit(const uint64_t *bits, uint32_t i)
{
	return (bits[i >> 6] >> (i & 63) & 1) != 0;
}

/* ---- templates ------------------------------------------------------------------------------------------------ */

static bool tired(struct walk *w)
{
	if (w->verdict == ALL || w->failed)
		return true;
	if (++w->n_steps <= MAX_STEPS && ++w->s->n_steps <= MAX_ALL_STEPS)
		return false;
	w->verdict = ALL;
	w->s->exact = false;
	return true;
}

/* The needle is laid: asks the slots on the path. */
static void lay(struct walk *w)
{
	struct way way = { .next = w->ways };
	struct answer a;

	for (uint32_t k = 0; k < w->n_path; k++) {
		if (ask(w->s, w->path[k].column, &w->path[k].q, &a) == -1) {
			w->failed = true;
			return;
		}
		if (a.verdict == NONE)
			return;
		if (a.verdict == SOME) {
			way.slot[way.n].column = w->path[k].column;
			way.slot[way.n++].bits = a.bits;
		}
	}
	if (way.n == 0) {
		w->verdict = ALL;
		return;
	}
	if (++w->n_ways > MAX_WAYS) {
		w->verdict = ALL;
		w->s->exact = false;
		return;
	}
	w->verdict = SOME;
	w->ways = arena_alloc(w->s->arena, sizeof(way));
	*w->ways = way;
}

/* False: the column cannot say yes, or the path is too long. */
static bool push(struct walk *w, uint32_t k, size_t from, size_t to, bool at_start, bool at_end)
{
	if (w->n_path == MAX_QUESTIONS) {
		w->verdict = ALL;
		w->s->exact = false;
		return false;
	}
	w->path[w->n_path].column = w->t->slot[k].column;
	w->path[w->n_path++].q = (struct question){ slice_of(w->q.x.p + from, to - from), at_start, at_end };
	return true;
}

static const struct byte_set *slot_bytes(const struct walk *w, uint32_t k)
{
	return &w->s->column[w->t->slot[k].column].bytes;
}

static struct slice literal(const struct walk *w, uint32_t k)
{
	return k < w->t->n_slots ? w->t->slot[k].before : w->t->tail;
}

/* Do the literal and the needle from p on agree as far as both go? */
static bool agree(const struct walk *w, uint32_t k, size_t p)
{
	struct slice lit = literal(w, k);
	size_t n = MIN(lit.n, w->q.x.n - p);

	return n == 0 || (lit.p[0] == w->q.x.p[p] && memcmp(lit.p, w->q.x.p + p, n) == 0);
}

static void go_slot(struct walk *w, uint32_t k, size_t p);

/* Literal k begins where the needle is at p. */
static void go_literal(struct walk *w, uint32_t k, size_t p)
{
	size_t n = literal(w, k).n, rest = w->q.x.n - p;

	if (tired(w) || !agree(w, k, p))
		return;
	if (rest < n || (rest == n && k == w->t->n_slots) || (rest == n && !w->q.at_end)) {
		if (!w->q.at_end || (rest == n && k == w->t->n_slots))
			lay(w);
	} else if (k < w->t->n_slots) {
		go_slot(w, k, p + n);
	}
}

/* Slot k's value begins where the needle is at p. Recursion ends at MAX_QUESTIONS. */
static void go_slot(struct walk *w, uint32_t k, size_t p)
{
	size_t n = w->q.x.n;
	const struct byte_set *bytes = slot_bytes(w, k);

	for (size_t to = p; to <= n && !tired(w); to++) {
		if (to > p && !byte_set_has(bytes, (unsigned char)w->q.x.p[to - 1]))
			return;
		if (to == n && !w->q.at_end) {
			if (push(w, k, p, n, true, false)) {
				lay(w);
				w->n_path--;
			}
		} else if (agree(w, k + 1, to) && push(w, k, p, to, true, true)) {
			go_literal(w, k + 1, to);
			w->n_path--;
		}
	}
}

/* The needle begins inside literal k and, unless it must end with the value, goes on behind it. */
static void start_in_literal(struct walk *w, uint32_t k)
{
	struct slice lit = literal(w, k), x = w->q.x;

	for (size_t o = lit.n > x.n ? lit.n - x.n : 0; o < lit.n && !tired(w); o++) {
		size_t n = lit.n - o; /* of the needle in the literal */

		if (lit.p[o] != x.p[0] || memcmp(lit.p + o, x.p, n) != 0)
			continue;
		if (k < w->t->n_slots && (n < x.n || w->q.at_end))
			go_slot(w, k, n);
		else if (n == x.n && w->q.at_end)
			w->verdict = ALL;
	}
}

/* The needle begins inside slot k's value, or where that does. */
static void start_in_slot(struct walk *w, uint32_t k)
{
	const struct byte_set *bytes = slot_bytes(w, k);
	size_t n = w->q.x.n;

	for (size_t to = 1; to <= n && !tired(w); to++) {
		if (!byte_set_has(bytes, (unsigned char)w->q.x.p[to - 1]))
			return;
		if (to == n && !w->q.at_end) {
			if (push(w, k, 0, n, false, false)) {
				lay(w);
				w->n_path--;
			}
		} else if (agree(w, k + 1, to) && push(w, k, 0, to, false, true)) {
			go_literal(w, k + 1, to);
			w->n_path--;
		}
	}
}

static void walk(struct walk *w)
{
	if (w->q.at_start) {
		go_literal(w, 0, 0);
		return;
	}
	/* Literals first: if one has it all, nothing needs to be asked. */
	for (uint32_t k = 0; !w->q.at_end && k <= w->t->n_slots && w->verdict != ALL; k++)
		if (slice_find(literal(w, k), w->q.x) != SLICE_NONE)
			w->verdict = ALL;
	for (uint32_t k = 0; k <= w->t->n_slots && !tired(w); k++)
		start_in_literal(w, k);
	for (uint32_t k = 0; k < w->t->n_slots && !tired(w); k++)
		start_in_slot(w, k);
}

static bool way_holds(const struct search *s, const struct way *w, uint32_t i)
{
	for (uint32_t k = 0; k < w->n; k++)
		if (!has_bit(w->slot[k].bits, column_at(&s->c->state[w->slot[k].column], i)))
			return false;
	return true;
}

static bool some_way_holds(const struct search *s, const struct way *w, uint32_t i)
{
	for (; w != NULL; w = w->next)
		if (way_holds(s, w, i))
			return true;
	return false;
}

static void mark_values(const struct search *s, const struct walk *walks, uint32_t column, uint64_t *bits)
{
	const struct column_data *d = &s->c->state[column].data;

	for (uint32_t i = 0; i < d->n; i++) {
		const struct walk *w = &walks[d->id[i]];

		if (w->verdict == ALL || (w->verdict == SOME && some_way_holds(s, w->ways, i)))
			set_bit(bits, i);
	}
}

/* Bits NULL: dry. */
static int ask_templates(struct search *s, uint32_t column, const struct question *q, uint64_t *bits,
			 enum verdict *verdict)
{
	const struct column *col = &s->column[column];
	struct walk *walks = arena_zalloc(s->arena, col->n_templates * sizeof(*walks));
	uint8_t *used = arena_alloc(s->arena, col->n_templates);
	uint32_t n_all = 0, n_none = 0, n_used = 0;

	memset(used, bits == NULL, col->n_templates);
	for (uint32_t i = 0; bits != NULL && i < s->c->state[column].n; i++)
		used[s->c->state[column].data.id[i]] = 1;
	for (uint32_t t = 0; t < col->n_templates; t++) {
		struct walk *w = &walks[t];

		if (!used[t])
			continue;
		w->s = s;
		w->t = &col->templ[t];
		w->q = *q;
		walk(w);
		if (w->failed)
			return -1;
		n_used++;
		n_all += w->verdict == ALL;
		n_none += w->verdict == NONE;
		if (bits == NULL && w->verdict != NONE)
			break;
	}
	*verdict = n_none == n_used ? NONE : n_all == n_used ? ALL : SOME;
	if (bits != NULL && *verdict == SOME)
		mark_values(s, walks, column, bits);
	return 0;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static void ask_dict(struct search *s, const struct column *col, const struct column_data *d,
		     const struct question *q, uint64_t *bits)
{
	enum { UNKNOWN, NO, YES };
	uint8_t *known = arena_zalloc(s->arena, col->n_values);

	for (uint32_t i = 0; i < d->n; i++) {
		uint8_t *k = &known[d->id[i]];

		if (*k == UNKNOWN)
			*k = says_yes(q, col->value[d->id[i]]) ? YES : NO;
		if (*k == YES)
			set_bit(bits, i);
	}
}

/* One search through all values, which stand side by side. */
static void find_in_text(const struct column_data *d, struct slice x, uint64_t *bits)
{
	const char *end = d->text[d->n - 1].p + d->text[d->n - 1].n, *p = d->text[0].p;
	uint32_t i = 0;

	for (;;) {
		size_t at = slice_find(slice_of(p, (size_t)(end - p)), x);

		if (at == SLICE_NONE)
			return;
		p += at;
		while (d->text[i].p + d->text[i].n <= p)
			i++;
		if (d->text[i].p + d->text[i].n < p + x.n) {
			p++; /* it goes over a border */
			continue;
		}
		set_bit(bits, i);
		p = d->text[i].p + d->text[i].n;
	}
}

static void ask_text(const struct column_data *d, const struct question *q, uint64_t *bits)
{
	if (!q->at_start && !q->at_end && q->x.n > 0) {
		find_in_text(d, q->x, bits);
		return;
	}
	for (uint32_t i = 0; i < d->n; i++)
		if (says_yes(q, d->text[i]))
			set_bit(bits, i);
}

/* A needle of whole bytes at the start or the end of a binary value, or all of it: compared as such. False: not such one. */
static bool ask_hex(const struct column *col, const struct column_data *d, const struct question *q,
		    uint64_t *bits)
{
	unsigned char x[512];
	size_t n = q->x.n / 2, off = q->at_end ? col->fixed_bytes - n : 0;

	if (q->x.n % 2 != 0 || (!q->at_start && !q->at_end && n != col->fixed_bytes))
		return false;
	for (size_t i = 0; i < n; i++) { /* all are hex digits of the right case, as the set of bytes said */
		unsigned char h = (unsigned char)q->x.p[2 * i], l = (unsigned char)q->x.p[2 * i + 1];

		x[i] = (unsigned char)(((h & 15) + (h > '9' ? 9 : 0)) << 4 | ((l & 15) + (l > '9' ? 9 : 0)));
	}
	for (uint32_t i = 0; i < d->n; i++)
		if (memcmp(d->fixed + (size_t)i * col->fixed_bytes + off, x, n) == 0)
			set_bit(bits, i);
	return true;
}

static bool is_hex_of(const struct column *col, struct slice x)
{
	for (size_t i = 0; i < x.n; i++) {
		char c = x.p[i];

		if (!((c >= '0' && c <= '9') || (col->upper ? c >= 'A' && c <= 'F' : c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

/* Is the number equal to the needle? False: not such a question. */
static bool ask_int(const struct column *col, const struct column_data *d, const struct question *q,
		    uint64_t *bits)
{
	char text[32];
	int64_t v;

	if (!q->at_start || !q->at_end)
		return false;
	if (!slice_to_i64(q->x, &v) || !slice_eq(slice_of(text, column_int_text(v, col->width, text)), q->x))
		return true;
	for (uint32_t i = 0; i < d->n; i++)
		if (d->num[i] == v)
			set_bit(bits, i);
	return true;
}

static void ask_written(struct search *s, uint32_t column, const struct question *q, uint64_t *bits)
{
	const struct column_state *state = &s->c->state[column];
	char *text = arena_alloc(s->arena, state->longest + COLUMNS_SLACK);

	for (uint32_t i = 0; i < state->n; i++) {
		size_t n = (size_t)(columns_write(s->c, column, i, text) - text);

		if (says_yes(q, slice_of(text, n)))
			set_bit(bits, i);
	}
}

/* The longest text a value of the kind can have; exceptions apart. */
static size_t longest_text(const struct column *col)
{
	switch (col->kind) {
	case COLUMN_HEX: return 2 * (size_t)col->fixed_bytes;
	case COLUMN_UUID: return 36;
	case COLUMN_IPV4: return 15;
	case COLUMN_TIME: return col->time->length != 0 ? col->time->length : TIME_TEXT_MAX;
	case COLUMN_INT: return MAX(20U, col->width + 1);
	case COLUMN_DECIMAL: return 40;
	default: return SIZE_MAX;
	}
}

/* What the skeleton knows. SOME: ask on. */
static enum verdict ask_descriptor(const struct column *col, const struct question *q)
{
	if (!has_bytes(&col->bytes, q->x))
		return NONE;
	if (col->kind == COLUMN_CONST)
		return says_yes(q, col->value[0]) ? ALL : NONE;
	if (col->has_exceptions)
		return SOME;
	if (q->x.n > longest_text(col))
		return NONE;
	if (q->at_start && q->at_end && col->kind == COLUMN_HEX && q->x.n != longest_text(col))
		return NONE;
	return SOME;
}

static enum verdict ask_dry(const struct column *col, const struct question *q)
{
	if (col->kind != COLUMN_DICT || col->value == NULL || col->has_exceptions)
		return ALL;
	for (uint32_t i = 0; i < col->n_values; i++)
		if (says_yes(q, col->value[i]))
			return ALL;
	return NONE;
}

static int ask_values(struct search *s, uint32_t column, const struct question *q, uint64_t *bits)
{
	const struct column *col = &s->column[column];
	const struct column_data *d;

	if (columns_data(s->c, column, &d, s->err) == -1 || columns_values(s->c, column, s->err) == -1)
		return -1;
	if (d->n == 0)
		return 0;
	if (col->kind == COLUMN_DICT)
		ask_dict(s, col, d, q, bits);
	else if (col->kind == COLUMN_TEXT)
		ask_text(d, q, bits);
	else if (q->x.n <= longest_text(col) &&
		 !(col->kind == COLUMN_HEX && is_hex_of(col, q->x) && ask_hex(col, d, q, bits)) &&
		 !(col->kind == COLUMN_INT && ask_int(col, d, q, bits))) {
		if (columns_ready(s->c, column, s->err) == -1)
			return -1;
		ask_written(s, column, q, bits);
	}
	for (uint32_t k = 0; k < d->n_exceptions; k++) {
		if (says_yes(q, d->exception[k]))
			set_bit(bits, d->exception_at[k]);
		else
			clear_bit(bits, d->exception_at[k]);
	}
	return 0;
}

static enum verdict count_bits(const uint64_t *bits, uint32_t n)
{
	uint32_t sum = 0;

	for (size_t w = 0; w < n_words(n); w++)
		sum += (uint32_t)__builtin_popcountll(bits[w]);
	return sum == 0 ? NONE : sum == n ? ALL : SOME;
}

static int answer(struct search *s, uint32_t column, const struct question *q, struct answer *out)
{
	const struct column *col = &s->column[column];
	uint64_t *bits = NULL;
	uint32_t n = 0;

	out->verdict = ask_descriptor(col, q);
	if (out->verdict != SOME)
		return 0;
	if (s->c != NULL) {
		const struct column_data *d;

		if (columns_data(s->c, column, &d, s->err) == -1)
			return -1;
		n = d->n;
		bits = arena_zalloc(s->arena, n_words(n) * sizeof(*bits));
	}
	out->bits = bits;
	if (col->kind == COLUMN_TEMPLATES)
		return ask_templates(s, column, q, bits, &out->verdict);
	if (s->c == NULL) {
		out->verdict = ask_dry(col, q);
		return 0;
	}
	if (ask_values(s, column, q, bits) == -1)
		return -1;
	out->verdict = count_bits(bits, n);
	return 0;
}

static int ask(struct search *s, uint32_t column, const struct question *q, struct answer *out)
{
	struct asked *a = s->asked[column];

	while (a != NULL && !(a->q.x.p == q->x.p && a->q.x.n == q->x.n && a->q.at_start == q->at_start &&
			      a->q.at_end == q->at_end))
		a = a->next;
	if (a == NULL) {
		a = arena_new(s->arena, struct asked);
		a->q = *q;
		if (answer(s, column, q, &a->a) == -1)
			return -1;
		a->next = s->asked[column];
		s->asked[column] = a;
	}
	*out = a->a;
	return 0;
}

/* ---- lines ---------------------------------------------------------------------------------------------------- */

static const struct search_memo *find_memo(const struct columns *c, struct slice needle)
{
	for (size_t i = 0; i < c->n_memo; i++)
		if (slice_eq(slice_of(c->memo[i].needle, c->memo[i].n), needle))
			return &c->memo[i];
	return NULL;
}

static int search_lines(struct columns *c, struct slice needle, struct search_memo *out, struct err *err)
{
	struct search s = {
		.c = c, .sk = c->sk, .column = c->column, .arena = &c->arena, .exact = true, .err = err
	};
	struct question q = { needle, false, false };
	struct answer a = { NONE, NULL };
	size_t n = n_words(c->n_rows);

	s.asked = arena_zalloc(&c->arena, c->sk->n_columns * sizeof(*s.asked));
	if (ask(&s, COLUMN_LINE, &q, &a) == -1 || columns_check_memory(c, err) == -1)
		return -1;
	if (a.verdict != SOME) {
		uint64_t *rows = columns_alloc(c, n * sizeof(*rows));

		a.bits = memset(rows, a.verdict == ALL ? 0xff : 0, n * sizeof(*rows));
	}
	out->rows = a.bits;
	out->exact = s.exact || a.verdict == NONE;
	return 0;
}

int columns_search(struct columns *c, struct slice needle, uint64_t *rows, bool *exact, struct err *err)
{
	const struct search_memo *memo = find_memo(c, needle);
	struct search_memo fresh;

	if (needle.n == 0) {
		*exact = true;
		return 0;
	}
	if (memo == NULL) {
		if (search_lines(c, needle, &fresh, err) == -1)
			return -1;
		memo = &fresh;
		if (needle.n <= COLUMNS_MEMO_NEEDLE && c->n_memo < COLUMNS_MEMO) {
			struct search_memo *m = &c->memo[c->n_memo++];

			m->n = needle.n;
			memcpy(m->needle, needle.p, needle.n);
			m->rows = fresh.rows;
			m->exact = fresh.exact;
		}
	}
	for (size_t w = 0; w < n_words(c->n_rows); w++)
		rows[w] &= memo->rows[w];
	*exact = memo->exact;
	return 0;
}

bool columns_chunk_may_hold(const struct chunk_header *h, struct slice needle)
{
	struct arena arena;
	struct err err;
	struct search s = {
		.sk = h->columns, .column = h->columns->column, .arena = &arena, .exact = true, .err = &err
	};
	struct question q = { needle, false, false };
	struct answer a = { ALL, NULL };

	if (needle.n == 0)
		return true;
	arena_init(&arena);
	s.asked = arena_zalloc(&arena, s.sk->n_columns * sizeof(*s.asked));
	if (ask(&s, COLUMN_LINE, &q, &a) == -1)
		a.verdict = ALL;
	arena_fini(&arena);
	return a.verdict != NONE;
}
