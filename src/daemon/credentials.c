#include "daemon/credentials.h"
#include "api/route.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/yaml_doc.h"
#include "model/tenant.h"

#include <sys/stat.h>

enum { MAX_FILE_BYTES = 1 << 20, MAX_CREDENTIALS = 4096, MAX_TENANTS = 1000, MAX_NAME = 255 };

struct reader {
	struct yaml_doc *doc;
	struct credentials *c;
};

static const struct {
	const char *name;
	unsigned role;
} roles[] = {
	{ "write", ROLE_WRITE }, { "read", ROLE_READ }, { "delete", ROLE_DELETE }, { "admin", ROLE_ADMIN }
};

static int read_text(struct reader *r, int node, const char *what, struct slice *out, struct err *err)
{
	struct slice text = yaml_doc_text(r->doc, node);

	if (yaml_doc_kind(r->doc, node) != YAML_DOC_TEXT || text.n == 0)
		return yaml_doc_bad(r->doc, node, err, "%s takes a text", what);
	if (memchr(text.p, '\0', text.n) != NULL)
		return yaml_doc_bad(r->doc, node, err, "%s holds a NUL byte", what);
	*out = arena_dup(&r->c->arena, text);
	return 0;
}

static int read_name(struct reader *r, int node, struct credential *c, struct err *err)
{
	if (read_text(r, node, "name", &c->name, err) == -1)
		return -1;
	if (c->name.n > MAX_NAME || slice_find_byte(c->name, ':') != SLICE_NONE || !utf8_valid(c->name))
		return yaml_doc_bad(r->doc, node, err, "name must be UTF-8 without colons, at most %d bytes",
				    MAX_NAME);
	return 0;
}

static int read_password_hash(struct reader *r, int node, struct credential *c, struct err *err)
{
	struct slice text;

	if (read_text(r, node, "password_hash", &text, err) == -1)
		return -1;
	if (!auth_password_hash_ok(text.p))
		return yaml_doc_bad(
			r->doc, node, err,
			"password_hash is no hash of a strong method of crypt(5), such as yescrypt ($y$…)");
	c->password_hash = text.p;
	return 0;
}

static int read_token_hash(struct reader *r, int node, struct credential *c, struct err *err)
{
	struct slice text;

	if (read_text(r, node, "token_sha256", &text, err) == -1)
		return -1;
	bool ok = text.n == 2 * AUTH_TOKEN_HASH_BYTES;
	for (size_t i = 0; i < text.n && ok; i++)
		ok = text_hex_digit(text.p[i]) >= 0;
	if (!ok)
		return yaml_doc_bad(r->doc, node, err, "token_sha256 is not a SHA-256 as 64 hex digits");
	for (size_t i = 0; i < AUTH_TOKEN_HASH_BYTES; i++)
		c->token_sha256[i] = (unsigned char)(text_hex_digit(text.p[2 * i]) << 4 |
						     text_hex_digit(text.p[2 * i + 1]));
	c->has_token = true;
	return 0;
}

static int read_tenants(struct reader *r, int node, struct credential *c, struct err *err)
{
	VEC(struct slice) v = { 0 };
	int item = node, rc = -1;
	struct err why;

	if (slice_is(yaml_doc_text(r->doc, node), "*")) {
		c->all_tenants = true;
		return 0;
	}
	bool list = yaml_doc_kind(r->doc, node) == YAML_DOC_LIST;
	for (size_t i = 0; list ? yaml_doc_item(r->doc, node, &i, &item) : i == 0; i += !list) {
		struct slice id;

		if (read_text(r, item, "tenants", &id, err) == -1)
			goto out;
		if (tenant_check(id, &why) == -1) {
			yaml_doc_bad(r->doc, item, err, "%s", why.msg);
			goto out;
		}
		if (v.n == MAX_TENANTS) {
			yaml_doc_bad(r->doc, item, err, "more than %d tenants", MAX_TENANTS);
			goto out;
		}
		vec_push(&v, id);
	}
	if (v.n == 0) {
		yaml_doc_bad(r->doc, node, err, "tenants is empty (\"*\" means all)");
		goto out;
	}
	struct slice *copy = arena_array(&r->c->arena, struct slice, v.n);
	memcpy(copy, v.v, v.n * sizeof(*copy));
	c->tenants = copy;
	c->n_tenants = v.n;
	rc = 0;
out:
	vec_fini(&v);
	return rc;
}

static int read_role(struct reader *r, int node, struct credential *c, struct err *err)
{
	struct slice text = yaml_doc_text(r->doc, node);

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (slice_is(text, roles[i].name)) {
			c->roles |= roles[i].role;
			return 0;
		}
	return yaml_doc_bad(r->doc, node, err, "roles are write, read, delete and admin");
}

static int read_roles(struct reader *r, int node, struct credential *c, struct err *err)
{
	int item;

	if (yaml_doc_kind(r->doc, node) != YAML_DOC_LIST)
		return read_role(r, node, c, err);
	for (size_t i = 0; yaml_doc_item(r->doc, node, &i, &item);)
		if (read_role(r, item, c, err) == -1)
			return -1;
	return 0;
}

static int read_certificate(struct reader *r, int node, struct credential *c, struct err *err)
{
	return read_text(r, node, "certificate", &c->certificate, err);
}

static const struct {
	const char *name;
	int (*read)(struct reader *r, int node, struct credential *c, struct err *err);
} keys[] = {
	{ "name", read_name },
	{ "password_hash", read_password_hash },
	{ "token_sha256", read_token_hash },
	{ "certificate", read_certificate },
	{ "tenants", read_tenants },
	{ "roles", read_roles },
};

static int read_pair(struct reader *r, int key, int value, struct credential *c, unsigned *seen,
		     struct err *err)
{
	struct slice name = yaml_doc_text(r->doc, key);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!slice_is(name, keys[i].name))
			continue;
		if ((*seen & 1u << i) != 0)
			return yaml_doc_bad(r->doc, key, err, "%s stands twice", keys[i].name);
		*seen |= 1u << i;
		return keys[i].read(r, value, c, err);
	}
	return yaml_doc_bad(
		r->doc, key, err,
		"unknown key; there are name, password_hash, token_sha256, certificate, tenants and roles");
}

/* Names, tokens and certificates say who it is: each stands once. */
static const char *same_as_before(const struct credentials *all, const struct credential *c)
{
	for (size_t i = 0; i < all->v.n; i++) {
		const struct credential *other = &all->v.v[i];

		if (slice_eq(other->name, c->name))
			return "name";
		if (c->has_token && other->has_token &&
		    memcmp(other->token_sha256, c->token_sha256, sizeof(c->token_sha256)) == 0)
			return "token_sha256";
		if (c->certificate.p != NULL && slice_eq(other->certificate, c->certificate))
			return "certificate";
	}
	return NULL;
}

static int read_credential(struct reader *r, int node, struct err *err)
{
	static const struct slice single[] = { { TENANT_DEFAULT, sizeof(TENANT_DEFAULT) - 1 } };
	struct credential c = { .tenants = NULL };
	unsigned seen = 0;
	int key, value;

	if (yaml_doc_kind(r->doc, node) != YAML_DOC_MAP)
		return yaml_doc_bad(r->doc, node, err, "expected a credential: name, roles and a secret");
	for (size_t i = 0; yaml_doc_pair(r->doc, node, &i, &key, &value);)
		if (read_pair(r, key, value, &c, &seen, err) == -1)
			return -1;
	if (c.name.n == 0)
		return yaml_doc_bad(r->doc, node, err, "a credential without a name");
	if (c.roles == 0)
		return yaml_doc_bad(r->doc, node, err, "a credential without roles");
	if (c.password_hash == NULL && !c.has_token && c.certificate.p == NULL)
		return yaml_doc_bad(r->doc, node, err,
				    "a credential without password_hash, token_sha256 or certificate");
	if (c.n_tenants == 0 && !c.all_tenants) {
		c.tenants = single;
		c.n_tenants = 1;
	}
	const char *same = same_as_before(r->c, &c);
	if (same != NULL)
		return yaml_doc_bad(r->doc, node, err, "this %s belongs to a credential further up", same);
	if (r->c->v.n == MAX_CREDENTIALS)
		return yaml_doc_bad(r->doc, node, err, "more than %d credentials", MAX_CREDENTIALS);
	vec_push(&r->c->v, c);
	return 0;
}

static int read_file(struct reader *r, struct err *err)
{
	int root = yaml_doc_root(r->doc), key, list, item;
	size_t i = 0;

	if (!yaml_doc_pair(r->doc, root, &i, &key, &list) ||
	    !slice_is(yaml_doc_text(r->doc, key), "credentials"))
		return yaml_doc_bad(r->doc, root, err, "expected \"credentials:\" and a list");
	if (yaml_doc_pair(r->doc, root, &i, &key, &item))
		return yaml_doc_bad(r->doc, key, err, "nothing but credentials is expected here");
	if (yaml_doc_kind(r->doc, list) != YAML_DOC_LIST)
		return yaml_doc_bad(r->doc, list, err, "credentials is not a list");
	for (i = 0; yaml_doc_item(r->doc, list, &i, &item);)
		if (read_credential(r, item, err) == -1)
			return -1;
	return 0;
}

static bool can_log_in(const struct credential *c, enum auth_mode mode)
{
	switch (mode) {
	case AUTH_BASIC: return c->password_hash != NULL;
	case AUTH_BEARER: return c->has_token;
	case AUTH_MTLS: return c->certificate.p != NULL;
	case AUTH_NONE: break;
	}
	return true;
}

static int check_mode(const struct credentials *c, enum auth_mode mode, const char *name, struct err *err)
{
	static const char *const needs[] = {
		[AUTH_BASIC] = "password_hash", [AUTH_BEARER] = "token_sha256", [AUTH_MTLS] = "certificate"
	};

	for (size_t i = 0; i < c->v.n; i++)
		if (can_log_in(&c->v.v[i], mode))
			return 0;
	return err_set(err, ERR_CONFIG, "%s: nobody could log in: no credential has a %s", name,
		       mode == AUTH_NONE ? "name" : needs[mode]);
}

int credentials_load_text(struct slice yaml, const char *name, enum auth_mode mode, struct credentials **out,
			  struct err *err)
{
	struct reader r = { .c = credentials_new() };
	int rc = -1;

	if (yaml_doc_load(yaml, name, &r.doc, err) == -1 || read_file(&r, err) == -1 ||
	    check_mode(r.c, mode, name, err) == -1)
		goto out;
	*out = TAKE(r.c);
	rc = 0;
out:
	yaml_doc_free(r.doc);
	credentials_unref(r.c);
	return rc;
}

int credentials_load(const char *file, enum auth_mode mode, struct credentials **out, struct err *err)
{
	struct buf text = { 0 };
	struct stat st;
	int rc = -1;

	if (stat(file, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
		return err_set(err, ERR_CONFIG, "%s is open to everyone: its mode should be 0600 or 0640",
			       file);
	if (file_read_all(file, MAX_FILE_BYTES, &text, err) == -1)
		err->code = ERR_CONFIG;
	else
		rc = credentials_load_text(buf_slice(&text), file, mode, out, err);
	if (text.p != NULL)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return rc;
}
