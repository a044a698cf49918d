#include "api/guard.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/tenant.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { MAX_TENANT = 150, MAX_TENANTS = 256, MAX_SHOWN = 256 };

static struct slice shown(struct slice s)
{
	return slice_sub(s, 0, MAX_SHOWN);
}

static bool is_tenant_char(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("!-_.*'()", c) != NULL;
}

static int bad_tenant_char(struct slice id, size_t i, struct err *err)
{
	struct buf all, one;
	size_t n;

	buf_init(&all);
	buf_init(&one);
	utf8_decode(slice_from(id, i), &n);
	text_terminal(&all, shown(id));
	text_terminal(&one, slice_sub(id, i, n));
	err_set(err, ERR_BAD_REQUEST, "tenant ID '%.*s' contains unsupported character '%.*s'",
		SLICE_ARG(buf_slice(&all)), SLICE_ARG(buf_slice(&one)));
	buf_fini(&all);
	buf_fini(&one);
	return -1;
}

static int check_tenant(struct slice id, struct err *err)
{
	if (id.n == 0)
		return err_set(err, ERR_BAD_REQUEST, "tenant ID is empty");
	for (size_t i = 0; i < id.n; i++)
		if (!is_tenant_char(id.p[i]))
			return bad_tenant_char(id, i, err);
	if (id.n > MAX_TENANT)
		return err_set(err, ERR_BAD_REQUEST, "tenant ID is too long: max %d characters", MAX_TENANT);
	if (slice_is(id, ".") || slice_is(id, ".."))
		return err_set(err, ERR_BAD_REQUEST, "tenant ID is '.' or '..'");
	return 0;
}

static int check_tenants(struct slice ids, struct err *err)
{
	size_t n = 1;

	for (size_t i = 0; i < ids.n; i++)
		n += ids.p[i] == '|';
	if (n > MAX_TENANTS)
		return err_set(err, ERR_BAD_REQUEST, "too many tenants at once: %zu > %d", n, MAX_TENANTS);
	for (size_t bar = 0; bar != SLICE_NONE; ids = slice_from(ids, bar + 1)) {
		bar = slice_find_byte(ids, '|');
		if (check_tenant(slice_sub(ids, 0, bar), err) == -1)
			return -1;
		if (bar == SLICE_NONE)
			break;
	}
	return 0;
}

static int check_header(struct slice id, const struct server_settings *s, unsigned flags, struct err *err)
{
	if (id.n == 0)
		return err_set(err, ERR_UNAUTHORIZED, "no org id");
	bool several = slice_find_byte(id, '|') != SLICE_NONE;
	if (several && (flags & ROUTE_MULTI_TENANT) == 0)
		return err_set(err, ERR_BAD_REQUEST, "multiple org IDs present");
	return several && s->multi_tenant_queries ? check_tenants(id, err) : check_tenant(id, err);
}

static int cmp_slice(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* "b|a|b" -> a, b */
static size_t split_tenants(struct slice ids, struct slice v[MAX_TENANTS])
{
	size_t n = 0, unique = 0;

	for (size_t bar = 0; bar != SLICE_NONE; ids = slice_from(ids, bar + 1)) {
		bar = slice_find_byte(ids, '|');
		v[n++] = slice_sub(ids, 0, bar);
		if (bar == SLICE_NONE)
			break;
	}
	qsort(v, n, sizeof(*v), cmp_slice);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !slice_eq(v[i], v[i - 1]))
			v[unique++] = v[i];
	return unique;
}

static struct slice join_tenants(const struct slice *v, size_t n, struct arena *a)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(&b, '|');
		buf_add(&b, v[i]);
	}
	struct slice joined = arena_dup(a, buf_slice(&b));
	buf_fini(&b);
	return joined;
}

int guard_tenant(struct slice header, const struct server_settings *s, unsigned flags,
		 const struct credential *who, struct arena *a, struct slice *tenant, struct err *err)
{
	struct slice part[MAX_TENANTS], id = header;
	size_t n = 1;

	if (!s->multi_tenant)
		id = SLICE(TENANT_DEFAULT);
	else if (id.p == NULL && who != NULL && who->n_tenants == 1 && !who->all_tenants)
		id = who->tenants[0];
	if (s->multi_tenant && check_header(id, s, flags, err) == -1)
		return -1;
	part[0] = id;
	if (slice_find_byte(id, '|') != SLICE_NONE)
		n = split_tenants(id, part);
	for (size_t i = 0; i < n; i++)
		if (who != NULL && !credential_may_use(who, part[i]))
			return err_set(err, ERR_FORBIDDEN, "tenant '%.*s' is not one of this credential's",
				       SLICE_ARG(part[i]));
	*tenant = n == 1 ? part[0] : join_tenants(part, n, a);
	return 0;
}

int guard_role(unsigned flags, const struct credential *who, struct err *err)
{
	static const struct {
		unsigned role;
		const char *name;
	} names[] = { { ROLE_WRITE, "write" },
		      { ROLE_READ, "read" },
		      { ROLE_DELETE, "delete" },
		      { ROLE_ADMIN, "admin" } };
	unsigned needed = flags & ROLE_ANY;
	struct buf b;

	if (needed == 0)
		needed = ROLE_ADMIN;
	if (who == NULL || (who->roles & needed) != 0)
		return 0;
	buf_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((needed & names[i].role) != 0)
			buf_printf(&b, "%s%s", b.n > 0 ? " or " : "", names[i].name);
	err_set(err, ERR_FORBIDDEN, "this takes a credential with the role %.*s", SLICE_ARG(buf_slice(&b)));
	buf_fini(&b);
	return -1;
}

/* The host without port, brackets and final dot. */
static struct slice host_name(struct slice host)
{
	if (host.n > 0 && host.p[0] == '[')
		return slice_sub(host, 1, slice_find_byte(host, ']') - 1);
	host = slice_sub(host, 0, slice_find_byte(host, ':'));
	if (slice_ends(host, SLICE(".")))
		host.n--;
	return host;
}

static bool is_ip(struct slice name)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (name.n >= sizeof(text))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

static bool ends_nocase(struct slice s, struct slice suffix)
{
	return s.n > suffix.n && slice_eq_nocase(slice_from(s, s.n - suffix.n), suffix);
}

static bool is_local_name(struct slice name, struct slice own_name)
{
	static const struct slice suffixes[] = { { ".localhost", 10 },
						 { ".local", 6 },
						 { ".internal", 9 },
						 { ".svc", 4 },
						 { ".cluster.local", 14 } };

	if (name.n == 0)
		return false;
	if (slice_find_byte(name, '.') == SLICE_NONE || is_ip(name) || slice_eq_nocase(name, own_name))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		if (ends_nocase(name, suffixes[i]))
			return true;
	return false;
}

int guard_host(const struct http1_head *h, const struct server_settings *s, struct slice own_name,
	       struct err *err)
{
	if (!s->check_host || h->host.p == NULL)
		return 0;
	struct slice name = host_name(h->host);
	if (is_local_name(name, own_name))
		return 0;
	for (size_t i = 0; i < s->n_allowed_hosts; i++)
		if (slice_is(SLICE("*"), s->allowed_hosts[i]) ||
		    slice_eq_nocase(name, slice_cstr(s->allowed_hosts[i])))
			return 0;
	return err_set(err, ERR_FORBIDDEN, "host '%.*s' is not in allowed_hosts", SLICE_ARG(shown(name)));
}

/* Browsers add a Basic (or Digest, Negotiate) authorization by themselves once they know it, whichever page asks. */
static bool is_bearer(struct slice authorization)
{
	return slice_eq_nocase(slice_sub(authorization, 0, 7), SLICE("bearer "));
}

/* A header that a page of another site could not set without being asked first. */
static bool has_own_header(const struct http1_head *h)
{
	static const struct slice names[] = { { "x-scope-orgid", 13 }, { "x-spoor-request", 15 } };

	for (size_t i = 0; i < h->n_headers; i++) {
		struct slice name = h->header[i].name;

		if (slice_eq_nocase(slice_sub(name, 0, 10), SLICE("x-grafana-")))
			return true;
		if (slice_eq_nocase(name, SLICE("authorization")) && is_bearer(h->header[i].value))
			return true;
		for (size_t k = 0; k < ARRAY_LEN(names); k++)
			if (slice_eq_nocase(name, names[k]))
				return true;
	}
	return false;
}

static bool is_own_origin(struct slice origin, struct slice host)
{
	size_t mark = slice_find(origin, SLICE("://"));
	struct slice scheme = slice_sub(origin, 0, mark);

	if (mark == SLICE_NONE ||
	    (!slice_eq_nocase(scheme, SLICE("http")) && !slice_eq_nocase(scheme, SLICE("https"))))
		return false;
	return host.n > 0 && slice_eq_nocase(slice_from(origin, mark + 3), host);
}

static bool is_allowed_origin(const struct server_settings *s, struct slice origin)
{
	for (size_t i = 0; i < s->n_allowed_origins; i++)
		if (slice_eq_nocase(origin, slice_cstr(s->allowed_origins[i])))
			return true;
	return false;
}

int guard_site(const struct http1_head *h, const struct server_settings *s, struct err *err)
{
	struct slice origin = http1_header_get(h, SLICE("origin"));
	struct slice site = http1_header_get(h, SLICE("sec-fetch-site"));
	bool foreign =
		slice_eq_nocase(site, SLICE("cross-site")) || slice_eq_nocase(site, SLICE("same-site"));

	if (origin.p != NULL && is_allowed_origin(s, origin))
		return 0;
	if (origin.p != NULL && !is_own_origin(origin, h->host))
		foreign = true;
	if (!foreign || has_own_header(h))
		return 0;
	return err_set(err, ERR_FORBIDDEN,
		       "a page of another site sent this: origin '%.*s' is not in allowed_origins",
		       SLICE_ARG(shown(origin)));
}
