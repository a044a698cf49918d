/* api/ws.h - WebSocket (RFC 6455) for a server that sends text and reads next to nothing: the handshake, the frames of the
 * client, control frames both ways. Pure: bytes in, bytes out, no sockets, no clock. No extensions, no subprotocol. A
 * struct ws belongs to one thread at a time. */
#ifndef API_WS_H
#define API_WS_H

#include "api/http1.h"
#include "base/err.h"

enum {
	WS_MAX_MESSAGE = 4 << 10, /* from the client: over it 1009 */
	WS_MAX_REASON = 123,
	WS_ACCEPT_SIZE = 29,
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_TOO_BIG = 1009,
	WS_INTERNAL = 1011,
};

/* Is this a request to change to WebSocket, version 13? accept gets the value of Sec-WebSocket-Accept. */
bool ws_handshake(const struct http1_head *h, char accept[WS_ACCEPT_SIZE]);

struct ws;
struct ws *ws_new(void);    /* NULL: no memory */
void ws_free(struct ws *w); /* NULL is fine */
/* Takes in what the client sent; appends what must be sent at once: pongs, the answer to a close. False: the closing
 * handshake was begun or answered, and the connection is to be ended once `out` is sent. */
bool ws_feed(struct ws *w, struct slice in, struct buf *out);
/* Appends a close frame, unless one was sent. The reason is cut to WS_MAX_REASON bytes, at a rune. */
void ws_close(struct ws *w, unsigned code, struct slice reason, struct buf *out);
bool ws_is_closed(const struct ws *w); /* a close frame was sent: nothing may follow it */

size_t ws_put_text_head(char head[10],
			uint64_t n); /* of an unfragmented text message of n bytes; returns its length */
void ws_put_ping(struct buf *out);

#endif
