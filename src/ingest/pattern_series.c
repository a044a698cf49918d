#include "ingest/pattern_series.h"
#include "base/mem.h"

enum {
	FIRST_CAP = 2,
	MAX_POINTS = 1 << 20,
	PER_MINUTE = 60 / SERIES_GRAIN_S,
	PER_FIVE = 300 / SERIES_GRAIN_S
};

void series_fini(struct pattern_series *s)
{
	free(s->v);
	*s = (struct pattern_series){ NULL, 0, 0 };
}

size_t series_bytes(const struct pattern_series *s)
{
	return s->cap * sizeof(struct series_point);
}

/* Where a bucket stands, or would. */
static uint32_t place_of(const struct pattern_series *s, uint32_t at)
{
	uint32_t low = 0, high = s->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->v[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void add_to(struct series_point *p, uint32_t n)
{
	p->n = p->n > UINT32_MAX - n ? UINT32_MAX : p->n + n;
}

static void set_cap(struct pattern_series *s, uint32_t cap)
{
	s->v = xrealloc(s->v, cap * sizeof(struct series_point));
	s->cap = cap;
}

size_t series_add_slow(struct pattern_series *s, uint32_t at, uint32_t n, bool may_grow)
{
	uint32_t i = s->n > 0 && s->v[s->n - 1].at < at ? s->n : place_of(s, at);
	size_t before = series_bytes(s);

	if (i < s->n && s->v[i].at == at) {
		add_to(&s->v[i], n);
		return 0;
	}
	if (s->n == s->cap && (!may_grow || s->n >= MAX_POINTS)) {
		if (i == 0)
			return SERIES_FULL;
		add_to(&s->v[i - 1], n);
		return 0;
	}
	if (s->n == s->cap)
		set_cap(s, s->cap == 0 ? FIRST_CAP : s->cap + s->cap / 2 + 1);
	memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof(struct series_point));
	s->v[i] = (struct series_point){ at, n };
	s->n++;
	return series_bytes(s) - before;
}

void series_age(struct pattern_series *s, int64_t oldest, int64_t minute_before, int64_t five_before)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct series_point p = s->v[i];
		int64_t seconds = (int64_t)p.at * SERIES_GRAIN_S;

		if (seconds < oldest)
			continue;
		if (seconds < five_before)
			p.at -= p.at % PER_FIVE;
		else if (seconds < minute_before)
			p.at -= p.at % PER_MINUTE;
		if (n > 0 && s->v[n - 1].at >= p.at)
			add_to(&s->v[n - 1], p.n);
		else
			s->v[n++] = p;
	}
	s->n = n;
	if (n == 0)
		series_fini(s);
	else if (s->cap > n + n / 2 + 2)
		set_cap(s, n + 1);
}

void series_merge(struct pattern_series *to, const struct pattern_series *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		series_add(to, from->v[i].at, from->v[i].n, true);
}

void series_encode(struct buf *b, const struct pattern_series *s)
{
	uint32_t last = 0;

	buf_varint(b, s->n);
	for (uint32_t i = 0; i < s->n; i++) {
		buf_varint(b, s->v[i].at - last);
		buf_varint(b, s->v[i].n);
		last = s->v[i].at;
	}
}

bool series_decode(struct cursor *c, struct pattern_series *out)
{
	struct pattern_series s = { NULL, 0, 0 };
	uint64_t n = cursor_varint(c), last = 0;

	/* A point takes two bytes at least. */
	if (c->bad || n > MAX_POINTS || n > cursor_left(c) / 2)
		goto bad;
	if (n > 0)
		set_cap(&s, (uint32_t)n);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t gap = cursor_varint(c), count = cursor_varint(c);

		if (c->bad || gap > UINT32_MAX || last + gap > UINT32_MAX || count > UINT32_MAX ||
		    (i > 0 && gap == 0))
			goto bad;
		last += gap;
		s.v[s.n++] = (struct series_point){ (uint32_t)last, (uint32_t)count };
	}
	*out = s;
	return true;
bad:
	series_fini(&s);
	*out = (struct pattern_series){ NULL, 0, 0 };
	return false;
}
