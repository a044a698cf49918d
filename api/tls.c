#include "api/tls.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

enum { MAX_NAME = 256 }; /* of a client, bytes */

struct tls {
	_Atomic unsigned n_refs;
	SSL_CTX *ctx;
};

/* ---------------------------------------------------------------- the files */

/* The last thing OpenSSL has complained about. */
static int fail(struct err *err, const char *what, const char *file)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	err_set(err, ERR_CONFIG, "%s %s: %s", what, file, reason != NULL ? reason : "cannot be used");
	ERR_clear_error();
	return -1;
}

/* Nobody is there to type one. */
static int no_pass_phrase(char *p, int n, int rw, void *arg)
{
	(void)p;
	(void)n;
	(void)rw;
	(void)arg;
	return -1;
}

static int check_mode(FILE *f, const char *file, struct err *err)
{
	struct stat st;

	if (fstat(fileno(f), &st) == -1)
		return err_set(err, ERR_CONFIG, "tls_key_file %s: %s", file, strerror(errno));
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return err_set(err, ERR_CONFIG,
			       "tls_key_file %s: others may read it (mode %04o): it must be 0600 or stricter",
			       file, (unsigned)st.st_mode & 07777);
	return 0;
}

static int use_key(SSL_CTX *ctx, const char *file, struct err *err)
{
	FILE *f = fopen(file, "re");
	EVP_PKEY *key = NULL;
	int rc = -1;

	if (f == NULL)
		return err_set(err, ERR_CONFIG, "tls_key_file %s: %s", file, strerror(errno));
	if (check_mode(f, file, err) == -1)
		goto out;
	key = PEM_read_PrivateKey(f, NULL, no_pass_phrase, NULL);
	if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
		fail(err, "tls_key_file", file);
		goto out;
	}
	rc = 0;
out:
	EVP_PKEY_free(key);
	fclose(f);
	return rc;
}

static int use_client_ca(SSL_CTX *ctx, const char *file, struct err *err)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);

	if (names == NULL)
		return fail(err, "tls_client_ca_file", file);
	SSL_CTX_set_client_CA_list(ctx, names);
	if (SSL_CTX_load_verify_file(ctx, file) != 1)
		return fail(err, "tls_client_ca_file", file);
	/* A client without a certificate passes: whether it needs one, its request decides. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

/* ---------------------------------------------------------------- the context */

static char is_h2; /* its address marks connections that speak HTTP/2 */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
		   unsigned in_n, void *arg)
{
	static const unsigned char h2[] = "\2h2", http1[] = "\10http/1.1";
	bool wants_h2 = SSL_get_app_data(ssl) == &is_h2;
	unsigned char *chosen;

	(void)arg;
	if (SSL_select_next_proto(&chosen, out_n, wants_h2 ? h2 : http1,
				  (unsigned)(wants_h2 ? sizeof(h2) : sizeof(http1)) - 1, in,
				  in_n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void set_rules(SSL_CTX *ctx, bool only_13)
{
	static const unsigned char id[] = "spoor";

	SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* Buffers move between two tries, and may be taken in parts. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
	SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

int tls_open(const struct tls_options *o, struct tls **out, struct err *err)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	t->n_refs = 1;
	ERR_clear_error();
	t->ctx = SSL_CTX_new(TLS_server_method());
	if (t->ctx == NULL) {
		fail(err, "TLS", "");
		goto bad;
	}
	set_rules(t->ctx, o->only_13);
	if (SSL_CTX_use_certificate_chain_file(t->ctx, o->cert_file) != 1) {
		fail(err, "tls_cert_file", o->cert_file);
		goto bad;
	}
	if (use_key(t->ctx, o->key_file, err) == -1)
		goto bad;
	if (o->client_ca_file != NULL && o->client_ca_file[0] != '\0' &&
	    use_client_ca(t->ctx, o->client_ca_file, err) == -1)
		goto bad;
	*out = t;
	return 0;
bad:
	tls_unref(t);
	return -1;
}

struct tls *tls_ref(struct tls *t)
{
	if (t != NULL)
		atomic_fetch_add(&t->n_refs, 1);
	return t;
}

void tls_unref(struct tls *t)
{
	if (t == NULL || atomic_fetch_sub(&t->n_refs, 1) > 1)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

/* ---------------------------------------------------------------- a connection */

struct bufferevent *tls_bev_new(struct tls *t, struct event_base *base, int fd, bool h2)
{
	SSL *ssl = SSL_new(t->ctx);

	if (ssl == NULL) {
		ERR_clear_error();
		return NULL;
	}
	SSL_set_app_data(ssl, h2 ? &is_h2 : NULL);
	struct bufferevent *bev = bufferevent_openssl_socket_new(
		base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev == NULL)
		SSL_free(ssl);
	return bev;
}

static bool take_name(const ASN1_STRING *s, struct buf *out)
{
	unsigned char *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, s);
	bool ok = n > 0 && n <= MAX_NAME && memchr(utf8, '\0', (size_t)n) == NULL;

	if (ok)
		buf_append(out, utf8, (size_t)n);
	if (n >= 0)
		OPENSSL_free(utf8);
	return ok;
}

static bool take_alt_name(X509 *cert, struct buf *out)
{
	static const int kinds[] = { GEN_EMAIL, GEN_DNS, GEN_URI };
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
			const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

			found = name->type == kinds[k] && take_name(name->d.ia5, out);
		}
	GENERAL_NAMES_free(names);
	return found;
}

static bool take_common_name(X509 *cert, struct buf *out)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return i >= 0 && take_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)), out);
}

bool tls_bev_user(struct bufferevent *bev, struct buf *out)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	X509 *cert = SSL_get0_peer_certificate(ssl);

	if (cert == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	bool found = take_alt_name(cert, out) || take_common_name(cert, out);
	ERR_clear_error();
	return found;
}

const char *tls_bev_error(struct bufferevent *bev, bool *plain_http)
{
	unsigned long code;
	const char *reason = NULL;

	*plain_http = false;
	while ((code = bufferevent_get_openssl_error(bev)) != 0) {
		*plain_http |= ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
		if (reason == NULL)
			reason = ERR_reason_error_string(code);
	}
	return reason != NULL ? reason : "";
}

void tls_bev_goodbye(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	ERR_clear_error();
}
