#include "daemon/tenants.h"
#include "base/mem.h"
#include "base/vec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* What was in force at one time. */
struct version {
	struct config *config;
	struct overrides *overrides;
	bool owns_config; /* else it is the former version's, too */
};

struct tenants {
	struct version *_Atomic current;
	pthread_mutex_t lock; /* protects former */
	VEC(struct version *) former;
};

static struct version *version_new(struct config *c, struct overrides *o, bool owns_config)
{
	struct version *v = xcalloc(1, sizeof(*v));

	*v = (struct version){ .config = c, .overrides = o, .owns_config = owns_config };
	return v;
}

static void version_free(struct version *v)
{
	if (v->owns_config)
		config_free(v->config);
	overrides_free(v->overrides);
	free(v);
}

struct tenants *tenants_new(struct config *c, struct overrides *o)
{
	struct tenants *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	atomic_store(&t->current, version_new(c, o, true));
	return t;
}

void tenants_free(struct tenants *t)
{
	if (t == NULL)
		return;
	version_free(atomic_load(&t->current));
	for (size_t i = 0; i < t->former.n; i++)
		version_free(t->former.v[i]);
	vec_fini(&t->former);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void replace(struct tenants *t, struct version *v)
{
	pthread_mutex_lock(&t->lock);
	vec_push(&t->former, atomic_exchange(&t->current, v));
	pthread_mutex_unlock(&t->lock);
}

void tenants_replace(struct tenants *t, struct config *c, struct overrides *o)
{
	const struct version *now = atomic_load(&t->current);
	struct version *v = version_new(c, o, true);

	if (config_same(now->config, c) && overrides_same(now->overrides, o))
		version_free(v); /* nothing to keep: SIGHUP may come often */
	else
		replace(t, v);
}

void tenants_replace_overrides(struct tenants *t, struct overrides *o)
{
	const struct version *now = atomic_load(&t->current);

	if (overrides_same(now->overrides, o))
		overrides_free(o);
	else
		replace(t, version_new(now->config, o, false));
}

const struct config *tenants_config(struct tenants *t)
{
	return atomic_load(&t->current)->config;
}

const struct settings *tenants_settings(struct tenants *t)
{
	return config_settings(tenants_config(t));
}

const struct limits *tenants_limits(struct tenants *t, struct slice tenant)
{
	const struct version *v = atomic_load(&t->current);
	const struct limits *own = overrides_find(v->overrides, tenant);

	return own != NULL ? own : &config_settings(v->config)->limits;
}

void tenants_copy_limits(struct tenants *t, struct slice tenant, struct limits *out)
{
	size_t bar = slice_find_byte(tenant, '|');

	*out = *tenants_limits(t, slice_sub(tenant, 0, bar));
	while (bar != SLICE_NONE) {
		tenant = slice_from(tenant, bar + 1);
		bar = slice_find_byte(tenant, '|');
		limits_tighten(out, tenants_limits(t, slice_sub(tenant, 0, bar)));
	}
}
