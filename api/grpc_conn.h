/* api/grpc_conn.h - a connection of a gRPC listener: between conn.c, which has the socket, the deadlines and the steps of
 * a request, and h2.c. A call is an exchange as in HTTP/1, with ex->call set, and goes through the same steps; its
 * route is a row with ROUTE_GRPC, its body the message, uncompressed. A reply of 200 carries the answer's message in its
 * body, any other status its text, which becomes grpc-message. For conn.c only; on the loop's thread. */
#ifndef API_GRPC_CONN_H
#define API_GRPC_CONN_H

#include "api/conn.h"

int grpc_conn_new(struct conn *c);    /* sets c->grpc; -1: no memory */
void grpc_conn_free(struct conn *c);  /* cancels its calls */
void grpc_conn_read(struct conn *c);  /* what has come */
void grpc_conn_go_on(struct conn *c); /* after anything that may have made output, or room for it */
void grpc_conn_timer(struct conn *c);
void grpc_conn_drain(struct conn *c); /* no new calls; closes when the last is answered */

/* The steps of a call, where they differ. */
bool grpc_call_authorized(struct exchange *ex); /* is its message whole? */
int grpc_call_unpack(struct exchange *ex, struct err *err);
void grpc_call_reply(struct exchange *ex);

#endif
