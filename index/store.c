/* The store's outer shape: opening and closing, the writer thread (WAL and head), the flusher thread, the list of
 * partitions, and the small answers that need no units. */
#include "index/store_internal.h"
#include "base/account.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "index/seal.h"
#include "index/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_RECORD = 4 << 20, SPARE_LABELS = 512 /* a guess at a stream's encoded labels */ };
#define HEAL_INTERVAL_NS NS_PER_S
enum {
	LOG_FILE_BYTES = 64 << 20, /* a file of the log is read whole at the start */
	LOG_PER_HEAD = 8,	   /* a head is flushed when its log is so many times head_bytes */
};

void store_options_init(struct store_options *o)
{
	*o = (struct store_options){
		.wal_sync = WAL_SYNC_ALWAYS,
		.wal_sync_interval_ns = 200 * NS_PER_MS,
		.head_bytes = 40 << 20,
		.head_max_age_ns = 5 * NS_PER_MIN,
		.max_chunk_bytes = 2 << 20,
		.max_chunk_entries = 8192,
		.trace_bucket_ns = 10 * NS_PER_S,
		.merge_interval_ns = 30 * NS_PER_S,
		.ingest_memory_bytes = 256 << 20,
		.index_cache_bytes = 32 << 20,
	};
}

/* ---- partitions ----------------------------------------------------------------------------------------------- */

static bool is_partition(const struct partition *p, struct slice tenant, int64_t day)
{
	return p->day == day && slice_is(tenant, p->tenant);
}

struct partition *store_partition(struct store *s, struct slice tenant, int64_t day, bool create,
				  struct err *err)
{
	struct partition *p = NULL;

	err_clear(err);
	pthread_mutex_lock(&s->partitions_lock);
	for (size_t i = 0; i < s->partitions.n && p == NULL; i++)
		if (is_partition(s->partitions.v[i], tenant, day))
			p = s->partitions.v[i];
	if (p == NULL && create &&
	    partition_open(s->dir, tenant, day, true, s->o.keys, s->o.trace_bucket_ns, &p, err) == 0) {
		p->cache = s->index_cache;
		vec_push(&s->partitions, p);
		metric_set(s->m.partitions, (int64_t)s->partitions.n);
	}
	if (p != NULL)
		partition_ref(p);
	pthread_mutex_unlock(&s->partitions_lock);
	return p;
}

static int cmp_day(const void *a, const void *b)
{
	const struct partition *x = *(struct partition *const *)a, *y = *(struct partition *const *)b;

	return x->day < y->day ? -1 : x->day > y->day;
}

struct partition **store_partitions(struct store *s, struct slice tenant, struct timerange range, size_t *n)
{
	VEC(struct partition *) v = { 0 };

	pthread_mutex_lock(&s->partitions_lock);
	for (size_t i = 0; i < s->partitions.n; i++) {
		struct partition *p = s->partitions.v[i];
		struct timerange day = partition_range(p);

		if ((tenant.p == NULL || slice_is(tenant, p->tenant)) && day.start < range.end &&
		    day.end > range.start)
			vec_push(&v, partition_ref(p));
	}
	pthread_mutex_unlock(&s->partitions_lock);
	if (v.n > 1)
		qsort(v.v, v.n, sizeof(*v.v), cmp_day);
	*n = v.n;
	return v.v;
}

void store_partitions_release(struct partition **p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		partition_unref(p[i]);
	free(p);
}

void store_leave_out(struct store *s, struct slice tenant, int64_t day)
{
	pthread_mutex_lock(&s->partitions_lock);
	vec_push(&s->left_out, ((struct left_out){ xasprintf("%.*s", SLICE_ARG(tenant)), day }));
	pthread_mutex_unlock(&s->partitions_lock);
}

size_t store_n_left_out(struct store *s, struct slice tenant, struct timerange range)
{
	size_t n = 0;

	pthread_mutex_lock(&s->partitions_lock);
	for (size_t i = 0; i < s->left_out.n; i++)
		n += slice_is(tenant, s->left_out.v[i].tenant) && range.start < range.end &&
		     s->left_out.v[i].day >= clock_day_of(range.start) &&
		     s->left_out.v[i].day <= clock_day_of(range.end - 1);
	pthread_mutex_unlock(&s->partitions_lock);
	return n;
}

/* The reason may have gone: a full disk, too many open files. */
void store_retry_left_out(struct store *s)
{
	for (;;) {
		struct left_out d = { 0 };
		struct err err;

		pthread_mutex_lock(&s->partitions_lock);
		if (s->left_out.n > 0)
			d = s->left_out.v[--s->left_out.n];
		pthread_mutex_unlock(&s->partitions_lock);
		if (d.tenant == NULL)
			return;
		struct partition *p = store_partition(s, slice_cstr(d.tenant), d.day, true, &err);
		if (p == NULL)
			store_leave_out(s, slice_cstr(d.tenant), d.day);
		else
			log_info("partition taken in after all", KV("dir", p->dir));
		partition_unref(p);
		free(d.tenant);
		if (p == NULL)
			return;
	}
}

struct timespec store_deadline(int64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns += t.tv_nsec;
	t.tv_sec += ns / NS_PER_S;
	t.tv_nsec = ns % NS_PER_S;
	return t;
}

/* ---- active streams ------------------------------------------------------------------------------------------- */

static struct active_streams *active_streams(struct store *s, struct slice tenant)
{
	for (size_t i = 0; i < s->streams.n; i++)
		if (slice_is(tenant, s->streams.v[i]->tenant))
			return s->streams.v[i];
	struct active_streams *a = xcalloc(1, sizeof(*a));
	a->tenant = xasprintf("%.*s", SLICE_ARG(tenant));
	vec_push(&s->streams, a);
	return a;
}

/* Counts the stream as active, unless the tenant has as many as it may. */
static bool admit_stream(struct active_streams *a, uint64_t hash, uint64_t limit)
{
	struct slice key = slice_of(&hash, sizeof(hash));

	if (map_get(&a->young, key) != NULL)
		return true;
	bool known = map_get(&a->old, key) != NULL;
	if (!known && limit > 0 && a->young.n + a->old.n - a->n_both >= limit)
		return false;
	a->n_both += known;
	*map_put(&a->young, arena_dup(&a->young_arena, key), NULL) = a;
	return true;
}

void store_streams_age(struct store *s)
{
	pthread_mutex_lock(&s->streams_lock);
	for (size_t i = 0; i < s->streams.n; i++) {
		struct active_streams *a = s->streams.v[i];

		map_fini(&a->old);
		arena_fini(&a->old_arena);
		a->old = a->young;
		a->old_arena = a->young_arena;
		a->young = (struct map){ 0 };
		a->n_both = 0;
		a->young_arena = (struct arena){ 0 };
	}
	pthread_mutex_unlock(&s->streams_lock);
}

/* ---- encoding a batch ----------------------------------------------------------------------------------------- */

/* Fresh memory costs a fault for each page, more than what is written to it, so payloads pass theirs on. */
static struct buf take_spare(struct store *s, size_t want)
{
	struct buf b = { 0 };

	pthread_mutex_lock(&s->spare_lock);
	if (s->n_spare > 0)
		b = s->spare[--s->n_spare];
	pthread_mutex_unlock(&s->spare_lock);
	if (b.cap < want)
		buf_fini(&b);
	buf_reserve(&b, want);
	return b;
}

static void give_spare(struct store *s, struct buf *b)
{
	struct buf old = *b;

	*b = (struct buf){ 0 };
	pthread_mutex_lock(&s->spare_lock);
	if (old.cap <= STORE_SPARE_BYTES && s->n_spare < STORE_SPARE) {
		buf_reset(&old);
		s->spare[s->n_spare++] = old;
		old = (struct buf){ 0 };
	}
	pthread_mutex_unlock(&s->spare_lock);
	buf_fini(&old);
}

/* One record holds one run of entries of as many streams as fit. */
struct record_writer {
	struct store *store;
	struct append_job *job;
	const struct batch *batch;
	struct wal_writer w;
	struct buf payload; /* none: no record is begun */
};

static void end_record(struct record_writer *w)
{
	if (w->payload.p == NULL)
		return;
	wal_writer_finish(&w->w);
	struct append_record *r = vec_add(&w->job->records);
	r->payload = w->payload;
	w->payload = (struct buf){ 0 };
	r->sum = wal_payload_sum(buf_slice(&r->payload));
	w->job->bytes += r->payload.n;
}

/* What is left of the batch from this stream on, as far as one record may hold it. */
static void begin_record(struct record_writer *w, const struct batch_stream *st)
{
	const struct batch_stream *end = w->batch->streams.v + w->batch->streams.n;
	size_t want = 0;

	for (const struct batch_stream *i = st; i < end && want < MAX_RECORD; i++)
		want += wal_writer_bound(w->batch->entries.v + i->first, i->n) + SPARE_LABELS;
	w->payload = take_spare(w->store, MIN(want, (size_t)MAX_RECORD));
	wal_writer_start(&w->w, &w->payload, w->batch->tenant);
}

static void encode_stream(struct record_writer *w, const struct batch_stream *st, struct slice encoded)
{
	bool begun = false;

	for (size_t i = 0; i < st->n; i++) {
		const struct batch_entry *e = &w->batch->entries.v[st->first + i];

		if (e->rejected)
			continue;
		if (w->payload.p == NULL)
			begin_record(w, st);
		if (!begun)
			wal_writer_stream(&w->w, encoded);
		begun = true;
		wal_writer_entry(&w->w, e);
		w->job->n_entries++;
		if (w->payload.n >= MAX_RECORD) {
			end_record(w);
			begun = false;
		}
	}
}

static void refuse_stream(struct append_job *job, const struct batch *b, const struct batch_stream *st)
{
	struct buf text;

	for (size_t i = 0; i < st->n; i++)
		job->n_refused += !b->entries.v[st->first + i].rejected;
	if (job->refused.code != ERR_NONE)
		return;
	buf_init(&text);
	labels_format(&text, st->labels);
	err_set(&job->refused, ERR_LIMITED,
		"maximum active stream limit exceeded when trying to create stream %.*s, reduce the number "
		"of active streams "
		"(reduce labels or reduce label values), or contact your Loki administrator to see if the "
		"limit can be "
		"increased, user: '%.*s'",
		(int)MIN(text.n, (size_t)512), text.p, SLICE_ARG(b->tenant));
	buf_fini(&text);
}

/* May this stream be written to? labels is scratch, and then holds its encoded labels. */
static bool admit(struct store *s, struct active_streams *active, uint64_t limit,
		  const struct batch_stream *st, struct buf *labels)
{
	buf_reset(labels);
	labels_encode(labels, st->labels);
	pthread_mutex_lock(&s->streams_lock);
	bool admitted = admit_stream(active, labels_hash(buf_slice(labels)), limit);
	pthread_mutex_unlock(&s->streams_lock);
	return admitted;
}

static struct active_streams *streams_of(struct store *s, struct slice tenant, uint64_t *limit)
{
	*limit = s->o.max_streams != NULL ? s->o.max_streams(s->o.arg, tenant) : 0;
	pthread_mutex_lock(&s->streams_lock);
	struct active_streams *active = active_streams(s, tenant);
	pthread_mutex_unlock(&s->streams_lock);
	return active;
}

void store_admit(struct store *s, struct batch *b)
{
	uint64_t limit;
	char why[1];

	if (store_read_only(s, why, sizeof(why)))
		return; /* store_append will refuse it all */
	struct active_streams *active = streams_of(s, b->tenant, &limit);
	struct buf labels;
	buf_init(&labels);
	for (size_t i = 0; i < b->streams.n; i++) {
		struct batch_stream *st = &b->streams.v[i];

		st->refused = !st->rejected && st->n > 0 && !admit(s, active, limit, st, &labels);
	}
	b->admitted = true;
	buf_fini(&labels);
}

static void encode_batch(struct store *s, const struct batch *b, struct append_job *job)
{
	struct record_writer w = { .store = s, .job = job, .batch = b };
	uint64_t limit;
	struct active_streams *active = streams_of(s, b->tenant, &limit);
	struct buf labels;

	buf_init(&labels);
	for (size_t i = 0; i < b->streams.n; i++) {
		const struct batch_stream *st = &b->streams.v[i];
		bool admitted;

		if (st->rejected || st->n == 0)
			continue;
		if (b->admitted) {
			admitted = !st->refused;
			buf_reset(&labels);
			labels_encode(&labels, st->labels);
		} else {
			admitted = admit(s, active, limit, st, &labels);
		}
		if (admitted)
			encode_stream(&w, st, buf_slice(&labels));
		else
			refuse_stream(job, b, st);
	}
	end_record(&w);
	buf_fini(&labels);
}

static void free_job(struct store *s, struct append_job *job)
{
	for (size_t i = 0; i < job->records.n; i++)
		give_spare(s, &job->records.v[i].payload);
	vec_fini(&job->records);
	free(job);
}

static void finish_job(struct store *s, struct append_job *job, const struct err *err)
{
	const struct err *e = err->code != ERR_NONE ? err : &job->refused;

	job->done(job->arg, e, job->n_refused);
	free_job(s, job);
}

/* ---- appending ------------------------------------------------------------------------------------------------ */

bool store_read_only(struct store *s, char *why, size_t why_size)
{
	bool wal = atomic_load(&s->wal_failed), disk = atomic_load(&s->disk_low);

	if (why_size > 0) {
		pthread_mutex_lock(&s->state_lock);
		snprintf(why, why_size, "%s", disk ? s->disk_why : wal ? s->wal_why : "");
		pthread_mutex_unlock(&s->state_lock);
	}
	return wal || disk;
}

void store_append(struct store *s, const struct batch *b, store_done_fn done, void *arg)
{
	struct append_job *job;
	struct err err = { 0 };
	char why[256];

	if (store_read_only(s, why, sizeof(why))) {
		err_set(&err, ERR_UNAVAILABLE, "read-only: %s", why);
		done(arg, &err, 0);
		return;
	}
	job = xcalloc(1, sizeof(*job));
	job->done = done;
	job->arg = arg;
	encode_batch(s, b, job);
	if (job->records.n == 0) {
		finish_job(s, job, &err);
		return;
	}
	pthread_mutex_lock(&s->queue_lock);
	bool stopping = s->stopping;
	if (!stopping) {
		*s->last = job;
		s->last = &job->next;
		pthread_cond_signal(&s->queue_more);
	}
	pthread_mutex_unlock(&s->queue_lock);
	if (stopping) {
		err_set(&err, ERR_UNAVAILABLE, "shutting down");
		finish_job(s, job, &err);
	}
}

/* ---- sealing --------------------------------------------------------------------------------------------------- */

struct head *store_new_head(const struct store *s, uint64_t wal_number)
{
	/* The rest is for chunks and the map of traces. */
	struct head_limits limits = { .memory = s->head_memory,
				      .chunk_bytes = s->o.max_chunk_bytes,
				      .chunk_entries = s->o.max_chunk_entries,
				      .open_bytes = s->o.head_bytes / 8 * 5 };

	return head_new(wal_number, &limits);
}

static void wake_sealer(struct store *s)
{
	pthread_mutex_lock(&s->seal_lock);
	s->seal_wanted = true;
	pthread_cond_signal(&s->seal_more);
	pthread_mutex_unlock(&s->seal_lock);
}

static void wait_for_sealer(struct store *s)
{
	struct timespec until = store_deadline(20 * NS_PER_MS);

	wake_sealer(s);
	pthread_mutex_lock(&s->seal_lock);
	pthread_cond_timedwait(&s->seal_done, &s->seal_lock, &until);
	pthread_mutex_unlock(&s->seal_lock);
}

static bool sealer_may_go_on(struct store *s)
{
	pthread_mutex_lock(&s->seal_lock);
	pthread_cond_broadcast(&s->seal_done);
	bool stop = s->sealer_stop;
	pthread_mutex_unlock(&s->seal_lock);
	return !stop;
}

static void *sealer_main(void *arg)
{
	struct store *s = arg;
	struct sealer x = { .bucket_ns = s->o.trace_bucket_ns, .account = s->encode_memory };

	for (;;) {
		pthread_mutex_lock(&s->seal_lock);
		while (!s->seal_wanted && !s->sealer_stop)
			pthread_cond_wait(&s->seal_more, &s->seal_lock);
		bool stop = s->sealer_stop;
		s->seal_wanted = false;
		pthread_mutex_unlock(&s->seal_lock);
		if (stop)
			break;
		pthread_rwlock_rdlock(&s->heads_lock);
		struct head *h = head_ref(s->active);
		pthread_rwlock_unlock(&s->heads_lock);
		while (head_seal_next(h, &x)) {
			metric_add(s->m.sealed, 1);
			if (!sealer_may_go_on(s))
				break;
		}
		head_unref(h);
		metric_add(s->m.duplicates, x.n_duplicates);
		x.n_duplicates = 0;
	}
	sealer_fini(&x);
	return NULL;
}

/* ---- the writer thread ---------------------------------------------------------------------------------------- */

void store_set_wal_state(struct store *s, bool failed, const char *why)
{
	pthread_mutex_lock(&s->state_lock);
	snprintf(s->wal_why, sizeof(s->wal_why), "%s", why);
	pthread_mutex_unlock(&s->state_lock);
	if (atomic_exchange(&s->wal_failed, failed) == failed)
		return;
	metric_set(s->m.read_only, failed || atomic_load(&s->disk_low));
	if (failed)
		log_error("writes refused: the write-ahead log failed", KV("reason", why));
	else
		log_info("writes accepted again");
}

/* After a failure nothing more goes to the old file: a new one says where the old one ends. Tried once a second. */
static void heal_wal(struct store *s)
{
	struct err err;

	if (!atomic_load(&s->wal_failed) || atomic_load(&s->disk_low) ||
	    (s->last_heal_mono_ns != 0 && clock_mono_ns() - s->last_heal_mono_ns < HEAL_INTERVAL_NS))
		return;
	s->last_heal_mono_ns = clock_mono_ns();
	if (wal_next(s->wal, &err) == -1) {
		store_set_wal_state(s, true, err.msg);
		return;
	}
	pthread_rwlock_wrlock(&s->heads_lock);
	s->active->wal_last = wal_number(s->wal);
	pthread_rwlock_unlock(&s->heads_lock);
	store_set_wal_state(s, false, "");
}

static int write_jobs(struct store *s, struct append_job *jobs, struct err *err)
{
	for (struct append_job *j = jobs; j != NULL; j = j->next) {
		for (size_t i = 0; i < j->records.n; i++) {
			if (wal_append(s->wal, buf_slice(&j->records.v[i].payload), j->records.v[i].sum,
				       err) == -1)
				return -1;
			metric_add(s->m.wal_records, 1);
			metric_add(s->m.wal_bytes, j->records.v[i].payload.n);
		}
	}
	if (s->o.wal_sync != WAL_SYNC_ALWAYS) {
		s->unsynced = true;
		return 0;
	}
	int64_t began = clock_mono_ns();
	if (wal_sync_now(s->wal, err) == -1)
		return -1;
	metric_add(s->m.wal_syncs, 1);
	metric_observe(s->m.wal_sync_seconds, (double)(clock_mono_ns() - began) / 1e9);
	return 0;
}

static void apply_jobs(struct store *s, const struct append_job *jobs)
{
	struct err err;

	for (const struct append_job *j = jobs; j != NULL; j = j->next) {
		for (size_t i = 0; i < j->records.n; i++)
			if (head_apply(s->active, buf_slice(&j->records.v[i].payload), NULL, NULL, &err) ==
			    -1)
				log_error("record of our own making is malformed", KV("error", err.msg));
		metric_add(s->m.appended_entries, j->n_entries);
		metric_add(s->m.appended_bytes, j->bytes);
	}
}

static void finish_jobs(struct store *s, struct append_job *jobs, const struct err *err)
{
	for (struct append_job *j = jobs, *next; j != NULL; j = next) {
		next = j->next;
		finish_job(s, j, err);
	}
}

static void show_head(struct store *s)
{
	metric_set(s->m.head_bytes, (int64_t)s->active->bytes);
	metric_set(s->m.head_entries, (int64_t)s->active->n_entries);
	metric_set(s->m.head_streams, (int64_t)s->active->n_streams);
	metric_set(s->m.head_memory, (int64_t)head_memory(s->active));
}

static void run_jobs(struct store *s, struct append_job *jobs)
{
	const struct err ok = { 0 };
	struct err err = { 0 };
	char why[256];

	if (store_read_only(s, why, sizeof(why))) {
		err_set(&err, ERR_UNAVAILABLE, "read-only: %s", why);
		finish_jobs(s, jobs, &err);
		return;
	}
	if (write_jobs(s, jobs, &err) == -1) {
		store_set_wal_state(s, true, err.msg);
		err.code = ERR_UNAVAILABLE;
		finish_jobs(s, jobs, &err);
		keep_disk(s);
		heal_wal(s);
		return;
	}
	wal_mark_good(s->wal);
	apply_jobs(s, jobs);
	show_head(s); /* who has the answer finds it in the metrics */
	finish_jobs(s, jobs, &ok);
	if (head_closed_memory(s->active) > 0)
		wake_sealer(s);
}

/* Entries sent again take no room in the head but some in the log, and so does what compresses well. */
static bool log_is_full(const struct store *s)
{
	return (s->full_logs_bytes + wal_bytes(s->wal)) / LOG_PER_HEAD >= s->o.head_bytes;
}

static bool head_is_full(const struct store *s)
{
	/* When others need the memory, a head of half the size goes, too. */
	uint64_t most = account_is_short(s->o.memory) ? s->o.head_bytes / 2 : s->o.head_bytes;

	return head_memory(s->active) >= most || log_is_full(s);
}

/* There will be room as soon as what waits is sealed. */
static bool sealing_helps(const struct store *s)
{
	uint64_t closed = head_closed_memory(s->active), all = head_memory(s->active);

	return closed > 0 && !log_is_full(s) && all - MIN(closed, all) < s->o.head_bytes;
}

static bool head_is_due(const struct store *s)
{
	const struct head *h = s->active;

	return h->n_entries > 0 &&
	       (head_is_full(s) || clock_mono_ns() - h->born_mono_ns >= s->o.head_max_age_ns);
}

/* Begins the next file of the log, with all of the old one on disk. */
static bool next_log(struct store *s)
{
	struct err err;

	if ((s->unsynced && wal_sync_now(s->wal, &err) == -1) || wal_next(s->wal, &err) == -1) {
		store_set_wal_state(s, true, err.msg);
		return false;
	}
	s->unsynced = false;
	return true;
}

/* The active head goes on in another file. */
static void roll_log(struct store *s)
{
	uint64_t bytes = wal_bytes(s->wal);

	if (bytes < LOG_FILE_BYTES || !next_log(s))
		return;
	s->full_logs_bytes += bytes;
	pthread_rwlock_wrlock(&s->heads_lock);
	s->active->wal_last = wal_number(s->wal);
	pthread_rwlock_unlock(&s->heads_lock);
}

/* Hands the active head to the flusher. False if the one before is not done or the WAL cannot go on. */
static bool freeze(struct store *s, uint64_t claim)
{
	bool busy;

	pthread_mutex_lock(&s->flush_lock);
	busy = s->frozen != NULL;
	pthread_mutex_unlock(&s->flush_lock);
	if (busy || !next_log(s))
		return false;
	s->full_logs_bytes = 0;
	struct head *fresh = store_new_head(s, wal_number(s->wal));
	pthread_mutex_lock(&s->flush_lock);
	pthread_rwlock_wrlock(&s->heads_lock);
	s->frozen = s->active;
	s->active = fresh;
	pthread_rwlock_unlock(&s->heads_lock);
	s->flush_claimed = claim;
	pthread_cond_signal(&s->flush_more);
	pthread_mutex_unlock(&s->flush_lock);
	store_streams_age(s);
	show_head(s);
	return true;
}

static void wait_for_flusher(struct store *s)
{
	struct timespec until = store_deadline(50 * NS_PER_MS);

	pthread_mutex_lock(&s->flush_lock);
	if (s->frozen != NULL)
		pthread_cond_timedwait(&s->flush_done, &s->flush_lock, &until);
	pthread_mutex_unlock(&s->flush_lock);
}

static bool flusher_is_failing(struct store *s)
{
	pthread_mutex_lock(&s->flush_lock);
	bool failing = s->frozen != NULL && s->flush_err.code != ERR_NONE;
	pthread_mutex_unlock(&s->flush_lock);
	return failing;
}

/* Before more is taken in: is there room? With both heads full, the writer waits; if flushing keeps failing, it refuses. */
static bool make_room(struct store *s)
{
	while (head_is_due(s) && head_is_full(s)) {
		if (sealing_helps(s)) {
			wait_for_sealer(s);
			continue;
		}
		if (freeze(s, 0))
			return true;
		if (atomic_load(&s->wal_failed) || atomic_load(&s->disk_low) || flusher_is_failing(s))
			return false;
		wait_for_flusher(s);
	}
	if (head_is_due(s))
		freeze(s, 0);
	if (!atomic_load(&s->wal_failed))
		roll_log(s);
	return true;
}

/* Everything appended before the wish is in the active head by now, or in the frozen one. */
static void serve_flush(struct store *s, uint64_t wanted)
{
	bool freeze_it = false;

	pthread_mutex_lock(&s->flush_lock);
	if (s->flush_served < wanted && s->flush_claimed < wanted) {
		if (s->active->n_entries > 0) {
			freeze_it = true; /* waits for its turn while another head is frozen */
		} else if (s->frozen != NULL) {
			s->flush_claimed = wanted;
		} else {
			s->flush_served = wanted;
			pthread_cond_broadcast(&s->flush_done);
		}
	}
	pthread_mutex_unlock(&s->flush_lock);
	if (freeze_it)
		freeze(s, wanted);
}

static void sync_if_due(struct store *s)
{
	int64_t now = clock_mono_ns();
	struct err err;

	if (!s->unsynced || s->o.wal_sync != WAL_SYNC_INTERVAL ||
	    now - s->last_sync_mono_ns < s->o.wal_sync_interval_ns)
		return;
	s->last_sync_mono_ns = now;
	s->unsynced = false;
	metric_add(s->m.wal_syncs, 1);
	if (wal_sync_now(s->wal, &err) == -1)
		store_set_wal_state(s, true, err.msg);
}

static struct append_job *take_jobs(struct store *s, uint64_t *flush_wanted, bool *stopping)
{
	int64_t wait_ns = s->o.wal_sync == WAL_SYNC_INTERVAL && s->unsynced ? s->o.wal_sync_interval_ns
									    : 100 * NS_PER_MS;
	struct timespec until = store_deadline(wait_ns);

	pthread_mutex_lock(&s->queue_lock);
	if (s->first == NULL && !s->stopping && s->flush_wanted == *flush_wanted)
		pthread_cond_timedwait(&s->queue_more, &s->queue_lock, &until);
	struct append_job *jobs = s->first;
	s->first = NULL;
	s->last = &s->first;
	*flush_wanted = s->flush_wanted;
	*stopping = s->stopping;
	pthread_mutex_unlock(&s->queue_lock);
	return jobs;
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	uint64_t flush_wanted = 0;
	bool stopping = false;

	while (!stopping) {
		struct append_job *jobs = take_jobs(s, &flush_wanted, &stopping);

		heal_wal(s);
		if (!make_room(s) && jobs != NULL) {
			struct err err;

			err_set(&err, ERR_UNAVAILABLE,
				"read-only: the memory for new entries is full and cannot be flushed");
			finish_jobs(s, jobs, &err);
			jobs = NULL;
		}
		if (jobs != NULL)
			run_jobs(s, jobs);
		sync_if_due(s);
		serve_flush(s, flush_wanted);
	}
	return NULL;
}

/* ---- the flusher thread --------------------------------------------------------------------------------------- */

/* All partitions have what these files hold: only now may they go. */
static void drop_log(struct store *s, uint64_t covered)
{
	struct err err;

	if (wal_remove_through(s->wal_dir, covered, &err) == -1)
		log_warn("old log files stay", KV("error", err.msg));
}

static void *flusher_main(void *arg)
{
	struct store *s = arg;
	struct err err;

	pthread_mutex_lock(&s->flush_lock);
	for (;;) {
		while (s->frozen == NULL && !s->flusher_stop)
			pthread_cond_wait(&s->flush_more, &s->flush_lock);
		if (s->frozen == NULL)
			break;
		struct head *h = s->frozen;
		pthread_mutex_unlock(&s->flush_lock);

		err_clear(&err);
		int rc = flush_head(s, h, &err);
		if (rc == 0)
			drop_log(s, h->wal_last);
		else
			log_error("flush failed; it will be tried again", KV("error", err.msg));
		keep_disk(s); /* at the pace of what is written: the keeper looks once a second only */
		pthread_mutex_lock(&s->flush_lock);
		if (rc == 0) {
			pthread_rwlock_wrlock(&s->heads_lock);
			s->frozen = NULL;
			pthread_rwlock_unlock(&s->heads_lock);
			head_unref(h);
			s->flush_served = MAX(s->flush_served, s->flush_claimed);
		}
		s->flush_err = err;
		if (rc == -1)
			s->flush_failures++;
		pthread_cond_broadcast(&s->flush_done);
		if (rc == -1) {
			if (s->flusher_stop)
				break; /* the log keeps it */
			struct timespec until = store_deadline(NS_PER_S);
			pthread_cond_timedwait(&s->flush_more, &s->flush_lock, &until);
		}
	}
	pthread_mutex_unlock(&s->flush_lock);
	return NULL;
}

int store_flush(struct store *s, struct err *err)
{
	pthread_mutex_lock(&s->queue_lock);
	uint64_t wanted = ++s->flush_wanted;
	pthread_cond_signal(&s->queue_more);
	pthread_mutex_unlock(&s->queue_lock);

	pthread_mutex_lock(&s->flush_lock);
	uint64_t failures = s->flush_failures;
	int rc = 0;
	while (s->flush_served < wanted && rc == 0) {
		struct timespec until = store_deadline(20 * NS_PER_MS);

		pthread_cond_timedwait(&s->flush_done, &s->flush_lock, &until);
		if (s->flush_failures > failures) {
			*err = s->flush_err;
			if (err->code == ERR_NONE)
				err_set(err, ERR_UNAVAILABLE, "flush failed");
			rc = -1;
		} else if (atomic_load(&s->wal_failed)) {
			err_set(err, ERR_UNAVAILABLE, "flush is not possible: the write-ahead log failed");
			rc = -1;
		}
	}
	pthread_mutex_unlock(&s->flush_lock);
	return rc;
}

/* ---- opening and closing -------------------------------------------------------------------------------------- */

static void make_metrics(struct store *s)
{
	s->m.appended_entries =
		metric_counter("spoor_store_appended_entries_total", "Entries made durable.", NULL);
	s->m.appended_bytes =
		metric_counter("spoor_store_appended_bytes_total", "Bytes of records made durable.", NULL);
	s->m.wal_bytes =
		metric_counter("spoor_wal_bytes_total", "Bytes written to the write-ahead log.", NULL);
	s->m.wal_records =
		metric_counter("spoor_wal_records_total", "Records written to the write-ahead log.", NULL);
	s->m.wal_syncs = metric_counter("spoor_wal_syncs_total", "Syncs of the write-ahead log.", NULL);
	s->m.wal_sync_seconds =
		metric_histogram("spoor_wal_sync_seconds", "Time of a sync of the write-ahead log.", NULL);
	s->m.flushes = metric_counter("spoor_flushes_total", "Heads flushed to segments.", NULL);
	s->m.flush_seconds = metric_histogram("spoor_flush_seconds", "Time of a flush.", NULL);
	s->m.flushed_bytes = metric_counter("spoor_flushed_segment_bytes_total",
					    "Bytes of segments written by flushes.", NULL);
	s->m.flushed_raw = metric_counter("spoor_flushed_raw_bytes_total",
					  "Raw bytes of lines and metadata flushed.", NULL);
	s->m.merges = metric_counter("spoor_merges_total", "Merges of segments.", NULL);
	s->m.merged_raw =
		metric_counter("spoor_merged_raw_bytes_total", "Raw bytes that merges encoded anew.", NULL);
	s->m.sealed = metric_counter("spoor_sealed_parts_total",
				     "Parts of a head that were encoded before its flush.", NULL);
	s->m.merged_bytes = metric_counter("spoor_merged_segment_bytes_total",
					   "Bytes of segments written by merges and deletes.", NULL);
	s->m.merge_copied = metric_counter("spoor_merge_copied_chunks_total",
					   "Chunks that merges copied as they stood.", NULL);
	s->m.merge_encoded =
		metric_counter("spoor_merge_encoded_chunks_total", "Chunks that merges encoded.", NULL);
	s->m.duplicates = metric_counter("spoor_duplicate_entries_total",
					 "Entries dropped because they were there already.", NULL);
	s->m.head_bytes = metric_gauge("spoor_head_bytes", "Raw bytes of entries not yet in segments.", NULL);
	s->m.head_entries = metric_gauge("spoor_head_entries", "Entries not yet in segments.", NULL);
	s->m.head_streams =
		metric_gauge("loki_ingester_memory_streams", "Streams not yet in segments.", NULL);
	s->m.head_memory =
		metric_gauge("spoor_head_memory_bytes", "Memory of entries not yet in segments.", NULL);
	s->m.read_only = metric_gauge("spoor_read_only", "1 while writes are refused.", NULL);
	s->m.corrupt = metric_counter("spoor_corrupt_total", "Damaged files, records and blocks met.", NULL);
	s->m.partitions = metric_gauge("spoor_partitions", "Partitions (tenant and day) on disk.", NULL);
	s->m.retained = metric_counter("spoor_retention_dropped_partitions_total",
				       "Partitions dropped by retention.", NULL);
	s->m.retained_for_room =
		metric_counter("spoor_retention_disk_dropped_partitions_total",
			       "Partitions dropped because the disk share was used up.", NULL);
	s->m.retained_entries =
		metric_counter("spoor_retention_dropped_entries_total",
			       "Entries of streams that retention dropped before their day.", NULL);
}

static void shrink_cache(void *arg)
{
	cache_shrink(arg);
}

/* A head, and one more that is being flushed, leave half of it to others. */
static void use_account(struct store *s)
{
	uint64_t limit = account_limit(s->o.memory);

	if (limit > 0)
		s->o.head_bytes = MIN(s->o.head_bytes, limit / 4);
	s->head_memory = account_user(s->o.memory, "head");
	s->encode_memory = account_user(s->o.memory, "encode");
	cache_use_account(s->index_cache, account_user(s->o.memory, "index_cache"));
	account_on_short(s->o.memory, shrink_cache, s->index_cache);
}

static struct store *store_new(const struct store_options *o)
{
	struct store *s = xcalloc(1, sizeof(*s));

	s->o = *o;
	s->dir = xstrdup(o->dir);
	s->wal_dir = xasprintf("%s/wal", o->dir);
	s->lock_fd = -1;
	s->last = &s->first;
	s->index_cache = cache_new(o->index_cache_bytes);
	use_account(s);
	pthread_mutex_init(&s->queue_lock, NULL);
	pthread_mutex_init(&s->spare_lock, NULL);
	clock_cond_init(&s->queue_more);
	pthread_rwlock_init(&s->heads_lock, NULL);
	pthread_mutex_init(&s->flush_lock, NULL);
	clock_cond_init(&s->flush_more);
	clock_cond_init(&s->flush_done);
	pthread_mutex_init(&s->seal_lock, NULL);
	clock_cond_init(&s->seal_more);
	clock_cond_init(&s->seal_done);
	pthread_mutex_init(&s->partitions_lock, NULL);
	pthread_mutex_init(&s->streams_lock, NULL);
	pthread_mutex_init(&s->keeper_lock, NULL);
	clock_cond_init(&s->keeper_more);
	pthread_mutex_init(&s->disk_lock, NULL);
	pthread_mutex_init(&s->state_lock, NULL);
	tombstones_init(&s->tombstones, s->dir, s->o.erase);
	make_metrics(s);
	return s;
}

static void store_destroy(struct store *s)
{
	wal_close(s->wal);
	head_unref(s->active);
	head_unref(s->frozen);
	for (size_t i = 0; i < s->partitions.n; i++)
		partition_unref(s->partitions.v[i]);
	vec_fini(&s->partitions);
	for (size_t i = 0; i < s->left_out.n; i++)
		free(s->left_out.v[i].tenant);
	vec_fini(&s->left_out);
	for (size_t i = 0; i < s->streams.n; i++) {
		map_fini(&s->streams.v[i]->young);
		map_fini(&s->streams.v[i]->old);
		arena_fini(&s->streams.v[i]->young_arena);
		arena_fini(&s->streams.v[i]->old_arena);
		free(s->streams.v[i]->tenant);
		free(s->streams.v[i]);
	}
	vec_fini(&s->streams);
	if (s->lock_fd != -1)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->queue_lock);
	while (s->n_spare > 0)
		buf_fini(&s->spare[--s->n_spare]);
	pthread_mutex_destroy(&s->spare_lock);
	pthread_cond_destroy(&s->queue_more);
	pthread_rwlock_destroy(&s->heads_lock);
	pthread_mutex_destroy(&s->flush_lock);
	pthread_cond_destroy(&s->flush_more);
	pthread_cond_destroy(&s->flush_done);
	pthread_mutex_destroy(&s->seal_lock);
	pthread_cond_destroy(&s->seal_more);
	pthread_cond_destroy(&s->seal_done);
	pthread_mutex_destroy(&s->partitions_lock);
	pthread_mutex_destroy(&s->streams_lock);
	pthread_mutex_destroy(&s->keeper_lock);
	pthread_cond_destroy(&s->keeper_more);
	pthread_mutex_destroy(&s->disk_lock);
	pthread_mutex_destroy(&s->state_lock);
	tombstones_fini(&s->tombstones);
	cache_free(s->index_cache);
	free(s->dir);
	free(s->wal_dir);
	free(s);
}

static void start_thread(pthread_t *t, const char *name, void *(*fn)(void *), void *arg)
{
	if (pthread_create(t, NULL, fn, arg) != 0) {
		log_error("cannot start a thread", KV("name", name));
		abort();
	}
	pthread_setname_np(*t, name);
}

int store_open(const struct store_options *o, struct store **out, struct err *err)
{
	struct store *s = store_new(o);

	sql_library_init();
	if (file_mkdirs(s->dir, err) == -1 || store_lock_dir(s->dir, &s->lock_fd, err) == -1 ||
	    store_check_format(s->dir, err) == -1 || file_mkdirs(s->wal_dir, err) == -1) {
		store_destroy(s);
		return -1;
	}
	keep_disk(s); /* first of all: on a full disk it gives up the reserve */
	if (store_load_partitions(s, err) == -1 || tombstones_load(&s->tombstones, err) == -1 ||
	    store_replay(s, err) == -1) {
		store_destroy(s);
		return -1;
	}
	keep_look_at_clock(s);
	start_thread(&s->sealer, "spoor-sealer", sealer_main, s);
	start_thread(&s->writer, "spoor-writer", writer_main, s);
	start_thread(&s->flusher, "spoor-flusher", flusher_main, s);
	start_thread(&s->keeper, "spoor-keeper", keep_main, s);
	*out = s;
	return 0;
}

void store_close(struct store *s, bool flush)
{
	struct err err;

	if (s == NULL)
		return;
	if (flush && store_flush(s, &err) == -1)
		log_warn("entries stay in the write-ahead log", KV("error", err.msg));
	pthread_mutex_lock(&s->keeper_lock);
	s->keeper_stop = true;
	pthread_cond_signal(&s->keeper_more);
	pthread_mutex_unlock(&s->keeper_lock);
	pthread_join(s->keeper, NULL);
	pthread_mutex_lock(&s->queue_lock);
	s->stopping = true;
	pthread_cond_signal(&s->queue_more);
	pthread_mutex_unlock(&s->queue_lock);
	pthread_join(s->writer, NULL);
	pthread_mutex_lock(&s->seal_lock);
	s->sealer_stop = true;
	pthread_cond_signal(&s->seal_more);
	pthread_mutex_unlock(&s->seal_lock);
	pthread_join(s->sealer, NULL);
	pthread_mutex_lock(&s->flush_lock);
	s->flusher_stop = true;
	pthread_cond_signal(&s->flush_more);
	pthread_mutex_unlock(&s->flush_lock);
	pthread_join(s->flusher, NULL);
	if (s->unsynced && wal_sync_now(s->wal, &err) == -1)
		log_error("the write-ahead log could not be synced", KV("error", err.msg));
	if (flush && s->active->n_entries == 0 && s->frozen == NULL) {
		/* Nothing is left in the log but its newest file, so that numbers go on from there whatever becomes of the
		 * partitions: a number that a partition covers already would make new entries look old. */
		wal_remove_through(s->wal_dir, wal_number(s->wal) - 1, &err);
	}
	store_destroy(s);
}

void store_status(struct store *s, struct buf *out)
{
	char why[256];
	uint64_t missing = 0;

	bool ro = store_read_only(s, why, sizeof(why));
	buf_printf(out, "writes: %s%s\n", ro ? "refused: " : "accepted", why);
	pthread_rwlock_rdlock(&s->heads_lock);
	buf_printf(out, "head: %llu entries, %llu bytes%s\n", (unsigned long long)s->active->n_entries,
		   (unsigned long long)s->active->bytes, s->frozen != NULL ? ", one more being flushed" : "");
	pthread_rwlock_unlock(&s->heads_lock);
	pthread_mutex_lock(&s->partitions_lock);
	for (size_t i = 0; i < s->partitions.n; i++)
		missing += atomic_load(&s->partitions.v[i]->n_missing);
	buf_printf(out, "partitions: %zu\n", s->partitions.n);
	pthread_mutex_unlock(&s->partitions_lock);
	buf_printf(out, "damaged: %llu records or files, %llu unreadable segments\n",
		   (unsigned long long)metric_value(s->m.corrupt), (unsigned long long)missing);
	size_t lost = atomic_load(&s->tombstones.n_damaged);
	buf_printf(out, "deletes: %zu waiting or under way\n", atomic_load(&s->tombstones.n_active));
	if (lost > 0)
		buf_printf(out, "deletes: %zu requests LOST by damage, what they hid may be visible\n", lost);
}

/* ---- small answers -------------------------------------------------------------------------------------------- */

static int cmp_slice(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void add_unique(struct map *seen, struct slice text)
{
	bool is_new;

	*map_put(seen, text, &is_new) = seen;
}

/* Of several tenants each is a value, and their label a name, whether they have streams in the range or not. */
static void add_tenants(const struct snapshot *snap, struct slice name, struct map *seen)
{
	if (!snap->several)
		return;
	if (name.p == NULL)
		add_unique(seen, SNAPSHOT_TENANT_LABEL);
	for (size_t i = 0; slice_eq(name, SNAPSHOT_TENANT_LABEL) && i < snap->n_tenants; i++)
		add_unique(seen, snap->tenants[i].id);
}

int store_labels(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		 struct timerange range, struct slice name, struct arena *a, struct slice **out,
		 size_t *n_out, struct err *err)
{
	struct scan_hint hint = { .range = range };
	struct snapshot *snap;
	struct slice *v, text;
	struct map seen = { 0 };
	size_t n = 0;
	void *value;

	if (snapshot_take(s, tenant, m, n_matchers, &hint, false, &snap, err) == -1)
		return -1;
	for (size_t i = 0; i < snapshot_n_streams(snap); i++) {
		struct labels l = snapshot_stream(snap, i)->labels;

		for (size_t k = 0; k < l.n; k++)
			if (name.p == NULL || slice_eq(l.v[k].name, name))
				add_unique(&seen, name.p == NULL ? l.v[k].name : l.v[k].value);
	}
	add_tenants(snap, name, &seen);
	v = arena_array(a, struct slice, seen.n);
	for (size_t i = 0; map_next(&seen, &i, &text, &value);)
		v[n++] = arena_dup(a, text);
	if (n > 1)
		qsort(v, n, sizeof(*v), cmp_slice);
	*out = v;
	*n_out = n;
	map_fini(&seen);
	snapshot_release(snap);
	return 0;
}

int store_sums(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
	       struct timerange range, struct store_sums *out, struct err *err)
{
	struct scan_hint hint = { .range = range };
	struct snapshot *snap;

	if (snapshot_take(s, tenant, m, n_matchers, &hint, true, &snap, err) == -1)
		return -1;
	*out = (struct store_sums){ .streams = snapshot_n_streams(snap) };
	snapshot_sums(snap, &out->chunks, &out->bytes, &out->entries);
	snapshot_release(snap);
	return 0;
}
