/* query/tail_ring.h - what a group of equal tails has to send: its newest entries, encoded once for all of them and
 * numbered in the order of arrival. A reader is a number; the ring knows nothing of readers. When it must shrink while
 * somebody still waits for its oldest entries, these become lost: time and labels stay for a while, so that he can be
 * told what he missed. One thread. */
#ifndef QUERY_TAIL_RING_H
#define QUERY_TAIL_RING_H

#include "base/buf.h"
#include "base/vec.h"

enum {
	TAIL_FRAME_ENTRIES = 100,     /* sent in one piece at most */
	TAIL_FRAME_BYTES = 128 << 10, /* a frame takes no more entries when it is so large */
	TAIL_MAX_LOST = 1000,	      /* entries whose loss is told one by one */
};

struct tail_item {
	int64_t ts;
	int64_t pushed_ns;	       /* monotonic: a query that ended before did not see it */
	int64_t due_ns;		       /* monotonic: not to be sent before */
	uint64_t hash;		       /* of its text */
	uint32_t off, n;	       /* its text in the body; of a lost one nothing */
	uint32_t labels_off, labels_n; /* the labels as they stand in the text */
};

struct tail_frame {
	uint64_t first; /* number of its first entry */
	size_t n;
	bool lost;
	struct buf body; /* the texts with commas between them; if lost, labels only */
	struct tail_item item[];
};

static inline struct slice tail_item_text(const struct tail_frame *f, size_t i)
{
	return slice_of(f->body.p + f->item[i].off, f->item[i].n);
}

static inline struct slice tail_item_labels(const struct tail_frame *f, size_t i)
{
	return slice_of(f->body.p + f->item[i].labels_off, f->item[i].labels_n);
}

/* Entries on their way into frames; the offsets of the items count in `text`. */
struct tail_heap {
	VEC(struct tail_item) items;
	struct buf text;
};
void tail_heap_fini(struct tail_heap *h);
void tail_heap_reset(struct tail_heap *h);

struct tail_frames {
	struct tail_frame **v;
	size_t n, cap;
};
/* Cuts items[0..n) of the heap into frames, in that order. */
void tail_frames_cut(const struct tail_heap *h, const struct tail_item *items, size_t n,
		     struct tail_frames *out);
/* The same entries without their texts. */
struct tail_frame *tail_frame_lost(const struct tail_frame *f);
void tail_frame_free(struct tail_frame *f); /* NULL is fine */
void tail_frames_fini(struct tail_frames *f);
size_t tail_frame_bytes(const struct tail_frame *f);

struct tail_ring {
	struct tail_frames frames; /* the ring's own; those before `head` are gone */
	size_t head;
	uint64_t next;	/* number of the next entry to come */
	uint64_t bytes; /* held by frames */
	size_t n_lost;	/* entries of lost frames */
};
void tail_ring_fini(struct tail_ring *r);
/* The frame with this entry, or the next one that is held. NULL: none yet. */
struct tail_frame *tail_ring_find(const struct tail_ring *r, uint64_t seq);
void tail_ring_add(struct tail_ring *r, struct tail_frame *f); /* takes f, numbers it */
/* Gives up the oldest frame that is not lost; false if it is the only one. Readers from `needed` on will miss it, so what
 * they need becomes lost. */
bool tail_ring_evict(struct tail_ring *r, uint64_t needed);
/* Forgets frames that nobody needs any more. */
void tail_ring_trim(struct tail_ring *r, uint64_t needed);

#endif
