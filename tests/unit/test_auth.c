/* Who may log in: passwords, tokens, certificates; what is remembered, and when an address is refused. */
#include "api/auth.h"
#include "api/route.h"
#include "base/clock.h"

#include <crypt.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <cmocka.h>

static const char authorization_ann[] = "Basic YW5uOnNlY3JldA==";	 /* ann:secret */
static const char authorization_wrong[] = "Basic YW5uOndyb25n";		 /* ann:wrong */
static const char authorization_nobody[] = "Basic bm9ib2R5OnNlY3JldA=="; /* nobody:secret */

/* The first test hashes; yescrypt at its least cost. */
static const char *secret_hash(void)
{
	static char hash[CRYPT_OUTPUT_SIZE];
	struct crypt_data d = { 0 };
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];

	if (hash[0] == '\0') {
		assert_non_null(crypt_gensalt_rn("$y$", 1, "0123456789abcdef", 16, salt, sizeof(salt)));
		snprintf(hash, sizeof(hash), "%s", crypt_r("secret", salt, &d));
	}
	return hash;
}

static struct credentials *some_credentials(void)
{
	/* sha256("token") */
	static const unsigned char token[] = { 0x3c, 0x46, 0x9e, 0x9d, 0x6c, 0x58, 0x75, 0xd3,
					       0x7a, 0x43, 0xf3, 0x53, 0xd4, 0xf8, 0x8e, 0x61,
					       0xfc, 0xf8, 0x12, 0xc6, 0x6e, 0xee, 0x34, 0x57,
					       0x46, 0x5a, 0x40, 0xb0, 0xda, 0x41, 0x53, 0xe0 };
	struct credentials *c = credentials_new();
	struct credential ann = {
		.name = SLICE("ann"), .password_hash = secret_hash(), .all_tenants = true, .roles = ROLE_READ
	};
	struct credential bob = { .name = SLICE("bob"),
				  .has_token = true,
				  .certificate = SLICE("bob.example") };

	memcpy(bob.token_sha256, token, sizeof(token));
	vec_push(&c->v, ann);
	vec_push(&c->v, bob);
	return c;
}

struct waiter {
	struct auth_attempt t;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void on_done(struct auth_attempt *t)
{
	struct waiter *w = (struct waiter *)t;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void begin(struct auth *a, struct waiter *w, const char *authorization, const char *user,
		  const char *addr)
{
	*w = (struct waiter){ .t = { .authorization = slice_cstr(authorization),
				     .tls_user = slice_cstr(user),
				     .peer = slice_cstr(addr),
				     .addr_n = strlen(addr),
				     .done = on_done } };
	memcpy(w->t.addr, addr, strlen(addr));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	if (auth_begin(a, &w->t) != AUTH_WAIT)
		w->done = true;
}

/* The status of the answer: 200 for one who is let in. */
static int finish(struct waiter *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	int status = w->t.state == AUTH_OK ? 200 : err_http_status(w->t.err.code);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	return status;
}

static int try_from(struct auth *a, const char *authorization, const char *user, const char *addr)
{
	struct waiter w;

	begin(a, &w, authorization, user, addr);
	int status = finish(&w);
	auth_end(&w.t);
	return status;
}

static int try(struct auth *a, const char *authorization)
{
	return try_from(a, authorization, NULL, "1234");
}

static struct auth *auth_of(enum auth_mode mode)
{
	struct auth *a = auth_new();

	auth_set(a, mode, some_credentials());
	return a;
}

static void test_none(void **state)
{
	struct auth *a = auth_new();
	struct waiter w;

	(void)state;
	assert_int_equal(try(a, NULL), 200);
	begin(a, &w, "Basic whatever", NULL, "");
	assert_int_equal(finish(&w), 200);
	assert_null(w.t.who);
	auth_end(&w.t);
	assert_null(auth_challenge(a));
	assert_int_equal(auth_mode(NULL), AUTH_NONE);
	auth_free(a);
	auth_free(NULL);
}

static void test_basic(void **state)
{
	static const struct {
		const char *authorization;
		int status;
	} cases[] = {
		{ authorization_ann, 200 },
		{ "basic YW5uOnNlY3JldA", 200 }, /* any case, no padding */
		{ "BASIC   YW5uOnNlY3JldA==", 200 },
		{ NULL, 401 },
		{ authorization_wrong, 401 },
		{ authorization_nobody, 401 },
		{ "Basic YW5uOg==", 401 },	   /* ann: */
		{ "Basic YW5u", 401 },		   /* no colon */
		{ "Basic OnNlY3JldA==", 401 },	   /* no name */
		{ "Basic YW5uOnNlY3JldAB4", 401 }, /* secret, NUL, x */
		{ "Basic Ym9iOnNlY3JldA==", 401 }, /* bob has no password */
		{ "Basic YW5uOnNlY3JldA=!", 401 },
		{ "Basic", 401 },
		{ "Basic ", 401 },
		{ "", 401 },
		{ "Bearer token", 401 },
		{ "YW5uOnNlY3JldA==", 401 },
	};
	struct auth *a = auth_of(AUTH_BASIC);
	struct waiter w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char addr[3] = { 'x', (char)('a' + i), '\0' }; /* each its own */

		if (try_from(a, cases[i].authorization, NULL, addr) != cases[i].status)
			fail_msg("%s", cases[i].authorization);
	}
	begin(a, &w, authorization_ann, NULL, "y");
	assert_int_equal(finish(&w), 200);
	assert_true(slice_is(w.t.who->name, "ann"));
	assert_int_equal(w.t.who->roles, ROLE_READ);
	auth_end(&w.t);
	assert_string_equal(auth_challenge(a), "Basic realm=\"spoor\"");
	auth_free(a);
}

static void test_basic_long(void **state)
{
	struct auth *a = auth_of(AUTH_BASIC);
	struct buf b = { 0 };

	(void)state;
	buf_puts(&b, "Basic ");
	for (size_t n = 0; n < 3000; n++) {
		buf_puts(&b, "QUFB");
		buf_cstr_end(&b);
		if (n % 100 == 0 || (n > 170 && n < 260 && n % 10 == 0))
			try_from(a, b.p, NULL, n % 3 == 0 ? "p" : n % 3 == 1 ? "q" : "r");
	}
	assert_int_equal(try(a, authorization_ann), 200);
	buf_fini(&b);
	auth_free(a);
}

/* The second time within a minute the answer is there at once, and after a reload it is not. */
static void test_remembered(void **state)
{
	struct auth *a = auth_of(AUTH_BASIC);
	struct auth_attempt t = { .authorization = slice_cstr(authorization_ann), .done = on_done };
	struct waiter w;

	(void)state;
	clock_fake(NS_PER_H);
	assert_int_equal(try(a, authorization_ann), 200);
	assert_int_equal(auth_begin(a, &t), AUTH_OK);
	assert_true(slice_is(t.who->name, "ann"));
	auth_end(&t);
	clock_fake_advance(61 * NS_PER_S);
	begin(a, &w, authorization_ann, NULL, "1");
	assert_int_equal(finish(&w), 200);
	assert_int_equal(w.t.state, AUTH_OK);
	auth_end(&w.t);
	auth_set(a, AUTH_BASIC, credentials_new());
	assert_int_equal(try(a, authorization_ann), 401);
	clock_fake(0);
	auth_free(a);
}

static void test_at_once(void **state)
{
	struct auth *a = auth_of(AUTH_BASIC);
	struct waiter w[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		begin(a, &w[i], i % 5 == 4 ? authorization_nobody : authorization_ann, NULL, "1");
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		int status = finish(&w[i]);

		/* from the tenth failure on the address is refused, whatever it sends */
		assert_true(i % 5 == 4 ? status == 401 || status == 429 : status == 200 || status == 429);
		auth_end(&w[i].t);
	}
	auth_free(a);
}

static void test_free_while_waiting(void **state)
{
	struct auth *a = auth_of(AUTH_BASIC);
	struct waiter w;

	(void)state;
	begin(a, &w, authorization_ann, NULL, "1");
	auth_free(a);
	assert_int_equal(finish(&w), 200);
	auth_end(&w.t);
}

static void test_bearer(void **state)
{
	static const struct {
		const char *authorization;
		int status;
	} cases[] = {
		{ "Bearer token", 200 },   { "bearer token", 200 },
		{ "Bearer  token ", 200 }, { NULL, 401 },
		{ "Bearer toke", 401 },	   { "Bearer tokens", 401 },
		{ "Bearer", 401 },	   { "Bearer ", 401 },
		{ "token", 401 },	   { authorization_ann, 401 },
	};
	struct auth *a = auth_of(AUTH_BEARER);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (try(a, cases[i].authorization) != cases[i].status)
			fail_msg("%s", cases[i].authorization);
	assert_string_equal(auth_challenge(a), "Bearer realm=\"spoor\"");
	auth_free(a);
}

static void test_mtls(void **state)
{
	struct auth *a = auth_of(AUTH_MTLS);

	(void)state;
	assert_int_equal(try_from(a, NULL, "bob.example", "1"), 200);
	for (int i = 0; i < 20; i++) { /* nothing to guess, nothing to count */
		assert_int_equal(try_from(a, NULL, "eve.example", "1"), 403);
		assert_int_equal(try_from(a, "Bearer token", NULL, "1"), 403);
	}
	assert_int_equal(try_from(a, NULL, "bob.example", "1"), 200);
	assert_null(auth_challenge(a));
	auth_free(a);
}

static void test_failures(void **state)
{
	struct auth *a = auth_of(AUTH_BEARER);
	struct waiter w;

	(void)state;
	clock_fake(NS_PER_H);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(try(a, NULL), 401); /* who presents nothing guesses nothing */
		assert_int_equal(try(a, "Bearer guess"), 401);
		clock_fake_advance(NS_PER_S);
	}
	assert_int_equal(try(a, "Bearer guess"), 429);
	assert_int_equal(try(a, NULL), 401);
	begin(a, &w, "Bearer token", NULL, "1234"); /* the right one as well, or guessing could go on */
	assert_int_equal(finish(&w), 429);
	assert_int_equal(w.t.retry_after_s, 50); /* until the first of the ten is a minute old */
	auth_end(&w.t);
	assert_int_equal(try_from(a, "Bearer token", NULL, "other"), 200);
	clock_fake_advance(50 * NS_PER_S);
	assert_int_equal(try(a, "Bearer guess"), 401); /* one is forgotten … */
	assert_int_equal(try(a, "Bearer token"), 429); /* … and one has come */
	clock_fake_advance(NS_PER_S);
	assert_int_equal(try(a, "Bearer token"), 200);
	clock_fake(0);
	auth_free(a);
}

/* The table of addresses is bounded: the one whose last failure is oldest goes. */
static void test_many_addresses(void **state)
{
	struct auth *a = auth_of(AUTH_BEARER);
	char addr[16];

	(void)state;
	for (int i = 0; i < 10; i++)
		try_from(a, "Bearer guess", NULL, "first");
	assert_int_equal(try_from(a, "Bearer token", NULL, "first"), 429);
	for (int i = 0; i < 10000; i++) {
		snprintf(addr, sizeof(addr), "%d", i);
		try_from(a, "Bearer guess", NULL, addr);
	}
	assert_int_equal(try_from(a, "Bearer token", NULL, "first"), 200);
	auth_free(a);
}

static void test_tenants(void **state)
{
	static const struct slice two[] = { { "a", 1 }, { "b", 1 } };
	const struct credential some = { .tenants = two, .n_tenants = 2 }, all = { .all_tenants = true };

	(void)state;
	assert_true(credential_may_use(&some, SLICE("b")));
	assert_false(credential_may_use(&some, SLICE("c")));
	assert_false(credential_may_use(&some, SLICE("")));
	assert_true(credential_may_use(&all, SLICE("c")));
}

static void test_hash_forms(void **state)
{
	static const struct {
		const char *hash;
		bool ok;
	} cases[] = {
		{ "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/"
		  "jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
		  true },
		{ "$y$j9T$", false },
		{ "$y$j9T$abcdefghijklmnop$", false },
		{ "", false },
		{ "secret", false },
		{ "abJnggxhB/yWI", false },		     /* DES */
		{ "$1$salt$qJH7.N4xYta3aEG/dfqo/0", false }, /* MD5 */
		{ "*", false },
		{ "!", false },
	};

	(void)state;
	assert_true(auth_password_hash_ok(secret_hash()));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (auth_password_hash_ok(cases[i].hash) != cases[i].ok)
			fail_msg("%s", cases[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),	   cmocka_unit_test(test_basic),
		cmocka_unit_test(test_basic_long), cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_at_once),	   cmocka_unit_test(test_free_while_waiting),
		cmocka_unit_test(test_bearer),	   cmocka_unit_test(test_mtls),
		cmocka_unit_test(test_failures),   cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_tenants),	   cmocka_unit_test(test_hash_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
