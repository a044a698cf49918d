#include "base/account.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

enum { MAX_USERS = 8, MAX_SHORT = 4 };

#define SHORT_INTERVAL_NS (NS_PER_S / 10)

struct account_user {
	struct account *account;
	_Atomic uint64_t used, peak;
	struct metric *used_metric, *peak_metric;
};

struct account {
	uint64_t limit;
	_Atomic uint64_t used;
	_Atomic int64_t short_mono_ns; /* when the functions below were last called */
	struct account_user user[MAX_USERS];
	size_t n_users;
	struct {
		void (*fn)(void *arg);
		void *arg;
	} on_short[MAX_SHORT];
	size_t n_on_short;
};

struct account *account_new(uint64_t limit)
{
	struct account *a = xcalloc(1, sizeof(*a));

	a->limit = limit;
	metric_set(metric_gauge("spoor_memory_limit_bytes",
				"Limit of the memory that is accounted for; 0 = none.", NULL),
		   (int64_t)limit);
	return a;
}

void account_free(struct account *a)
{
	free(a);
}

struct account_user *account_user(struct account *a, const char *name)
{
	char labels[64];

	if (a == NULL)
		return NULL;
	assert(a->n_users < MAX_USERS);
	struct account_user *u = &a->user[a->n_users++];
	u->account = a;
	snprintf(labels, sizeof(labels), "user=\"%s\"", name);
	u->used_metric = metric_gauge("spoor_memory_bytes", "Memory that is accounted for, in use.", labels);
	u->peak_metric = metric_gauge("spoor_memory_peak_bytes",
				      "Memory that is accounted for, at most so far.", labels);
	return u;
}

void account_on_short(struct account *a, void (*fn)(void *arg), void *arg)
{
	if (a == NULL)
		return;
	assert(a->n_on_short < MAX_SHORT);
	a->on_short[a->n_on_short].fn = fn;
	a->on_short[a->n_on_short++].arg = arg;
}

/* What a user holds has changed. */
static void note(struct account_user *u, uint64_t used)
{
	uint64_t peak = atomic_load(&u->peak);

	metric_set(u->used_metric, (int64_t)used);
	while (used > peak && !atomic_compare_exchange_weak(&u->peak, &peak, used))
		;
	if (used > peak)
		metric_set(u->peak_metric, (int64_t)used);
}

static void give_up_spare(struct account *a)
{
	int64_t now = clock_mono_ns(), last = atomic_load(&a->short_mono_ns);

	if (now - last < SHORT_INTERVAL_NS || !atomic_compare_exchange_strong(&a->short_mono_ns, &last, now))
		return;
	for (size_t i = 0; i < a->n_on_short; i++)
		a->on_short[i].fn(a->on_short[i].arg);
}

void account_charge(struct account_user *u, uint64_t n)
{
	if (u == NULL || n == 0)
		return;
	atomic_fetch_add(&u->account->used, n);
	note(u, atomic_fetch_add(&u->used, n) + n);
	if (account_is_short(u->account))
		give_up_spare(u->account);
}

void account_release(struct account_user *u, uint64_t n)
{
	if (u == NULL || n == 0)
		return;
	uint64_t before = atomic_fetch_sub(&u->used, n);
	assert(before >= n);
	atomic_fetch_sub(&u->account->used, n);
	note(u, before - n);
}

bool account_try(struct account_user *u, uint64_t n)
{
	if (u == NULL)
		return true;
	account_charge(u, n);
	if (!account_is_over(u))
		return true;
	account_release(u, n);
	return false;
}

void account_adjust(struct account_user *u, uint64_t *charged, uint64_t now)
{
	if (now > *charged)
		account_charge(u, now - *charged);
	else
		account_release(u, *charged - now);
	*charged = now;
}

bool account_is_short(const struct account *a)
{
	return a != NULL && a->limit != 0 && atomic_load(&a->used) > a->limit - a->limit / 8;
}

bool account_is_over(const struct account_user *u)
{
	return u != NULL && u->account->limit != 0 && atomic_load(&u->account->used) > u->account->limit;
}

uint64_t account_limit(const struct account *a)
{
	return a != NULL ? a->limit : 0;
}

uint64_t account_limit_of(const struct account_user *u)
{
	return u != NULL ? u->account->limit : 0;
}

uint64_t account_in_use(const struct account *a)
{
	return a != NULL ? atomic_load(&a->used) : 0;
}

uint64_t account_used_by(const struct account_user *u)
{
	return u != NULL ? atomic_load(&u->used) : 0;
}
