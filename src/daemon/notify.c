#include "daemon/notify.h"
#include "base/clock.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_len; /* 0: nobody listens */
static int64_t watchdog_ns;

static void read_address(const char *path)
{
	size_t n = path != NULL ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, path, n);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* the abstract namespace */
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static void read_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t v, whom;

	if (pid != NULL && (!slice_to_u64(slice_cstr(pid), &whom) || whom != (uint64_t)getpid()))
		return;
	if (usec != NULL && slice_to_u64(slice_cstr(usec), &v) && v > 0 && v < INT64_MAX / NS_PER_US)
		watchdog_ns = (int64_t)v * NS_PER_US / 2;
}

void notify_init(void)
{
	read_address(getenv("NOTIFY_SOCKET"));
	read_watchdog();
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_send(const char *state)
{
	if (address_len == 0)
		return;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, address_len);
	close(fd);
}

int64_t notify_watchdog_ns(void)
{
	return address_len > 0 ? watchdog_ns : 0;
}
