#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_forbid_gain(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

/* --- Files that other users could change --- */

/* allowed: the owner that is accepted besides root. */
static void check_owner(const char *path, const struct stat *status, uid_t allowed, struct log *log)
{
	if (status->st_uid != 0 && status->st_uid != allowed)
		log_warning(log, "%s belongs to user %u, who can change what root executes: run `chown root %s`", path,
			    (unsigned)status->st_uid, path);
}

/* In a sticky directory everyone may create files, but not replace the files of others. */
static bool is_open_to_others(const struct stat *status)
{
	return status->st_mode & (S_IWGRP | S_IWOTH) && !(S_ISDIR(status->st_mode) && status->st_mode & S_ISVTX);
}

static void check_file(const char *path, uid_t allowed, struct log *log)
{
	struct stat status;

	if (stat(path, &status) || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
		return;
	check_owner(path, &status, allowed, log);
	if (is_open_to_others(&status))
		log_warning(log, "%s can be changed by users other than its owner: run `chmod go-w %s`", path, path);
}

/* A user who may write to the directory could replace the file. */
static void check_with_directory(const char *path, uid_t allowed, struct log *log)
{
	char *copy = strdup(path);

	check_file(path, allowed, log);
	if (copy)
		check_file(dirname(copy), allowed, log);
	free(copy);
}

void privileges_check_files(const struct config *config, struct log *log)
{
	struct stat status;

	if (geteuid() != 0)
		return;
	check_with_directory(config->path, 0, log);
	if (config->datagram_log.target != LOG_TARGET_FILE)
		return;
	/* The directory of a device is not checked. */
	if (!stat(config->datagram_log.path, &status) && S_ISREG(status.st_mode))
		check_with_directory(config->datagram_log.path, config->user.uid, log);
}

void privileges_check_reload(const struct config *config, struct log *log)
{
	if (config->user.name && access(config->path, R_OK) && errno == EACCES)
		log_warning(log,
			    "%s:%u: [udprelayd] user: `%s` cannot read this file (%s), so a reload will fail: let this "
			    "user read the file and enter its directories, or move it",
			    config->path, config->user.line, config->user.name, strerror(errno));
}

/* --- User and group --- */

/* The user comes last, because only root may change groups. Returns the name of the failed call with errno set, or
 * NULL. */
static const char *set_ids(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL))
		return "setgroups";
	if (setresgid(gid, gid, gid))
		return "setresgid";
	if (setresuid(uid, uid, uid))
		return "setresuid";
	return NULL;
}

/* The kernel removes the capabilities when the user ID changes, unless securebits (capabilities(7)) forbid it. */
static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data))
		return true;
	return data[0].permitted || data[1].permitted || data[0].effective || data[1].effective;
}

static bool cannot_regain_root(uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) || real != uid || effective != uid || saved != uid)
		return false;
	if (getresgid(&real_group, &effective_group, &saved_group) || real_group != gid || effective_group != gid ||
	    saved_group != gid)
		return false;
	return getgroups(0, NULL) == 0 && !has_capabilities() && setuid(0) != 0;
}

static int drop_root(const struct config *config, struct log *log)
{
	const char *failed = set_ids(config->user.uid, config->user.gid);
	int error = errno;

	if (failed) {
		log_error(log,
			  "%s:%u: [udprelayd] user: cannot become `%s`: %s: %s: let the process have CAP_SETUID and "
			  "CAP_SETGID, or start it as that user",
			  config->path, config->user.line, config->user.name, failed, strerror(error));
		return -error;
	}
	if (!cannot_regain_root(config->user.uid, config->user.gid)) {
		log_error(log,
			  "%s:%u: [udprelayd] user: became `%s`, but not permanently: start the process without "
			  "securebits (`capsh --print` shows them), or as that user",
			  config->path, config->user.line, config->user.name);
		return -EPERM;
	}
	log_info(log, "running as user %s (%u), group %u", config->user.name, (unsigned)config->user.uid,
		 (unsigned)config->user.gid);
	return 0;
}

int privileges_drop(const struct config *config, struct log *log)
{
	if (geteuid() == 0 && config->user.name)
		return drop_root(config, log);
	if (geteuid() == 0)
		log_warning(log, "running as root, with more rights than needed: write `user = nobody`, or better a "
				 "dedicated user, into [udprelayd]");
	else if (config->user.name && (geteuid() != config->user.uid || getegid() != config->user.gid)) {
		log_error(log,
			  "%s:%u: [udprelayd] user: only root can become `%s` (user %u, group %u): start the program "
			  "as root or as that user, or remove user and group",
			  config->path, config->user.line, config->user.name, (unsigned)config->user.uid,
			  (unsigned)config->user.gid);
		return -EPERM;
	}
	return 0;
}
