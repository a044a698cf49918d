#include "index/tombstone.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "index/partition.h"
#include "model/tenant.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/random.h>

enum { VERSION = 1, HEADER_BYTES = 28, MAX_FILE = 256 << 20 };
static const char MAGIC[8] = { 'S', 'P', 'O', 'O', 'R', 'D', 'E', 'L' };
static const char *const file_names[] = { "deletes", "deletes.copy" };

#define REMEMBERED_NS (30 * NS_PER_DAY) /* how long a processed request stays in the list */

void tombstone_unref(struct tombstone *x)
{
	if (x == NULL || atomic_fetch_sub(&x->refs, 1) != 1)
		return;
	if (x->rule != NULL)
		x->ops->free(x->rule);
	free(x->tenant);
	free((char *)x->query.p);
	free(x);
}

static struct tombstone *ref(struct tombstone *x)
{
	atomic_fetch_add(&x->refs, 1);
	return x;
}

void tombstones_release(struct tombstone **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tombstone_unref(v[i]);
	free(v);
}

static struct tombstone *tombstone_new(struct slice tenant, struct slice query)
{
	struct tombstone *x = xcalloc(1, sizeof(*x));

	atomic_store(&x->refs, 1);
	x->known_mono_ns = clock_mono_ns();
	x->tenant = xasprintf("%.*s", SLICE_ARG(tenant));
	char *text = xmalloc(query.n + 1);
	if (query.n > 0)
		memcpy(text, query.p, query.n);
	x->query = slice_of(text, query.n);
	return x;
}

static bool is_active(const struct tombstone *x)
{
	return x->state != STORE_DELETE_PROCESSED;
}

/* ---- the file ------------------------------------------------------------------------------------------------- */

static void put_request(struct buf *b, const struct tombstone *x, uint64_t seed)
{
	struct buf r;

	buf_init(&r);
	buf_lenslice(&r, slice_cstr(x->id));
	buf_lenslice(&r, x->query);
	buf_svarint(&r, x->range.start);
	buf_svarint(&r, x->range.end);
	buf_svarint(&r, x->created_ns);
	buf_svarint(&r, x->purged_ns);
	buf_putc(&r, x->filter_only);
	buf_putc(&r, (char)x->state);
	buf_varint(&r, x->n_entries);
	buf_varint(&r, x->n_bytes);
	buf_varint(&r, x->n_chunks);
	buf_u32le(b, (uint32_t)r.n);
	buf_u64le(b, hash64_seed(buf_slice(&r), seed));
	buf_add(b, buf_slice(&r));
	buf_fini(&r);
}

static void put_header(struct buf *b, uint32_t n, uint64_t seed)
{
	buf_append(b, MAGIC, sizeof(MAGIC));
	buf_u32le(b, VERSION);
	buf_u32le(b, 0);
	buf_u32le(b, n);
	buf_u64le(b, hash64_seed(buf_slice(b), seed));
}

static struct tombstone *parse_request(struct slice r, struct slice tenant)
{
	struct cursor c = cursor_of(r);
	struct slice id = cursor_lenslice(&c), query = cursor_lenslice(&c);
	struct tombstone *x = tombstone_new(tenant, query);

	memcpy(x->id, id.p, MIN(id.n, sizeof(x->id) - 1));
	x->range.start = cursor_svarint(&c);
	x->range.end = cursor_svarint(&c);
	x->created_ns = cursor_svarint(&c);
	x->purged_ns = cursor_svarint(&c);
	x->filter_only = cursor_u8(&c) != 0;
	x->state = (enum store_delete_state)cursor_u8(&c);
	x->n_entries = cursor_varint(&c);
	x->n_bytes = cursor_varint(&c);
	x->n_chunks = cursor_varint(&c);
	if (!c.bad && cursor_left(&c) == 0 && id.n > 0 && id.n < sizeof(x->id) &&
	    x->state <= STORE_DELETE_PROCESSED)
		return x;
	tombstone_unref(x);
	return NULL;
}

int tombstones_parse(struct slice file, struct slice tenant, struct tombstone_vec *out, size_t *n_lost,
		     struct err *err)
{
	struct cursor c = cursor_of(file);
	uint64_t seed = hash64(tenant);
	struct slice magic = cursor_bytes(&c, sizeof(MAGIC));
	uint32_t version = cursor_u32le(&c), flags = cursor_u32le(&c), n = cursor_u32le(&c);

	if (cursor_u64le(&c) != hash64_seed(slice_sub(file, 0, HEADER_BYTES - 8), seed) || c.bad ||
	    memcmp(magic.p, MAGIC, sizeof(MAGIC)) != 0)
		return err_set(err, ERR_CORRUPT, "bad header");
	if (version != VERSION || flags != 0)
		return err_set(err, ERR_CONFIG, "written by a newer version");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t length = cursor_u32le(&c);
		uint64_t sum = cursor_u64le(&c);
		struct slice r = cursor_bytes(&c, length);

		if (c.bad) {
			*n_lost += n - i;
			break;
		}
		struct tombstone *x = sum == hash64_seed(r, seed) ? parse_request(r, tenant) : NULL;
		if (x != NULL)
			vec_push(out, x);
		else
			(*n_lost)++;
	}
	return 0;
}

static char *file_path(const struct tombstones *t, struct slice tenant, const char *name)
{
	struct buf dir;

	buf_init(&dir);
	tenant_dir_name(&dir, tenant);
	char *path = xasprintf("%s/tenants/%s%s%s", t->dir, dir.p, name[0] != '\0' ? "/" : "", name);
	buf_fini(&dir);
	return path;
}

/* Everything of the tenant but `without`, and `with`. */
static void encode_all(struct tombstones *t, struct slice tenant, const struct tombstone *without,
		       const struct tombstone *with, struct buf *out)
{
	uint64_t seed = hash64(tenant);
	struct buf records;
	uint32_t n = 0;

	buf_init(&records);
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->list.n; i++) {
		const struct tombstone *x = t->list.v[i];

		if (x == without || !slice_is(tenant, x->tenant))
			continue;
		put_request(&records, x, seed);
		n++;
	}
	pthread_mutex_unlock(&t->lock);
	if (with != NULL) {
		put_request(&records, with, seed);
		n++;
	}
	put_header(out, n, seed);
	buf_add(out, buf_slice(&records));
	buf_fini(&records);
}

/* Under save_lock. The second file only matters when the first is damaged: that it cannot be written fails nothing. */
static int save(struct tombstones *t, struct slice tenant, const struct tombstone *without,
		const struct tombstone *with, struct err *err)
{
	struct buf content;
	struct err local;
	char *dir = file_path(t, tenant, "");
	int rc = file_mkdirs(dir, err);

	buf_init(&content);
	encode_all(t, tenant, without, with, &content);
	for (size_t i = 0; i < ARRAY_LEN(file_names) && rc == 0; i++) {
		char *path = file_path(t, tenant, file_names[i]);

		if (i == 0)
			rc = file_replace(path, buf_slice(&content), err);
		else if (file_replace(path, buf_slice(&content), &local) == -1)
			log_warn("second file of delete requests not written", KV("path", path),
				 KV("error", local.msg));
		free(path);
	}
	buf_fini(&content);
	free(dir);
	return rc;
}

/* ---- what is remembered ---- */

static bool is_old(const struct tombstone *x, int64_t now, size_t n_newer, size_t text_of_newer)
{
	return now - x->purged_ns > REMEMBERED_NS || n_newer >= TOMBSTONES_MAX ||
	       text_of_newer + x->query.n > TOMBSTONES_MAX_TEXT;
}

/* Of a tenant's processed requests; the file loses them when it is written next. Under lock. */
static void forget_old(struct tombstones *t, struct slice tenant)
{
	int64_t now = clock_now_ns();
	size_t n = 0, text = 0, kept = t->list.n;

	for (size_t i = t->list.n; i-- > 0;) {
		struct tombstone *x = t->list.v[i];

		if (!is_active(x) && slice_is(tenant, x->tenant)) {
			if (is_old(x, now, n, text)) {
				tombstone_unref(x);
				continue;
			}
			n++;
			text += x->query.n;
		}
		t->list.v[--kept] = x;
	}
	t->list.n -= kept;
	if (kept > 0)
		memmove(t->list.v, t->list.v + kept, t->list.n * sizeof(*t->list.v));
}

/* ---- loading -------------------------------------------------------------------------------------------------- */

static void compile(struct tombstones *t, struct tombstone *x)
{
	struct err err = { 0 };

	if (!is_active(x))
		return;
	x->ops = t->ops;
	if (t->ops != NULL && t->ops->compile(x->query, &x->rule, &err) == 0)
		return;
	/* It was checked when it was made: only a version that speaks less LogQL can come here. */
	log_error("a delete request cannot be carried out, what it hid is visible", KV("tenant", x->tenant),
		  KV("id", x->id), KVS("query", x->query), KV("error", err.msg));
	atomic_fetch_add(&t->n_damaged, 1);
}

static bool has_id(const struct tombstone_vec *v, const char *id)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i]->id, id) == 0)
			return true;
	return false;
}

struct load { /* of one tenant */
	struct tombstones *t;
	struct slice tenant;
	struct tombstone_vec found;
};

enum found { ABSENT, WHOLE, DAMAGED, UNREADABLE, NEWER };

/* Adds what the file holds and another did not. */
static enum found read_file(struct load *l, const char *path, size_t *n_lost, struct err *err)
{
	struct tombstone_vec v = { 0 };
	struct buf b;
	enum found found = WHOLE;

	if (!file_exists(path))
		return ABSENT;
	buf_init(&b);
	if (file_read_all(path, MAX_FILE, &b, err) == -1)
		found = err->code == ERR_TOO_LARGE ? DAMAGED : UNREADABLE;
	else if (tombstones_parse(buf_slice(&b), l->tenant, &v, n_lost, err) == -1)
		found = err->code == ERR_CONFIG ? NEWER : DAMAGED;
	else if (*n_lost > 0)
		found = DAMAGED;
	buf_fini(&b);
	for (size_t i = 0; i < v.n; i++) {
		if (has_id(&l->found, v.v[i]->id))
			tombstone_unref(v.v[i]);
		else
			vec_push(&l->found, v.v[i]);
	}
	vec_fini(&v);
	return found;
}

size_t tombstones_check(const char *dir, struct slice tenant,
			void (*bad)(void *arg, const char *path, const char *why), void *arg)
{
	const struct tombstones t = { .dir = dir };
	size_t n_bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(file_names); i++) {
		struct load l = { .tenant = tenant };
		char *path = file_path(&t, tenant, file_names[i]);
		size_t lost = 0;
		struct err err;
		enum found found = read_file(&l, path, &lost, &err);

		if (found != ABSENT && found != WHOLE) {
			bad(arg, path, lost > 0 ? "damaged requests" : err.msg);
			n_bad++;
		}
		for (size_t k = 0; k < l.found.n; k++)
			tombstone_unref(l.found.v[k]);
		vec_fini(&l.found);
		free(path);
	}
	return n_bad;
}

/* A copy is left beside it, for whoever wants to look; the file itself stays until a good one replaces it, so that what it
 * holds survives a disk that is full now. */
static void note_damage(struct tombstones *t, const char *path)
{
	char *dir = xasprintf("%s/quarantine", t->dir);
	const char *name = strrchr(path, '/') + 1;
	char *to = xasprintf("%s/%lld-%s", dir, (long long)clock_now_ns(), name);
	struct buf b;
	struct err err;

	buf_init(&b);
	log_error("damaged file of delete requests", KV("path", path), KV("copied_to", to));
	if (file_read_all(path, MAX_FILE, &b, &err) == -1 || file_mkdirs(dir, &err) == -1 ||
	    file_replace(to, buf_slice(&b), &err) == -1)
		log_warn("it could not be copied", KV("error", err.msg));
	buf_fini(&b);
	free(to);
	free(dir);
}

static void take_in(struct load *l)
{
	struct tombstones *t = l->t;

	for (size_t i = 0; i < l->found.n; i++) {
		struct tombstone *x = l->found.v[i];

		x->loaded = true;
		compile(t, x);
		atomic_fetch_add(&t->n_active, is_active(x));
		vec_push(&t->list, x);
	}
	l->found.n = 0;
	forget_old(t, l->tenant);
}

/* The first file is the newer one. Only when it is not whole does the second matter: what one lost, the other may have. */
static int load_files(struct load *l, const char *first, const char *second, struct err *err)
{
	size_t lost = 0, lost_in_copy = 0;
	struct err ignored;
	enum found a = read_file(l, first, &lost, err), b = ABSENT;

	if (a != WHOLE && a != NEWER)
		b = read_file(l, second, &lost_in_copy, a == UNREADABLE ? &ignored : err);
	if (a == NEWER || b == NEWER)
		return -1;
	if (b != WHOLE && (a == UNREADABLE || b == UNREADABLE))
		return -1;
	if (a == DAMAGED)
		note_damage(l->t, first);
	if (b == DAMAGED)
		note_damage(l->t, second);
	if (b != WHOLE && (a == DAMAGED || b == DAMAGED)) {
		log_error("delete requests are lost: what they hid may be visible", KVS("tenant", l->tenant),
			  KVI("kept", l->found.n));
		atomic_fetch_add(&l->t->n_damaged, MAX(MAX(lost, lost_in_copy), (size_t)1));
	}
	take_in(l);
	/* Two good files again; that the disk is full now stops nothing. */
	if ((a != WHOLE && b != ABSENT) || a == DAMAGED)
		if (save(l->t, l->tenant, NULL, NULL, &ignored) == -1)
			log_warn("files of delete requests cannot be written anew", KV("error", ignored.msg));
	return 0;
}

static int load_tenant(struct tombstones *t, struct slice tenant, struct err *err)
{
	struct load l = { .t = t, .tenant = tenant };
	char *first = file_path(t, tenant, file_names[0]), *second = file_path(t, tenant, file_names[1]);
	int rc = load_files(&l, first, second, err);

	for (size_t i = 0; i < l.found.n; i++)
		tombstone_unref(l.found.v[i]);
	vec_fini(&l.found);
	free(first);
	free(second);
	return rc;
}

int tombstones_load(struct tombstones *t, struct err *err)
{
	char *path = xasprintf("%s/tenants", t->dir);
	DIR *d = opendir(path);
	struct buf tenant;
	int rc = 0;

	buf_init(&tenant);
	for (struct dirent *e; d != NULL && rc == 0 && (e = readdir(d)) != NULL;) {
		buf_reset(&tenant);
		if (e->d_name[0] != '.' && tenant_from_dir_name(&tenant, slice_cstr(e->d_name)))
			rc = load_tenant(t, buf_slice(&tenant), err);
		if (rc == -1)
			err_prefix(err, "delete requests of tenant %.*s", SLICE_ARG(buf_slice(&tenant)));
	}
	if (d != NULL)
		closedir(d);
	buf_fini(&tenant);
	free(path);
	metric_set(t->active, (int64_t)atomic_load(&t->n_active));
	return rc;
}

void tombstones_init(struct tombstones *t, const char *dir, const struct erase_ops *ops)
{
	*t = (struct tombstones){ .dir = dir, .ops = ops };
	pthread_mutex_init(&t->save_lock, NULL);
	pthread_mutex_init(&t->lock, NULL);
	t->active = metric_gauge("spoor_delete_requests_active", "Delete requests not yet processed.", NULL);
	t->requests = metric_counter("spoor_delete_requests_total", "Delete requests received.", NULL);
	t->processed = metric_counter("spoor_delete_requests_processed_total",
				      "Delete requests whose entries are gone from disk.", NULL);
	t->entries =
		metric_counter("spoor_delete_entries_total", "Entries removed by delete requests.", NULL);
	t->bytes = metric_counter("spoor_delete_bytes_total", "Raw bytes removed by delete requests.", NULL);
}

void tombstones_fini(struct tombstones *t)
{
	for (size_t i = 0; i < t->list.n; i++)
		tombstone_unref(t->list.v[i]);
	vec_fini(&t->list);
	pthread_mutex_destroy(&t->save_lock);
	pthread_mutex_destroy(&t->lock);
}

/* ---- making and cancelling ------------------------------------------------------------------------------------ */

static struct tombstone *find(struct tombstones *t, struct slice tenant, struct slice id)
{
	for (size_t i = 0; i < t->list.n; i++)
		if (slice_is(id, t->list.v[i]->id) && slice_is(tenant, t->list.v[i]->tenant))
			return t->list.v[i];
	return NULL;
}

/* May the tenant have one more, of so long a text? */
static bool has_room(const struct tombstones *t, struct slice tenant, size_t text)
{
	size_t n = 1;

	for (size_t i = 0; i < t->list.n; i++) {
		const struct tombstone *x = t->list.v[i];

		if (is_active(x) && slice_is(tenant, x->tenant)) {
			n++;
			text += x->query.n;
		}
	}
	return n <= TOMBSTONES_MAX && text <= TOMBSTONES_MAX_TEXT;
}

/* Eight hex digits, as Loki's. */
static void new_id(struct tombstones *t, struct tombstone *x)
{
	uint32_t v;

	do {
		if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
			v = (uint32_t)hash_mix((uint64_t)clock_now_ns());
		snprintf(x->id, sizeof(x->id), "%08x", v);
	} while (find(t, slice_cstr(x->tenant), slice_cstr(x->id)) != NULL);
}

/* Under save_lock. */
static void change_list(struct tombstones *t, struct slice tenant, struct tombstone *remove,
			struct tombstone *add)
{
	size_t kept = 0, active = 0;

	pthread_mutex_lock(&t->lock);
	if (add != NULL)
		vec_push(&t->list, add);
	for (size_t i = 0; i < t->list.n; i++) {
		struct tombstone *x = t->list.v[i];

		if (x == remove) {
			tombstone_unref(x);
			continue;
		}
		active += is_active(x);
		t->list.v[kept++] = x;
	}
	t->list.n = kept;
	forget_old(t, tenant);
	atomic_store(&t->n_active, active);
	pthread_mutex_unlock(&t->lock);
	metric_set(t->active, (int64_t)active);
}

static int add_locked(struct tombstones *t, struct tombstone *x, struct err *err)
{
	struct slice tenant = slice_cstr(x->tenant);
	struct err ignored;

	pthread_mutex_lock(&t->lock);
	bool room = has_room(t, tenant, x->query.n);
	if (room)
		new_id(t, x);
	pthread_mutex_unlock(&t->lock);
	if (!room)
		return err_set(
			err, ERR_LIMITED,
			"too many delete requests are waiting (limit: %d, or %d bytes of queries): wait "
			"until some are processed, or cancel some",
			TOMBSTONES_MAX, TOMBSTONES_MAX_TEXT);
	if (save(t, tenant, NULL, x, err) == -1) {
		save(t, tenant, NULL, NULL, &ignored); /* in case only the folder could not be synced */
		return -1;
	}
	change_list(t, tenant, NULL, ref(x));
	return 0;
}

int tombstones_add(struct tombstones *t, struct slice tenant, struct slice query, struct timerange range,
		   bool filter_only, char id[STORE_DELETE_ID], struct err *err)
{
	struct erase_rule *rule;

	if (t->ops == NULL)
		return err_set(err, ERR_NOT_SUPPORTED, "deletes are not supported here");
	if (t->ops->compile(query, &rule, err) == -1)
		return -1;
	struct tombstone *x = tombstone_new(tenant, query);
	x->range = range;
	x->filter_only = filter_only;
	x->created_ns = clock_now_ns();
	x->rule = rule;
	x->ops = t->ops;
	pthread_mutex_lock(&t->save_lock);
	int rc = add_locked(t, x, err);
	pthread_mutex_unlock(&t->save_lock);
	if (rc == 0) {
		memcpy(id, x->id, STORE_DELETE_ID);
		metric_add(t->requests, 1);
		log_info("delete request received", KVS("tenant", tenant), KV("id", x->id),
			 KVI("start", range.start), KVI("end", range.end));
	}
	tombstone_unref(x);
	return rc;
}

int tombstones_cancel(struct tombstones *t, struct slice tenant, struct slice id, bool force, struct err *err)
{
	int rc = -1;

	pthread_mutex_lock(&t->save_lock);
	pthread_mutex_lock(&t->lock);
	struct tombstone *x = find(t, tenant, id);
	bool waits = x != NULL && x->state == STORE_DELETE_RECEIVED;
	pthread_mutex_unlock(&t->lock);
	if (x == NULL)
		err_set(err, ERR_NOT_FOUND, "could not find delete request with given id");
	else if (!waits && !force)
		err_set(err, ERR_BAD_REQUEST,
			"deletion of request which is in process or already processed is not allowed");
	else
		rc = save(t, tenant, x, NULL, err);
	if (rc == 0) {
		log_info("delete request cancelled", KVS("tenant", tenant), KV("id", x->id));
		change_list(t, tenant, x, NULL);
	}
	pthread_mutex_unlock(&t->save_lock);
	return rc;
}

void tombstones_list(struct tombstones *t, struct slice tenant, struct arena *a, struct store_delete **out,
		     size_t *n_out)
{
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	*out = arena_array(a, struct store_delete, t->list.n);
	for (size_t i = 0; i < t->list.n; i++) {
		const struct tombstone *x = t->list.v[i];

		if (!slice_is(tenant, x->tenant))
			continue;
		struct store_delete *d = &(*out)[n++];
		*d = (struct store_delete){ .query = arena_dup(a, x->query),
					    .range = x->range,
					    .created_ns = x->created_ns,
					    .purged_ns = x->purged_ns,
					    .filter_only = x->filter_only,
					    .state = x->state,
					    .n_entries = x->n_entries,
					    .n_bytes = x->n_bytes,
					    .n_chunks = x->n_chunks,
					    .days_done = x->days_done,
					    .days_total = x->days_total };
		memcpy(d->id, x->id, sizeof(d->id));
	}
	pthread_mutex_unlock(&t->lock);
	*n_out = n;
}

/* ---- in force ------------------------------------------------------------------------------------------------- */

struct tombstone **tombstones_take(struct tombstones *t, struct slice tenant, struct timerange range,
				   size_t *n)
{
	struct tombstone_vec v = { 0 };

	*n = 0;
	if (atomic_load(&t->n_active) == 0)
		return NULL;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->list.n; i++) {
		struct tombstone *x = t->list.v[i];

		if (is_active(x) && x->rule != NULL && x->range.start < range.end &&
		    x->range.end > range.start && slice_is(tenant, x->tenant))
			vec_push(&v, ref(x));
	}
	pthread_mutex_unlock(&t->lock);
	*n = v.n;
	return v.v;
}

static int by_tenant(const void *a, const void *b)
{
	const struct tombstone *x = *(struct tombstone *const *)a, *y = *(struct tombstone *const *)b;
	int c = strcmp(x->tenant, y->tenant);

	return c != 0 ? c : x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

/* The wall clock is asked only about what was made before the start: it may be set, and then the time to cancel is neither
 * over at once nor endless. */
static bool is_ripe(const struct tombstone *x, int64_t cancel_period_ns, int64_t mono)
{
	return x->state == STORE_DELETE_PICKED_UP || mono - x->known_mono_ns >= cancel_period_ns ||
	       (x->loaded && clock_now_ns() - x->created_ns >= cancel_period_ns);
}

struct tombstone **tombstones_due(struct tombstones *t, int64_t cancel_period_ns, bool eager, size_t *n)
{
	int64_t mono = clock_mono_ns();
	struct tombstone_vec v = { 0 };

	*n = 0;
	if (atomic_load(&t->n_active) == 0)
		return NULL;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->list.n; i++) {
		struct tombstone *x = t->list.v[i];

		if (is_active(x) && x->rule != NULL && !x->filter_only &&
		    is_ripe(x, cancel_period_ns, mono) && (eager || mono >= x->next_try_mono_ns))
			vec_push(&v, ref(x));
	}
	pthread_mutex_unlock(&t->lock);
	if (v.n > 1)
		qsort(v.v, v.n, sizeof(*v.v), by_tenant);
	*n = v.n;
	return v.v;
}

static bool in_list(const struct tombstones *t, const struct tombstone *x)
{
	for (size_t i = 0; i < t->list.n; i++)
		if (t->list.v[i] == x)
			return true;
	return false;
}

bool tombstones_is_active(struct tombstones *t, const struct tombstone *x)
{
	pthread_mutex_lock(&t->lock);
	bool active = is_active(x) && in_list(t, x);
	pthread_mutex_unlock(&t->lock);
	return active;
}

void tombstones_progress(struct tombstones *t, struct tombstone *x, uint32_t done, uint32_t total)
{
	pthread_mutex_lock(&t->lock);
	x->days_done = done;
	x->days_total = total;
	pthread_mutex_unlock(&t->lock);
}

void tombstones_count(struct tombstones *t, struct tombstone *x, uint64_t entries, uint64_t bytes,
		      uint64_t chunks)
{
	pthread_mutex_lock(&t->lock);
	x->n_entries += entries;
	x->n_bytes += bytes;
	x->n_chunks += chunks;
	pthread_mutex_unlock(&t->lock);
	metric_add(t->entries, entries);
	metric_add(t->bytes, bytes);
}

void tombstones_put_off(struct tombstones *t, struct tombstone *x, int64_t until_mono_ns)
{
	pthread_mutex_lock(&t->lock);
	x->next_try_mono_ns = until_mono_ns;
	pthread_mutex_unlock(&t->lock);
}

int tombstones_set_state(struct tombstones *t, struct tombstone *x, enum store_delete_state state,
			 struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&t->save_lock);
	pthread_mutex_lock(&t->lock);
	bool wanted = in_list(t, x);
	enum store_delete_state before = x->state;
	if (wanted) {
		x->state = state;
		if (state == STORE_DELETE_PROCESSED)
			x->purged_ns = clock_now_ns();
	}
	pthread_mutex_unlock(&t->lock);
	if (wanted && save(t, slice_cstr(x->tenant), NULL, NULL, err) == -1) {
		pthread_mutex_lock(&t->lock);
		x->state = before;
		x->purged_ns = 0;
		pthread_mutex_unlock(&t->lock);
		rc = -1;
	} else if (wanted) {
		change_list(t, slice_cstr(x->tenant), NULL, NULL);
	}
	pthread_mutex_unlock(&t->save_lock);
	if (wanted && rc == 0 && state == STORE_DELETE_PROCESSED && before != state)
		metric_add(t->processed, 1);
	return rc;
}
