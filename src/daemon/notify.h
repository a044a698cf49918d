/* daemon/notify.h - tells the service manager how we are (sd_notify(3), spoken by hand: one datagram).
 * Without NOTIFY_SOCKET in the environment everything here does nothing. Main thread only. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

void notify_init(void);		     /* reads the environment and clears it: children must not speak for us */
void notify_send(const char *state); /* "READY=1", "STOPPING=1\nSTATUS=…" */
int64_t notify_watchdog_ns(void);    /* how often WATCHDOG=1 is due; 0 = never */

#endif
