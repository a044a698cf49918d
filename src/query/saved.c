#include "query/saved.h"
#include "base/file.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/tenant.h"
#include "query/json_object.h"

#include <pthread.h>

/* Escapes make at most six bytes of one. */
enum { MAX_FILE_BYTES = SAVED_MAX * (6 * SAVED_MAX_BYTES + 128) };

struct saved_queries {
	char *dir;
	pthread_mutex_t lock; /* over reading a file, changing it and writing it */
};

struct list {
	VEC(struct saved_query) v;
};

struct saved_queries *saved_queries_new(const char *dir)
{
	struct saved_queries *s = xcalloc(1, sizeof(*s));

	s->dir = xstrdup(dir);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void saved_queries_free(struct saved_queries *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->dir);
	free(s);
}

/* ---- JSON ---- */

static int bad_json(struct err *err)
{
	return err_set(err, ERR_BAD_REQUEST,
		       "a saved query is a JSON object with the string \"query\" and, optionally, the string "
		       "\"note\"");
}

static int take_string(const struct json_member *m, struct arena *a, struct slice *out, struct err *err)
{
	struct slice text = m->value;

	if (m->type != JSON_STRING || (m->escaped && !json_unescape(text, a, &text)))
		return bad_json(err);
	*out = arena_dup(a, text);
	return 0;
}

static struct slice *member_of(struct saved_query *q, struct slice *saved, struct slice key)
{
	if (slice_is(key, "name"))
		return &q->name;
	if (slice_is(key, "query"))
		return &q->query;
	if (slice_is(key, "note"))
		return &q->note;
	return slice_is(key, "saved") ? saved : NULL;
}

/* saved: the text of that member, if there is one. */
static int parse(struct slice json, struct arena *a, struct saved_query *out, struct slice *saved,
		 struct err *err)
{
	struct json_object o = json_object_of(slice_trim(json));
	struct saved_query q = { .name = SLICE(""), .query = SLICE(""), .note = SLICE("") };
	struct json_member m;
	int rc;

	*saved = SLICE("");
	while ((rc = json_object_next(&o, &m)) == 1) {
		struct slice *to = member_of(&q, saved, m.key);

		if (to != NULL && take_string(&m, a, to, err) == -1)
			return -1;
	}
	if (rc == -1 || o.off + 1 < o.text.n) /* it stands at the brace */
		return bad_json(err);
	*out = q;
	return 0;
}

int saved_parse(struct slice json, struct arena *a, struct saved_query *out, struct err *err)
{
	struct slice unused;

	return parse(json, a, out, &unused, err);
}

static void put_line(struct buf *b, const struct saved_query *q)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	json_key(&j, "name");
	json_str(&j, q->name);
	json_key(&j, "query");
	json_str(&j, q->query);
	json_key(&j, "note");
	json_str(&j, q->note);
	json_key_int_text(&j, "saved", q->saved_ns);
	json_close(&j, '}');
	buf_putc(b, '\n');
}

/* ---- files; under the lock ---- */

static char *path_of(const struct saved_queries *s, struct slice tenant)
{
	struct buf b = { 0 };

	buf_printf(&b, "%s/", s->dir);
	tenant_dir_name(&b, tenant);
	buf_puts(&b, ".jsonl");
	buf_cstr_end(&b);
	return b.p;
}

static int parse_file(struct slice text, struct arena *a, struct list *l, struct err *err)
{
	while (text.n > 0) {
		size_t end = slice_find_byte(text, '\n');
		struct saved_query q;
		struct slice saved;

		if (end == SLICE_NONE || l->v.n == SAVED_MAX ||
		    parse(slice_sub(text, 0, end), a, &q, &saved, err) == -1 ||
		    !slice_to_i64(saved, &q.saved_ns) || q.name.n == 0)
			return -1;
		vec_push(&l->v, q);
		text = slice_from(text, end + 1);
	}
	return 0;
}

/* No file: no queries. */
static int load(const char *path, struct arena *a, struct list *l, struct err *err)
{
	struct buf text = { 0 };
	int rc = 0;

	if (!file_exists(path))
		return 0;
	if (file_read_all(path, MAX_FILE_BYTES, &text, err) == -1)
		rc = -1;
	else if (parse_file(buf_slice(&text), a, l, err) == -1)
		rc = err_set(err, ERR_CORRUPT, "the file of saved queries is damaged: mend or remove %s",
			     path);
	buf_fini(&text);
	return rc;
}

static int store(const struct saved_queries *s, const char *path, const struct list *l, struct err *err)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < l->v.n; i++)
		put_line(&text, &l->v.v[i]);
	int rc = file_mkdirs(s->dir, err);
	if (rc == 0)
		rc = file_replace(path, buf_slice(&text), err);
	buf_fini(&text);
	return rc;
}

/* The index of the name, or where it belongs. */
static size_t position(const struct list *l, struct slice name, bool *found)
{
	size_t i = 0;

	while (i < l->v.n && slice_cmp(l->v.v[i].name, name) < 0)
		i++;
	*found = i < l->v.n && slice_eq(l->v.v[i].name, name);
	return i;
}

static int put_into(struct list *l, const struct saved_query *q, struct err *err)
{
	bool found;
	size_t at = position(l, q->name, &found);

	if (!found) {
		if (l->v.n >= SAVED_MAX)
			return err_set(err, ERR_BAD_REQUEST, "too many saved queries: the limit is %d",
				       SAVED_MAX);
		vec_push(&l->v, *q);
		memmove(&l->v.v[at + 1], &l->v.v[at], (l->v.n - 1 - at) * sizeof(*q));
	}
	l->v.v[at] = *q;
	return 0;
}

static int remove_from(struct list *l, struct slice name, struct err *err)
{
	bool found;
	size_t at = position(l, name, &found);

	if (!found)
		return err_set(err, ERR_NOT_FOUND, "no saved query has this name");
	l->v.n--;
	memmove(&l->v.v[at], &l->v.v[at + 1], (l->v.n - at) * sizeof(*l->v.v));
	return 0;
}

/* Puts q in, or with q == NULL takes the name out. */
static int change(struct saved_queries *s, struct slice tenant, const struct saved_query *q,
		  struct slice name, struct err *err)
{
	char *path = path_of(s, tenant);
	struct list l = { 0 };
	struct arena a;

	arena_init(&a);
	pthread_mutex_lock(&s->lock);
	int rc = load(path, &a, &l, err);
	if (rc == 0)
		rc = q != NULL ? put_into(&l, q, err) : remove_from(&l, name, err);
	if (rc == 0)
		rc = store(s, path, &l, err);
	pthread_mutex_unlock(&s->lock);
	vec_fini(&l.v);
	arena_fini(&a);
	free(path);
	return rc;
}

/* ---- the doors ---- */

static bool is_text(struct slice s)
{
	return utf8_valid(s) && slice_find_byte(s, '\0') == SLICE_NONE;
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

static int check(const struct saved_query *q, struct err *err)
{
	size_t n = q->name.n + q->query.n + q->note.n;

	if (q->name.n == 0 || q->name.n > SAVED_MAX_NAME_BYTES)
		return err_set(err, ERR_BAD_REQUEST,
			       "the name of a saved query has 1 to %d bytes, this one %zu",
			       SAVED_MAX_NAME_BYTES, q->name.n);
	if (!is_text(q->name) || has_control(q->name))
		return err_set(err, ERR_BAD_REQUEST,
			       "the name of a saved query must be UTF-8 without control characters");
	if (slice_trim(q->query).n == 0)
		return err_set(err, ERR_BAD_REQUEST, "the saved query is empty");
	if (!is_text(q->query) || !is_text(q->note))
		return err_set(err, ERR_BAD_REQUEST, "a saved query must be UTF-8 without NUL");
	if (n > SAVED_MAX_BYTES)
		return err_set(err, ERR_BAD_REQUEST, "the saved query has %zu bytes, the limit is %d", n,
			       SAVED_MAX_BYTES);
	return 0;
}

int saved_list(struct saved_queries *s, struct slice tenant, struct arena *a, struct saved_query **out,
	       size_t *n_out, struct err *err)
{
	char *path = path_of(s, tenant);
	struct list l = { 0 };

	pthread_mutex_lock(&s->lock);
	int rc = load(path, a, &l, err);
	pthread_mutex_unlock(&s->lock);
	if (rc == 0) {
		*out = arena_array(a, struct saved_query, l.v.n);
		if (l.v.n > 0)
			memcpy(*out, l.v.v, l.v.n * sizeof(*l.v.v));
		*n_out = l.v.n;
	}
	vec_fini(&l.v);
	free(path);
	return rc;
}

int saved_put(struct saved_queries *s, struct slice tenant, const struct saved_query *q, struct err *err)
{
	return check(q, err) == -1 ? -1 : change(s, tenant, q, q->name, err);
}

int saved_delete(struct saved_queries *s, struct slice tenant, struct slice name, struct err *err)
{
	return change(s, tenant, NULL, name, err);
}
