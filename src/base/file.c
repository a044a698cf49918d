#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const kinds[] = { "open", "create", "write", "read", "sync", "mkdir", "unlink", "rename" };
enum kind { OPEN, CREATE, WRITE, READ, SYNC, MKDIR, UNLINK, RENAME, N_KINDS };

static _Atomic bool any_fault;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	int errno_value, skip, times;
} faults[N_KINDS];

void file_fault(const char *kind, int errno_value, int skip, int times)
{
	pthread_mutex_lock(&fault_lock);
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strcmp(kind, kinds[i]) == 0) {
			faults[i].errno_value = errno_value;
			faults[i].skip = skip;
			faults[i].times = times;
		}
	}
	bool any = false;
	for (size_t i = 0; i < N_KINDS; i++)
		any |= faults[i].errno_value != 0;
	atomic_store(&any_fault, any);
	pthread_mutex_unlock(&fault_lock);
}

void file_faults_from_env(void)
{
	const char *s = getenv("SPOOR_FAULT");
	char kind[16];
	int e, skip, n;

	while (s != NULL && sscanf(s, "%15[a-z]:%d:%d%n", kind, &e, &skip, &n) == 3) {
		int times = -1, n_times = 0;

		s += n;
		if (sscanf(s, ":%d%n", &times, &n_times) == 1)
			s += n_times;
		file_fault(kind, e, skip, times);
		if (*s == ',')
			s++;
	}
}

/* True if this operation must fail; errno is set. */
static bool faulty(enum kind kind)
{
	bool fail = false;

	if (!atomic_load_explicit(&any_fault, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&fault_lock);
	if (faults[kind].errno_value != 0 && faults[kind].skip-- <= 0) {
		faults[kind].skip = 0;
		fail = true;
		errno = faults[kind].errno_value;
		if (faults[kind].times > 0 && --faults[kind].times == 0)
			faults[kind].errno_value = 0;
	}
	pthread_mutex_unlock(&fault_lock);
	return fail;
}

int file_open_read(const char *path, struct err *err)
{
	int fd = faulty(OPEN) ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	return fd == -1 ? err_errno(err, "open %s", path) : fd;
}

int file_create(const char *path, struct err *err)
{
	int fd = faulty(CREATE) ? -1 : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd == -1 ? err_errno(err, "create %s", path) : fd;
}

int file_write(int fd, struct slice s, struct err *err)
{
	while (s.n > 0) {
		ssize_t n = faulty(WRITE) ? -1 : write(fd, s.p, s.n);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(err, "write %zu bytes", s.n);
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

int file_pread_some(int fd, void *p, size_t *n, uint64_t off, struct err *err)
{
	size_t done = 0;

	while (done < *n) {
		ssize_t got = faulty(READ) ? -1 : pread(fd, (char *)p + done, *n - done, (off_t)(off + done));

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return err_errno(err, "read %zu bytes at %llu", *n - done,
					 (unsigned long long)(off + done));
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*n = done;
	return 0;
}

int file_pread(int fd, void *p, size_t n, uint64_t off, struct err *err)
{
	size_t got = n;

	if (file_pread_some(fd, p, &got, off, err) == -1)
		return -1;
	if (got < n)
		return err_set(err, ERR_CORRUPT, "file cut short: %zu bytes missing at %llu", n - got,
			       (unsigned long long)(off + got));
	return 0;
}

int file_sync(int fd, struct err *err)
{
	if (faulty(SYNC) || fdatasync(fd) == -1)
		return err_errno(err, "fdatasync");
	return 0;
}

int file_sync_dir(const char *dir, struct err *err)
{
	int fd = faulty(SYNC) ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return err_errno(err, "open directory %s", dir);
	int rc = fsync(fd);
	if (rc == -1)
		err_errno(err, "fsync directory %s", dir);
	close(fd);
	return rc;
}

static int sync_parent(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? xstrdup(".") : slash == path ? xstrdup("/") : xstrdup(path);

	if (slash != NULL && slash != path)
		dir[slash - path] = '\0';
	int rc = file_sync_dir(dir, err);
	free(dir);
	return rc;
}

int file_mkdirs(const char *path, struct err *err)
{
	char *p = xstrdup(path);
	int rc = -1;

	for (char *s = p + 1;; s++) {
		if (*s != '/' && *s != '\0')
			continue;
		char saved = *s;

		*s = '\0';
		if (!file_exists(p)) {
			if (faulty(MKDIR) || (mkdir(p, 0700) == -1 && errno != EEXIST)) {
				err_errno(err, "mkdir %s", p);
				goto out;
			}
			if (sync_parent(p, err) == -1)
				goto out;
		}
		*s = saved;
		if (saved == '\0')
			break;
	}
	rc = 0;
out:
	free(p);
	return rc;
}

int file_unlink(const char *path, struct err *err)
{
	if (faulty(UNLINK) || (unlink(path) == -1 && errno != ENOENT))
		return err_errno(err, "unlink %s", path);
	return 0;
}

int file_rename(const char *from, const char *to, struct err *err)
{
	if (faulty(RENAME) || rename(from, to) == -1)
		return err_errno(err, "rename %s to %s", from, to);
	return sync_parent(to, err);
}

int file_read_all(const char *path, size_t limit, struct buf *out, struct err *err)
{
	int fd = file_open_read(path, err);

	if (fd == -1)
		return -1;
	for (;;) {
		char *p = buf_reserve(out, 65536);
		ssize_t n = faulty(READ) ? -1 : read(fd, p, 65536);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			err_errno(err, "read %s", path);
			break;
		}
		out->n += (size_t)n;
		if (out->n > limit) {
			err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, limit);
			break;
		}
		if (n == 0) {
			close(fd);
			return 0;
		}
	}
	close(fd);
	return -1;
}

int file_replace(const char *path, struct slice content, struct err *err)
{
	char *tmp = xasprintf("%s.tmp", path);
	int rc = -1, fd = -1;

	if (file_unlink(tmp, err) == -1)
		goto out;
	fd = file_create(tmp, err);
	if (fd == -1 || file_write(fd, content, err) == -1 || file_sync(fd, err) == -1)
		goto out;
	rc = file_rename(tmp, path, err);
out:
	if (fd != -1)
		close(fd);
	if (rc == -1)
		unlink(tmp);
	free(tmp);
	return rc;
}

int file_remove_tree(const char *path, struct err *err)
{
	DIR *d = opendir(path);
	int rc = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : err_errno(err, "open directory %s", path);
	for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		char *child = xasprintf("%s/%s", path, e->d_name);
		struct stat st;

		if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode))
			rc = file_remove_tree(child, err);
		else
			rc = file_unlink(child, err);
		free(child);
	}
	closedir(d);
	if (rc == 0 && (faulty(UNLINK) || rmdir(path) == -1))
		rc = err_errno(err, "rmdir %s", path);
	return rc;
}

int64_t file_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) == -1 ? -1 : (int64_t)st.st_size;
}

bool file_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}
