#include "daemon/seccomp.h"

#include "build_config.h"

#if HAVE_LIBSECCOMP

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* --- Lists of calls --- */

/* Names instead of numbers: libseccomp knows which of these calls the processor has. */
static const char *const allowed[] = {
	/* Datagrams, and the connections of HTTP and of name lookups. */
	"recvmmsg", "recvmsg", "recvfrom", "sendmmsg", "sendmsg", "sendto", "bind", "connect", "listen", "accept4",
	"accept", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt", "socketpair",
	/* Event loops. */
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select",
	"pselect6", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "pipe2", "pipe",
	/* Files: logs, the configuration, name lookups and charsets. */
	"open", "openat", "read", "readv", "pread64", "write", "writev", "pwrite64", "close", "close_range", "lseek",
	"_llseek", "fstat", "fstat64", "stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx",
	"statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
	"getcwd", "getdents", "getdents64", "unlink", "unlinkat", "fcntl", "fcntl64", "dup", "dup2", "dup3", "umask",
	"fsync", "fdatasync", "fadvise64",
	/* Memory. */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "membarrier",
	/* Threads, signals and exit. */
	"futex", "futex_time64", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "sched_yield",
	"sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
	"sched_get_priority_min", "getcpu", "gettid", "getpid", "getppid", "tgkill", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "sigreturn", "sigaltstack",
	"restart_syscall", "exit", "exit_group",
	/* Time, and information about the process and the host. */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
	"gettimeofday", "time", "getrandom", "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid",
	"getgroups", "getrlimit", "setrlimit", "ugetrlimit", "getrusage", "times", "sysinfo", "uname", "capget",
	"arch_prctl"};

/* Calls that the daemon does not need. They fail with EPERM, so that a library that tries one can continue. */
static const char *const denied[] = {"setuid",
				     "setgid",
				     "setreuid",
				     "setregid",
				     "setresuid",
				     "setresgid",
				     "setgroups",
				     "setfsuid",
				     "setfsgid",
				     "capset",
				     "kill",
				     "tkill",
				     "chmod",
				     "fchmod",
				     "fchmodat",
				     "chown",
				     "fchown",
				     "lchown",
				     "fchownat",
				     "mknod",
				     "mknodat",
				     "mkdir",
				     "mkdirat",
				     "rmdir",
				     "link",
				     "linkat",
				     "symlink",
				     "symlinkat",
				     "rename",
				     "renameat",
				     "renameat2",
				     "truncate",
				     "ftruncate",
				     "setpriority",
				     "sched_setscheduler",
				     "sched_setparam",
				     "sched_setattr",
				     "ioprio_set",
				     "personality",
				     "setxattr",
				     "lsetxattr",
				     "fsetxattr",
				     "syslog",
				     "sethostname",
				     "setdomainname",
				     "settimeofday",
				     "clock_settime",
				     "clock_adjtime",
				     "adjtimex",
				     "quotactl",
				     "acct"};

/* Calls that only an attacker in the process would make. They kill the process. */
static const char *const lethal[] = {"execve",
				     "execveat",
				     "fork",
				     "vfork",
				     "ptrace",
				     "process_vm_readv",
				     "process_vm_writev",
				     "kcmp",
				     "pidfd_getfd",
				     "mount",
				     "umount",
				     "umount2",
				     "pivot_root",
				     "chroot",
				     "setns",
				     "unshare",
				     "open_tree",
				     "move_mount",
				     "fsopen",
				     "fsmount",
				     "init_module",
				     "finit_module",
				     "delete_module",
				     "kexec_load",
				     "kexec_file_load",
				     "bpf",
				     "perf_event_open",
				     "userfaultfd",
				     "add_key",
				     "request_key",
				     "keyctl",
				     "reboot",
				     "swapon",
				     "swapoff",
				     "iopl",
				     "ioperm",
				     "modify_ldt"};

static const int socket_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* SIOCGIFNAME and SIOCGIFINDEX convert between the name and the index of an interface. */
static const unsigned long ioctl_requests[] = {FIONBIO, FIOCLEX,    FIONCLEX,    FIONREAD,
					       TCGETS,  TIOCGWINSZ, SIOCGIFNAME, SIOCGIFINDEX};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- The filter --- */

/* Skips each call that libseccomp or this processor does not have: its number is negative. */
static int add_name_rules(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		int number = seccomp_syscall_resolve_name(names[i]);

		if (number >= 0)
			error = seccomp_rule_add(filter, action, number, 0);
	}
	return error;
}

/* Allows clone(2) for a thread (CLONE_THREAD); a new process is killed. A filter cannot read the flags of clone3(2), so
 * clone3 gets ENOSYS. The C library then uses clone, as it does on older kernels. */
static int add_thread_rules(scmp_filter_ctx filter)
{
/* The flags are the second argument of clone on s390, and the first elsewhere. */
#ifdef __s390__
	const unsigned flags = 1;
#else
	const unsigned flags = 0;
#endif
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
					 SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return error;
}

static int add_argument_rules(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));

	/* Only the limits of this process: pid 0. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
	for (size_t i = 0; i < COUNT(socket_families) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
					 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)socket_families[i]));
	for (size_t i = 0; i < COUNT(ioctl_requests) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					 SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, ioctl_requests[i]));
	return error;
}

static int add_all_rules(scmp_filter_ctx filter)
{
	int error = add_name_rules(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed));

	if (!error)
		error = add_name_rules(filter, SCMP_ACT_ERRNO(EPERM), denied, COUNT(denied));
	if (!error)
		error = add_name_rules(filter, SCMP_ACT_KILL_PROCESS, lethal, COUNT(lethal));
	if (!error)
		error = add_thread_rules(filter);
	return error ? error : add_argument_rules(filter);
}

/* TSYNC installs the filter in all threads. A call of another architecture has another number: it kills the process. */
static int install_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int error;

	if (!filter)
		return -ENOMEM;
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!error)
		error = add_all_rules(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* --- When to install --- */

static bool has_seccomp_filter(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	bool found = false;

	while (status && !found && fgets(line, sizeof(line), status))
		found = !strncmp(line, "Seccomp:\t2", strlen("Seccomp:\t2"));
	if (status)
		fclose(status);
	return found;
}

/* valgrind runs in the same process, so the filter would apply to the calls of valgrind too. */
static bool is_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "/vgpreload_");
}

bool seccomp_is_built_in(void)
{
	return true;
}

void seccomp_install(struct log *log)
{
	int error;

	if (has_seccomp_filter() || is_under_valgrind())
		return;
	error = install_filter();
	if (error)
		log_warning(log, "cannot filter system calls: %s: check that the kernel has CONFIG_SECCOMP_FILTER",
			    strerror(-error));
}

#else

bool seccomp_is_built_in(void)
{
	return false;
}

void seccomp_install(struct log *log)
{
	(void)log;
}

#endif
