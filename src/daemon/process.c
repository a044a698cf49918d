#include <config.h>
#include "daemon/process.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#include <dirent.h>
#include <event2/event.h>
#include <gnu/libc-version.h>
#include <jansson.h>
#include <lz4.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <yaml.h>
#include <zlib.h>

void process_harden(bool core_dumps)
{
	struct rlimit files;

	umask(077);
#ifndef SANITIZER_BUILD /* LeakSanitizer attaches to the process */
	if (!core_dumps) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		prctl(PR_SET_DUMPABLE, 0);
	}
#else
	(void)core_dumps;
#endif
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

void process_log_versions(void)
{
	log_info("libraries", KV("glibc", gnu_get_libc_version()), KV("libevent", event_get_version()),
		 KV("sqlite", sqlite3_libversion()), KV("lz4", LZ4_versionString()),
		 KV("zlib", zlibVersion()), KV("jansson", jansson_version_str()),
		 KV("yaml", yaml_get_version_string()));
}

unsigned process_n_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

uint64_t process_ram_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : (uint64_t)1 << 30;
}

static int64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = -3; /* ".", ".." and the directory itself */

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* In pages: all, resident. */
static void memory(int64_t *virtual, int64_t *resident)
{
	long long all = 0, res = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%lld %lld", &all, &res) != 2)
		all = res = 0;
	if (f != NULL)
		fclose(f);
	*virtual = all * sysconf(_SC_PAGESIZE);
	*resident = res * sysconf(_SC_PAGESIZE);
}

static void set_gauge(const char *name, const char *help, int64_t value)
{
	metric_set(metric_gauge(name, help, NULL), value);
}

void process_update_metrics(const char *data_dir)
{
	int64_t virtual, resident;
	struct rusage use;
	struct rlimit files;
	struct statvfs disk;

	memory(&virtual, &resident);
	set_gauge("process_virtual_memory_bytes", "Virtual memory size.", virtual);
	set_gauge("process_resident_memory_bytes", "Resident memory size.", resident);
	set_gauge("process_open_fds", "Open file descriptors.", open_fds());
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		set_gauge("process_max_fds", "Most file descriptors that may be open.",
			  (int64_t)files.rlim_cur);
	if (getrusage(RUSAGE_SELF, &use) == 0) {
		int64_t us = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec +
			     use.ru_stime.tv_usec;

		metric_set(metric_seconds("process_cpu_seconds_total", "User and system CPU time.", NULL),
			   us);
	}
	if (statvfs(data_dir, &disk) == 0) {
		set_gauge("spoor_disk_size_bytes", "Size of the file system that holds the data directory.",
			  (int64_t)(disk.f_blocks * disk.f_frsize));
		set_gauge("spoor_disk_free_bytes",
			  "Free bytes of the file system that holds the data directory.",
			  (int64_t)(disk.f_bavail * disk.f_frsize));
	}
}
