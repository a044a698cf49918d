#include "ingest/refusals.h"
#include "base/mem.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>

enum { MAX_REASONS = 32 };

struct tenant {
	struct tenant *next;			     /* the one that had nothing refused for longer */
	struct refusal_account account[MAX_REASONS]; /* the latest first */
	size_t n_accounts, n_name;
	char name[];
};

struct refusals {
	pthread_mutex_t lock; /* guards all of it */
	struct tenant *latest;
	size_t n_tenants;
};

struct refusals *refusals_new(void)
{
	struct refusals *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	return r;
}

/* The texts of a sample are one block, which begins with the first of them. */
static void sample_free(struct refusal *s)
{
	free((char *)s->text.p);
}

static void tenant_free(struct tenant *t)
{
	for (size_t i = 0; i < t->n_accounts; i++)
		for (size_t j = 0; j < t->account[i].n_samples; j++)
			sample_free(&t->account[i].sample[j]);
	free(t);
}

void refusals_free(struct refusals *r)
{
	if (r == NULL)
		return;
	for (struct tenant *t = r->latest, *next; t != NULL; t = next) {
		next = t->next;
		tenant_free(t);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct slice copy_text(char **to, struct slice s)
{
	char *at = *to;

	if (s.n > 0)
		memcpy(at, s.p, s.n);
	*to += s.n;
	return slice_of(at, s.n);
}

static struct refusal sample_copy(const struct refusal *s)
{
	struct refusal out = *s;
	struct slice text = utf8_cut(s->text, REFUSALS_TEXT_BYTES);
	struct slice labels = utf8_cut(s->labels, REFUSALS_TEXT_BYTES);
	struct slice line = utf8_cut(s->line, REFUSALS_TEXT_BYTES);
	char *block = xmalloc(text.n + labels.n + line.n + 1);

	out.text = copy_text(&block, text);
	out.labels = copy_text(&block, labels);
	out.line = copy_text(&block, line);
	return out;
}

static void forget_the_oldest(struct refusals *r)
{
	struct tenant **at = &r->latest;

	while ((*at)->next != NULL)
		at = &(*at)->next;
	tenant_free(*at);
	*at = NULL;
	r->n_tenants--;
}

/* NULL if there is none; moves it to the front. */
static struct tenant *find_tenant(struct refusals *r, struct slice name)
{
	for (struct tenant **at = &r->latest; *at != NULL; at = &(*at)->next) {
		struct tenant *t = *at;

		if (!slice_eq(slice_of(t->name, t->n_name), name))
			continue;
		*at = t->next;
		t->next = r->latest;
		r->latest = t;
		return t;
	}
	return NULL;
}

static struct tenant *add_tenant(struct refusals *r, struct slice name)
{
	if (r->n_tenants == REFUSALS_MAX_TENANTS)
		forget_the_oldest(r);
	struct tenant *t = xcalloc(1, sizeof(*t) + name.n);
	t->n_name = name.n;
	memcpy(t->name, name.p, name.n);
	t->next = r->latest;
	r->latest = t;
	r->n_tenants++;
	return t;
}

/* Moves it to the front. NULL: there are MAX_REASONS others. */
static struct refusal_account *account_of(struct tenant *t, const char *reason)
{
	struct refusal_account a = { .reason = reason };
	size_t i = 0;

	while (i < t->n_accounts && strcmp(t->account[i].reason, reason) != 0)
		i++;
	if (i < t->n_accounts)
		a = t->account[i];
	else if (i == MAX_REASONS)
		return NULL;
	else
		t->n_accounts++;
	memmove(t->account + 1, t->account, i * sizeof(a));
	t->account[0] = a;
	return &t->account[0];
}

void refusals_add(struct refusals *r, struct slice tenant, const char *reason, uint64_t n_entries,
		  const struct refusal *sample)
{
	pthread_mutex_lock(&r->lock);
	struct tenant *t = find_tenant(r, tenant);
	if (t == NULL)
		t = add_tenant(r, tenant);
	struct refusal_account *a = account_of(t, reason);
	if (a != NULL) {
		if (a->n_pushes++ == 0)
			a->first_ns = sample->time_ns;
		a->n_entries += n_entries;
		if (a->n_samples == REFUSALS_SAMPLES)
			sample_free(&a->sample[--a->n_samples]);
		memmove(a->sample + 1, a->sample, a->n_samples * sizeof(a->sample[0]));
		a->sample[0] = sample_copy(sample);
		a->n_samples++;
	}
	pthread_mutex_unlock(&r->lock);
}

void refusals_each(struct refusals *r, struct slice tenant,
		   void (*see)(void *arg, const struct refusal_account *a), void *arg)
{
	pthread_mutex_lock(&r->lock);
	for (const struct tenant *t = r->latest; t != NULL; t = t->next)
		for (size_t i = 0; i < t->n_accounts && slice_eq(slice_of(t->name, t->n_name), tenant); i++)
			see(arg, &t->account[i]);
	pthread_mutex_unlock(&r->lock);
}
