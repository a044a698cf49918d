#include "daemon/overrides.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "base/vec.h"
#include "daemon/config.h"
#include "daemon/yaml_doc.h"
#include "model/tenant.h"

enum { MAX_FILE_BYTES = 16 << 20 };

struct overrides {
	struct arena arena;   /* limits, names, texts */
	struct map by_tenant; /* -> struct limits */
	struct buf text;      /* the file's */
};

static int unknown_limit(struct yaml_doc *d, int key, struct err *err)
{
	struct slice name = slice_sub(yaml_doc_text(d, key), 0, 128);
	const struct setting *row = setting_find(name), *close = setting_closest(name);
	struct buf shown = { 0 };

	text_terminal(&shown, name);
	buf_cstr_end(&shown);
	if (row != NULL)
		yaml_doc_bad(d, key, err, "%s is no limit of a tenant", row->name);
	else if (close != NULL && close->tenant)
		yaml_doc_bad(d, key, err, "unknown limit \"%s\" (did you mean %s?)", shown.p, close->name);
	else
		yaml_doc_bad(d, key, err, "unknown limit \"%s\"", shown.p);
	buf_fini(&shown);
	return -1;
}

static int set_list(struct overrides *o, struct yaml_doc *d, int list, const struct setting *row,
		    struct settings *s, struct err *err)
{
	VEC(struct slice) v = { 0 };
	int item, rc;

	for (size_t i = 0; yaml_doc_item(d, list, &i, &item);)
		vec_push(&v, yaml_doc_text(d, item));
	rc = setting_set_list(row, v.v, v.n, &o->arena, s, err);
	vec_fini(&v);
	return rc;
}

static int read_limit(struct overrides *o, struct yaml_doc *d, int key, int value, struct settings *s,
		      struct err *err)
{
	const struct setting *row = setting_find(yaml_doc_text(d, key));
	struct err why;
	int rc;

	if (row == NULL || !row->tenant)
		return unknown_limit(d, key, err);
	switch (yaml_doc_kind(d, value)) {
	case YAML_DOC_TEXT: rc = setting_set(row, yaml_doc_text(d, value), &o->arena, s, &why); break;
	case YAML_DOC_LIST: rc = set_list(o, d, value, row, s, &why); break;
	default: return yaml_doc_bad(d, value, err, "%s takes a value", row->name);
	}
	return rc == 0 ? 0 : yaml_doc_bad(d, value, err, "%s", why.msg);
}

static int check_twice(struct yaml_doc *d, int map, size_t i, int key, struct err *err)
{
	int earlier, value;

	for (size_t k = 0; k + 1 < i && yaml_doc_pair(d, map, &k, &earlier, &value);)
		if (slice_eq(yaml_doc_text(d, earlier), yaml_doc_text(d, key)))
			return yaml_doc_bad(d, key, err, "%.*s is set twice",
					    SLICE_ARG(yaml_doc_text(d, key)));
	return 0;
}

static int read_tenant(struct overrides *o, struct yaml_doc *d, int name, int map,
		       const struct settings *base, struct err *err)
{
	struct settings s = *base;
	struct slice id = yaml_doc_text(d, name);
	struct err why;
	int key, value;
	bool is_new;

	if (tenant_check(id, &why) == -1)
		return yaml_doc_bad(d, name, err, "%s", why.msg);
	if (yaml_doc_kind(d, map) != YAML_DOC_MAP && yaml_doc_kind(d, map) != YAML_DOC_NULL)
		return yaml_doc_bad(d, map, err, "expected limits as \"name: value\"");
	for (size_t i = 0; yaml_doc_pair(d, map, &i, &key, &value);) {
		if (read_limit(o, d, key, value, &s, err) == -1 || check_twice(d, map, i, key, err) == -1)
			return -1;
	}
	if (config_check(&s, &why) == -1)
		return yaml_doc_bad(d, name, err, "%.*s: %s", SLICE_ARG(id), why.msg);
	struct limits *limits = arena_new(&o->arena, struct limits);
	*limits = s.limits;
	void **slot = map_put(&o->by_tenant, arena_dup(&o->arena, id), &is_new);
	if (!is_new)
		return yaml_doc_bad(d, name, err, "tenant %.*s stands twice", SLICE_ARG(id));
	*slot = limits;
	return 0;
}

static int read_file(struct overrides *o, struct yaml_doc *d, const struct settings *base, struct err *err)
{
	int root = yaml_doc_root(d), key, value, tenants = 0;
	size_t i = 0;

	if (yaml_doc_kind(d, root) == YAML_DOC_NULL)
		return 0; /* a file of comments */
	if (!yaml_doc_pair(d, root, &i, &key, &tenants) || !slice_is(yaml_doc_text(d, key), "overrides"))
		return yaml_doc_bad(d, root, err, "expected \"overrides:\" and tenants below it");
	if (yaml_doc_pair(d, root, &i, &key, &value))
		return yaml_doc_bad(d, key, err, "nothing but overrides is expected here");
	if (yaml_doc_kind(d, tenants) != YAML_DOC_MAP && yaml_doc_kind(d, tenants) != YAML_DOC_NULL)
		return yaml_doc_bad(d, tenants, err, "overrides takes tenants and their limits");
	for (i = 0; yaml_doc_pair(d, tenants, &i, &key, &value);)
		if (read_tenant(o, d, key, value, base, err) == -1)
			return -1;
	return 0;
}

int overrides_load_text(struct slice yaml, const char *name, const struct settings *base,
			struct overrides **out, struct err *err)
{
	struct overrides *o = xcalloc(1, sizeof(*o));
	struct yaml_doc *d = NULL;
	int rc = -1;

	arena_init(&o->arena);
	buf_add(&o->text, yaml);
	if (yaml_doc_load(buf_slice(&o->text), name, &d, err) == -1 || read_file(o, d, base, err) == -1)
		goto out;
	*out = TAKE(o);
	rc = 0;
out:
	yaml_doc_free(d);
	overrides_free(o);
	return rc;
}

int overrides_load(const char *file, const struct settings *base, struct overrides **out, struct err *err)
{
	struct buf text = { 0 };
	int rc = -1;

	if (file_read_all(file, MAX_FILE_BYTES, &text, err) == -1)
		err->code = ERR_CONFIG;
	else
		rc = overrides_load_text(buf_slice(&text), file, base, out, err);
	buf_fini(&text);
	return rc;
}

int overrides_check(const struct overrides *o, int (*check)(const struct limits *l, struct err *err),
		    struct err *err)
{
	struct slice tenant;
	void *limits;

	for (size_t i = 0; map_next(&o->by_tenant, &i, &tenant, &limits);)
		if (check(limits, err) == -1)
			return err_prefix(err, "%.*s", SLICE_ARG(tenant));
	return 0;
}

void overrides_free(struct overrides *o)
{
	if (o == NULL)
		return;
	map_fini(&o->by_tenant);
	arena_fini(&o->arena);
	buf_fini(&o->text);
	free(o);
}

const struct limits *overrides_find(const struct overrides *o, struct slice tenant)
{
	return o != NULL ? map_get(&o->by_tenant, tenant) : NULL;
}

bool overrides_same(const struct overrides *a, const struct overrides *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return slice_eq(buf_slice(&a->text), buf_slice(&b->text));
}
