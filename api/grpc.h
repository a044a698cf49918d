/* api/grpc.h - what gRPC is made of, apart from HTTP/2: messages with their prefix of five bytes, status codes, the
 * texts and numbers of its headers. Pure: bytes in, values out.
 *
 *   0      1                  5
 *   +------+------------------+--------------- - - -+
 *   | flag | length, BE       | message             |     flag 1: compressed as grpc-encoding says
 *   +------+------------------+--------------- - - -+
 */
#ifndef API_GRPC_H
#define API_GRPC_H

#include "base/buf.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

const char *grpc_status_name(enum grpc_status s); /* "InvalidArgument", as metrics of others have it */
/* What a client does next depends on it: it sends again after UNAVAILABLE, and gives up after most others. So
 * all that may pass is UNAVAILABLE, and what never will is not. */
enum grpc_status grpc_status_of_http(int status);

/* The reader of a call's one message. It copies nothing: the caller keeps the message. */
enum grpc_event {
	GRPC_MORE,    /* all input is eaten */
	GRPC_MESSAGE, /* its prefix is complete: r->compressed, r->length */
	GRPC_BYTES,   /* *data is a piece of the message */
	GRPC_BAD,     /* r->why; final */
};

struct grpc_reader {
	unsigned char prefix[5];
	size_t n_prefix;
	uint32_t length, left;
	bool compressed;
	const char *why;
};

void grpc_reader_init(struct grpc_reader *r);
enum grpc_event grpc_read(struct grpc_reader *r, struct slice *in, struct slice *data);
bool grpc_read_whole(const struct grpc_reader *r); /* is there one whole message? */

void grpc_put_message(struct buf *out, struct slice message); /* with its prefix */
/* The text of grpc-message: all but printable ASCII as %XX. Cut after 1 KiB or so. */
void grpc_put_text(struct buf *out, struct slice text);
/* grpc-status-details-bin: google.rpc.Status with a RetryInfo, in base64. */
void grpc_put_retry_details(struct buf *out, enum grpc_status s, struct slice text, unsigned seconds);
/* grpc-timeout: at most eight digits and a unit, one of H M S m u n. */
bool grpc_parse_timeout(struct slice s, int64_t *ns);
/* application/grpc, +proto, and whatever parameters; not application/grpc-web */
bool grpc_is_content_type(struct slice s);

#endif
