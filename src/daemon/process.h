/* daemon/process.h - the process itself: what it may do, what it uses, what it is linked with. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

void process_harden(bool core_dumps); /* umask, no core dumps, descriptors up to the hard limit */
void process_log_versions(void);      /* one line with the versions of the libraries in use */
unsigned process_n_cores(void);	      /* that this process may run on */
uint64_t process_ram_bytes(void);     /* of the machine */
void process_update_metrics(const char *data_dir); /* process_*, spoor_disk_*; any thread */

#endif
