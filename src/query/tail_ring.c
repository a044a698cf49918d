#include "query/tail_ring.h"
#include "base/mem.h"

#include <assert.h>

void tail_heap_fini(struct tail_heap *h)
{
	vec_fini(&h->items);
	buf_fini(&h->text);
}

void tail_heap_reset(struct tail_heap *h)
{
	h->items.n = 0;
	buf_reset(&h->text);
}

/* ---- frames ---- */

static struct tail_frame *frame_new(size_t n)
{
	struct tail_frame *f = xmalloc(sizeof(*f) + n * sizeof(*f->item));

	*f = (struct tail_frame){ .n = n };
	return f;
}

void tail_frame_free(struct tail_frame *f)
{
	if (f != NULL)
		buf_fini(&f->body);
	free(f);
}

void tail_frames_fini(struct tail_frames *f)
{
	for (size_t i = 0; i < f->n; i++)
		tail_frame_free(f->v[i]);
	vec_fini(f);
}

size_t tail_frame_bytes(const struct tail_frame *f)
{
	return sizeof(*f) + f->n * sizeof(*f->item) + f->body.cap;
}

static void put_item(struct tail_frame *f, size_t at, const struct tail_heap *h, const struct tail_item *from)
{
	struct tail_item *to = &f->item[at];

	if (at > 0)
		buf_putc(&f->body, ',');
	*to = *from;
	to->off = (uint32_t)f->body.n;
	to->labels_off = to->off + (from->labels_off - from->off);
	buf_append(&f->body, h->text.p + from->off, from->n);
}

void tail_frames_cut(const struct tail_heap *h, const struct tail_item *items, size_t n,
		     struct tail_frames *out)
{
	for (size_t i = 0, k; i < n; i = k) {
		size_t bytes = items[i].n;

		for (k = i + 1; k < n && k - i < TAIL_FRAME_ENTRIES && bytes + items[k].n < TAIL_FRAME_BYTES;
		     k++)
			bytes += items[k].n + 1;
		struct tail_frame *f = frame_new(k - i);
		buf_reserve(&f->body, bytes);
		for (size_t j = i; j < k; j++)
			put_item(f, j - i, h, &items[j]);
		vec_push(out, f);
	}
}

struct tail_frame *tail_frame_lost(const struct tail_frame *f)
{
	struct tail_frame *lost = frame_new(f->n);
	size_t bytes = 0;

	for (size_t i = 0; i < f->n; i++)
		bytes += f->item[i].labels_n;
	buf_reserve(&lost->body, bytes);
	lost->first = f->first;
	lost->lost = true;
	for (size_t i = 0; i < f->n; i++) {
		lost->item[i] = f->item[i];
		lost->item[i].off = lost->item[i].n = 0;
		lost->item[i].labels_off = (uint32_t)lost->body.n;
		buf_add(&lost->body, tail_item_labels(f, i));
	}
	return lost;
}

/* ---- the ring ---- */

void tail_ring_fini(struct tail_ring *r)
{
	for (size_t i = r->head; i < r->frames.n; i++)
		tail_frame_free(r->frames.v[i]);
	vec_fini(&r->frames);
}

struct tail_frame *tail_ring_find(const struct tail_ring *r, uint64_t seq)
{
	size_t low = r->head, high = r->frames.n;

	while (low < high) { /* the first frame that does not end before seq */
		size_t mid = low + (high - low) / 2;

		if (r->frames.v[mid]->first + r->frames.v[mid]->n <= seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->frames.n ? r->frames.v[low] : NULL;
}

void tail_ring_add(struct tail_ring *r, struct tail_frame *f)
{
	if (r->head > 64 && r->head * 2 > r->frames.n) {
		memmove(r->frames.v, r->frames.v + r->head, (r->frames.n - r->head) * sizeof(*r->frames.v));
		r->frames.n -= r->head;
		r->head = 0;
	}
	f->first = r->next;
	r->next += f->n;
	r->bytes += tail_frame_bytes(f);
	r->n_lost += f->lost ? f->n : 0;
	vec_push(&r->frames, f);
}

static void drop_oldest(struct tail_ring *r)
{
	struct tail_frame *f = r->frames.v[r->head++];

	r->bytes -= tail_frame_bytes(f);
	r->n_lost -= f->lost ? f->n : 0;
	tail_frame_free(f);
}

static void lose(struct tail_ring *r, size_t i)
{
	struct tail_frame *f = r->frames.v[i], *lost = tail_frame_lost(f);

	r->bytes += tail_frame_bytes(lost);
	r->bytes -= tail_frame_bytes(f);
	r->n_lost += f->n;
	r->frames.v[i] = lost;
	tail_frame_free(f);
}

bool tail_ring_evict(struct tail_ring *r, uint64_t needed)
{
	size_t i = r->head;

	while (i < r->frames.n && r->frames.v[i]->lost)
		i++;
	if (i + 1 >= r->frames.n)
		return false;
	const struct tail_frame *f = r->frames.v[i];
	if (f->first + f->n <= needed)
		while (r->head <= i)
			drop_oldest(r);
	else
		lose(r, i);
	while (r->n_lost > TAIL_MAX_LOST && r->frames.v[r->head]->lost)
		drop_oldest(r);
	return true;
}

void tail_ring_trim(struct tail_ring *r, uint64_t needed)
{
	while (r->head < r->frames.n && r->frames.v[r->head]->first + r->frames.v[r->head]->n <= needed)
		drop_oldest(r);
}
