/* SPDX-License-Identifier: MIT */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "store/live.h"

#define HOLDER_MAX 80
#define STEP_US	   20000

int
lock_check_folder(const char *dir, struct weir_err *err)
{
	static const struct {
		unsigned long type;
		const char *name;
	} refused[] = {
		{0x6969, "NFS"},	 {0xff534d42, "CIFS"},
		{0xfe534d42, "SMB"},	 {0x517b, "SMB"},
		{0x65735546, "FUSE"},	 {0x01021997, "9P"},
		{0x00c36400, "Ceph"},	 {0x5346414f, "AFS"},
		{0x7461636f, "OCFS2"},	 {0x01161970, "GFS2"},
		{0x0bd00bd0, "Lustre"},	 {0x73757245, "Coda"},
		{0x564c, "NCP"},
	};
	struct statfs fs;

	if (statfs(dir, &fs) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (((unsigned long)fs.f_type & 0xffffffffu)
		    == refused[i].type)
			return err_set(err, WEIR_EINPUT,
				       "%s is on a network or FUSE file system "
				       "(%s), where a store is not safe: use "
				       "--data-dir with a folder on a local disk",
				       dir, refused[i].name);
	return 0;
}

static int
held_by(int fd, const char *path, struct weir_err *err)
{
	char text[HOLDER_MAX + 1], shown[4 * HOLDER_MAX + 8];
	ssize_t n = os()->pread(fd, text, HOLDER_MAX, 0);
	size_t len = 0;

	while (n > 0 && len < (size_t)n && text[len] != '\n' && text[len] != 0)
		len++;
	if (len == 0)
		return err_set(err, WEIR_EUNREACH,
			       "%s is held by another process that writes to "
			       "this store; try again when it is done",
			       path);
	str_show(shown, sizeof(shown), (struct weir_str){text, len});
	return err_set(err, WEIR_EUNREACH,
		       "%s is held by process %s, which writes to this store; "
		       "try again when it is done",
		       path, shown);
}

/* The text only helps the one who has to wait: no room for it is no error. */
static void
name_holder(int fd)
{
	char text[HOLDER_MAX];
	int n = snprintf(text, sizeof(text), "%ld %.48s\n", (long)getpid(),
			 program_invocation_short_name);

	memset(text + n, '\n', sizeof(text) - (size_t)n);
	if (os()->pwrite(fd, text, sizeof(text), 0) < 0)
		return;
}

int
lock_take(const char *path, int64_t wait_us, struct weir_err *err)
{
	int64_t until = clock_monotonic() + wait_us;
	int rc;

	int fd = os_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600, err);
	if (fd < 0)
		return fd;
	while (os()->flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK) {
			rc = err_sys(err, "cannot lock %s", path);
			goto fail;
		}
		if (wait_us <= 0 || clock_monotonic() >= until) {
			rc = held_by(fd, path, err);
			goto fail;
		}
		live_sleep(STEP_US);
	}
	name_holder(fd);
	return fd;
fail:
	os_close(fd);
	return rc;
}

bool
lock_held(const char *path)
{
	int fd = os_open(path, O_RDONLY, 0, NULL);
	bool held;

	if (fd < 0)
		return false;
	held = os()->flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	os_close(fd);
	return held;
}
