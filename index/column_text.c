/* Values of columns as text, and lines. A template is a flat list: copy literal bytes, write a value, copy, write. Room is
 * made before a line is written, for the longest it can be, so that nothing on the way looks at the end of the buffer. */
#include "index/column_read.h"
#include "index/chunk_internal.h"
#include "base/mem.h"

#include <assert.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	MOST_ROOM = 16 << 20, /* more than that is not set aside on suspicion: lengths are counted first */
	INT_TEXT_MAX = 20,
	DECIMAL_TEXT_MAX = 40,
	UUID_TEXT = 36,
	IPV4_TEXT_MAX = 15,
};

/* ---- writing values ------------------------------------------------------------------------------------------- */

/* Both sides have COLUMNS_SLACK bytes behind them. */
static inline char *put(char *to, const char *p, size_t n)
{
	if (n > 64) {
		memcpy(to, p, n);
	} else {
		memcpy(to, p, 16);
		for (size_t i = 16; i < n; i += 16)
			memcpy(to + i, p + i, 16);
	}
	return to + n;
}

static const uint64_t power[20] = { 1,
				    10,
				    100,
				    1000,
				    10000,
				    100000,
				    1000000,
				    10000000,
				    100000000,
				    1000000000,
				    10000000000,
				    100000000000,
				    1000000000000,
				    10000000000000,
				    100000000000000,
				    1000000000000000,
				    10000000000000000,
				    100000000000000000,
				    1000000000000000000,
				    10000000000000000000U };

static const char PAIRS[201] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
	"49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
	"9899";

static inline unsigned count_digits(uint64_t v)
{
	unsigned n = ((64 - (unsigned)__builtin_clzll(v | 1)) * 1233) >> 12;

	return n + (v >= power[n]) + (v == 0);
}

/* Exactly n digits. */
static inline void put_digits(char *to, uint64_t v, unsigned n)
{
	for (; n >= 2; n -= 2, v /= 100)
		memcpy(to + n - 2, &PAIRS[v % 100 * 2], 2);
	if (n > 0)
		*to = (char)('0' + v % 10);
}

static inline uint64_t magnitude(int64_t v)
{
	return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static inline unsigned int_digits(int64_t v, uint32_t width)
{
	return MAX(count_digits(magnitude(v)), width);
}

static inline char *put_int(char *to, int64_t v, uint32_t width)
{
	unsigned n = int_digits(v, width);

	if (v < 0)
		*to++ = '-';
	put_digits(to, magnitude(v), n);
	return to + n;
}

static inline size_t decimal_length(int64_t v, uint32_t scale)
{
	return (v < 0) + count_digits(magnitude(v) / power[scale]) + 1 + scale;
}

static inline char *put_decimal(char *to, int64_t v, uint32_t scale)
{
	uint64_t u = magnitude(v), whole = u / power[scale];
	unsigned n = count_digits(whole);

	if (v < 0)
		*to++ = '-';
	put_digits(to, whole, n);
	to += n;
	*to++ = '.';
	put_digits(to, u % power[scale], scale);
	return to + scale;
}

/* p has slack behind it. */
static inline char *put_hex(char *to, const unsigned char *p, size_t n, bool upper)
{
	char letter = upper ? 'A' - '9' - 1 : 'a' - '9' - 1;
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(15), nine = _mm_set1_epi8(9), zero = _mm_set1_epi8('0'),
		      more = _mm_set1_epi8(letter);

	for (size_t i = 0; i < n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(p + i));
		__m128i h = _mm_and_si128(_mm_srli_epi16(v, 4), low), l = _mm_and_si128(v, low);
		__m128i a = _mm_unpacklo_epi8(h, l), b = _mm_unpackhi_epi8(h, l);

		a = _mm_add_epi8(_mm_add_epi8(a, zero), _mm_and_si128(_mm_cmpgt_epi8(a, nine), more));
		b = _mm_add_epi8(_mm_add_epi8(b, zero), _mm_and_si128(_mm_cmpgt_epi8(b, nine), more));
		_mm_storeu_si128((__m128i *)(to + 2 * i), a);
		_mm_storeu_si128((__m128i *)(to + 2 * i + 16), b);
	}
#else
	for (size_t i = 0; i < n; i++) {
		unsigned h = p[i] >> 4, l = p[i] & 15;

		to[2 * i] = (char)('0' + h + (h > 9) * letter);
		to[2 * i + 1] = (char)('0' + l + (l > 9) * letter);
	}
#endif
	return to + 2 * n;
}

static inline char *put_uuid(char *to, const unsigned char *p)
{
	char digit[32 + 16];

	put_hex(digit, p, 16, false);
	memcpy(to, digit, 8);
	to[8] = '-';
	memcpy(to + 9, digit + 8, 4);
	to[13] = '-';
	memcpy(to + 14, digit + 12, 4);
	to[18] = '-';
	memcpy(to + 19, digit + 16, 4);
	to[23] = '-';
	memcpy(to + 24, digit + 20, 12);
	return to + UUID_TEXT;
}

static inline size_t ipv4_length(int64_t v)
{
	size_t n = 3;

	for (int shift = 0; shift < 32; shift += 8) {
		uint32_t part = (uint32_t)v >> shift & 255;

		n += 1 + (part > 9) + (part > 99);
	}
	return n;
}

static inline char *put_ipv4(char *to, int64_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		uint32_t part = (uint32_t)v >> shift & 255;

		to = put_int(to, part, 0);
		*to++ = '.';
	}
	return to - 1;
}

static inline uint32_t row_of(const struct column_data *d, uint32_t i)
{
	return d->row != NULL ? d->row[i] : i;
}

/* A format whose date-times have one length gives that length, whatever the bytes on disk say. */
static char *put_time(const struct columns *c, const struct column *col, const struct column_state *s,
		      uint32_t i, char *to)
{
	const struct time_format *f = col->time;
	size_t n = time_format_write(f, c->ts[row_of(&s->data, i)], s->data.num[i], s->time, to);

	assert(n <= TIME_TEXT_MAX);
	if (f->length == 0)
		return to + n;
	if (n < f->length)
		memset(to + n, '?', f->length - n);
	return to + f->length;
}

/* Most ask for ascending values. */
static const struct slice *find_exception(struct column_state *s, uint32_t i)
{
	const struct column_data *d = &s->data;
	uint32_t k = s->next_exception;

	if (k > 0 && d->exception_at[k - 1] >= i)
		k = column_exception_from(d, i);
	while (k < d->n_exceptions && d->exception_at[k] < i)
		k++;
	s->next_exception = k;
	return k < d->n_exceptions && d->exception_at[k] == i ? &d->exception[k] : NULL;
}

static char *put_template(struct columns *c, const struct line_template *t, uint32_t i, char *to);
static char *put_meta(struct columns *c, const struct line_template *t, uint32_t i, char *to);

size_t column_int_text(int64_t v, uint32_t width, char *to)
{
	return (size_t)(put_int(to, v, width) - to);
}

char *columns_write(struct columns *c, uint32_t column, uint32_t i, char *to)
{
	const struct column *col = &c->column[column];
	struct column_state *s = &c->state[column];

	if (s->data.n_exceptions > 0) {
		const struct slice *e = find_exception(s, i);

		if (e != NULL)
			return put(to, e->p, e->n);
	}
	switch (col->kind) {
	case COLUMN_CONST: return put(to, col->value[0].p, col->value[0].n);
	case COLUMN_DICT: return put(to, col->value[s->data.id[i]].p, col->value[s->data.id[i]].n);
	case COLUMN_INT: return put_int(to, s->data.num[i], col->width);
	case COLUMN_DECIMAL: return put_decimal(to, s->data.num[i], col->scale);
	case COLUMN_HEX:
		return put_hex(to, s->data.fixed + (size_t)i * col->fixed_bytes, col->fixed_bytes,
			       col->upper);
	case COLUMN_UUID: return put_uuid(to, s->data.fixed + (size_t)i * 16);
	case COLUMN_IPV4: return put_ipv4(to, s->data.num[i]);
	case COLUMN_TIME: return put_time(c, col, s, i, to);
	case COLUMN_TEXT: return put(to, s->data.text[i].p, s->data.text[i].n);
	case COLUMN_TEMPLATES: return put_template(c, &col->templ[s->data.id[i]], i, to);
	case COLUMN_N_KINDS: break;
	}
	assert(false);
	return to;
}

/* i: number of the value that follows the template. Recursion ends at COLUMNS_MAX_DEPTH. */
static char *put_template(struct columns *c, const struct line_template *t, uint32_t i, char *to)
{
	if (t->shape == SHAPE_META)
		return put_meta(c, t, i, to);
	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct template_slot *slot = &t->slot[k];

		to = put(to, slot->before.p, slot->before.n);
		to = columns_write(c, slot->column, column_at(&c->state[slot->column], i), to);
	}
	return put(to, t->tail.p, t->tail.n);
}

static char *put_varint(char *to, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (char)(v | 0x80);
	*to++ = (char)v;
	return to;
}

static size_t varint_length(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

/* Encoded labels. The length of a value, which stands before it, is known behind it. */
static char *put_meta(struct columns *c, const struct line_template *t, uint32_t i, char *to)
{
	to = put_varint(to, t->n_slots);
	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct template_slot *slot = &t->slot[k];

		to = put_varint(to, slot->before.n);
		to = put(to, slot->before.p, slot->before.n);
		char *value = to + 1;
		char *end = columns_write(c, slot->column, column_at(&c->state[slot->column], i), value);
		size_t n = (size_t)(end - value), n_length = varint_length(n);
		if (n_length > 1)
			memmove(to + n_length, value, n);
		put_varint(to, n);
		to += n_length + n;
	}
	return to;
}

/* ---- making ready --------------------------------------------------------------------------------------------- */

static uint64_t longest_slice(const struct slice *v, uint32_t n)
{
	uint64_t max = 0;

	for (uint32_t i = 0; i < n; i++)
		max = MAX(max, v[i].n);
	return max;
}

/* All slots of the template; *longest: of a value that follows it. */
static int ready_template(struct columns *c, const struct line_template *t, uint64_t *longest,
			  struct err *err)
{
	uint64_t n = t->tail.n;

	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct template_slot *slot = &t->slot[k];

		if (columns_ready(c, slot->column, err) == -1)
			return -1;
		n += slot->before.n + c->state[slot->column].longest;
		if (t->shape == SHAPE_META)
			n += 20;
	}
	*longest = n + (t->shape == SHAPE_META ? 10 : 0);
	return 0;
}

/* Which templates occur among these values (NULL: all). */
static uint8_t *used_templates(struct columns *c, uint32_t column, const uint32_t *value, size_t n)
{
	uint32_t n_templates = c->column[column].n_templates;
	const uint32_t *id = c->state[column].data.id;
	uint8_t *used = columns_alloc(c, n_templates);

	memset(used, 0, n_templates);
	for (size_t i = 0; i < n; i++)
		used[id[value != NULL ? value[i] : i]] = 1;
	return used;
}

static int ready_templates(struct columns *c, uint32_t column, uint64_t *longest, struct err *err)
{
	const struct column *col = &c->column[column];
	const uint8_t *used = used_templates(c, column, NULL, c->state[column].n);
	uint64_t n;

	for (uint32_t t = 0; t < col->n_templates; t++) {
		if (!used[t])
			continue;
		if (ready_template(c, &col->templ[t], &n, err) == -1)
			return -1;
		*longest = MAX(*longest, n);
	}
	return 0;
}

static int longest_value(struct columns *c, uint32_t column, uint64_t *longest, struct err *err)
{
	const struct column *col = &c->column[column];
	struct column_state *s = &c->state[column];
	_Atomic uint64_t *of_dict = &c->sk->place[column].longest;

	switch (col->kind) {
	case COLUMN_CONST: *longest = col->value[0].n; break;
	case COLUMN_DICT:
		if (columns_values(c, column, err) == -1)
			return -1;
		*longest = atomic_load_explicit(of_dict, memory_order_relaxed);
		if (*longest == 0) {
			*longest = longest_slice(col->value, col->n_values);
			atomic_store_explicit(of_dict, *longest, memory_order_relaxed);
		}
		break;
	case COLUMN_INT: *longest = MAX((uint32_t)INT_TEXT_MAX, col->width + 1); break;
	case COLUMN_DECIMAL: *longest = DECIMAL_TEXT_MAX; break;
	case COLUMN_HEX: *longest = 2 * (uint64_t)col->fixed_bytes; break;
	case COLUMN_UUID: *longest = UUID_TEXT; break;
	case COLUMN_IPV4: *longest = IPV4_TEXT_MAX; break;
	case COLUMN_TIME:
		s->time = memset(columns_alloc(c, sizeof(*s->time)), 0, sizeof(*s->time));
		*longest = col->time->length != 0 ? col->time->length : TIME_TEXT_MAX;
		break;
	case COLUMN_TEXT: *longest = longest_slice(s->data.text, s->data.n); break;
	case COLUMN_TEMPLATES: return ready_templates(c, column, longest, err);
	case COLUMN_N_KINDS: break;
	}
	*longest = MAX(*longest, longest_slice(s->data.exception, s->data.n_exceptions));
	return 0;
}

int columns_ready(struct columns *c, uint32_t column, struct err *err)
{
	struct column_state *s = &c->state[column];
	const struct column_data *ignored;
	uint64_t longest = 0;

	if (s->ready)
		return 0;
	if (columns_data(c, column, &ignored, err) == -1)
		return -1;
	if (s->n > 0 && longest_value(c, column, &longest, err) == -1)
		return -1;
	s->longest = longest;
	s->ready = true;
	return 0;
}

int columns_text(struct columns *c, uint32_t column, uint32_t i, struct buf *out, struct err *err)
{
	if (columns_ready(c, column, err) == -1)
		return -1;
	const struct column_state *s = &c->state[column];
	assert(i < s->n);
	if (s->longest > COLUMNS_MAX_LINES)
		return chunk_corrupt(err, "a value that is too long");
	char *to = buf_reserve(out, s->longest + COLUMNS_SLACK);
	out->n += (size_t)(columns_write(c, column, i, to) - to);
	return 0;
}

/* ---- lengths -------------------------------------------------------------------------------------------------- */

static int lengths(struct columns *c, uint32_t column, struct err *err);

static int add_slots(struct columns *c, uint32_t column, uint32_t *n, struct err *err)
{
	const struct column *col = &c->column[column];
	const struct column_state *s = &c->state[column];
	const uint8_t *used = used_templates(c, column, NULL, s->n);
	uint64_t total = 0;

	for (uint32_t t = 0; t < col->n_templates; t++)
		for (uint32_t k = 0; used[t] && k < col->templ[t].n_slots; k++)
			if (lengths(c, col->templ[t].slot[k].column, err) == -1)
				return -1;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct line_template *t = &col->templ[s->data.id[i]];
		uint64_t sum = t->tail.n;

		for (uint32_t k = 0; k < t->n_slots; k++) {
			const struct column_state *child = &c->state[t->slot[k].column];

			sum += t->slot[k].before.n + child->length[column_at(child, i)];
		}
		n[i] = (uint32_t)sum;
		total += sum;
		if (total > COLUMNS_MAX_LINES)
			return chunk_corrupt(err, "lines that are too long");
	}
	return 0;
}

static void value_lengths(struct columns *c, const struct column *col, struct column_state *s, uint32_t *n)
{
	char text[TIME_TEXT_MAX + COLUMNS_SLACK];

	for (uint32_t i = 0; i < s->n; i++) {
		switch (col->kind) {
		case COLUMN_DICT: n[i] = (uint32_t)col->value[s->data.id[i]].n; break;
		case COLUMN_INT: n[i] = int_digits(s->data.num[i], col->width) + (s->data.num[i] < 0); break;
		case COLUMN_DECIMAL: n[i] = (uint32_t)decimal_length(s->data.num[i], col->scale); break;
		case COLUMN_IPV4: n[i] = (uint32_t)ipv4_length(s->data.num[i]); break;
		case COLUMN_TIME: n[i] = (uint32_t)(put_time(c, col, s, i, text) - text); break;
		case COLUMN_TEXT: n[i] = (uint32_t)s->data.text[i].n; break;
		default: assert(false);
		}
	}
}

/* Length of each value of a column. */
static int lengths(struct columns *c, uint32_t column, struct err *err)
{
	const struct column *col = &c->column[column];
	struct column_state *s = &c->state[column];

	if (s->length != NULL)
		return 0;
	if (columns_ready(c, column, err) == -1)
		return -1;
	uint32_t *n = columns_alloc(c, s->n * sizeof(*n));
	bool same = col->kind == COLUMN_CONST || col->kind == COLUMN_HEX || col->kind == COLUMN_UUID ||
		    (col->kind == COLUMN_TIME && col->time->length != 0);
	if (col->kind == COLUMN_TEMPLATES) {
		if (add_slots(c, column, n, err) == -1)
			return -1;
	} else if (same) {
		uint32_t each = (uint32_t)(col->kind == COLUMN_CONST  ? col->value[0].n
					   : col->kind == COLUMN_TIME ? col->time->length
					   : col->kind == COLUMN_UUID ? UUID_TEXT
								      : 2 * col->fixed_bytes);
		for (uint32_t i = 0; i < s->n; i++)
			n[i] = each;
	} else {
		value_lengths(c, col, s, n);
	}
	for (uint32_t k = 0; k < s->data.n_exceptions; k++)
		n[s->data.exception_at[k]] = (uint32_t)s->data.exception[k].n;
	s->length = n;
	return columns_check_memory(c, err);
}

int columns_lengths(struct columns *c, uint32_t from, uint32_t to, uint32_t *out, struct err *err)
{
	assert(from <= to && to <= c->n_rows);
	if (lengths(c, COLUMN_LINE, err) == -1)
		return -1;
	memcpy(out, c->state[COLUMN_LINE].length + from, (to - from) * sizeof(*out));
	return 0;
}

/* ---- lines ---------------------------------------------------------------------------------------------------- */

/* Room for the rows that are not rebuilt yet: what they can take at most, or if that is very much what they do take. */
static int room_for_lines(struct columns *c, const uint32_t *rows, size_t n, uint64_t *room, struct err *err)
{
	const struct column *col = &c->column[COLUMN_LINE];
	const uint32_t *id = c->state[COLUMN_LINE].data.id;
	const uint8_t *used = used_templates(c, COLUMN_LINE, rows, n);
	uint64_t *longest = columns_alloc(c, col->n_templates * sizeof(*longest));

	*room = 0;
	for (uint32_t t = 0; t < col->n_templates; t++)
		if (used[t] && ready_template(c, &col->templ[t], &longest[t], err) == -1)
			return -1;
	for (size_t k = 0; k < n && *room <= MOST_ROOM; k++)
		*room += longest[id[rows[k]]];
	if (*room <= MOST_ROOM)
		return 0;
	if (lengths(c, COLUMN_LINE, err) == -1)
		return -1;
	*room = 0;
	for (size_t k = 0; k < n; k++)
		*room += c->state[COLUMN_LINE].length[rows[k]];
	return *room <= COLUMNS_MAX_LINES ? 0 : chunk_corrupt(err, "lines that are too long");
}

static int rebuild(struct columns *c, const uint32_t *rows, size_t n, struct slice *out, struct err *err)
{
	const struct column *col = &c->column[COLUMN_LINE];
	const uint32_t *id = c->state[COLUMN_LINE].data.id;
	uint64_t room;

	if (room_for_lines(c, rows, n, &room, err) == -1)
		return -1;
	if (c->line == NULL) {
		c->line = columns_alloc(c, c->n_rows * sizeof(*c->line));
		memset(c->line, 0, c->n_rows * sizeof(*c->line));
	}
	char *to = arena_alloc(&c->arena, room + COLUMNS_SLACK), *end = to + room;
	if (columns_check_memory(c, err) == -1)
		return -1;
	for (size_t k = 0; k < n; k++) {
		struct slice *line = &c->line[rows[k]];

		if (line->p == NULL) {
			char *p = put_template(c, &col->templ[id[rows[k]]], rows[k], to);

			*line = slice_of(to, (size_t)(p - to));
			to = p;
			c->count.lines_rebuilt++;
		}
		out[k] = *line;
	}
	assert(to <= end);
	arena_give_back(&c->arena, (size_t)(end - to));
	return 0;
}

/* A line column without templates has its lines as they are, but for those kinds that only a strange chunk has. */
static int plain_lines(struct columns *c, const uint32_t *rows, size_t n, struct slice *out, struct err *err)
{
	struct column_state *s = &c->state[COLUMN_LINE];
	uint64_t room = 0;

	if (lengths(c, COLUMN_LINE, err) == -1)
		return -1;
	for (size_t k = 0; k < n; k++)
		room += s->length[rows[k]];
	if (room > COLUMNS_MAX_LINES)
		return chunk_corrupt(err, "lines that are too long");
	char *to = arena_alloc(&c->arena, room + COLUMNS_SLACK);
	for (size_t k = 0; k < n; k++) {
		char *p = columns_write(c, COLUMN_LINE, rows[k], to);

		out[k] = slice_of(to, (size_t)(p - to));
		to = p;
	}
	c->count.lines_rebuilt += n;
	return columns_check_memory(c, err);
}

int columns_lines(struct columns *c, const uint32_t *rows, size_t n, struct slice *out, struct err *err)
{
	const struct column_data *ignored;

	if (n == 0)
		return 0;
	if (columns_data(c, COLUMN_LINE, &ignored, err) == -1)
		return -1;
	if (c->column[COLUMN_LINE].kind == COLUMN_TEMPLATES)
		return rebuild(c, rows, n, out, err);
	return plain_lines(c, rows, n, out, err);
}

int columns_spans(struct columns *c, uint32_t row, struct buf *line, struct slot_span *spans, struct err *err)
{
	const struct column *col = &c->column[COLUMN_LINE];

	buf_reset(line);
	if (col->kind != COLUMN_TEMPLATES)
		return columns_text(c, COLUMN_LINE, row, line, err);
	const struct column_data *d;
	uint64_t longest;
	if (columns_data(c, COLUMN_LINE, &d, err) == -1)
		return -1;
	const struct line_template *t = &col->templ[d->id[row]];
	if (ready_template(c, t, &longest, err) == -1)
		return -1;
	if (longest > COLUMNS_MAX_LINES)
		return chunk_corrupt(err, "a line that is too long");
	char *start = buf_reserve(line, longest + COLUMNS_SLACK), *to = start;
	for (uint32_t k = 0; k < t->n_slots; k++) {
		const struct template_slot *slot = &t->slot[k];

		to = put(to, slot->before.p, slot->before.n);
		char *value = to;
		to = columns_write(c, slot->column, column_at(&c->state[slot->column], row), to);
		spans[k] = (struct slot_span){ (uint32_t)(value - start), (uint32_t)(to - value) };
	}
	to = put(to, t->tail.p, t->tail.n);
	line->n = (size_t)(to - start);
	return 0;
}
