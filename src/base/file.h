/* base/file.h - files whose loss matters: full reads and writes, durable creation and replacement. Every function
 * that touches the disk asks the fault table first, so that tests can make any step fail (file_fault). */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

int file_open_read(const char *path, struct err *err);	 /* fd, O_CLOEXEC */
int file_create(const char *path, struct err *err);	 /* fd, new file, 0600, fails if it exists */
int file_write(int fd, struct slice s, struct err *err); /* all of it, at the file offset */
int file_pread(int fd, void *p, size_t n, uint64_t off,
	       struct err *err); /* all of it, or ERR_CORRUPT "cut short" */
int file_pread_some(int fd, void *p, size_t *n, uint64_t off,
		    struct err *err);	/* fewer at the end of the file */
int file_sync(int fd, struct err *err); /* fdatasync */
int file_sync_dir(const char *dir, struct err *err);
int file_mkdirs(const char *path, struct err *err);		    /* 0700, parents too, each made durable */
int file_unlink(const char *path, struct err *err);		    /* a missing file is fine */
int file_rename(const char *from, const char *to, struct err *err); /* and syncs the directory */
int file_read_all(const char *path, size_t limit, struct buf *out, struct err *err);
int file_replace(const char *path, struct slice content, struct err *err); /* atomic and durable */
int file_remove_tree(const char *path, struct err *err);
int64_t file_size(int fd); /* -1 on failure */
bool file_exists(const char *path);

/* Fault injection for tests: after `skip` more operations of this kind, fail with errno_value, `times` times
 * (-1 = for ever). Kinds: "open" "create" "write" "read" "sync" "mkdir" "unlink" "rename". errno_value 0 clears.
 * SPOOR_FAULT="sync:28:3,write:5:0:1" (kind:errno:skip[:times]) in the environment does the same for a daemon under
 * test. */
void file_fault(const char *kind, int errno_value, int skip, int times);
void file_faults_from_env(void);

#endif
