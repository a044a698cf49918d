/* Tenant and service decide the shard, and a shard's lock guards the miners in it. Locks are held for the lines of one
 * stream at a time; lines are looked at before that. */
#include "ingest/patterns.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/text.h"
#include "ingest/pattern_miner.h"
#include "ingest/shape.h"
#include "model/tenant.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
	N_SHARDS = 16,
	RUN = 128, /* lines looked at before a lock is taken */
	/* So many lines a second are all looked at. Of more, one in SAMPLE is, and counts for all of them, unless its level
	 * says that it is one of the rare ones. */
	EXACT_PER_S = 20000,
	SAMPLE = 8,
	AGE_EVERY_S = 60,
	REST_S = 10, /* at least, from one aging to the next */
	SAVE_EVERY_S = 300,
	MAX_FILE_BYTES = 1 << 30,
};
#define KEEP_NS	  (48 * NS_PER_H)
#define MINUTE_NS NS_PER_H	 /* older counts are kept by the minute */
#define FIVE_NS	  (6 * NS_PER_H) /* … by five minutes */
#define LEAST_NS  (10 * NS_PER_MIN)

struct tenant {
	_Atomic size_t bytes;
	_Atomic bool changed; /* since it was written */
	size_t n;
	char name[];
};

struct group { /* the streams of one service */
	struct tenant *tenant;
	struct miner *miner;
	uint64_t key; /* of tenant and service */
	size_t n_service;
	char service[];
};

struct shard {
	pthread_mutex_t lock;
	struct map by_key;
	VEC(struct group *) groups;
};

struct patterns {
	struct patterns_options o;
	char *dir;
	struct shard shard[N_SHARDS];
	pthread_mutex_t lock; /* guards tenants, stopping, hungry; never held together with a shard's */
	pthread_cond_t wake;
	struct map tenants;
	bool stopping;
	_Atomic bool hungry; /* someone went without memory */
	_Atomic size_t bytes;
	_Atomic int64_t second; /* monotonic */
	_Atomic size_t looked;	/* lines that came in it */
	pthread_mutex_t upkeep; /* one aging or saving at a time; groups go under it and their shard's lock */
	pthread_t thread;
	struct metric *counted, *skipped, *memory;
};

/* ---------------------------------------------------------------- tenants and groups */

static struct tenant *tenant_of(struct patterns *p, struct slice name)
{
	bool is_new;

	pthread_mutex_lock(&p->lock);
	struct tenant *t = map_get(&p->tenants, name);
	if (t == NULL) {
		t = xcalloc(1, sizeof(*t) + name.n);
		t->n = name.n;
		memcpy(t->name, name.p, name.n);
		*map_put(&p->tenants, slice_of(t->name, t->n), &is_new) = t;
	}
	pthread_mutex_unlock(&p->lock);
	return t;
}

static size_t group_bytes(const struct group *g)
{
	return sizeof(*g) + g->n_service + 2 * sizeof(struct map_slot) + miner_bytes(g->miner);
}

static void account(struct patterns *p, struct group *g, size_t before)
{
	size_t more = group_bytes(g) - before; /* wraps for less */

	if (more == 0)
		return;
	atomic_fetch_add(&p->bytes, more);
	atomic_fetch_add(&g->tenant->bytes, more);
}

static bool has_room(const struct patterns *p, const struct tenant *t)
{
	return atomic_load_explicit(&p->bytes, memory_order_relaxed) < p->o.memory_bytes &&
	       atomic_load_explicit(&t->bytes, memory_order_relaxed) < p->o.tenant_bytes;
}

static void ask_for_room(struct patterns *p)
{
	if (atomic_exchange(&p->hungry, true))
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

static uint64_t group_key(const struct tenant *t, struct slice service)
{
	return hash_mix(hash_seeded(service) ^ hash_mix(hash_seeded(slice_of(t->name, t->n))));
}

static struct slice key_slice(const uint64_t *key)
{
	return slice_of(key, sizeof(*key));
}

static struct slice service_of(const struct group *g)
{
	return slice_of(g->service, g->n_service);
}

static bool is_group(const struct group *g, const struct tenant *t, struct slice service)
{
	return g->tenant == t && slice_eq(service_of(g), service);
}

/* Under the shard's lock, like the next one. Takes the miner. */
static struct group *group_add(struct patterns *p, struct shard *shard, struct tenant *t,
			       struct slice service, struct miner *miner)
{
	struct group *g = xcalloc(1, sizeof(*g) + service.n);
	bool is_new;

	g->tenant = t;
	g->miner = miner;
	g->key = group_key(t, service);
	g->n_service = service.n;
	if (service.n > 0)
		memcpy(g->service, service.p, service.n);
	*map_put(&shard->by_key, key_slice(&g->key), &is_new) = g;
	vec_push(&shard->groups, g);
	account(p, g, 0);
	return g;
}

/* NULL: unknown, and there is no room. */
static struct group *group_of(struct patterns *p, struct shard *shard, struct tenant *t, struct slice service,
			      bool may_grow)
{
	uint64_t key = group_key(t, service);
	struct group *g = map_get(&shard->by_key, key_slice(&key));

	if (g != NULL)
		return is_group(g, t, service) ? g : NULL;
	return may_grow ? group_add(p, shard, t, service, miner_new()) : NULL;
}

static struct shard *shard_of(struct patterns *p, const struct tenant *t, struct slice service)
{
	return &p->shard[group_key(t, service) / 64 % N_SHARDS];
}

static void group_free(struct group *g)
{
	miner_free(g->miner);
	free(g);
}

/* ---------------------------------------------------------------- lines that come in */

struct seen {
	struct miner_line line;
	uint32_t n;
};

static struct slice level_of(const struct batch_entry *e)
{
	for (uint32_t i = 0; i < e->n_meta; i++)
		if (slice_eq(e->meta[i].name, SLICE("detected_level")))
			return e->meta[i].value;
	return SLICE("unknown");
}

static bool same(const struct miner_line *a, const struct miner_line *b)
{
	return a->shape == b->shape && a->at == b->at && slice_eq(a->level, b->level);
}

/* Lines of a run; equal ones become one. */
struct run {
	bool exact;
	uint64_t random;
	struct seen v[RUN];
	size_t n;
	uint8_t slot[RUN]; /* by shape: number in v, counted from 1 */
};

static void add_seen(struct run *run, const struct miner_line *line, uint32_t weight)
{
	uint8_t *slot = &run->slot[line->shape % RUN];

	if (*slot > 0 && same(&run->v[*slot - 1].line, line)) {
		run->v[*slot - 1].n += weight;
		return;
	}
	run->v[run->n++] = (struct seen){ *line, weight };
	*slot = (uint8_t)run->n;
}

static bool is_common(struct slice level)
{
	return slice_is(level, "info") || slice_is(level, "debug") || slice_is(level, "trace") ||
	       slice_is(level, "unknown");
}

/* How many lines this one stands for; 0: it is passed over. */
static uint32_t weight_of(struct run *run, struct slice level)
{
	if (run->exact || !is_common(level))
		return 1;
	run->random = run->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (run->random >> 33) % SAMPLE == 0 ? SAMPLE : 0;
}

/* Looks at entries from *from on. */
static void look(const struct batch *b, const struct batch_stream *s, int64_t oldest, size_t *from,
		 struct run *run)
{
	run->n = 0;
	memset(run->slot, 0, sizeof(run->slot));
	for (; *from < s->n && run->n < RUN; (*from)++) {
		const struct batch_entry *e = &b->entries.v[s->first + *from];
		int64_t at = e->ts / (SERIES_GRAIN_S * NS_PER_S);

		struct slice level = level_of(e);
		uint32_t weight;

		if (e->rejected || e->line.n == 0 || e->ts < oldest || at < 0 || at > UINT32_MAX ||
		    (weight = weight_of(run, level)) == 0)
			continue;
		add_seen(run, &(struct miner_line){ shape_hash(e->line), level, e->line, (uint32_t)at },
			 weight);
	}
}

static void count(struct patterns *p, struct tenant *t, const struct batch_stream *s, const struct run *run)
{
	struct slice service = labels_get(s->labels, SLICE("service_name"));
	struct shard *shard = shard_of(p, t, service);
	bool may_grow = has_room(p, t);
	uint64_t counted = 0, skipped = 0;

	pthread_mutex_lock(&shard->lock);
	struct group *g = group_of(p, shard, t, service, may_grow);
	size_t before = g != NULL ? group_bytes(g) : 0;
	struct miner_stream *stream = g != NULL ? miner_stream(g->miner, s->hash, s->labels, may_grow) : NULL;
	for (size_t i = 0; i < run->n; i++)
		if (stream != NULL && miner_count(g->miner, stream, &run->v[i].line, run->v[i].n, may_grow))
			counted += run->v[i].n;
		else
			skipped += run->v[i].n;
	if (g != NULL)
		account(p, g, before);
	pthread_mutex_unlock(&shard->lock);
	metric_add(p->counted, counted);
	if (skipped > 0)
		metric_add(p->skipped, skipped);
	if (!may_grow)
		ask_for_room(p);
}

/* Are there few enough lines in this second, these included? */
static bool is_exact(struct patterns *p, int64_t mono_ns, size_t n)
{
	int64_t second = mono_ns / NS_PER_S;

	if (atomic_exchange(&p->second, second) != second)
		atomic_store(&p->looked, 0);
	return atomic_fetch_add(&p->looked, n) <= EXACT_PER_S;
}

void *patterns_see(void *arg, const struct batch *b)
{
	struct patterns *p = arg;
	struct run run;

	if (p->o.enabled != NULL && !p->o.enabled(p->o.arg, b->tenant))
		return NULL;
	struct tenant *t = tenant_of(p, b->tenant);
	int64_t oldest = clock_now_ns() - KEEP_NS, mono = clock_mono_ns();
	run.exact = is_exact(p, mono, b->entries.n);
	run.random = (uint64_t)mono;
	for (size_t i = 0; i < b->streams.n; i++) {
		const struct batch_stream *s = &b->streams.v[i];

		for (size_t from = 0; !s->rejected && from < s->n;) {
			look(b, s, oldest, &from, &run);
			if (run.n > 0)
				count(p, t, s, &run);
		}
	}
	if (!atomic_load_explicit(&t->changed, memory_order_relaxed))
		atomic_store(&t->changed, true);
	return NULL;
}

/* ---------------------------------------------------------------- reading */

struct sum {
	struct slice text, level;
	uint64_t total;
	VEC(struct pattern_sample) samples; /* in any order */
};

struct reading {
	const struct patterns_request *r;
	struct arena *arena;
	int64_t step_s, first_s, last_s;
	struct map sums; /* level, NUL, text */
	VEC(struct sum *) all;
	struct buf key;
	const struct miner_pattern *pattern; /* the last one, and its sum */
	struct sum *sum;
};

static bool wanted(void *arg, struct slice labels)
{
	const struct reading *rd = arg;

	for (size_t i = 0; i < rd->r->n_matchers; i++) {
		const struct matcher *m = &rd->r->matcher[i];
		struct slice value = labels_get_encoded(labels, m->name);

		if (!matcher_matches(m, value.p != NULL ? value : SLICE("")))
			return false;
	}
	return true;
}

static struct sum *sum_of(struct reading *rd, const struct miner_pattern *p)
{
	struct slice level = miner_pattern_level(p);
	bool is_new;

	if (p == rd->pattern)
		return rd->sum;
	buf_reset(&rd->key);
	buf_add(&rd->key, level);
	buf_putc(&rd->key, '\0');
	miner_pattern_text(p, &rd->key);
	struct sum *s = map_get(&rd->sums, buf_slice(&rd->key));
	if (s == NULL) {
		struct slice key = arena_dup(rd->arena, buf_slice(&rd->key));

		s = arena_new(rd->arena, struct sum);
		s->level = slice_sub(key, 0, level.n);
		s->text = slice_from(key, level.n + 1);
		*map_put(&rd->sums, key, &is_new) = s;
		vec_push(&rd->all, s);
	}
	rd->pattern = p;
	rd->sum = s;
	return s;
}

static void add_row(void *arg, const struct miner_pattern *p, const struct pattern_series *series)
{
	struct reading *rd = arg;
	struct sum *s = NULL;

	for (uint32_t i = 0; i < series->n; i++) {
		int64_t at = (int64_t)series->v[i].at * SERIES_GRAIN_S;

		if (at < rd->first_s || at > rd->last_s)
			continue;
		if (s == NULL)
			s = sum_of(rd, p);
		at -= at % rd->step_s;
		s->total += series->v[i].n;
		if (s->samples.n > 0 && s->samples.v[s->samples.n - 1].at == at)
			s->samples.v[s->samples.n - 1].n += series->v[i].n;
		else
			vec_push(&s->samples, ((struct pattern_sample){ at, series->v[i].n }));
	}
}

static int by_time(const void *a, const void *b)
{
	const struct pattern_sample *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static int by_total(const void *a, const void *b)
{
	const struct sum *x = *(struct sum *const *)a, *y = *(struct sum *const *)b;
	int d = (x->total < y->total) - (x->total > y->total);

	if (d == 0)
		d = slice_cmp(x->text, y->text);
	return d != 0 ? d : slice_cmp(x->level, y->level);
}

static struct pattern_result result_of(struct sum *s, struct arena *a)
{
	size_t n = 0;

	qsort(s->samples.v, s->samples.n, sizeof(s->samples.v[0]), by_time);
	for (size_t i = 0; i < s->samples.n; i++)
		if (n > 0 && s->samples.v[n - 1].at == s->samples.v[i].at)
			s->samples.v[n - 1].n += s->samples.v[i].n;
		else
			s->samples.v[n++] = s->samples.v[i];
	struct pattern_sample *v = arena_array(a, struct pattern_sample, n);
	memcpy(v, s->samples.v, n * sizeof(*v));
	return (struct pattern_result){ s->text, s->level, s->total, n, v };
}

/* asked: one tenant, or several with | between them. */
static bool is_asked(struct slice asked, const struct tenant *t)
{
	while (asked.n > 0) {
		size_t bar = slice_find_byte(asked, '|');

		if (slice_eq(slice_sub(asked, 0, bar), slice_of(t->name, t->n)))
			return true;
		asked = slice_from(asked, bar == SLICE_NONE ? asked.n : bar + 1);
	}
	return false;
}

static void read_shard(struct shard *shard, struct slice tenant, struct reading *rd)
{
	struct miner_reader reader = { wanted, add_row, rd };

	pthread_mutex_lock(&shard->lock);
	for (size_t i = 0; i < shard->groups.n; i++) {
		const struct group *g = shard->groups.v[i];

		if (is_asked(tenant, g->tenant))
			miner_read(g->miner, &reader);
		rd->pattern = NULL;
	}
	pthread_mutex_unlock(&shard->lock);
}

void patterns_read(struct patterns *p, const struct patterns_request *r, struct arena *a,
		   struct pattern_result **out, size_t *n_out)
{
	const int64_t grain = SERIES_GRAIN_S;
	int64_t first = r->range.start / NS_PER_S;
	struct reading rd = { .r = r,
			      .arena = a,
			      .step_s = MAX(r->step / NS_PER_S, grain),
			      .first_s = first - first % grain,
			      .last_s = r->range.end / NS_PER_S };

	map_init(&rd.sums);
	buf_init(&rd.key);
	for (size_t i = 0; i < N_SHARDS; i++)
		read_shard(&p->shard[i], r->tenant, &rd);
	if (rd.all.n > 0)
		qsort(rd.all.v, rd.all.n, sizeof(rd.all.v[0]), by_total);
	*n_out = MIN(rd.all.n, r->limit);
	*out = arena_array(a, struct pattern_result, *n_out);
	for (size_t i = 0; i < rd.all.n; i++) {
		if (i < *n_out)
			(*out)[i] = result_of(rd.all.v[i], a);
		vec_fini(&rd.all.v[i]->samples);
	}
	vec_fini(&rd.all);
	map_fini(&rd.sums);
	buf_fini(&rd.key);
}

/* ---------------------------------------------------------------- aging */

/* Whose memory is so full that old counts have to go. */
static bool is_pressed(const struct patterns *p, const struct tenant *t)
{
	return atomic_load(&p->bytes) > p->o.memory_bytes / 10 * 9 ||
	       atomic_load(&t->bytes) > p->o.tenant_bytes / 10 * 9;
}

static void age_group(struct patterns *p, struct group *g, int64_t now, int64_t keep)
{
	size_t before = group_bytes(g);

	miner_age(g->miner, (now - keep) / NS_PER_S, (now - MIN(keep / 4, MINUTE_NS)) / NS_PER_S,
		  (now - MIN(keep / 2, FIVE_NS)) / NS_PER_S);
	account(p, g, before);
}

static void group_remove(struct patterns *p, struct shard *shard, size_t i)
{
	struct group *g = shard->groups.v[i];
	size_t bytes = group_bytes(g);

	map_remove(&shard->by_key, key_slice(&g->key));
	shard->groups.v[i] = shard->groups.v[--shard->groups.n];
	atomic_fetch_sub(&p->bytes, bytes);
	atomic_fetch_sub(&g->tenant->bytes, bytes);
	group_free(g);
}

static void age_all(struct patterns *p, int64_t now, int64_t keep, bool only_pressed)
{
	for (size_t k = 0; k < N_SHARDS; k++) {
		struct shard *shard = &p->shard[k];

		pthread_mutex_lock(&shard->lock);
		for (size_t i = shard->groups.n; i-- > 0;) {
			struct group *g = shard->groups.v[i];

			if (only_pressed && !is_pressed(p, g->tenant))
				continue;
			age_group(p, g, now, keep);
			if (miner_is_empty(g->miner))
				group_remove(p, shard, i);
		}
		pthread_mutex_unlock(&shard->lock);
	}
}

void patterns_age(struct patterns *p)
{
	int64_t now = clock_now_ns();

	pthread_mutex_lock(&p->upkeep);
	atomic_store(&p->hungry, false);
	age_all(p, now, KEEP_NS, false);
	for (int64_t keep = KEEP_NS / 2; keep > LEAST_NS; keep /= 2)
		age_all(p, now, keep, true);
	age_all(p, now, -NS_PER_DAY, true); /* even now: everything */
	metric_set(p->memory, (int64_t)atomic_load(&p->bytes));
	pthread_mutex_unlock(&p->upkeep);
}

size_t patterns_bytes(const struct patterns *p)
{
	return atomic_load(&p->bytes);
}

/* ---------------------------------------------------------------- files
 *
 *	"SPPTRN1\n", then for each service: 1, name with its length, a miner (pattern_miner.c); then 0, and XXH3-64 of all
 *	that precedes it. */

static const char magic[] = "SPPTRN1\n";

static char *file_path(const struct patterns *p, const struct tenant *t)
{
	struct buf name;
	char *path;

	buf_init(&name);
	tenant_dir_name(&name, slice_of(t->name, t->n));
	buf_cstr_end(&name);
	path = xasprintf("%s/%s", p->dir, name.p);
	buf_fini(&name);
	return path;
}

static void encode_tenant(struct patterns *p, const struct tenant *t, struct buf *b)
{
	buf_puts(b, magic);
	for (size_t k = 0; k < N_SHARDS; k++) {
		struct shard *shard = &p->shard[k];

		pthread_mutex_lock(&shard->lock);
		for (size_t i = 0; i < shard->groups.n; i++) {
			struct group *g = shard->groups.v[i];

			if (g->tenant != t)
				continue;
			buf_putc(b, 1);
			buf_lenslice(b, service_of(g));
			miner_encode(b, g->miner);
		}
		pthread_mutex_unlock(&shard->lock);
	}
	buf_putc(b, 0);
	buf_u64le(b, hash64(buf_slice(b)));
}

static int save_tenant(struct patterns *p, struct tenant *t, struct err *err)
{
	struct buf content;
	int rc;

	if (!atomic_exchange(&t->changed, false))
		return 0;
	buf_init(&content);
	encode_tenant(p, t, &content);
	char *path = file_path(p, t);
	rc = file_mkdirs(p->dir, err);
	if (rc == 0)
		rc = file_replace(path, buf_slice(&content), err);
	if (rc == -1)
		atomic_store(&t->changed, true);
	free(path);
	buf_fini(&content);
	return rc;
}

int patterns_save(struct patterns *p, struct err *err)
{
	VEC(struct tenant *) tenants = { 0 };
	struct slice key;
	void *value;
	int rc = 0;

	pthread_mutex_lock(&p->upkeep);
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; map_next(&p->tenants, &i, &key, &value);)
		vec_push(&tenants, (struct tenant *)value); /* they live as long as p */
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < tenants.n && rc == 0; i++)
		rc = save_tenant(p, tenants.v[i], err);
	vec_fini(&tenants);
	pthread_mutex_unlock(&p->upkeep);
	return rc;
}

/* False: that service is there already. */
static bool take_miner(struct patterns *p, struct tenant *t, struct slice service, struct miner *m)
{
	struct shard *shard = shard_of(p, t, service);
	uint64_t key = group_key(t, service);

	pthread_mutex_lock(&shard->lock);
	bool is_new = map_get(&shard->by_key, key_slice(&key)) == NULL;
	if (is_new)
		group_add(p, shard, t, service, m);
	else
		miner_free(m);
	pthread_mutex_unlock(&shard->lock);
	return is_new;
}

static bool decode_tenant(struct patterns *p, struct tenant *t, struct slice content)
{
	size_t n = sizeof(magic) - 1;

	if (content.n < n + 9 || memcmp(content.p, magic, n) != 0)
		return false;
	struct slice body = slice_sub(content, 0, content.n - 8);
	struct cursor end = cursor_of(slice_from(content, body.n));
	if (hash64(body) != cursor_u64le(&end))
		return false;
	struct cursor c = cursor_of(slice_from(body, n));
	while (cursor_u8(&c) == 1) {
		struct slice service = cursor_lenslice(&c);
		struct miner *m = c.bad ? NULL : miner_decode(&c);

		if (m == NULL)
			return false;
		if (!take_miner(p, t, service, m))
			return false;
	}
	return !c.bad && cursor_left(&c) == 0;
}

static void load_tenant(struct patterns *p, struct slice name, const char *path)
{
	struct buf content;
	struct err err;

	buf_init(&content);
	if (file_read_all(path, MAX_FILE_BYTES, &content, &err) == -1)
		log_warn("cannot read patterns", KV("error", err.msg));
	else if (!decode_tenant(p, tenant_of(p, name), buf_slice(&content)))
		log_warn("damaged patterns are left out", KV("file", path));
	buf_fini(&content);
}

static void load(struct patterns *p)
{
	DIR *dir = opendir(p->dir);
	struct buf name;

	if (dir == NULL)
		return; /* nothing was written yet */
	buf_init(&name);
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		buf_reset(&name);
		if (!tenant_from_dir_name(&name, slice_cstr(e->d_name)))
			continue;
		char *path = xasprintf("%s/%s", p->dir, e->d_name);
		load_tenant(p, buf_slice(&name), path);
		free(path);
	}
	buf_fini(&name);
	closedir(dir);
}

/* ---------------------------------------------------------------- upkeep */

static void save_or_log(struct patterns *p)
{
	struct err err;

	if (patterns_save(p, &err) == -1)
		log_warn("cannot write patterns", KV("error", err.msg));
}

/* False: it is time to stop. With `early`, returns as soon as someone goes without memory. */
static bool wait_seconds(struct patterns *p, int seconds, bool early)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&p->lock);
	while (!p->stopping && !(early && atomic_load(&p->hungry)) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
	bool go_on = !p->stopping;
	pthread_mutex_unlock(&p->lock);
	return go_on;
}

static void *upkeep(void *arg)
{
	struct patterns *p = arg;
	int64_t saved = clock_mono_ns();

	while (wait_seconds(p, REST_S, false) && wait_seconds(p, AGE_EVERY_S - REST_S, true)) {
		patterns_age(p);
		if (clock_mono_ns() - saved < SAVE_EVERY_S * NS_PER_S)
			continue;
		save_or_log(p);
		saved = clock_mono_ns();
	}
	return NULL;
}

struct patterns *patterns_open(const struct patterns_options *o)
{
	struct patterns *p = xcalloc(1, sizeof(*p));

	p->o = *o;
	p->dir = xstrdup(o->dir);
	p->o.dir = p->dir;
	for (size_t i = 0; i < N_SHARDS; i++) {
		pthread_mutex_init(&p->shard[i].lock, NULL);
		map_init(&p->shard[i].by_key);
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->upkeep, NULL);
	clock_cond_init(&p->wake);
	map_init(&p->tenants);
	p->counted = metric_counter("spoor_pattern_lines_total", "Lines counted for patterns.", NULL);
	p->skipped = metric_counter("spoor_pattern_lines_skipped_total",
				    "Lines not counted for patterns, because pattern_memory is full.", NULL);
	p->memory = metric_gauge("spoor_pattern_memory_bytes", "Memory of log patterns.", NULL);
	load(p);
	if (pthread_create(&p->thread, NULL, upkeep, p) != 0)
		abort();
	pthread_setname_np(p->thread, "spoor-patterns");
	return p;
}

void patterns_close(struct patterns *p)
{
	struct slice key;
	void *value;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	save_or_log(p);
	for (size_t i = 0; i < N_SHARDS; i++) {
		for (size_t k = 0; k < p->shard[i].groups.n; k++)
			group_free(p->shard[i].groups.v[k]);
		vec_fini(&p->shard[i].groups);
		map_fini(&p->shard[i].by_key);
		pthread_mutex_destroy(&p->shard[i].lock);
	}
	for (size_t i = 0; map_next(&p->tenants, &i, &key, &value);)
		free(value);
	map_fini(&p->tenants);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->upkeep);
	free(p->dir);
	free(p);
}
