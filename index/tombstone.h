/* index/tombstone.h - the delete requests of all tenants. A request hides entries from the moment it is durable, and the
 * keeper (erase.c) rewrites the segments that hold them; when all are gone it is processed and hides nothing any more.
 *
 * What it concerns: the entries in its range that its text matches, whether they were there when it was made or arrive while
 * it waits. Those that arrive after the keeper took it up may be hidden until it is processed, but stay: nothing that was
 * acknowledged later is removed.
 *
 * On disk: "<data>/tenants/<tenant>/deletes" and "deletes.copy", written one after the other, each replaced as a whole. They
 * stand outside the index, which may be lost and made anew without bringing anything back. A request that neither file
 * yields whole is reported, never passed over in silence.
 *
 *	"SPOORDEL" u32 version u32 flags(refuse unknown) u32 n_requests u64 checksum
 *	n times: u32 length u64 checksum, then: lenslice id, lenslice query, svarint start, end, created, purged;
 *	         u8 filter_only, u8 state, varint entries, bytes, chunks
 * Checksums are XXH3-64, seeded by the hash of the tenant, so that another tenant's file fails.
 *
 * Thread-safe. A reference keeps a request and its compiled rule alive; its counts are read through tombstones_list only. */
#ifndef INDEX_TOMBSTONE_H
#define INDEX_TOMBSTONE_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/vec.h"
#include "index/store.h"

/* What a tenant may have: requests that wait, bytes of their texts; as many that are processed are remembered. */
enum { TOMBSTONES_MAX = 1000, TOMBSTONES_MAX_TEXT = 4 << 20 };

struct tombstone {
	_Atomic int refs;
	char id[STORE_DELETE_ID];
	char *tenant;
	struct slice query;	/* malloc'd */
	struct timerange range; /* end exclusive */
	int64_t created_ns;
	int64_t known_mono_ns; /* since when this process knows it */
	bool loaded;	       /* it was made before the start */
	bool filter_only;
	struct erase_rule *rule; /* NULL: processed, or its text does not compile */
	const struct erase_ops *ops;
	/* under the lock of the list */
	enum store_delete_state state;
	int64_t purged_ns;
	uint64_t n_entries, n_bytes, n_chunks;
	uint32_t days_done, days_total; /* of the attempt under way */
	int64_t next_try_mono_ns;
};

struct tombstone_vec {
	struct tombstone **v;
	size_t n, cap;
};

struct tombstones {
	pthread_mutex_t save_lock; /* held while requests change and are written; taken before lock */
	pthread_mutex_t lock;	   /* protects the list and what stands in it; never held while writing */
	struct tombstone_vec list;
	_Atomic size_t n_active;
	_Atomic size_t n_damaged; /* requests that were lost */
	const char *dir;	  /* the data directory; borrowed */
	const struct erase_ops *ops;
	struct metric *active, *requests, *processed, *entries, *bytes;
};

void tombstones_init(struct tombstones *t, const char *dir, const struct erase_ops *ops);
void tombstones_fini(struct tombstones *t);
/* Reads the files of all tenants. Damage is moved to quarantine; ERR_CONFIG: written by a newer version; other errors: both
 * files of a tenant are there, and cannot be read now. */
int tombstones_load(struct tombstones *t, struct err *err);

/* Durable, and in force for every snapshot taken from now on, when it returns 0. */
int tombstones_add(struct tombstones *t, struct slice tenant, struct slice query, struct timerange range,
		   bool filter_only, char id[STORE_DELETE_ID], struct err *err);
int tombstones_cancel(struct tombstones *t, struct slice tenant, struct slice id, bool force,
		      struct err *err);
void tombstones_list(struct tombstones *t, struct slice tenant, struct arena *a, struct store_delete **out,
		     size_t *n);

/* References to requests that hide something of the tenant's in the range; NULL and 0 in the usual case. */
struct tombstone **tombstones_take(struct tombstones *t, struct slice tenant, struct timerange range,
				   size_t *n);
/* References to requests that are to be carried out now, of all tenants. */
struct tombstone **tombstones_due(struct tombstones *t, int64_t cancel_period_ns, bool eager, size_t *n);
void tombstones_release(struct tombstone **v, size_t n);

/* For the keeper. Is the request still wanted? */
bool tombstones_is_active(struct tombstones *t, const struct tombstone *x);
void tombstones_progress(struct tombstones *t, struct tombstone *x, uint32_t done, uint32_t total);
void tombstones_count(struct tombstones *t, struct tombstone *x, uint64_t entries, uint64_t bytes,
		      uint64_t chunks);
void tombstones_put_off(struct tombstones *t, struct tombstone *x, int64_t until_mono_ns);
/* Changes the state and makes it durable, with all counts so far. Cancelled meanwhile: nothing happens. */
int tombstones_set_state(struct tombstones *t, struct tombstone *x, enum store_delete_state state,
			 struct err *err);

/* The parser alone. Appends what is whole; *n_lost counts what is not. -1: the header is bad (ERR_CORRUPT) or of a newer
 * version (ERR_CONFIG). */
int tombstones_parse(struct slice file, struct slice tenant, struct tombstone_vec *out, size_t *n_lost,
		     struct err *err);
/* Reads the tenant's files alone, each by itself, and tells of one that is not whole. Returns how many are not. */
size_t tombstones_check(const char *dir, struct slice tenant,
			void (*bad)(void *arg, const char *path, const char *why), void *arg);
void tombstone_unref(struct tombstone *x);

#endif
