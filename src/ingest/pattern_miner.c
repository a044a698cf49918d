#include "ingest/pattern_miner.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "ingest/shape.h"

enum {
	MAX_PATTERNS = 1000, /* of a service; further lines count for <_> */
	MAX_LEAF = 48,	     /* patterns of a leaf; then the most similar ones are joined */
	MAX_LEVELS = 24,
	MAX_LEVEL_BYTES = 64,
	/* So many words in one place, all else being equal, are values of a variable. */
	MANY_WORDS = 5,
	/* New shapes a second that are looked at; more count for <_>, or a service whose lines have nothing in common would
	 * slow down its pushes. */
	MAX_LEARNED_PER_S = 4000,
	FIRST_CACHE = 64,
	MAX_CACHE = FIRST_CACHE * 64, /* slots; a fourfold of each other */
	MAP_SLOT_BYTES = 2 * sizeof(struct map_slot),
};

struct unit {
	uint32_t hash; /* of the word; 0: <_> */
	uint16_t word,
		sep; /* bytes of the word and of what follows it; a word that was always <_> has none */
};

struct miner_pattern {
	struct miner_pattern *into; /* it became part of that one; NULL: it did not */
	struct leaf *leaf;	    /* NULL: <_>, for what has no pattern */
	const char *level;
	struct unit *unit;	 /* NULL once it is part of another */
	char *text;		 /* head, then each word and what follows it */
	uint32_t n_text, number; /* number: its place in the file while that is written */
	uint16_t n, head;
	bool cut;  /* lines go on behind it */
	bool used; /* while aging: some row is for it */
};

struct leaf {
	uint64_t key; /* hash of level, head and separators */
	size_t n;     /* words of each pattern */
	VEC(struct miner_pattern *) patterns;
};

struct row {
	struct miner_pattern *pattern;
	struct pattern_series series;
};

struct miner_stream {
	uint64_t hash;
	VEC(struct row *) rows;
	size_t n_labels;
	char labels[]; /* encoded */
};

struct slot {
	uint64_t key; /* 0: free */
	struct row *row;
};

struct miner {
	size_t bytes;
	struct slot *cache;
	size_t n_cache, n_cached; /* a power of two; writes since it has this size */
	struct map streams;	  /* hash -> struct miner_stream */
	struct map leaves;	  /* key -> struct leaf */
	VEC(struct miner_pattern *) patterns, merged;
	char *level[MAX_LEVELS];
	struct miner_pattern *rest[MAX_LEVELS]; /* <_>; NULL: none needed yet */
	size_t n_levels;
	int64_t second;	    /* monotonic */
	uint32_t n_learned; /* in it */
};

/* A line on its way to its pattern. */
struct candidate {
	struct shape shape;
	struct slice text;
	const char *level;
	uint32_t hash[SHAPE_MAX_WORDS]; /* 0: wild */
	uint64_t key;			/* of the leaf */
};

/* ---------------------------------------------------------------- memory */

static size_t pattern_bytes(const struct miner_pattern *p)
{
	return sizeof(*p) + p->n * sizeof(struct unit) + p->n_text + 2 * sizeof(void *);
}

static size_t stream_bytes(const struct miner_stream *s)
{
	return sizeof(*s) + s->n_labels + MAP_SLOT_BYTES;
}

enum { ROW_BYTES = sizeof(struct row) + 2 * sizeof(struct row *) + 32 };

struct miner *miner_new(void)
{
	struct miner *m = xcalloc(1, sizeof(*m));

	map_init(&m->streams);
	map_init(&m->leaves);
	m->n_cache = FIRST_CACHE;
	m->cache = xcalloc(m->n_cache, sizeof(struct slot));
	m->bytes = sizeof(*m) + m->n_cache * sizeof(struct slot);
	return m;
}

static void pattern_free(struct miner_pattern *p)
{
	free(p->unit);
	free(p->text);
	free(p);
}

static void row_free(struct row *row)
{
	series_fini(&row->series);
	free(row);
}

static void stream_free(struct miner_stream *s)
{
	for (size_t i = 0; i < s->rows.n; i++)
		row_free(s->rows.v[i]);
	vec_fini(&s->rows);
	free(s);
}

static void leaf_free(struct leaf *leaf)
{
	vec_fini(&leaf->patterns);
	free(leaf);
}

void miner_free(struct miner *m)
{
	struct slice key;
	void *value;

	if (m == NULL)
		return;
	for (size_t i = 0; map_next(&m->streams, &i, &key, &value);)
		stream_free(value);
	for (size_t i = 0; map_next(&m->leaves, &i, &key, &value);)
		leaf_free(value);
	for (size_t i = 0; i < m->patterns.n; i++)
		pattern_free(m->patterns.v[i]);
	for (size_t i = 0; i < m->merged.n; i++)
		pattern_free(m->merged.v[i]);
	for (size_t i = 0; i < m->n_levels; i++)
		free(m->level[i]);
	vec_fini(&m->patterns);
	vec_fini(&m->merged);
	map_fini(&m->streams);
	map_fini(&m->leaves);
	free(m->cache);
	free(m);
}

size_t miner_bytes(const struct miner *m)
{
	return m->bytes;
}

bool miner_is_empty(const struct miner *m)
{
	return m->streams.n == 0;
}

static struct slice key_slice(const uint64_t *key)
{
	return slice_of(key, sizeof(*key));
}

/* ---------------------------------------------------------------- levels */

/* The number of a level. What is too long or one too many is unknown. */
static size_t level_number(struct miner *m, struct slice name)
{
	if (name.n == 0 || name.n > MAX_LEVEL_BYTES || slice_find_byte(name, '\0') != SLICE_NONE)
		name = SLICE("unknown");
	for (size_t i = 0; i < m->n_levels; i++)
		if (slice_is(name, m->level[i]))
			return i;
	if (m->n_levels == MAX_LEVELS - 1)
		name = SLICE("unknown"); /* the last one, for all further names */
	else if (m->n_levels == MAX_LEVELS)
		return MAX_LEVELS - 1;
	m->level[m->n_levels] = xmalloc(name.n + 1);
	memcpy(m->level[m->n_levels], name.p, name.n);
	m->level[m->n_levels][name.n] = '\0';
	m->bytes += name.n + 1;
	return m->n_levels++;
}

/* ---------------------------------------------------------------- patterns */

static struct miner_pattern *resolve(struct miner_pattern *p)
{
	while (p->into != NULL)
		p = p->into;
	return p;
}

static struct miner_pattern *pattern_add(struct miner *m, struct miner_pattern *p)
{
	vec_push(&m->patterns, p);
	m->bytes += pattern_bytes(p);
	return p;
}

static struct miner_pattern *rest_of(struct miner *m, size_t level)
{
	if (m->rest[level] == NULL) {
		struct miner_pattern *p = xcalloc(1, sizeof(*p));

		p->level = m->level[level];
		p->cut = true;
		m->rest[level] = pattern_add(m, p);
	}
	return m->rest[level];
}

/* NULL: the key is taken by patterns of another length. */
static struct leaf *leaf_of(struct miner *m, uint64_t key, size_t n)
{
	struct leaf *leaf = map_get(&m->leaves, key_slice(&key));
	bool is_new;

	if (leaf != NULL)
		return leaf->n == n ? leaf : NULL;
	leaf = xcalloc(1, sizeof(*leaf));
	leaf->key = key;
	leaf->n = n;
	*map_put(&m->leaves, key_slice(&leaf->key), &is_new) = leaf;
	m->bytes += sizeof(*leaf) + MAP_SLOT_BYTES;
	return leaf;
}

/* What stands behind word i, up to the next one. */
static struct slice separator(const struct candidate *c, size_t i)
{
	size_t from = (size_t)c->shape.word[i].off + c->shape.word[i].len;
	size_t to = i + 1 < c->shape.n ? c->shape.word[i + 1].off : c->shape.n_bytes;

	return slice_sub(c->text, from, to - from);
}

static struct slice head_of(const struct candidate *c)
{
	return slice_sub(c->text, 0, c->shape.n > 0 ? c->shape.word[0].off : c->shape.n_bytes);
}

/* <word> would read as a capture in the pattern, and what is no UTF-8 could not be sent. */
static bool must_be_wild(const struct candidate *c, size_t i)
{
	const struct shape_word *w = &c->shape.word[i];
	struct slice sep = separator(c, i), word = slice_sub(c->text, w->off, w->len);

	if (w->off > 0 && c->text.p[w->off - 1] == '<' && sep.n > 0 && sep.p[0] == '>')
		return true;
	return ascii_prefix(word) < word.n && !utf8_valid(word);
}

/* text, level and shape are there. */
static void candidate_hash(struct candidate *c)
{
	uint64_t key =
		hash_seeded(slice_cstr(c->level)) ^ hash64_seed(head_of(c), c->shape.n * 2 + c->shape.cut);

	for (size_t i = 0; i < c->shape.n; i++) {
		const struct shape_word *w = &c->shape.word[i];

		key = hash64_seed(separator(c, i), key);
		c->hash[i] = w->wild || must_be_wild(c, i)
				     ? 0
				     : (uint32_t)hash_seeded(slice_sub(c->text, w->off, w->len)) | 1;
	}
	c->key = key;
}

/* NULL: it has no leaf to be in. */
static struct miner_pattern *pattern_from(struct miner *m, const struct candidate *c)
{
	struct leaf *leaf = leaf_of(m, c->key, c->shape.n);
	struct slice head = head_of(c);
	struct buf text;
	size_t n_text;

	if (leaf == NULL)
		return NULL;
	struct miner_pattern *p = xcalloc(1, sizeof(*p));
	buf_init(&text);
	p->level = c->level;
	p->cut = c->shape.cut;
	p->head = (uint16_t)head.n;
	p->n = (uint16_t)c->shape.n;
	p->unit = xmalloc(p->n * sizeof(struct unit) + 1);
	buf_add(&text, head);
	for (size_t i = 0; i < p->n; i++) {
		const struct shape_word *w = &c->shape.word[i];
		struct slice sep = separator(c, i);
		struct slice word = slice_sub(c->text, w->off, c->hash[i] == 0 ? 0 : w->len);

		p->unit[i] = (struct unit){ c->hash[i], (uint16_t)word.n, (uint16_t)sep.n };
		buf_add(&text, word);
		buf_add(&text, sep);
	}
	p->text = buf_take(&text, &n_text);
	p->n_text = (uint32_t)n_text;
	p->leaf = leaf;
	vec_push(&p->leaf->patterns, p);
	return pattern_add(m, p);
}

/* Of one leaf. Whatever is kept for q is kept for p, too. */
static bool covers(const struct miner_pattern *p, const struct miner_pattern *q)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->unit[i].hash != 0 && p->unit[i].hash != q->unit[i].hash)
			return false;
	return true;
}

static void put_into(struct miner *m, struct miner_pattern *q, struct miner_pattern *p)
{
	m->bytes -= pattern_bytes(q);
	q->into = p;
	free(TAKE(q->unit));
	free(TAKE(q->text));
	q->n = 0;
	q->n_text = 0;
	m->bytes += pattern_bytes(q);
	vec_push(&m->merged, q);
	for (size_t i = 0; i < m->patterns.n; i++)
		if (m->patterns.v[i] == q)
			m->patterns.v[i] = m->patterns.v[--m->patterns.n];
}

/* p became wider: the patterns of its leaf that it covers become part of it. */
static void absorb(struct miner *m, struct miner_pattern *p)
{
	struct leaf *leaf = p->leaf;
	size_t n = 0;

	for (size_t i = 0; i < leaf->patterns.n; i++) {
		struct miner_pattern *q = leaf->patterns.v[i];

		if (q != p && covers(p, q))
			put_into(m, q, p);
		else
			leaf->patterns.v[n++] = q;
	}
	leaf->patterns.n = n;
}

/* ---------------------------------------------------------------- learning */

/* How a candidate differs from the patterns of its leaf. */
struct difference {
	struct miner_pattern *equal, *nearest;
	size_t least;			 /* words in which nearest differs */
	uint16_t alone[SHAPE_MAX_WORDS]; /* patterns that differ in this word alone */
};

/* The number of words in which they differ; *last is one of them, *values the number of those in which the line has
 * a word. */
static size_t differ(const struct miner_pattern *p, const struct candidate *c, size_t *last, size_t *values)
{
	size_t n = 0;

	*values = 0;
	for (size_t i = 0; i < p->n; i++)
		if (p->unit[i].hash != 0 && p->unit[i].hash != c->hash[i]) {
			n++;
			*last = i;
			*values += c->hash[i] != 0;
		}
	return n;
}

static void compare(const struct leaf *leaf, const struct candidate *c, struct difference *d)
{
	*d = (struct difference){ .least = SIZE_MAX };
	for (size_t i = 0; i < leaf->patterns.n; i++) {
		struct miner_pattern *p = leaf->patterns.v[i];
		size_t last = 0, values, n = differ(p, c, &last, &values);

		if (n == 0) {
			d->equal = p;
			return;
		}
		/* Where lines have a word here and an id there, it is a variable: nothing to wait for. */
		if (values == 0)
			n = 0;
		else if (n == 1)
			d->alone[last]++;
		if (n < d->least) {
			d->least = n;
			d->nearest = p;
		}
	}
}

static void widen(struct miner *m, struct miner_pattern *p, const struct candidate *c)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->unit[i].hash != c->hash[i])
			p->unit[i].hash = 0;
	absorb(m, p);
}

/* A pattern of the leaf that differs in one word of which there are many. */
static struct miner_pattern *one_of_many(const struct leaf *leaf, const struct candidate *c,
					 const struct difference *d)
{
	for (size_t i = 0; i < leaf->patterns.n; i++) {
		struct miner_pattern *p = leaf->patterns.v[i];
		size_t last = 0, values;

		if (differ(p, c, &last, &values) == 1 && d->alone[last] >= MANY_WORDS - 1)
			return p;
	}
	return NULL;
}

static bool may_learn(struct miner *m)
{
	int64_t second = clock_mono_ns() / NS_PER_S;

	if (second != m->second) {
		m->second = second;
		m->n_learned = 0;
	}
	return m->n_learned++ < MAX_LEARNED_PER_S;
}

/* The pattern of the leaf that the line belongs to, made wider if need be; NULL: none. */
static struct miner_pattern *join(struct miner *m, const struct leaf *leaf, const struct candidate *c,
				  bool may_grow)
{
	struct miner_pattern *p;
	struct difference d;

	compare(leaf, c, &d);
	if (d.equal != NULL)
		return d.equal;
	p = d.least > 0 ? one_of_many(leaf, c, &d) : d.nearest;
	if (p == NULL && (leaf->patterns.n >= MAX_LEAF || m->patterns.n >= MAX_PATTERNS || !may_grow))
		p = d.nearest;
	if (p != NULL)
		widen(m, p, c);
	return p;
}

/* The pattern of a line; NULL: memory is short and there is none. */
static struct miner_pattern *learn(struct miner *m, const struct miner_line *l, bool may_grow)
{
	size_t level = level_number(m, l->level);
	struct miner_pattern *p = NULL;

	if (may_learn(m)) {
		struct candidate c = { .text = l->text, .level = m->level[level] };

		shape_split(c.text, &c.shape);
		candidate_hash(&c);
		const struct leaf *leaf = map_get(&m->leaves, key_slice(&c.key));
		if (leaf != NULL && leaf->n == c.shape.n)
			p = join(m, leaf, &c, may_grow);
		if (p == NULL && m->patterns.n < MAX_PATTERNS && may_grow)
			p = pattern_from(m, &c);
	}
	if (p != NULL)
		return p;
	return m->rest[level] != NULL || may_grow ? rest_of(m, level) : NULL;
}

/* ---------------------------------------------------------------- counting */

struct miner_stream *miner_stream(struct miner *m, uint64_t hash, struct labels labels, bool may_grow)
{
	struct miner_stream *s = map_get(&m->streams, key_slice(&hash));
	struct buf encoded;
	bool is_new;

	if (s != NULL || !may_grow)
		return s;
	buf_init(&encoded);
	labels_encode(&encoded, labels);
	s = xcalloc(1, sizeof(*s) + encoded.n);
	s->hash = hash;
	s->n_labels = encoded.n;
	memcpy(s->labels, encoded.p, encoded.n);
	buf_fini(&encoded);
	*map_put(&m->streams, key_slice(&s->hash), &is_new) = s;
	m->bytes += stream_bytes(s);
	return s;
}

static struct row *row_of(struct miner *m, struct miner_stream *s, struct miner_pattern *p, bool may_grow)
{
	for (size_t i = 0; i < s->rows.n; i++)
		if (s->rows.v[i]->pattern == p)
			return s->rows.v[i];
	if (!may_grow)
		return NULL;
	struct row *row = xcalloc(1, sizeof(*row));
	row->pattern = p;
	vec_push(&s->rows, row);
	m->bytes += ROW_BYTES;
	return row;
}

static void cache_set_size(struct miner *m, size_t n)
{
	free(m->cache);
	m->cache = xcalloc(n, sizeof(struct slot));
	m->bytes += (n - m->n_cache) * sizeof(struct slot); /* wraps for less */
	m->n_cache = n;
	m->n_cached = 0;
}

/* Empties it, and gives back what was not needed since the last time. */
static void cache_clear(struct miner *m)
{
	bool too_large = m->n_cache > FIRST_CACHE && m->n_cached < m->n_cache / 8;

	cache_set_size(m, too_large ? m->n_cache / 4 : m->n_cache);
}

static struct row *find_row(struct miner *m, struct miner_stream *s, const struct miner_line *l, uint64_t key,
			    bool may_grow)
{
	struct miner_pattern *p = learn(m, l, may_grow);
	struct row *row = p != NULL ? row_of(m, s, p, may_grow) : NULL;

	if (row == NULL)
		return NULL;
	if (++m->n_cached > m->n_cache && m->n_cache < MAX_CACHE && may_grow)
		cache_set_size(m, m->n_cache * 4);
	m->cache[key & (m->n_cache - 1)] = (struct slot){ key, row };
	return row;
}

static uint64_t level_key(struct slice level)
{
	uint64_t v = 0;

	if (level.n > sizeof(v))
		return hash_seeded(level);
	if (level.n > 0)
		memcpy(&v, level.p, level.n);
	return v + 1;
}

bool miner_count(struct miner *m, struct miner_stream *s, const struct miner_line *l, uint32_t n,
		 bool may_grow)
{
	uint64_t key = hash_mix(l->shape ^ s->hash ^ level_key(l->level) * UINT64_C(0x9e3779b97f4a7c15)) | 1;
	const struct slot *slot = &m->cache[key & (m->n_cache - 1)];
	struct row *row = slot->key == key ? slot->row : find_row(m, s, l, key, may_grow);

	if (row == NULL)
		return false;
	size_t grown = series_add(&row->series, l->at, n, may_grow);
	if (grown == SERIES_FULL)
		return false;
	m->bytes += grown;
	return true;
}

/* ---------------------------------------------------------------- aging */

/* Rows of one pattern become one; those without counts go. */
static void age_rows(struct miner *m, struct miner_stream *s, int64_t oldest, int64_t minute_before,
		     int64_t five_before)
{
	size_t n = 0, k;

	for (size_t i = 0; i < s->rows.n; i++) {
		struct row *row = s->rows.v[i];

		row->pattern = resolve(row->pattern);
		m->bytes -= series_bytes(&row->series);
		series_age(&row->series, oldest, minute_before, five_before);
		for (k = 0; k < n && s->rows.v[k]->pattern != row->pattern; k++)
			;
		if (k < n) {
			m->bytes -= series_bytes(&s->rows.v[k]->series);
			series_merge(&s->rows.v[k]->series, &row->series);
			m->bytes += series_bytes(&s->rows.v[k]->series);
		}
		if (k < n || row->series.n == 0) {
			row_free(row);
			m->bytes -= ROW_BYTES;
			continue;
		}
		m->bytes += series_bytes(&row->series);
		row->pattern->used = true;
		s->rows.v[n++] = row;
	}
	s->rows.n = n;
}

static void leaf_drop(struct miner *m, struct miner_pattern *p)
{
	struct leaf *leaf = p->leaf;

	for (size_t i = 0; i < leaf->patterns.n; i++)
		if (leaf->patterns.v[i] == p)
			leaf->patterns.v[i] = leaf->patterns.v[--leaf->patterns.n];
	if (leaf->patterns.n > 0)
		return;
	map_remove(&m->leaves, key_slice(&leaf->key));
	leaf_free(leaf);
	m->bytes -= sizeof(*leaf) + MAP_SLOT_BYTES;
}

static void pattern_drop(struct miner *m, struct miner_pattern *p)
{
	m->bytes -= pattern_bytes(p);
	for (size_t i = 0; i < m->n_levels; i++)
		if (m->rest[i] == p)
			m->rest[i] = NULL;
	if (p->leaf != NULL && p->into == NULL)
		leaf_drop(m, p);
	pattern_free(p);
}

static void drop_unused(struct miner *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->merged.n; i++)
		pattern_drop(m, m->merged.v[i]); /* no row is for it any more */
	m->merged.n = 0;
	for (size_t i = 0; i < m->patterns.n; i++) {
		struct miner_pattern *p = m->patterns.v[i];

		if (p->used)
			m->patterns.v[n++] = p;
		else
			pattern_drop(m, p);
	}
	m->patterns.n = n;
}

void miner_age(struct miner *m, int64_t oldest, int64_t minute_before, int64_t five_before)
{
	VEC(struct miner_stream *) empty = { 0 };
	struct slice key;
	void *value;

	cache_clear(m);
	for (size_t i = 0; i < m->patterns.n; i++)
		m->patterns.v[i]->used = false;
	for (size_t i = 0; map_next(&m->streams, &i, &key, &value);) {
		struct miner_stream *s = value;

		age_rows(m, s, oldest, minute_before, five_before);
		if (s->rows.n == 0)
			vec_push(&empty, s);
	}
	for (size_t i = 0; i < empty.n; i++) {
		map_remove(&m->streams, key_slice(&empty.v[i]->hash));
		m->bytes -= stream_bytes(empty.v[i]);
		stream_free(empty.v[i]);
	}
	vec_fini(&empty);
	drop_unused(m);
}

/* ---------------------------------------------------------------- reading */

void miner_read(const struct miner *m, const struct miner_reader *r)
{
	struct slice key;
	void *value;

	for (size_t i = 0; map_next(&m->streams, &i, &key, &value);) {
		const struct miner_stream *s = value;

		if (!r->wanted(r->arg, slice_of(s->labels, s->n_labels)))
			continue;
		for (size_t k = 0; k < s->rows.n; k++)
			r->row(r->arg, resolve(s->rows.v[k]->pattern), &s->rows.v[k]->series);
	}
}

void miner_pattern_text(const struct miner_pattern *p, struct buf *out)
{
	const char *at = p->text;

	buf_append(out, at, p->head);
	at += p->head;
	for (size_t i = 0; i < p->n; i++) {
		if (p->unit[i].hash == 0)
			buf_puts(out, "<_>");
		else
			buf_append(out, at, p->unit[i].word);
		at += p->unit[i].word;
		buf_append(out, at, p->unit[i].sep);
		at += p->unit[i].sep;
	}
	if (p->cut)
		buf_puts(out, "<_>");
}

struct slice miner_pattern_level(const struct miner_pattern *p)
{
	return slice_cstr(p->level);
}

/* ---------------------------------------------------------------- file
 *
 *	n patterns: level, flags (1 cut, 2 the rest), head, n words: (0, or 1 and the word), what follows it
 *	n streams:  encoded labels, n rows: number of the pattern, series
 *
 * All numbers are varints, all texts have their length in front. */

enum { FLAG_CUT = 1, FLAG_REST = 2 };

static void encode_pattern(struct buf *b, const struct miner_pattern *p)
{
	const char *at = p->text;

	buf_lenslice(b, slice_cstr(p->level));
	buf_putc(b, (char)((p->cut ? FLAG_CUT : 0) | (p->leaf == NULL ? FLAG_REST : 0)));
	buf_lenslice(b, slice_of(at, p->head));
	buf_varint(b, p->n);
	at += p->head;
	for (size_t i = 0; i < p->n; i++) {
		buf_putc(b, p->unit[i].hash != 0);
		if (p->unit[i].hash != 0)
			buf_lenslice(b, slice_of(at, p->unit[i].word));
		at += p->unit[i].word;
		buf_lenslice(b, slice_of(at, p->unit[i].sep));
		at += p->unit[i].sep;
	}
}

void miner_encode(struct buf *b, struct miner *m)
{
	struct slice key;
	void *value;

	buf_varint(b, m->patterns.n);
	for (size_t i = 0; i < m->patterns.n; i++) {
		m->patterns.v[i]->number = (uint32_t)i;
		encode_pattern(b, m->patterns.v[i]);
	}
	buf_varint(b, m->streams.n);
	for (size_t i = 0; map_next(&m->streams, &i, &key, &value);) {
		const struct miner_stream *s = value;

		buf_lenslice(b, slice_of(s->labels, s->n_labels));
		buf_varint(b, s->rows.n);
		for (size_t k = 0; k < s->rows.n; k++) {
			buf_varint(b, resolve(s->rows.v[k]->pattern)->number);
			series_encode(b, &s->rows.v[k]->series);
		}
	}
}

/* A pattern is rebuilt as the candidate that a line of its form would be, with a letter for each <_>. */
static bool decode_words(struct cursor *c, struct shape *s, struct buf *text)
{
	for (size_t i = 0; i < s->n; i++) {
		uint8_t has_word = cursor_u8(c);
		struct slice word = has_word == 1 ? cursor_lenslice(c) : SLICE("x");
		struct slice sep = cursor_lenslice(c);

		if (c->bad || has_word > 1 || word.n == 0 || text->n + word.n + sep.n > SHAPE_MAX_BYTES)
			return false;
		s->word[i] = (struct shape_word){ (uint16_t)text->n, (uint16_t)word.n, has_word == 0 };
		buf_add(text, word);
		buf_add(text, sep);
	}
	s->n_bytes = (uint16_t)text->n;
	return true;
}

/* The words must be those that a line would be cut into, or the pattern might keep other lines than it counts. */
static bool is_own_shape(const struct shape *want, struct slice text)
{
	struct shape s;

	shape_split(text, &s);
	if (s.n != want->n || s.cut)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.word[i].off != want->word[i].off || s.word[i].len != want->word[i].len ||
		    s.word[i].wild)
			return false;
	return true;
}

static bool decode_form(struct cursor *c, struct miner *m, struct slice head, struct candidate *d)
{
	struct buf text;
	bool ok = false;

	buf_init(&text);
	buf_add(&text, head);
	if (decode_words(c, &d->shape, &text) && is_own_shape(&d->shape, buf_slice(&text))) {
		d->text = buf_slice(&text);
		candidate_hash(d);
		ok = pattern_from(m, d) != NULL;
	}
	buf_fini(&text);
	return ok;
}

static bool decode_pattern(struct cursor *c, struct miner *m)
{
	struct slice level = cursor_lenslice(c);
	uint8_t flags = cursor_u8(c);
	struct slice head = cursor_lenslice(c);
	uint64_t n = cursor_varint(c);
	struct candidate d;

	if (c->bad || level.n > MAX_LEVEL_BYTES || flags > (FLAG_CUT | FLAG_REST) || n > SHAPE_MAX_WORDS ||
	    head.n > SHAPE_MAX_BYTES)
		return false;
	size_t number = level_number(m, level);
	if (flags & FLAG_REST) {
		bool is_new = m->rest[number] == NULL;

		rest_of(m, number);
		return is_new && n == 0;
	}
	d.level = m->level[number];
	d.shape.n = n;
	d.shape.cut = flags & FLAG_CUT;
	return decode_form(c, m, head, &d);
}

static bool decode_patterns(struct cursor *c, struct miner *m)
{
	uint64_t n = cursor_varint(c);

	if (c->bad || n > MAX_PATTERNS + MAX_LEVELS)
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!decode_pattern(c, m))
			return false;
	return true;
}

static bool decode_row(struct cursor *c, struct miner *m, struct miner_stream *s)
{
	uint64_t number = cursor_varint(c);
	struct pattern_series series;

	if (c->bad || number >= m->patterns.n || !series_decode(c, &series))
		return false;
	struct row *row = row_of(m, s, m->patterns.v[number], true);
	m->bytes -= series_bytes(&row->series);
	series_merge(&row->series, &series);
	m->bytes += series_bytes(&row->series);
	series_fini(&series);
	return true;
}

static bool decode_stream(struct cursor *c, struct miner *m, struct arena *a)
{
	struct slice encoded = cursor_lenslice(c);
	uint64_t n = cursor_varint(c);
	struct labels labels;

	arena_reset(a);
	if (c->bad || labels_decode(encoded, a, &labels) == -1)
		return false;
	struct miner_stream *s = miner_stream(m, labels_hash(encoded), labels, true);
	for (uint64_t i = 0; i < n; i++)
		if (!decode_row(c, m, s))
			return false;
	return true;
}

struct miner *miner_decode(struct cursor *c)
{
	struct miner *m = miner_new();
	struct arena arena;
	bool ok = decode_patterns(c, m);
	uint64_t n = ok ? cursor_varint(c) : 0;

	arena_init(&arena);
	for (uint64_t i = 0; ok && i < n; i++)
		ok = !c->bad && decode_stream(c, m, &arena);
	arena_fini(&arena);
	if (ok && !c->bad)
		return m;
	miner_free(m);
	return NULL;
}
