#include <config.h>
#include "rules/http_post.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CONNECT_TIMEOUT_MS = 5000, TIMEOUT_MS = 10000, MAX_ANSWER = 256 };

struct http_post {
	CURL *curl;
	char *url, *name, *user, *password; /* url without the latter */
	_Atomic bool stopped;
	char answer[MAX_ANSWER];
	size_t n_answer;
};

static void init_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

/* ---- the URL ---- */

static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
	char *text = NULL, *copy = NULL;

	if (curl_url_get(u, what, &text, flags) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	return copy;
}

static bool allowed_scheme(CURLU *u)
{
	char *scheme = part(u, CURLUPART_SCHEME, 0);
	bool ok = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	free(scheme);
	return ok;
}

static bool add_path(CURLU *u, const char *path)
{
	char *before = part(u, CURLUPART_PATH, 0);
	size_t n = before != NULL ? strlen(before) : 0;

	while (n > 0 && *path == '/' && before[n - 1] == '/')
		n--;
	char *whole = xasprintf("%.*s%s", (int)n, before != NULL ? before : "", path);
	bool ok = *path == '\0' || curl_url_set(u, CURLUPART_PATH, whole, 0) == CURLUE_OK;
	free(whole);
	free(before);
	return ok;
}

/* Takes the secrets out of the URL. */
static bool take_apart(struct http_post *p, CURLU *u)
{
	p->user = part(u, CURLUPART_USER, CURLU_URLDECODE);
	p->password = part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
	if (curl_url_set(u, CURLUPART_USER, NULL, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK)
		return false;
	p->url = part(u, CURLUPART_URL, 0);
	if (curl_url_set(u, CURLUPART_QUERY, NULL, 0) != CURLUE_OK)
		return false;
	p->name = part(u, CURLUPART_URL, 0);
	return p->url != NULL && p->name != NULL;
}

static int parse_url(struct http_post *p, const char *url, const char *path, struct err *err)
{
	CURLU *u = curl_url();
	int rc = -1;

	if (u == NULL)
		abort();
	/* The text may hold a password: messages do without it. */
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		err_set(err, ERR_CONFIG, "not a URL like http://host:port");
	else if (!allowed_scheme(u))
		err_set(err, ERR_CONFIG, "a URL must begin with http:// or https://");
	else if (!add_path(u, path) || !take_apart(p, u))
		err_set(err, ERR_CONFIG, "not a URL like http://host:port");
	else
		rc = 0;
	curl_url_cleanup(u);
	return rc;
}

/* ---- sending ---- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct http_post *p = arg;
	size_t take = MIN(size * n, MAX_ANSWER - p->n_answer);

	memcpy(p->answer + p->n_answer, data, take);
	p->n_answer += take;
	return size * n;
}

static int on_progress(void *arg, curl_off_t dl_total, curl_off_t dl_now, curl_off_t ul_total,
		       curl_off_t ul_now)
{
	const struct http_post *p = arg;

	(void)dl_total, (void)dl_now, (void)ul_total, (void)ul_now;
	return atomic_load(&p->stopped);
}

static void set_options(struct http_post *p)
{
	curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
	curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(p->curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(p->curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "spoor/" PACKAGE_VERSION);
	curl_easy_setopt(p->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(p->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(p->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(p->curl, CURLOPT_XFERINFODATA, p);
	if (p->user != NULL) {
		curl_easy_setopt(p->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(p->curl, CURLOPT_USERNAME, p->user);
		curl_easy_setopt(p->curl, CURLOPT_PASSWORD, p->password != NULL ? p->password : "");
	}
}

int http_post_new(const char *url, const char *path, struct http_post **out, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_post *p = xcalloc(1, sizeof(*p));

	pthread_once(&once, init_curl);
	if (parse_url(p, url, path, err) == -1) {
		http_post_free(p);
		return -1;
	}
	p->curl = curl_easy_init();
	if (p->curl == NULL)
		abort();
	set_options(p);
	*out = p;
	return 0;
}

static void free_secret(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

void http_post_free(struct http_post *p)
{
	if (p == NULL)
		return;
	if (p->curl != NULL)
		curl_easy_cleanup(p->curl);
	free(p->url);
	free(p->name);
	free_secret(p->user);
	free_secret(p->password);
	free(p);
}

const char *http_post_name(const struct http_post *p)
{
	return p->name;
}

void http_post_stop(struct http_post *p)
{
	atomic_store(&p->stopped, true);
}

bool http_post_may_retry(long status)
{
	return status == 0 || status == 429 || status >= 500;
}

static int outcome(struct http_post *p, CURLcode code, long *status, struct err *err)
{
	*status = 0;
	if (atomic_load(&p->stopped) && code != CURLE_OK)
		return err_set(err, ERR_CANCELLED, "stopping");
	if (code != CURLE_OK)
		return err_set(err, ERR_UNAVAILABLE, "%s", curl_easy_strerror(code));
	curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, status);
	if (*status / 100 == 2)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "status %ld: %.*s", *status, (int)p->n_answer, p->answer);
}

int http_post_send(struct http_post *p, struct slice body, const char *const *header, size_t n, long *status,
		   struct err *err)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	for (size_t i = 0; i < n; i++)
		list = curl_slist_append(list, header[i]);
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body.p);
	curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	p->n_answer = 0;
	CURLcode code = curl_easy_perform(p->curl);
	curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, NULL);
	curl_slist_free_all(list);
	return outcome(p, code, status, err);
}
