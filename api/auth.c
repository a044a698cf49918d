/* Passwords are verified on threads of their own: crypt(3) takes a tenth of a second by design. Attempts with the same
 * name and password share one run of it, so that fifty connections of an agent that has just started cost one. A name
 * that does not exist is verified against somebody else's hash, so that it takes as long as a wrong password. */
#include "api/auth.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"

#include <assert.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

enum {
	MAX_NAME = 255,
	MAX_PASSWORD = CRYPT_MAX_PASSPHRASE_SIZE - 1,
	MAX_BASIC = (MAX_NAME + 1 + MAX_PASSWORD + 2) / 3 * 4,
	MAX_REMEMBERED = 4096,
	MAX_ADDRS = 10000,
	MAX_VERIFYING = 1024, /* that wait for a thread, or are in work */
	N_THREADS = 2,
	KEY_BYTES = 32,
};
static const int64_t remember_ns = 60 * NS_PER_S, failure_window_ns = 60 * NS_PER_S;

struct digest {
	unsigned char b[SHA256_DIGEST_LENGTH];
};

/* Name and password that were right. */
struct remembered {
	struct digest key;
	const struct credential *who;
	int64_t until_ns;
};

/* An address that something failed from lately. */
struct failures {
	TAILQ_ENTRY(failures) link;	  /* oldest first */
	int64_t at_ns[AUTH_MAX_FAILURES]; /* a ring */
	size_t n;			  /* so far; the ring holds the newest */
	size_t addr_n;
	char addr[AUTH_ADDR_BYTES];
};

struct verification {
	struct pool_job job;
	struct auth *auth;
	struct digest key;
	struct credentials *set;
	const struct credential *who; /* NULL: there is no such name */
	const char *hash;
	struct auth_attempt *waiting;
	char password[MAX_PASSWORD + 1];
};

struct auth {
	_Atomic int mode;
	unsigned char key[KEY_BYTES]; /* of the keyed hashes; random, the process's own */
	pthread_mutex_t lock;	      /* protects what follows */
	struct credentials *set;
	uint64_t generation; /* of set */
	struct pool *pool;   /* made when it is first needed */
	struct map remembered, verifying;
	struct map failing;
	TAILQ_HEAD(, failures) by_age;
};

/* ---- credentials ---- */

struct credentials *credentials_new(void)
{
	struct credentials *c = xcalloc(1, sizeof(*c));

	arena_init(&c->arena);
	atomic_store(&c->n_refs, 1);
	return c;
}

static struct credentials *credentials_ref(struct credentials *c)
{
	atomic_fetch_add(&c->n_refs, 1);
	return c;
}

void credentials_unref(struct credentials *c)
{
	if (c == NULL || atomic_fetch_sub(&c->n_refs, 1) != 1)
		return;
	map_fini(&c->by_name);
	map_fini(&c->by_certificate);
	vec_fini(&c->v);
	arena_fini(&c->arena);
	free(c);
}

static void index_credentials(struct credentials *c)
{
	for (size_t i = 0; i < c->v.n; i++) {
		struct credential *who = &c->v.v[i];
		bool is_new;

		*map_put(&c->by_name, who->name, &is_new) = who;
		if (who->certificate.p != NULL)
			*map_put(&c->by_certificate, who->certificate, &is_new) = who;
	}
}

bool credential_may_use(const struct credential *who, struct slice tenant)
{
	for (size_t i = 0; i < who->n_tenants; i++)
		if (slice_eq(who->tenants[i], tenant))
			return true;
	return who->all_tenants;
}

bool auth_password_hash_ok(const char *hash)
{
	/* A setting alone ($y$j9T$salt$) would pass crypt_checksalt, too: the hash must follow. */
	return crypt_checksalt(hash) == CRYPT_SALT_OK && strlen(hash) > 40 && hash[strlen(hash) - 1] != '$';
}

/* ---- failures of an address; all under the lock ---- */

static struct failures *failures_of(const struct auth *a, const struct auth_attempt *t)
{
	return map_get(&a->failing, slice_of(t->addr, t->addr_n));
}

/* When the address may try again; 0: now. */
static int64_t blocked_until(const struct auth *a, const struct auth_attempt *t, int64_t now)
{
	const struct failures *f = failures_of(a, t);

	if (f == NULL || f->n < AUTH_MAX_FAILURES)
		return 0;
	int64_t until = f->at_ns[f->n % AUTH_MAX_FAILURES] + failure_window_ns; /* the oldest of the ten */
	return until > now ? until : 0;
}

static void forget_failures(struct auth *a, struct failures *f)
{
	map_remove(&a->failing, slice_of(f->addr, f->addr_n));
	TAILQ_REMOVE(&a->by_age, f, link);
	free(f);
}

static struct failures *failures_new(struct auth *a, const struct auth_attempt *t)
{
	struct failures *f = xcalloc(1, sizeof(*f));
	bool is_new;

	if (a->failing.n == MAX_ADDRS)
		forget_failures(a, TAILQ_FIRST(&a->by_age));
	memcpy(f->addr, t->addr, t->addr_n);
	f->addr_n = t->addr_n;
	*map_put(&a->failing, slice_of(f->addr, f->addr_n), &is_new) = f;
	TAILQ_INSERT_TAIL(&a->by_age, f, link);
	return f;
}

static void note_failure(struct auth *a, const struct auth_attempt *t)
{
	int64_t now = clock_mono_ns();
	struct failures *f = failures_of(a, t);

	if (f == NULL)
		f = failures_new(a, t);
	f->at_ns[f->n++ % AUTH_MAX_FAILURES] = now;
	TAILQ_REMOVE(&a->by_age, f, link);
	TAILQ_INSERT_TAIL(&a->by_age, f, link);
	if (blocked_until(a, t, now) != 0)
		log_warn("ten failed logins within a minute: the address is refused for a while",
			 KVS("peer", t->peer));
	else
		log_info("login failed", KVS("peer", t->peer));
}

/* ---- verdicts ---- */

static enum auth_state accept(struct auth_attempt *t, struct credentials *set, const struct credential *who)
{
	t->set = credentials_ref(set);
	t->who = who;
	return t->state = AUTH_OK;
}

static enum auth_state refuse(struct auth_attempt *t, enum err_code code, const char *why)
{
	err_set(&t->err, code, "%s", why);
	return t->state = AUTH_REFUSED;
}

static enum auth_state refuse_blocked(struct auth_attempt *t, int64_t until, int64_t now)
{
	t->retry_after_s = (unsigned)((until - now + NS_PER_S - 1) / NS_PER_S);
	return refuse(t, ERR_LIMITED, "too many failed logins from this address");
}

static enum auth_state refuse_failed(struct auth *a, struct auth_attempt *t, const char *why)
{
	note_failure(a, t);
	return refuse(t, ERR_UNAUTHORIZED, why);
}

static const char wrong_password[] = "wrong name or password", wrong_token[] = "unknown token";

/* ---- passwords ---- */

static struct digest digest_of(const struct auth *a, struct slice name_and_password)
{
	struct digest d;
	struct buf b;
	unsigned n = sizeof(d.b);

	buf_init(&b);
	buf_u64le(&b, a->generation);
	buf_add(&b, name_and_password);
	unsigned char *made =
		HMAC(EVP_sha256(), a->key, sizeof(a->key), (const unsigned char *)b.p, b.n, d.b, &n);
	assert(made != NULL && n == sizeof(d.b));
	OPENSSL_cleanse(b.p, b.cap);
	buf_fini(&b);
	return d;
}

static struct slice digest_key(const struct digest *d)
{
	return slice_of(d->b, sizeof(d->b));
}

static void forget_remembered(struct auth *a, int64_t until_before)
{
	VEC(struct remembered *) old = { 0 };
	struct slice key;
	void *value;

	for (size_t i = 0; map_next(&a->remembered, &i, &key, &value);)
		if (((struct remembered *)value)->until_ns < until_before)
			vec_push(&old, value);
	for (size_t i = 0; i < old.n; i++) {
		map_remove(&a->remembered, digest_key(&old.v[i]->key));
		free(old.v[i]);
	}
	vec_fini(&old);
}

static const struct credential *recall(struct auth *a, const struct digest *key, int64_t now)
{
	struct remembered *r = map_get(&a->remembered, digest_key(key));

	return r != NULL && r->until_ns > now ? r->who : NULL;
}

static void remember(struct auth *a, const struct digest *key, const struct credential *who)
{
	int64_t now = clock_mono_ns();
	bool is_new;

	if (a->remembered.n >= MAX_REMEMBERED)
		forget_remembered(a, now);
	struct remembered *r = map_get(&a->remembered, digest_key(key));
	if (r == NULL) {
		if (a->remembered.n >= MAX_REMEMBERED)
			return;
		r = xcalloc(1, sizeof(*r));
		r->key = *key;
		*map_put(&a->remembered, digest_key(&r->key), &is_new) = r;
	}
	r->who = who;
	r->until_ns = now + remember_ns;
}

static bool password_is_right(const char *password, const char *hash)
{
	struct crypt_data *d = xcalloc(1, sizeof(*d));
	const char *made = crypt_r(password, hash, d);
	bool right = made != NULL && made[0] != '*' && strlen(made) == strlen(hash) &&
		     CRYPTO_memcmp(made, hash, strlen(hash)) == 0;

	OPENSSL_cleanse(d, sizeof(*d));
	free(d);
	return right;
}

/* Under the lock: takes those whose address has failed too often meanwhile out of the list. */
static struct auth_attempt *take_blocked(struct auth *a, struct auth_attempt **list, int64_t now)
{
	struct auth_attempt *blocked = NULL, *t;

	while ((t = *list) != NULL) {
		int64_t until = blocked_until(a, t, now);

		if (until == 0) {
			list = &t->next;
			continue;
		}
		*list = t->next;
		refuse_blocked(t, until, now);
		t->next = blocked;
		blocked = t;
	}
	return blocked;
}

static void tell_all(struct auth_attempt *t)
{
	while (t != NULL) {
		struct auth_attempt *next = t->next; /* t may go in done */

		t->done(t);
		t = next;
	}
}

static void verification_free(struct verification *v)
{
	credentials_unref(v->set);
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
}

static void run_verification(struct pool_job *job)
{
	struct verification *v = (struct verification *)job;
	struct auth *a = v->auth;
	bool right = false;

	pthread_mutex_lock(&a->lock);
	struct auth_attempt *blocked = take_blocked(a, &v->waiting, clock_mono_ns());
	bool wanted = v->waiting != NULL;
	if (!wanted)
		map_remove(&a->verifying, digest_key(&v->key));
	pthread_mutex_unlock(&a->lock);
	if (wanted) {
		right = v->hash != NULL && password_is_right(v->password, v->hash) && v->who != NULL;
		pthread_mutex_lock(&a->lock);
		map_remove(&a->verifying, digest_key(&v->key));
		for (struct auth_attempt *t = v->waiting; t != NULL; t = t->next) {
			if (right)
				accept(t, v->set, v->who);
			else
				refuse_failed(a, t, wrong_password);
		}
		if (right && a->set == v->set)
			remember(a, &v->key, v->who);
		pthread_mutex_unlock(&a->lock);
	}
	tell_all(blocked);
	tell_all(v->waiting);
	verification_free(v);
}

/* Under the lock. */
static enum auth_state begin_verification(struct auth *a, struct auth_attempt *t, const struct digest *key,
					  struct slice name, struct slice password)
{
	struct verification *v = map_get(&a->verifying, digest_key(key));
	bool is_new;

	if (v == NULL && a->verifying.n >= MAX_VERIFYING) {
		t->retry_after_s = 1;
		return refuse(t, ERR_UNAVAILABLE, "too many logins at once");
	}
	if (v == NULL) {
		v = xcalloc(1, sizeof(*v));
		v->job.run = run_verification;
		v->auth = a;
		v->key = *key;
		v->set = credentials_ref(a->set);
		v->who = map_get(&a->set->by_name, name);
		if (v->who != NULL && v->who->password_hash == NULL)
			v->who = NULL;
		for (size_t i = 0; v->hash == NULL && i < a->set->v.n; i++)
			v->hash = a->set->v.v[i].password_hash;
		if (v->who != NULL)
			v->hash = v->who->password_hash;
		memcpy(v->password, password.p, password.n);
		*map_put(&a->verifying, digest_key(&v->key), &is_new) = v;
		if (a->pool == NULL)
			a->pool = pool_new("auth", N_THREADS);
		pool_submit(a->pool, &v->job);
	}
	t->next = v->waiting;
	v->waiting = t;
	return t->state = AUTH_WAIT;
}

/* ---- what a header holds ---- */

/* "Basic abc" -> "abc"; absent if the scheme is another. */
static struct slice scheme_value(struct slice header, struct slice scheme)
{
	size_t space = slice_find_byte(header, ' ');

	if (space == SLICE_NONE || !slice_eq_nocase(slice_sub(header, 0, space), scheme))
		return (struct slice){ NULL, 0 };
	return slice_trim(slice_from(header, space));
}

/* out has room for MAX_BASIC bytes. */
static bool decode_base64(struct slice s, char *out, size_t *n)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;

	*n = 0;
	if (s.n > MAX_BASIC)
		return false;
	for (int i = 0; i < 2 && slice_ends(s, SLICE("=")); i++)
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		int d = base64_digit(s.p[i]);

		if (d == -1)
			return false;
		bits = bits << 6 | (uint32_t)d;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[(*n)++] = (char)(bits >> n_bits & 0xff);
		}
	}
	return n_bits < 6;
}

/* Under the lock. */
static enum auth_state begin_basic(struct auth *a, struct auth_attempt *t, int64_t now)
{
	struct slice value = scheme_value(t->authorization, SLICE("Basic"));
	char text[MAX_BASIC];
	enum auth_state state;
	size_t n;

	if (value.p == NULL || !decode_base64(value, text, &n))
		return refuse_failed(a, t, "not a Basic authorization");
	struct slice both = slice_of(text, n);
	size_t colon = slice_find_byte(both, ':');
	struct slice name = slice_sub(both, 0, colon), password = slice_from(both, colon + 1);
	struct digest key = digest_of(a, both);
	const struct credential *who = recall(a, &key, now);

	if (colon == SLICE_NONE || name.n > MAX_NAME || password.n > MAX_PASSWORD ||
	    memchr(password.p, '\0', password.n) != NULL)
		state = refuse_failed(a, t, wrong_password);
	else if (who != NULL)
		state = accept(t, a->set, who);
	else
		state = begin_verification(a, t, &key, name, password);
	OPENSSL_cleanse(text, sizeof(text));
	return state;
}

/* Under the lock. */
static enum auth_state begin_bearer(struct auth *a, struct auth_attempt *t)
{
	struct slice token = scheme_value(t->authorization, SLICE("Bearer"));
	unsigned char hash[AUTH_TOKEN_HASH_BYTES];
	const struct credential *who = NULL;

	if (token.n == 0)
		return refuse_failed(a, t, "not a Bearer authorization");
	SHA256((const unsigned char *)token.p, token.n, hash);
	for (size_t i = 0; i < a->set->v.n; i++) { /* all of them, however early one fits */
		const struct credential *c = &a->set->v.v[i];

		if (CRYPTO_memcmp(c->token_sha256, hash, sizeof(hash)) == 0 && c->has_token)
			who = c;
	}
	return who != NULL ? accept(t, a->set, who) : refuse_failed(a, t, wrong_token);
}

/* Under the lock. There is nothing to guess: a certificate that the chain does not vouch for never gets here. */
static enum auth_state begin_mtls(struct auth *a, struct auth_attempt *t)
{
	if (t->tls_user.n == 0)
		return refuse(t, ERR_FORBIDDEN, "a client certificate is needed");
	const struct credential *who = map_get(&a->set->by_certificate, t->tls_user);
	return who != NULL ? accept(t, a->set, who)
			   : refuse(t, ERR_FORBIDDEN, "the client certificate's name is not known here");
}

static enum auth_state begin(struct auth *a, struct auth_attempt *t, enum auth_mode mode)
{
	int64_t now = clock_mono_ns();

	if (a->set == NULL)
		return refuse(t, ERR_FORBIDDEN, "there are no credentials");
	if (mode == AUTH_MTLS)
		return begin_mtls(a, t);
	if (t->authorization.p == NULL) /* asks what is needed; guesses nothing */
		return refuse(t, ERR_UNAUTHORIZED, "no credentials");
	int64_t until = blocked_until(a, t, now);
	if (until != 0)
		return refuse_blocked(t, until, now);
	return mode == AUTH_BASIC ? begin_basic(a, t, now) : begin_bearer(a, t);
}

enum auth_state auth_begin(struct auth *a, struct auth_attempt *t)
{
	enum auth_mode mode = auth_mode(a);

	if (mode == AUTH_NONE)
		return t->state = AUTH_OK;
	pthread_mutex_lock(&a->lock);
	enum auth_state state = begin(a, t, mode); /* t may be gone by now if it waits */
	pthread_mutex_unlock(&a->lock);
	return state;
}

void auth_end(struct auth_attempt *t)
{
	credentials_unref(TAKE(t->set));
	t->who = NULL;
}

/* ---- the whole ---- */

struct auth *auth_new(void)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	TAILQ_INIT(&a->by_age);
	if (RAND_bytes(a->key, sizeof(a->key)) != 1) {
		log_error("no random numbers");
		abort();
	}
	return a;
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	pool_free(a->pool);
	forget_remembered(a, INT64_MAX);
	map_fini(&a->remembered);
	map_fini(&a->verifying);
	while (!TAILQ_EMPTY(&a->by_age))
		forget_failures(a, TAILQ_FIRST(&a->by_age));
	map_fini(&a->failing);
	credentials_unref(a->set);
	pthread_mutex_destroy(&a->lock);
	OPENSSL_cleanse(a, sizeof(*a));
	free(a);
}

void auth_set(struct auth *a, enum auth_mode mode, struct credentials *c)
{
	if (c != NULL)
		index_credentials(c);
	pthread_mutex_lock(&a->lock);
	struct credentials *old = a->set;
	a->set = c;
	a->generation++;
	forget_remembered(a, INT64_MAX);
	atomic_store(&a->mode, (int)mode);
	pthread_mutex_unlock(&a->lock);
	credentials_unref(old);
}

enum auth_mode auth_mode(const struct auth *a)
{
	return a != NULL ? (enum auth_mode)atomic_load(&a->mode) : AUTH_NONE;
}

const char *auth_challenge(const struct auth *a)
{
	switch (auth_mode(a)) {
	case AUTH_BASIC: return "Basic realm=\"spoor\"";
	case AUTH_BEARER: return "Bearer realm=\"spoor\"";
	default: return NULL;
	}
}
