#include "daemon/tenants.h"
#include "base/mem.h"
#include "base/vec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct tenants {
	struct config *_Atomic current;
	pthread_mutex_t lock; /* protects former */
	VEC(struct config *) former;
};

struct tenants *tenants_new(struct config *c)
{
	struct tenants *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	atomic_store(&t->current, c);
	return t;
}

void tenants_free(struct tenants *t)
{
	if (t == NULL)
		return;
	config_free(atomic_load(&t->current));
	for (size_t i = 0; i < t->former.n; i++)
		config_free(t->former.v[i]);
	vec_fini(&t->former);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void tenants_replace(struct tenants *t, struct config *c)
{
	if (config_same(atomic_load(&t->current), c)) {
		config_free(c); /* nothing to keep: SIGHUP may come often */
		return;
	}
	pthread_mutex_lock(&t->lock);
	vec_push(&t->former, atomic_exchange(&t->current, c));
	pthread_mutex_unlock(&t->lock);
}

const struct config *tenants_config(struct tenants *t)
{
	return atomic_load(&t->current);
}

const struct settings *tenants_settings(struct tenants *t)
{
	return config_settings(tenants_config(t));
}

const struct limits *tenants_limits(struct tenants *t, struct slice tenant)
{
	(void)tenant; /* the same for all so far */
	return &tenants_settings(t)->limits;
}
