#include "api/ws.h"
#include "base/mem.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <wslay/wslay.h>

/* ---- the handshake ---- */

/* Does a header, as a list of words, hold this one? It may stand several times. */
static bool has_token(const struct http1_head *h, struct slice name, struct slice token)
{
	for (size_t i = 0; i < h->n_headers; i++) {
		struct slice rest = h->header[i].value;

		if (!slice_eq_nocase(h->header[i].name, name))
			continue;
		while (rest.n > 0) {
			size_t comma = slice_find_byte(rest, ',');

			if (slice_eq_nocase(slice_trim(slice_sub(rest, 0, comma)), token))
				return true;
			rest = slice_from(rest, comma == SLICE_NONE ? rest.n : comma + 1);
		}
	}
	return false;
}

/* 16 bytes in base64. */
static bool is_key(struct slice key)
{
	unsigned char bytes[18];

	return key.n == 24 && slice_ends(key, SLICE("==")) && key.p[21] != '=' &&
	       EVP_DecodeBlock(bytes, (const unsigned char *)key.p, 24) == 18;
}

bool ws_handshake(const struct http1_head *h, char accept[WS_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct slice key = http1_header_get(h, SLICE("sec-websocket-key"));
	char text[24 + sizeof(guid)];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	if (h->minor != 1 || !has_token(h, SLICE("connection"), SLICE("upgrade")) ||
	    !has_token(h, SLICE("upgrade"), SLICE("websocket")) ||
	    !slice_is(http1_header_get(h, SLICE("sec-websocket-version")), "13") || !is_key(key))
		return false;
	memcpy(text, key.p, 24);
	memcpy(text + 24, guid, sizeof(guid) - 1);
	if (EVP_Digest(text, sizeof(text) - 1, digest, &n, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)accept, digest, (int)n);
	return true;
}

/* ---- frames ---- */

struct ws {
	wslay_event_context_ptr ctx;
	struct slice in;
	struct buf *out;
	bool close_sent;
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n, int flags, void *arg)
{
	struct ws *w = arg;

	(void)flags;
	if (w->in.n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	n = MIN(n, w->in.n);
	memcpy(p, w->in.p, n);
	w->in = slice_from(w->in, n);
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *arg)
{
	struct ws *w = arg;

	(void)ctx;
	(void)flags;
	buf_append(w->out, p, n);
	return (ssize_t)n;
}

struct ws *ws_new(void)
{
	static const struct wslay_event_callbacks callbacks = { .recv_callback = on_recv,
								.send_callback = on_send };
	struct ws *w = xcalloc(1, sizeof(*w));

	if (wslay_event_context_server_init(&w->ctx, &callbacks, w) != 0) {
		free(w);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(w->ctx, WS_MAX_MESSAGE);
	return w;
}

void ws_free(struct ws *w)
{
	if (w == NULL)
		return;
	wslay_event_context_free(w->ctx);
	free(w);
}

static void flush(struct ws *w, struct buf *out)
{
	w->out = out;
	if (wslay_event_send(w->ctx) != 0 || wslay_event_get_close_sent(w->ctx) != 0)
		w->close_sent = true;
	w->out = NULL;
}

bool ws_feed(struct ws *w, struct slice in, struct buf *out)
{
	w->in = in;
	int rc = wslay_event_recv(w->ctx);
	w->in = SLICE("");
	if (rc != 0 && !w->close_sent && wslay_event_get_close_received(w->ctx) == 0) {
		/* A malformed head: the library would close without a code. */
		buf_append(out, "\x88\x02\x03\xea", 4);
		w->close_sent = true;
	} else {
		flush(w, out);
	}
	return rc == 0 && !w->close_sent && wslay_event_get_read_enabled(w->ctx) != 0;
}

/* Not in the middle of a rune. */
static size_t cut_at_rune(struct slice s, size_t max)
{
	if (s.n <= max)
		return s.n;
	while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return max;
}

void ws_close(struct ws *w, unsigned code, struct slice reason, struct buf *out)
{
	if (w->close_sent)
		return;
	wslay_event_queue_close(w->ctx, (uint16_t)code, (const uint8_t *)reason.p,
				cut_at_rune(reason, WS_MAX_REASON));
	flush(w, out);
	w->close_sent = true;
}

bool ws_is_closed(const struct ws *w)
{
	return w->close_sent;
}

size_t ws_put_text_head(char head[10], uint64_t n)
{
	size_t n_len = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;

	head[0] = (char)0x81;
	head[1] = (char)(n_len == 0 ? n : n_len == 2 ? 126 : 127);
	for (size_t i = 0; i < n_len; i++)
		head[2 + i] = (char)(n >> (8 * (n_len - 1 - i)));
	return 2 + n_len;
}

void ws_put_ping(struct buf *out)
{
	buf_append(out, "\x89\0", 2);
}
