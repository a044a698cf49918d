#include "rules/rule_store.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/tenant.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	MAX_FILE_NAME_BYTES = 250
}; /* with ".yaml", and ".tmp" while it is written, what a file system takes */

/* Two looks at a file saw the same if these are the same. */
struct stamp {
	int64_t mtime_s, mtime_ns;
	uint64_t size, inode;
};

/* A namespace. Ordered by tenant and name. */
struct rule_file {
	struct buf tenant, ns;
	char *path;
	struct stamp stamp;
	struct rule_group **group;
	size_t n;
	bool damaged; /* group is what the file held before */
	bool seen;    /* by the scan that is on */
};

/* write_lock before lock. Files are read and written under write_lock alone, so that readers of the list never wait for a
 * disk; the list changes under both. */
struct rule_store {
	char *dir;
	pthread_mutex_t write_lock, lock;
	VEC(struct rule_file *) files;
	_Atomic uint64_t version;
	struct metric *damaged_files, *n_groups;
};

/* ------------------------------------------------------------------ the list */

static void drop_groups(struct rule_group **group, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule_group_unref(group[i]);
	free(group);
}

static void rule_file_free(struct rule_file *f)
{
	if (f == NULL)
		return;
	drop_groups(f->group, f->n);
	buf_fini(&f->tenant);
	buf_fini(&f->ns);
	free(f->path);
	free(f);
}

static struct rule_file *rule_file_new(struct slice tenant, struct slice ns, char *path)
{
	struct rule_file *f = xcalloc(1, sizeof(*f));

	buf_add(&f->tenant, tenant);
	buf_add(&f->ns, ns);
	f->path = path;
	return f;
}

static int file_cmp(const struct rule_file *f, struct slice tenant, struct slice ns)
{
	int c = slice_cmp(buf_slice(&f->tenant), tenant);

	return c != 0 ? c : slice_cmp(buf_slice(&f->ns), ns);
}

/* The index of the namespace, or where it belongs. */
static size_t position(const struct rule_store *s, struct slice tenant, struct slice ns, bool *found)
{
	size_t lo = 0, hi = s->files.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (file_cmp(s->files.v[mid], tenant, ns) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < s->files.n && file_cmp(s->files.v[lo], tenant, ns) == 0;
	return lo;
}

static struct rule_file *find(const struct rule_store *s, struct slice tenant, struct slice ns)
{
	bool found;
	size_t at = position(s, tenant, ns, &found);

	return found ? s->files.v[at] : NULL;
}

static void changed(struct rule_store *s)
{
	size_t n_damaged = 0, n_groups = 0;

	for (size_t i = 0; i < s->files.n; i++) {
		n_damaged += s->files.v[i]->damaged;
		n_groups += s->files.v[i]->n;
	}
	metric_set(s->damaged_files, (int64_t)n_damaged);
	metric_set(s->n_groups, (int64_t)n_groups);
	atomic_fetch_add(&s->version, 1);
}

static void list_add(struct rule_store *s, struct rule_file *f)
{
	bool found;

	pthread_mutex_lock(&s->lock);
	size_t at = position(s, buf_slice(&f->tenant), buf_slice(&f->ns), &found);
	assert(!found);
	vec_push(&s->files, NULL);
	memmove(&s->files.v[at + 1], &s->files.v[at], (s->files.n - 1 - at) * sizeof(s->files.v[0]));
	s->files.v[at] = f;
	changed(s);
	pthread_mutex_unlock(&s->lock);
}

static void list_remove(struct rule_store *s, struct rule_file *f)
{
	bool found;

	pthread_mutex_lock(&s->lock);
	size_t at = position(s, buf_slice(&f->tenant), buf_slice(&f->ns), &found);
	assert(found && s->files.v[at] == f);
	memmove(&s->files.v[at], &s->files.v[at + 1], (s->files.n - 1 - at) * sizeof(s->files.v[0]));
	s->files.n--;
	changed(s);
	pthread_mutex_unlock(&s->lock);
	rule_file_free(f);
}

/* Takes the groups over. */
static void set_groups(struct rule_store *s, struct rule_file *f, struct rule_group **group, size_t n)
{
	pthread_mutex_lock(&s->lock);
	struct rule_group **old = f->group;
	size_t n_old = f->n;
	f->group = group;
	f->n = n;
	f->damaged = false;
	changed(s);
	pthread_mutex_unlock(&s->lock);
	drop_groups(old, n_old);
}

static void set_damaged(struct rule_store *s, struct rule_file *f)
{
	pthread_mutex_lock(&s->lock);
	f->damaged = true;
	changed(s);
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------ names */

/* %XX is that byte, any other byte itself. False: nobody can be called so. */
static bool name_from_file(struct slice file, struct buf *out)
{
	for (size_t i = 0; i < file.n; i++) {
		char c = file.p[i];

		if (c == '%') {
			if (i + 2 >= file.n || text_hex_digit(file.p[i + 1]) < 0 ||
			    text_hex_digit(file.p[i + 2]) < 0)
				return false;
			c = (char)(text_hex_digit(file.p[i + 1]) << 4 | text_hex_digit(file.p[i + 2]));
			i += 2;
		}
		buf_putc(out, c);
	}
	return utf8_valid(buf_slice(out)) && memchr(out->p, '\0', out->n) == NULL && out->n > 0;
}

static bool is_tenant(struct slice name)
{
	struct err err;

	return tenant_check(name, &err) == 0;
}

static int check_ns(struct slice ns, struct err *err)
{
	if (ns.n == 0)
		return err_set(err, ERR_BAD_REQUEST, "a namespace needs a name");
	if (!utf8_valid(ns) || slice_find_byte(ns, '\0') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "the name of a namespace must be UTF-8 without NUL");
	struct buf b = { 0 };
	tenant_dir_name(&b, ns);
	size_t n = b.n + strlen(".yaml");
	buf_fini(&b);
	if (n > MAX_FILE_NAME_BYTES)
		return err_set(
			err, ERR_BAD_REQUEST,
			"the name of the namespace is too long: its file name has %zu bytes, the limit is %d",
			n, MAX_FILE_NAME_BYTES);
	return 0;
}

static char *path_of(const struct rule_store *s, struct slice tenant, struct slice ns)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s/", s->dir);
	tenant_dir_name(&b, tenant);
	buf_putc(&b, '/');
	tenant_dir_name(&b, ns);
	buf_puts(&b, ".yaml");
	buf_cstr_end(&b);
	return b.p;
}

/* ------------------------------------------------------------------ reading */

static bool look(const char *path, struct stamp *out)
{
	struct stat st;

	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
		return false;
	*out = (struct stamp){ st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (uint64_t)st.st_size, st.st_ino };
	return true;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns && a->size == b->size &&
	       a->inode == b->inode;
}

static void read_rules(struct rule_store *s, struct rule_file *f)
{
	struct rule_group **group = NULL;
	struct buf text = { 0 };
	struct err err;
	size_t n = 0;

	int rc = file_read_all(f->path, RULES_MAX_FILE_BYTES, &text, &err);
	if (rc == -1)
		f->stamp = (struct stamp){ 0 }; /* look again the next time */
	else
		rc = rule_file_parse(buf_slice(&text), &group, &n, &err);
	if (rc == -1) {
		log_error("rule file is damaged, its former groups stay", KV("file", f->path),
			  KVI("groups", f->n), KV("error", err.msg));
		set_damaged(s, f);
	} else {
		log_info("rule file read", KVS("tenant", buf_slice(&f->tenant)),
			 KVS("namespace", buf_slice(&f->ns)), KVI("groups", n));
		set_groups(s, f, group, n);
	}
	buf_fini(&text);
}

/* One file of the folder. Returns whether it is new or changed. Takes path over. */
static bool visit_file(struct rule_store *s, struct slice tenant, struct slice ns, char *path)
{
	struct rule_file *f = find(s, tenant, ns);
	struct stamp stamp;

	if (!look(path, &stamp)) {
		free(path);
		return false;
	}
	if (f != NULL && f->seen) {
		log_warn("two rule files have the same namespace, the second one is left out",
			 KV("file", path), KV("first", f->path));
		free(path);
		return false;
	}
	bool known = f != NULL && strcmp(f->path, path) == 0 && same_stamp(&f->stamp, &stamp);
	if (f == NULL) {
		f = rule_file_new(tenant, ns, TAKE(path));
		list_add(s, f);
	} else if (!known) {
		free(f->path);
		f->path = TAKE(path);
	}
	free(path);
	f->seen = true;
	if (known)
		return false;
	f->stamp = stamp; /* from before it is read: a change meanwhile is seen the next time */
	read_rules(s, f);
	return true;
}

static struct slice without_suffix(const char *name)
{
	struct slice s = slice_cstr(name);

	if (slice_ends(s, SLICE(".yaml")))
		return slice_sub(s, 0, s.n - 5);
	return slice_ends(s, SLICE(".yml")) ? slice_sub(s, 0, s.n - 4) : SLICE("");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static bool visit_tenant(struct rule_store *s, const char *dir_name)
{
	struct buf tenant = { 0 }, ns = { 0 };
	char *dir = xasprintf("%s/%s", s->dir, dir_name);
	struct dirent **names = NULL;
	bool any = false;

	int n = name_from_file(slice_cstr(dir_name), &tenant) && is_tenant(buf_slice(&tenant))
			? scandir(dir, &names, not_hidden, by_name)
			: 0;
	if (n == -1 && errno != ENOTDIR)
		log_error("rule folder cannot be read", KV("folder", dir), KV("error", strerror(errno)));
	for (int i = 0; i < n; i++) {
		struct slice base = without_suffix(names[i]->d_name);

		buf_reset(&ns);
		if (base.n > 0 && name_from_file(base, &ns))
			any |= visit_file(s, buf_slice(&tenant), buf_slice(&ns),
					  xasprintf("%s/%s", dir, names[i]->d_name));
		free(names[i]);
	}
	free(names);
	buf_fini(&tenant);
	buf_fini(&ns);
	free(dir);
	return any;
}

/* Files that the scan did not meet are gone. One whose folder cannot be read still has its groups: it is there. */
static bool forget_unseen(struct rule_store *s)
{
	bool any = false;

	for (size_t i = s->files.n; i-- > 0;) {
		struct rule_file *f = s->files.v[i];

		if (f->seen || file_exists(f->path))
			continue;
		log_info("rule file is gone", KVS("tenant", buf_slice(&f->tenant)),
			 KVS("namespace", buf_slice(&f->ns)));
		list_remove(s, f);
		any = true;
	}
	return any;
}

/* Under write_lock. */
static int scan(struct rule_store *s, bool *any, struct err *err)
{
	struct dirent **names = NULL;
	int n = scandir(s->dir, &names, not_hidden, by_name);

	*any = false;
	if (n == -1 && errno != ENOENT)
		return err_errno(err, "read folder of rules %s", s->dir);
	for (size_t i = 0; i < s->files.n; i++)
		s->files.v[i]->seen = false;
	for (int i = 0; i < n; i++) {
		*any |= visit_tenant(s, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	*any |= forget_unseen(s);
	return 0;
}

bool rule_store_refresh(struct rule_store *s)
{
	struct err err;
	bool any;

	pthread_mutex_lock(&s->write_lock);
	if (scan(s, &any, &err) == -1)
		log_error("rules cannot be read", KV("error", err.msg));
	pthread_mutex_unlock(&s->write_lock);
	return any;
}

int rule_store_open(const char *dir, struct rule_store **out, struct err *err)
{
	struct rule_store *s = xcalloc(1, sizeof(*s));
	bool any;

	s->dir = xstrdup(dir);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->write_lock, NULL);
	s->damaged_files =
		metric_gauge("spoor_rules_damaged_files",
			     "Rule files that cannot be read; the groups they held before still run.", NULL);
	s->n_groups = metric_gauge("spoor_rules_groups", "Groups of rules.", NULL);
	if (scan(s, &any, err) == -1) {
		rule_store_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

void rule_store_close(struct rule_store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->files.n; i++)
		rule_file_free(s->files.v[i]);
	vec_fini(&s->files);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->write_lock);
	free(s->dir);
	free(s);
}

/* ------------------------------------------------------------------ views */

uint64_t rule_store_version(struct rule_store *s)
{
	return atomic_load(&s->version);
}

static bool wanted(struct slice want, struct slice have)
{
	return want.p == NULL || slice_eq(want, have);
}

void rule_view_take(struct rule_store *s, struct slice tenant, struct slice ns, struct slice group,
		    struct rule_view *out)
{
	size_t most = 0;

	arena_init(&out->arena);
	out->n = 0;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->files.n; i++)
		most += s->files.v[i]->n;
	out->ref = arena_array(&out->arena, struct rule_ref, most + 1);
	for (size_t i = 0; i < s->files.n; i++) {
		const struct rule_file *f = s->files.v[i];

		if (f->n == 0 || !wanted(tenant, buf_slice(&f->tenant)) || !wanted(ns, buf_slice(&f->ns)))
			continue;
		struct slice t = arena_dup(&out->arena, buf_slice(&f->tenant));
		struct slice name = arena_dup(&out->arena, buf_slice(&f->ns));
		for (size_t k = 0; k < f->n; k++)
			if (wanted(group, f->group[k]->name))
				out->ref[out->n++] =
					(struct rule_ref){ t, name, rule_group_ref(f->group[k]) };
	}
	pthread_mutex_unlock(&s->lock);
}

void rule_view_fini(struct rule_view *v)
{
	for (size_t i = 0; i < v->n; i++)
		rule_group_unref(v->ref[i].group);
	v->n = 0;
	arena_fini(&v->arena);
}

/* ------------------------------------------------------------------ writing, all under write_lock */

/* The file gets these groups, then memory does. Takes the groups over, also on failure. */
static int write_rules(struct rule_store *s, struct rule_file *f, struct rule_group **group, size_t n,
		       struct err *err)
{
	struct buf text = { 0 };
	int rc = -1;

	rule_file_format(group, n, &text);
	if (text.n > RULES_MAX_FILE_BYTES)
		err_set(err, ERR_BAD_REQUEST, "the rules of a namespace have %zu bytes, the limit is %d",
			text.n, RULES_MAX_FILE_BYTES);
	else
		rc = file_replace(f->path, buf_slice(&text), err);
	buf_fini(&text);
	if (rc == -1) {
		drop_groups(group, n);
		return -1;
	}
	if (!look(f->path, &f->stamp))
		f->stamp = (struct stamp){ 0 };
	set_groups(s, f, group, n);
	return 0;
}

static int remove_file(struct rule_store *s, struct rule_file *f, struct err *err)
{
	if (file_unlink(f->path, err) == -1)
		return -1;
	char *dir = xstrdup(f->path);
	*strrchr(dir, '/') = '\0';
	int rc = file_sync_dir(dir, err);
	free(dir);
	list_remove(s, f);
	return rc;
}

static int check_undamaged(const struct rule_file *f, struct err *err)
{
	return f->damaged ? err_set(err, ERR_UNPROCESSABLE,
				    "the file of this namespace is damaged: mend %s or delete the namespace",
				    f->path)
			  : 0;
}

static size_t find_group(const struct rule_file *f, struct slice name)
{
	size_t i = 0;

	while (i < f->n && !slice_eq(f->group[i]->name, name))
		i++;
	return i;
}

static int check_room(const struct rule_store *s, struct slice tenant, const struct rule_file *f,
		      bool new_group, struct err *err)
{
	size_t n_groups = 0, n_files = 0;

	for (size_t i = 0; i < s->files.n; i++) {
		if (slice_eq(buf_slice(&s->files.v[i]->tenant), tenant)) {
			n_groups += s->files.v[i]->n;
			n_files++;
		}
	}
	if (f == NULL && n_files >= RULE_STORE_MAX_NAMESPACES)
		return err_set(err, ERR_BAD_REQUEST, "too many namespaces of rules: the limit is %d",
			       RULE_STORE_MAX_NAMESPACES);
	if (new_group && n_groups >= RULES_MAX_GROUPS)
		return err_set(err, ERR_BAD_REQUEST,
			       "per-user rule groups limit (limit: %d actual: %zu) exceeded",
			       RULES_MAX_GROUPS, n_groups + 1);
	return 0;
}

static int make_folder(const char *path, struct err *err)
{
	char *dir = xstrdup(path);

	*strrchr(dir, '/') = '\0';
	int rc = file_mkdirs(dir, err);
	free(dir);
	return rc;
}

static int put_new(struct rule_store *s, struct slice tenant, struct slice ns, struct rule_group *g,
		   struct err *err)
{
	struct rule_group **group = xmalloc(sizeof(*group));
	struct rule_file *f = rule_file_new(tenant, ns, path_of(s, tenant, ns));

	*group = rule_group_ref(g);
	if (make_folder(f->path, err) == -1) {
		drop_groups(group, 1);
		rule_file_free(f);
		return -1;
	}
	list_add(s, f);
	if (write_rules(s, f, group, 1, err) == 0)
		return 0;
	list_remove(s, f);
	return -1;
}

static int put_into(struct rule_store *s, struct rule_file *f, size_t at, struct rule_group *g,
		    struct err *err)
{
	size_t n = at == f->n ? f->n + 1 : f->n;
	struct rule_group **group = xmalloc(n * sizeof(*group));

	for (size_t i = 0; i < n; i++)
		group[i] = rule_group_ref(i == at ? g : f->group[i]);
	return write_rules(s, f, group, n, err);
}

int rule_store_put(struct rule_store *s, struct slice tenant, struct slice ns, struct rule_group *g,
		   struct err *err)
{
	int rc = -1;

	if (check_ns(ns, err) == -1)
		return -1;
	pthread_mutex_lock(&s->write_lock);
	struct rule_file *f = find(s, tenant, ns);
	size_t at = f != NULL ? find_group(f, g->name) : 0;
	if (f != NULL && check_undamaged(f, err) == -1)
		goto out;
	if (check_room(s, tenant, f, f == NULL || at == f->n, err) == -1)
		goto out;
	rc = f != NULL ? put_into(s, f, at, g, err) : put_new(s, tenant, ns, g, err);
out:
	pthread_mutex_unlock(&s->write_lock);
	return rc;
}

static int delete_group(struct rule_store *s, struct rule_file *f, struct slice name, struct err *err)
{
	size_t at = find_group(f, name), n = 0;

	if (check_undamaged(f, err) == -1)
		return -1;
	if (at == f->n)
		return 0;
	if (f->n == 1)
		return remove_file(s, f, err);
	struct rule_group **group = xmalloc((f->n - 1) * sizeof(*group));
	for (size_t i = 0; i < f->n; i++)
		if (i != at)
			group[n++] = rule_group_ref(f->group[i]);
	return write_rules(s, f, group, n, err);
}

int rule_store_delete(struct rule_store *s, struct slice tenant, struct slice ns, struct slice group,
		      struct err *err)
{
	int rc;

	pthread_mutex_lock(&s->write_lock);
	struct rule_file *f = find(s, tenant, ns);
	if (f == NULL)
		rc = group.p != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "group namespace does not exist");
	else
		rc = group.p != NULL ? delete_group(s, f, group, err) : remove_file(s, f, err);
	pthread_mutex_unlock(&s->write_lock);
	return rc;
}
