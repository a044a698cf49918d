/* The tail thread runs in cycles: take what was pushed and who came, went or can be written to again; run the groups over
 * the pushes; let each tail send what it may. Everything a cycle touches beyond the fields under `lock` is its own.
 *
 * A new tail needs to know when every push that did not see it has ended, since such an entry may be neither in the
 * replay's snapshot nor in the feed. Pushes are counted by epoch: the thread takes the new tails, turns the epoch, and
 * lets them go on when no push of the old one is left. */
#include "query/tail.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "query/tail_group.h"
#include "query/tail_replay.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum {
	MAX_REPLAYS = 4,     /* at a time: the others wait here, not in the scheduler's queue */
	SLICE_ENTRIES = 256, /* of a push, between looks at memory */
	HEAP_BYTES = 1 << 20,
	MAX_IDLE_GROUPS = 32, /* of one tenant */
};
static const int64_t tick_ns = NS_PER_S, seen_kept_ns = 60 * NS_PER_S, resume_overlap_ns = 10 * NS_PER_S;

enum tail_state {
	TAIL_NEW,     /* waits for pushes that do not know of it */
	TAIL_WAITING, /* for its turn to read */
	TAIL_READING, /* the replay runs */
	TAIL_REPLAY,  /* sends what it brought */
	TAIL_LIVE,
	TAIL_OVER, /* end was called */
};

struct tail_groups {
	struct tail_group **v;
	size_t n, cap;
};

struct tail_tenant {
	char *name;
	size_t name_n;
	struct tail_groups groups; /* under groups_lock */
	size_t n_tails;		   /* under lock */
};

struct tail {
	struct tail_hub *hub;
	struct tail_tenant *tenant;
	struct tail_group *group;
	const struct tail_client *client;
	void *arg;
	_Atomic bool full, closed, replayed;
	/* the tail thread's */
	enum tail_state state;
	bool reading; /* the replay is the worker's */
	int64_t opened_ns, max_duration_ns, retry_ns;
	uint64_t next;	   /* in the ring */
	size_t next_frame; /* in the replay */
	int64_t newest;	   /* of what was sent, or a clock behind it */
	uint64_t n_missed;
	bool resume;
	struct tail_cursor cursor; /* of a client that came back */
	struct tail_replay replay;
};

struct tail_hub {
	struct tail_hub_options o;
	uint64_t id;
	pthread_t thread;
	pthread_rwlock_t groups_lock; /* tenants, and the groups of each; inside lock where both are held */
	struct map tenants;
	_Atomic size_t n_groups;
	pthread_mutex_t lock; /* protects what follows, and the reference counts of groups */
	pthread_cond_t kick;
	bool kicked, stopping, quit;
	bool crowded; /* a tenant has more groups that nobody follows than it may keep */
	struct tail_feed *feed, **feed_last;
	size_t feed_bytes;
	size_t n_lost_in_feed;
	VEC(struct tail *) fresh;
	unsigned epoch;
	size_t under_way[2]; /* pushes, by epoch */
	uint64_t next_group;
	char token[2]; /* what a push without a feed holds */
	/* the tail thread's */
	VEC(struct tail *) tails;
	struct tail_groups groups; /* at hand */
	bool turning;		   /* the epoch was turned, and pushes of the old one are left */
	unsigned n_replaying;
	int64_t ticked_ns, due_ns;
	uint64_t ring_bytes;
	struct arena scratch;
	struct buf filtered;
	VEC(struct tail_dropped) dropped;
	struct metric *m_tails, *m_sent, *m_missed, *m_bytes;
};

void tail_hub_options_init(struct tail_hub_options *o)
{
	*o = (struct tail_hub_options){
		.queue_bytes = 4 << 20,
		.memory_bytes = 128 << 20,
		.feed_bytes = 32 << 20,
		.linger_ns = NS_PER_MIN,
	};
}

/* ---- cursors ---- */

void tail_cursor_format(struct buf *b, const struct tail_cursor *c)
{
	buf_printf(b, "%llu-%llu-%llu-%llu-%d", (unsigned long long)c->hub, (unsigned long long)c->group,
		   (unsigned long long)c->next, (unsigned long long)c->ts, c->replaying);
}

bool tail_cursor_parse(struct slice text, struct tail_cursor *out)
{
	uint64_t v[5];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		size_t dash = i + 1 < ARRAY_LEN(v) ? slice_find_byte(text, '-') : text.n;

		if (dash == SLICE_NONE || !slice_to_u64(slice_sub(text, 0, dash), &v[i]))
			return false;
		text = slice_from(text, dash + 1);
	}
	if (v[3] > INT64_MAX)
		return false;
	*out = (struct tail_cursor){ v[0], v[1], v[2], (int64_t)v[3], v[4] != 0 };
	return true;
}

/* ---- on pushing threads ---- */

static struct tail_tenant *tenant_find(struct tail_hub *hub, struct slice name)
{
	return map_get(&hub->tenants, name);
}

static bool is_wanted(const struct tail_tenant *t, const struct batch_stream *st)
{
	for (size_t i = 0; i < t->groups.n; i++)
		if (group_wants(t->groups.v[i], st->labels))
			return true;
	return false;
}

static struct tail_feed *copy_wanted(struct tail_hub *hub, const struct batch *b)
{
	struct tail_feed *f = NULL;

	pthread_rwlock_rdlock(&hub->groups_lock);
	const struct tail_tenant *t = tenant_find(hub, b->tenant);
	for (size_t i = 0; t != NULL && i < b->streams.n; i++) {
		const struct batch_stream *st = &b->streams.v[i];

		if (st->rejected || st->refused || st->n == 0 || !is_wanted(t, st))
			continue;
		if (f == NULL)
			f = tail_feed_new(b->tenant);
		tail_feed_add(f, b, st);
	}
	pthread_rwlock_unlock(&hub->groups_lock);
	return f;
}

void *tail_before(void *arg, const struct batch *b)
{
	struct tail_hub *hub = arg;

	pthread_mutex_lock(&hub->lock);
	unsigned epoch = hub->epoch;
	hub->under_way[epoch]++;
	pthread_mutex_unlock(&hub->lock);
	struct tail_feed *f = atomic_load(&hub->n_groups) > 0 ? copy_wanted(hub, b) : NULL;
	if (f == NULL)
		return &hub->token[epoch];
	f->epoch = epoch;
	return f;
}

static void kick(struct tail_hub *hub) /* under the lock */
{
	hub->kicked = true;
	pthread_cond_signal(&hub->kick);
}

/* The oldest pushes lose their lines, so that what was missed can be told; of many even that is forgotten. */
static void make_room(struct tail_hub *hub)
{
	for (struct tail_feed *f = hub->feed; f != NULL && hub->feed_bytes > hub->o.feed_bytes; f = f->next) {
		if (f->lost)
			continue;
		hub->feed_bytes -= tail_feed_bytes(f);
		tail_feed_lose(f);
		if (hub->n_lost_in_feed + f->entries.n > TAIL_MAX_LOST) {
			metric_add(hub->m_missed, f->entries.n);
			vec_fini(&f->entries);
			vec_fini(&f->streams);
		}
		hub->n_lost_in_feed += f->entries.n;
		hub->feed_bytes += tail_feed_bytes(f);
	}
}

static void feed_append(struct tail_hub *hub, struct tail_feed *f)
{
	f->next = NULL;
	*hub->feed_last = f;
	hub->feed_last = &f->next;
	hub->feed_bytes += tail_feed_bytes(f);
	if (hub->feed_bytes > hub->o.feed_bytes)
		make_room(hub);
}

void tail_done(void *arg, void *seen, bool stored)
{
	struct tail_hub *hub = arg;
	bool is_token = seen == &hub->token[0] || seen == &hub->token[1];
	struct tail_feed *f = is_token ? NULL : seen, *unused = NULL;
	unsigned epoch = is_token ? (unsigned)((char *)seen - hub->token) : f->epoch;

	pthread_mutex_lock(&hub->lock);
	if (f != NULL && stored && !hub->stopping)
		feed_append(hub, f);
	else
		unused = f;
	hub->under_way[epoch]--;
	if ((f != NULL && unused == NULL) || (epoch != hub->epoch && hub->under_way[epoch] == 0))
		kick(hub);
	pthread_mutex_unlock(&hub->lock);
	tail_feed_free(unused);
}

/* ---- opening and closing ---- */

static struct tail_group *group_find(const struct tail_tenant *t, const struct tail_request *r)
{
	uint64_t hash = hash_seeded(r->text);

	for (size_t i = 0; i < t->groups.n; i++) {
		struct tail_group *g = t->groups.v[i];

		if (g->text_hash == hash && g->format == r->format && g->delay_ns == r->delay_ns &&
		    slice_eq(g->text, r->text))
			return g;
	}
	return NULL;
}

static struct tail_tenant *tenant_get(struct tail_hub *hub, struct slice name)
{
	struct tail_tenant *t = tenant_find(hub, name);
	bool is_new;

	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->name = xasprintf("%.*s", SLICE_ARG(name));
	t->name_n = name.n;
	*map_put(&hub->tenants, slice_of(t->name, t->name_n), &is_new) = t;
	return t;
}

static int check_open(const struct tail_hub *hub, const struct tail_tenant *t, const struct limits *l,
		      struct err *err)
{
	uint64_t max = l->max_concurrent_tail_requests;

	if (hub->stopping)
		return err_set(err, ERR_UNAVAILABLE, "shutting down");
	if (max > 0 && t->n_tails >= max)
		return err_set(err, ERR_BAD_REQUEST,
			       "max concurrent tail requests limit exceeded, count > limit (%zu > %llu)",
			       t->n_tails + 1, (unsigned long long)max);
	return 0;
}

/* Under both locks. Takes *made if the group is not there yet. */
static struct tail_group *join(struct tail_hub *hub, struct tail_tenant *t, const struct tail_request *r,
			       struct tail_group **made)
{
	struct tail_group *g = group_find(t, r);

	if (g == NULL) {
		g = TAKE(*made);
		g->id = ++hub->next_group;
		vec_push(&t->groups, g);
		atomic_fetch_add(&hub->n_groups, 1);
	}
	g->n_refs++;
	t->n_tails++;
	return g;
}

static struct tail *tail_new(struct tail_hub *hub, const struct tail_request *r, struct tail_tenant *tenant,
			     struct tail_group *g)
{
	struct tail *t = xcalloc(1, sizeof(*t));

	t->hub = hub;
	t->tenant = tenant;
	t->group = g;
	t->client = r->client;
	t->arg = r->arg;
	t->opened_ns = clock_mono_ns();
	t->max_duration_ns = r->limits->tail_max_duration;
	t->newest = INT64_MIN;
	t->resume = r->resume != NULL;
	if (t->resume)
		t->cursor = *r->resume;
	t->replay = (struct tail_replay){ .engine = hub->o.engine,
					  .limits = *r->limits,
					  .tenant = slice_of(tenant->name, tenant->name_n),
					  .text = g->text,
					  .format = g->format,
					  .encode = hub->o.encode,
					  .owner = t,
					  .start = r->start,
					  .end = r->end,
					  .limit = r->limit,
					  .newest = true };
	return t;
}

int tail_open(struct tail_hub *hub, const struct tail_request *r, struct tail **out, struct err *err)
{
	struct tail_group *made, *g = NULL;

	if (group_new(r->text, r->format, r->delay_ns, &made, err) == -1)
		return -1;
	pthread_mutex_lock(&hub->lock);
	pthread_rwlock_wrlock(&hub->groups_lock);
	struct tail_tenant *t = tenant_get(hub, r->tenant);
	if (check_open(hub, t, r->limits, err) == 0)
		g = join(hub, t, r, &made);
	if (g != NULL && r->resumable)
		g->resumable = true;
	pthread_rwlock_unlock(&hub->groups_lock);
	pthread_mutex_unlock(&hub->lock);
	group_free(made);
	if (g == NULL)
		return -1;
	*out = tail_new(hub, r, t, g);
	metric_gauge_add(hub->m_tails, 1);
	return 0;
}

/* The group stays for a while. */
static void tail_free(struct tail *t)
{
	struct tail_hub *hub = t->hub;

	pthread_mutex_lock(&hub->lock);
	t->tenant->n_tails--;
	if (--t->group->n_refs == 0)
		t->group->idle_since_ns = clock_mono_ns();
	hub->crowded |= t->tenant->groups.n > t->tenant->n_tails + MAX_IDLE_GROUPS;
	kick(hub);
	pthread_mutex_unlock(&hub->lock);
	metric_gauge_add(hub->m_tails, -1);
	replay_fini(&t->replay);
	free(t);
}

void tail_start(struct tail *t)
{
	pthread_mutex_lock(&t->hub->lock);
	vec_push(&t->hub->fresh, t);
	kick(t->hub);
	pthread_mutex_unlock(&t->hub->lock);
}

static void signal_tail(struct tail_hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	kick(hub);
	pthread_mutex_unlock(&hub->lock);
}

void tail_wake(struct tail *t)
{
	atomic_store(&t->full, false);
	signal_tail(t->hub);
}

void tail_close(struct tail *t)
{
	struct tail_hub *hub = t->hub;

	atomic_store(&t->closed, true);
	signal_tail(hub);
}

/* ---- sending; the tail thread from here on ---- */

static struct tail_cursor cursor_of_tail(const struct tail *t)
{
	return (struct tail_cursor){ .hub = t->hub->id,
				     .group = t->group->id,
				     .next = t->next,
				     .ts = MAX(t->newest, 0),
				     .replaying = t->state == TAIL_REPLAY };
}

static void end_tail(struct tail *t, enum tail_end why, const struct err *err)
{
	atomic_store(&t->replay.control.cancelled, true);
	t->state = TAIL_OVER;
	t->client->end(t->arg, why, err);
}

static void send_out(struct tail *t, struct tail_out *out)
{
	out->cursor = cursor_of_tail(t);
	metric_add(t->hub->m_sent, out->n);
	/* Before the call: tail_wake may come while it runs. */
	atomic_store(&t->full, true);
	if (t->client->send(t->arg, out) == TAIL_OK)
		atomic_store(&t->full, false);
}

static bool was_replayed(const struct tail *t, const struct tail_item *it)
{
	return it->pushed_ns <= t->replay.ended_ns && replay_has(&t->replay, it->hash);
}

/* The frame from entry `from` on, without what the replay has shown. */
static void filter(struct tail *t, const struct tail_frame *f, size_t from, struct tail_out *out)
{
	struct buf *b = &t->hub->filtered;

	buf_reset(b);
	out->n = 0;
	for (size_t i = from; i < f->n; i++) {
		if (was_replayed(t, &f->item[i]))
			continue;
		if (out->n++ > 0)
			buf_putc(b, ',');
		buf_add(b, tail_item_text(f, i));
	}
	out->body = buf_slice(b);
}

static void note_newest(struct tail *t, const struct tail_frame *f)
{
	int64_t now = clock_now_ns();

	for (size_t i = 0; i < f->n; i++)
		t->newest = MAX(t->newest, MIN(f->item[i].ts, now));
}

static void send_frame(struct tail *t, const struct tail_frame *f, size_t from)
{
	struct tail_hub *hub = t->hub;
	struct tail_out out = { .body = buf_slice(&f->body),
				.n = f->n,
				.dropped = hub->dropped.v,
				.n_dropped = hub->dropped.n,
				.n_missed = t->n_missed };

	if (from > 0 || t->replay.n_seen > 0)
		filter(t, f, from, &out);
	note_newest(t, f);
	if (out.n == 0)
		return; /* what is missing is told with the next piece */
	t->n_missed = 0;
	send_out(t, &out);
}

/* Entries that are gone: counts them, and notes those that are known. */
static void note_missed(struct tail *t, const struct tail_frame *f)
{
	struct tail_hub *hub = t->hub;
	size_t from = f->first > t->next ? 0 : (size_t)(t->next - f->first);

	for (size_t i = from; i < f->n; i++)
		if (t->replay.n_seen == 0 || !was_replayed(t, &f->item[i]))
			vec_push(&hub->dropped,
				 ((struct tail_dropped){ f->item[i].ts, tail_item_labels(f, i) }));
}

static void send_live(struct tail *t)
{
	struct tail_hub *hub = t->hub;
	const struct tail_ring *ring = &t->group->ring;
	uint64_t missed = 0;
	struct tail_frame *f;

	hub->dropped.n = 0;
	while (!atomic_load(&t->full) && (f = tail_ring_find(ring, t->next)) != NULL) {
		uint64_t start = t->next;

		/* Lost frames are told together with the first that is not; until there is one, they stay. */
		while (f != NULL && f->lost) {
			note_missed(t, f);
			t->next = f->first + f->n;
			f = tail_ring_find(ring, t->next);
		}
		if (f == NULL) {
			t->next = start;
			break;
		}
		size_t from = f->first < t->next ? (size_t)(t->next - f->first) : 0;
		missed = f->first > start ? f->first - start : 0;
		t->n_missed += missed;
		if (missed > 0)
			metric_add(hub->m_missed, missed);
		t->next = f->first + f->n;
		send_frame(t, f, from);
		hub->dropped.n = 0;
	}
}

static void go_live(struct tail *t)
{
	t->state = TAIL_LIVE;
	tail_frames_fini(&t->replay.frames);
	if (t->newest == INT64_MIN)
		t->newest = clock_now_ns();
	if (t->client->live != NULL) {
		struct tail_cursor c = cursor_of_tail(t);

		t->client->live(t->arg, &c);
	}
}

static void send_replay(struct tail *t)
{
	struct tail_replay *r = &t->replay;

	while (t->next_frame < r->frames.n && !atomic_load(&t->full)) {
		const struct tail_frame *f = r->frames.v[t->next_frame++];
		struct tail_out out = { .body = buf_slice(&f->body), .n = f->n };

		note_newest(t, f);
		send_out(t, &out);
	}
	if (t->next_frame < r->frames.n)
		return;
	if (r->more) {
		tail_frames_fini(&r->frames);
		t->next_frame = 0;
		t->state = TAIL_WAITING;
	} else {
		go_live(t);
	}
}

static void deliver(struct tail *t)
{
	if (t->state == TAIL_REPLAY)
		send_replay(t);
	if (t->state == TAIL_LIVE)
		send_live(t);
}

/* ---- replays ---- */

static void on_replayed(struct tail_replay *r)
{
	struct tail *t = r->owner;
	struct tail_hub *hub = t->hub;

	pthread_mutex_lock(&hub->lock);
	atomic_store(&t->replayed, true); /* from here on it may be gone */
	kick(hub);
	pthread_mutex_unlock(&hub->lock);
}

static void start_replay(struct tail *t)
{
	struct tail_hub *hub = t->hub;
	struct err err;

	t->state = TAIL_READING;
	t->reading = true;
	atomic_store(&t->replayed, false);
	t->replay.done = on_replayed;
	hub->n_replaying++;
	if (replay_submit(&t->replay, hub->o.sched, &err) == 0)
		return;
	t->replay.failed = true;
	t->replay.err = err;
	atomic_store(&t->replayed, true);
}

/* A busy scheduler may have room later. */
static bool may_retry(const struct tail *t, int64_t now)
{
	return t->replay.err.code == ERR_LIMITED && now - t->opened_ns < NS_PER_MIN;
}

static void end_replay(struct tail *t, int64_t now)
{
	t->reading = false;
	t->hub->n_replaying--;
	if (t->state == TAIL_OVER)
		return;
	if (!t->replay.failed) {
		t->state = TAIL_REPLAY;
	} else if (may_retry(t, now)) {
		t->state = TAIL_WAITING;
		t->retry_ns = now + tick_ns;
	} else {
		end_tail(t, TAIL_END_ERROR, &t->replay.err);
	}
}

/* Every push that it did not know of is over. A client that came back goes on in the ring if that reaches back far
 * enough; otherwise what may have come since is read again. */
static void begin(struct tail *t)
{
	const struct tail_ring *ring = &t->group->ring;
	const struct tail_cursor *c = &t->cursor;

	t->state = TAIL_WAITING;
	if (!t->resume)
		return;
	const struct tail_frame *f = tail_ring_find(ring, c->next);
	bool held = c->hub == t->hub->id && c->group == t->group->id && c->next <= ring->next &&
		    (f == NULL ? c->next == ring->next : f->first <= c->next && !f->lost);
	if (held)
		t->next = c->next;
	t->newest = c->ts;
	if (held && !c->replaying) {
		go_live(t);
		return;
	}
	t->replay.newest = false;
	t->replay.limit = REPLAY_PAGE;
	t->replay.start = c->replaying ? c->ts : c->ts - resume_overlap_ns;
}

/* ---- pushes ---- */

static void group_settle(struct tail_hub *hub, struct tail_group *g, int64_t now)
{
	uint64_t before = g->ring.bytes;
	int64_t due = group_flush(g, now, hub->o.queue_bytes);

	hub->ring_bytes += g->ring.bytes - before;
	if (due != 0 && (hub->due_ns == 0 || due < hub->due_ns))
		hub->due_ns = due;
	while (g->ring.bytes > hub->o.queue_bytes || hub->ring_bytes > hub->o.memory_bytes) {
		before = g->ring.bytes;
		bool evicted = tail_ring_evict(&g->ring, g->needed);
		hub->ring_bytes += g->ring.bytes - before;
		if (!evicted)
			break;
	}
}

static void feed_group(struct tail_hub *hub, struct tail_group *g, const struct tail_feed *f,
		       const struct feed_stream *st, struct labels labels)
{
	for (size_t i = 0; i < st->n; i += SLICE_ENTRIES) {
		uint64_t before = g->ring.bytes;

		group_feed(g, f, st, st->first + i, MIN(st->n - i, (size_t)SLICE_ENTRIES), labels,
			   hub->o.encode, &hub->scratch);
		hub->ring_bytes += g->ring.bytes - before;
		if (g->heap.text.n > HEAP_BYTES)
			group_settle(hub, g, f->pushed_ns);
	}
}

static void groups_of(struct tail_hub *hub, struct slice tenant, struct tail_groups *out)
{
	/* Only this thread removes groups, so the pointers hold without the lock. */
	out->n = 0;
	pthread_rwlock_rdlock(&hub->groups_lock);
	const struct tail_tenant *t = tenant_find(hub, tenant);
	for (size_t i = 0; t != NULL && i < t->groups.n; i++)
		vec_push(out, t->groups.v[i]);
	pthread_rwlock_unlock(&hub->groups_lock);
}

static void run_feed(struct tail_hub *hub, const struct tail_feed *f)
{
	struct labels labels;

	groups_of(hub, buf_slice(&f->tenant), &hub->groups);
	for (size_t i = 0; i < f->streams.n; i++) {
		const struct feed_stream *st = &f->streams.v[i];

		arena_reset(&hub->scratch);
		if (labels_decode(slice_of(f->labels.p + st->labels_off, st->labels_n), &hub->scratch,
				  &labels) == -1)
			continue;
		for (size_t k = 0; k < hub->groups.n; k++)
			feed_group(hub, hub->groups.v[k], f, st, labels);
	}
}

static void all_groups(struct tail_hub *hub)
{
	struct slice name;
	void *value;

	hub->groups.n = 0;
	pthread_rwlock_rdlock(&hub->groups_lock);
	for (size_t i = 0; map_next(&hub->tenants, &i, &name, &value);) {
		struct tail_tenant *t = value;

		for (size_t k = 0; k < t->groups.n; k++)
			vec_push(&hub->groups, t->groups.v[k]);
	}
	pthread_rwlock_unlock(&hub->groups_lock);
}

/* What all tails of a group have read is only kept for those who may come back. */
static void trim_groups(struct tail_hub *hub)
{
	for (size_t i = 0; i < hub->groups.n; i++)
		hub->groups.v[i]->needed = hub->groups.v[i]->ring.next;
	for (size_t i = 0; i < hub->tails.n; i++) {
		const struct tail *t = hub->tails.v[i];

		if (t->state != TAIL_OVER)
			t->group->needed = MIN(t->group->needed, t->next);
	}
	for (size_t i = 0; i < hub->groups.n; i++) {
		struct tail_group *g = hub->groups.v[i];
		uint64_t before = g->ring.bytes;

		if (!g->resumable)
			tail_ring_trim(&g->ring, g->needed);
		hub->ring_bytes += g->ring.bytes - before;
	}
}

/* Each push pays for each group, so clients that come and go with ever new queries must not leave many behind. */
static void limit_idle(struct tail_tenant *t)
{
	for (;;) {
		struct tail_group *oldest = NULL;
		size_t n = 0;

		for (size_t i = 0; i < t->groups.n; i++) {
			struct tail_group *g = t->groups.v[i];

			if (g->n_refs > 0 || !g->resumable)
				continue;
			n++;
			if (oldest == NULL || g->idle_since_ns < oldest->idle_since_ns)
				oldest = g;
		}
		if (n <= MAX_IDLE_GROUPS)
			return;
		oldest->resumable = false;
	}
}

/* Those that have nothing any more: their names come from clients, and are without number. */
static void forget_tenants(struct tail_hub *hub)
{
	VEC(struct tail_tenant *) gone = { 0 };
	struct slice name;
	void *value;

	for (size_t i = 0; map_next(&hub->tenants, &i, &name, &value);) {
		struct tail_tenant *t = value;

		if (t->groups.n == 0 && t->n_tails == 0)
			vec_push(&gone, t);
	}
	for (size_t i = 0; i < gone.n; i++) {
		struct tail_tenant *t = gone.v[i];

		map_remove(&hub->tenants, slice_of(t->name, t->name_n));
		vec_fini(&t->groups);
		free(t->name);
		free(t);
	}
	vec_fini(&gone);
}

/* Gives up groups that nobody has come back to, and tenants without any. */
static void reap(struct tail_hub *hub, int64_t now)
{
	struct tail_groups gone = { 0 };
	struct slice name;
	void *value;

	pthread_mutex_lock(&hub->lock);
	pthread_rwlock_wrlock(&hub->groups_lock);
	for (size_t i = 0; map_next(&hub->tenants, &i, &name, &value);) {
		struct tail_tenant *t = value;
		size_t n = 0;

		limit_idle(t);
		for (size_t k = 0; k < t->groups.n; k++) {
			struct tail_group *g = t->groups.v[k];
			int64_t stays = g->resumable && !g->failed && !hub->stopping ? hub->o.linger_ns : 0;

			if (g->n_refs == 0 && now - g->idle_since_ns >= stays)
				vec_push(&gone, g);
			else
				t->groups.v[n++] = g;
		}
		t->groups.n = n;
	}
	forget_tenants(hub);
	hub->crowded = false;
	atomic_fetch_sub(&hub->n_groups, gone.n);
	pthread_rwlock_unlock(&hub->groups_lock);
	pthread_mutex_unlock(&hub->lock);
	for (size_t i = 0; i < gone.n; i++) {
		hub->ring_bytes -= gone.v[i]->ring.bytes;
		group_free(gone.v[i]);
	}
	vec_fini(&gone);
	metric_set(hub->m_bytes, (int64_t)hub->ring_bytes);
}

/* ---- a cycle ---- */

static void take_fresh(struct tail_hub *hub) /* under the lock */
{
	if (hub->turning || hub->fresh.n == 0)
		return;
	for (size_t i = 0; i < hub->fresh.n; i++) {
		struct tail *t = hub->fresh.v[i];

		t->next = t->group->ring.next;
		vec_push(&hub->tails, t);
	}
	hub->fresh.n = 0;
	hub->epoch = 1 - hub->epoch;
	hub->turning = true;
}

/* Ends the tail if it has to end. */
static void check_end(struct tail *t, bool stopping, int64_t now)
{
	struct err err;

	if (t->state == TAIL_OVER)
		return;
	if (atomic_load(&t->closed)) {
		end_tail(t, TAIL_END_CLOSED, NULL);
	} else if (stopping) {
		err_set(&err, ERR_UNAVAILABLE, "shutting down");
		end_tail(t, TAIL_END_SHUTDOWN, &err);
	} else if (t->group->failed) {
		end_tail(t, TAIL_END_ERROR, &t->group->err);
	} else if (t->max_duration_ns > 0 && now - t->opened_ns >= t->max_duration_ns) {
		err_set(&err, ERR_LIMITED, "reached tail max duration limit");
		end_tail(t, TAIL_END_DURATION, &err);
	}
}

static void run_tail(struct tail *t, bool turned, bool stopping, int64_t now)
{
	if (t->state == TAIL_NEW && turned)
		begin(t);
	if (t->reading && atomic_load(&t->replayed))
		end_replay(t, now);
	check_end(t, stopping, now);
	if (t->state == TAIL_WAITING && t->hub->n_replaying < MAX_REPLAYS && now >= t->retry_ns)
		start_replay(t);
	if (t->reading && atomic_load(&t->replayed)) /* at once, without a scheduler */
		end_replay(t, now);
	deliver(t);
	if (t->state == TAIL_LIVE && t->replay.n_seen > 0 && now - t->replay.ended_ns > seen_kept_ns)
		replay_fini(&t->replay);
}

static void run_tails(struct tail_hub *hub, bool turned, bool stopping, int64_t now)
{
	bool tick = now - hub->ticked_ns >= tick_ns;

	for (size_t i = 0; i < hub->tails.n;) {
		struct tail *t = hub->tails.v[i];

		run_tail(t, turned, stopping, now);
		if (tick && t->state != TAIL_OVER && t->client->tick != NULL)
			t->client->tick(t->arg, now);
		if (t->state == TAIL_OVER && !t->reading) {
			hub->tails.v[i] = hub->tails.v[--hub->tails.n];
			tail_free(t);
		} else {
			i++;
		}
	}
	if (tick)
		hub->ticked_ns = now;
}

static bool is_crowded(struct tail_hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	bool crowded = hub->crowded;
	pthread_mutex_unlock(&hub->lock);
	return crowded;
}

static void cycle(struct tail_hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->kicked = false;
	take_fresh(hub);
	struct tail_feed *feeds = hub->feed;
	hub->feed = NULL;
	hub->feed_last = &hub->feed;
	hub->feed_bytes = hub->n_lost_in_feed = 0;
	bool turned = hub->turning && hub->under_way[1 - hub->epoch] == 0;
	if (turned)
		hub->turning = false;
	if (turned && hub->fresh.n > 0)
		hub->kicked = true;
	bool stopping = hub->stopping;
	pthread_mutex_unlock(&hub->lock);

	int64_t now = clock_mono_ns();
	hub->due_ns = 0;
	for (struct tail_feed *f = feeds, *next; f != NULL; f = next) {
		next = f->next;
		run_feed(hub, f);
		tail_feed_free(f);
	}
	all_groups(hub);
	for (size_t i = 0; i < hub->groups.n; i++)
		group_settle(hub, hub->groups.v[i], now);
	bool tick = now - hub->ticked_ns >= tick_ns;
	run_tails(hub, turned, stopping, now);
	trim_groups(hub);
	if (tick || stopping || is_crowded(hub))
		reap(hub, now);
}

/* ---- the thread ---- */

static void wait_for_work(struct tail_hub *hub) /* under the lock */
{
	int64_t until = hub->ticked_ns + tick_ns;

	if (hub->due_ns != 0 && hub->due_ns < until)
		until = hub->due_ns;
	struct timespec t = { until / NS_PER_S, until % NS_PER_S };
	while (!hub->kicked && !hub->quit)
		if (pthread_cond_timedwait(&hub->kick, &hub->lock, &t) != 0)
			break;
}

static void *run_thread(void *arg)
{
	struct tail_hub *hub = arg;

	pthread_setname_np(pthread_self(), "spoor-tail");
	for (;;) {
		pthread_mutex_lock(&hub->lock);
		wait_for_work(hub);
		bool quit = hub->quit;
		pthread_mutex_unlock(&hub->lock);
		if (quit)
			return NULL;
		cycle(hub);
	}
}

void tail_hub_run(struct tail_hub *hub)
{
	assert(hub->o.manual);
	do
		cycle(hub);
	while (hub->kicked);
}

struct tail_hub *tail_hub_new(const struct tail_hub_options *o)
{
	struct tail_hub *hub = xcalloc(1, sizeof(*hub));

	hub->o = *o;
	hub->id = hash_mix((uint64_t)clock_now_ns()) ^ hash_seeded(SLICE("tail"));
	hub->feed_last = &hub->feed;
	hub->ticked_ns = clock_mono_ns();
	map_init(&hub->tenants);
	arena_init(&hub->scratch);
	pthread_mutex_init(&hub->lock, NULL);
	pthread_rwlock_init(&hub->groups_lock, NULL);
	clock_cond_init(&hub->kick);
	hub->m_tails = metric_gauge("spoor_tails", "Live tails.", NULL);
	hub->m_sent = metric_counter("spoor_tail_sent_entries_total", "Entries sent to live tails.", NULL);
	hub->m_missed = metric_counter("spoor_tail_missed_entries_total",
				       "Entries that live tails missed because somebody was too slow.", NULL);
	hub->m_bytes = metric_gauge("spoor_tail_queue_bytes", "Memory of entries kept for live tails.", NULL);
	if (!o->manual && pthread_create(&hub->thread, NULL, run_thread, hub) != 0)
		abort();
	return hub;
}

void tail_hub_stop(struct tail_hub *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->stopping = true;
	kick(hub);
	pthread_mutex_unlock(&hub->lock);
}

static void free_tenants(struct tail_hub *hub)
{
	struct slice name;
	void *value;

	for (size_t i = 0; map_next(&hub->tenants, &i, &name, &value);) {
		struct tail_tenant *t = value;

		for (size_t k = 0; k < t->groups.n; k++)
			group_free(t->groups.v[k]);
		vec_fini(&t->groups);
		free(t->name);
		free(t);
	}
	map_fini(&hub->tenants);
}

void tail_hub_free(struct tail_hub *hub)
{
	if (hub == NULL)
		return;
	if (!hub->o.manual) {
		pthread_mutex_lock(&hub->lock);
		hub->quit = true;
		kick(hub);
		pthread_mutex_unlock(&hub->lock);
		pthread_join(hub->thread, NULL);
	}
	for (struct tail_feed *f = hub->feed, *next; f != NULL; f = next) {
		next = f->next;
		tail_feed_free(f);
	}
	for (size_t i = 0; i < hub->tails.n; i++)
		tail_free(hub->tails.v[i]);
	for (size_t i = 0; i < hub->fresh.n; i++)
		tail_free(hub->fresh.v[i]);
	free_tenants(hub);
	vec_fini(&hub->tails);
	vec_fini(&hub->fresh);
	vec_fini(&hub->groups);
	vec_fini(&hub->dropped);
	buf_fini(&hub->filtered);
	arena_fini(&hub->scratch);
	pthread_cond_destroy(&hub->kick);
	pthread_rwlock_destroy(&hub->groups_lock);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
}
