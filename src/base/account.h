/* base/account.h - one limit for the memory of several users, each with a name: what it holds now, and held at most. The
 * account does not allocate; users say what they take and give back. Taking always succeeds: it is for each user to ask
 * first, or to give something back when the account is short. What can be spared is given up first, by functions that the
 * account calls when it becomes short. Any thread may call anything but account_new, account_user, account_on_short and
 * account_free, which belong to the start and the end. A user that is NULL belongs to no account. */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct account;
struct account_user;

struct account *account_new(uint64_t limit); /* bytes; 0: none */
void account_free(struct account *a);	     /* and its users; NULL is fine */
/* Shown in metrics as spoor_memory_bytes{user="name"}. a NULL: NULL. */
struct account_user *account_user(struct account *a, const char *name);
/* Called on any thread, perhaps under its locks, not more than ten times a second. */
void account_on_short(struct account *a, void (*fn)(void *arg), void *arg);

void account_charge(struct account_user *u, uint64_t n);
void account_release(struct account_user *u, uint64_t n);
/* Charges if that stays within the limit. */
bool account_try(struct account_user *u, uint64_t n);
/* From *charged to now, and remembers it. */
void account_adjust(struct account_user *u, uint64_t *charged, uint64_t now);

bool account_is_short(const struct account *a);	    /* seven eighths of the limit are in use; a NULL: false */
bool account_is_over(const struct account_user *u); /* more than the limit is */
uint64_t account_limit(const struct account *a);    /* 0: none */
uint64_t account_limit_of(const struct account_user *u);
uint64_t account_in_use(const struct account *a);
uint64_t account_used_by(const struct account_user *u);

#endif
