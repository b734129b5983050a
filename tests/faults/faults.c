/* Makes calls of the daemon fail, as two variables of its environment say; for LD_PRELOAD.
 *
 * FAULTS is a list of rules, CALL:ERROR:CONDITION…, separated by semicolons:
 *
 * FAULTS="sendmmsg:ENOBUFS:first=20;recvmmsg:EINTR:every=2;write:short:file"
 *
 * CALL is one of the names below. ERROR is what errno shall be, or short: the call takes less than it is given. A rule
 * is for each call that it fits, or for those alone that its conditions leave:
 *
 * after=N   not the first N first=N   the first N (behind after) every=N   the first of these, and then each Nth gso
 * sends with UDP_SEGMENT; messages before such a one are sent stderr    the standard streams file      other
 * descriptors than the standard streams
 *
 * If several rules match a call, the first one that makes it fail applies. Calls of libraries are not affected, except
 * epoll_wait(2), which libuv calls. FAULTS_COUNTS names a file that holds for each rule, as two numbers of 64 bits, the
 * number of calls that matched and the number of failed ones. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RULES_MAX 16
#define SHORT -1

enum call {
	CALL_RECVMMSG,
	CALL_RECV,
	CALL_RECVMSG,
	CALL_SENDMMSG,
	CALL_SEND,
	CALL_EPOLL_WAIT,
	CALL_EPOLL_CTL, /* that adds a descriptor */
	CALL_SOCKET,
	CALL_CONNECT,
	CALL_SETSOCKOPT, /* of UDP_GRO */
	CALL_WRITE,
	CALL_POLL,
};

static const char *const call_names[] = {
	[CALL_RECVMMSG] = "recvmmsg",     [CALL_RECV] = "recv",     [CALL_RECVMSG] = "recvmsg",
	[CALL_SENDMMSG] = "sendmmsg",     [CALL_SEND] = "send",     [CALL_EPOLL_WAIT] = "epoll_wait",
	[CALL_EPOLL_CTL] = "epoll_ctl",   [CALL_SOCKET] = "socket", [CALL_CONNECT] = "connect",
	[CALL_SETSOCKOPT] = "setsockopt", [CALL_WRITE] = "write",   [CALL_POLL] = "poll",
};

enum descriptors { ANY_DESCRIPTOR, STANDARD_STREAM, OTHER_FILE };

struct rule {
	enum call call;
	int error;
	uint64_t after, first, every;
	bool gso;
	enum descriptors descriptors;
};

struct count {
	_Atomic uint64_t calls, injected;
};

static struct rule rules[RULES_MAX];
static struct count *counts;
static unsigned rule_count;
static uintptr_t daemon_begin, daemon_end;

/* --- The rules --- */

/* A rule that is not understood would be a test that tests nothing. */
static void refuse(const char *what, const char *text)
{
	fprintf(stderr, "faults: %s: %s\n", what, text);
	abort();
}

static enum call read_call(const char *name)
{
	for (size_t i = 0; name && i < sizeof(call_names) / sizeof(call_names[0]); i++) {
		if (!strcmp(call_names[i], name))
			return (enum call)i;
	}
	refuse("no such call", name ? name : "");
	return CALL_RECVMMSG;
}

static int read_error(const char *name)
{
	if (name && !strcmp(name, "short"))
		return SHORT;
	for (int error = 1; name && error < 200; error++) {
		const char *known = strerrorname_np(error);

		if (known && !strcmp(known, name))
			return error;
	}
	refuse("no such error", name ? name : "");
	return 0;
}

static void read_condition(struct rule *rule, const char *text)
{
	if (!strncmp(text, "after=", 6))
		rule->after = strtoull(text + 6, NULL, 10);
	else if (!strncmp(text, "first=", 6))
		rule->first = strtoull(text + 6, NULL, 10);
	else if (!strncmp(text, "every=", 6))
		rule->every = strtoull(text + 6, NULL, 10);
	else if (!strcmp(text, "gso"))
		rule->gso = true;
	else if (!strcmp(text, "stderr"))
		rule->descriptors = STANDARD_STREAM;
	else if (!strcmp(text, "file"))
		rule->descriptors = OTHER_FILE;
	else
		refuse("no such condition", text);
}

static void read_rule(char *text)
{
	struct rule *rule = &rules[rule_count];
	char *rest, *word = strtok_r(text, ":", &rest);

	if (rule_count++ == RULES_MAX)
		refuse("too many rules", text);
	*rule = (struct rule){.call = read_call(word), .first = UINT64_MAX, .every = 1};
	rule->error = read_error(strtok_r(NULL, ":", &rest));
	while ((word = strtok_r(NULL, ":", &rest)))
		read_condition(rule, word);
	if (!rule->every)
		refuse("every=0", text);
}

static void map_counts(const char *path)
{
	size_t size = RULES_MAX * sizeof(struct count);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		refuse("FAULTS_COUNTS", path ? path : "is not set");
	counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		refuse("FAULTS_COUNTS cannot be mapped", path);
	close(fd);
}

/* The first object is the program itself. */
static int find_daemon(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	daemon_begin = UINTPTR_MAX;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		uintptr_t end = begin + info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		daemon_begin = begin < daemon_begin ? begin : daemon_begin;
		daemon_end = end > daemon_end ? end : daemon_end;
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("FAULTS");
	char *copy = text ? strdup(text) : NULL, *rest;

	if (!copy)
		return;
	map_counts(getenv("FAULTS_COUNTS"));
	dl_iterate_phdr(find_daemon, NULL);
	for (char *rule = strtok_r(copy, ";", &rest); rule; rule = strtok_r(NULL, ";", &rest))
		read_rule(rule);
	free(copy);
}

/* --- A call --- */

struct facts {
	enum call call;
	const void *caller;
	int fd;
	bool gso;
};

static bool fits(const struct rule *rule, const struct facts *facts)
{
	bool standard = facts->fd <= STDERR_FILENO;

	return rule->call == facts->call && (!rule->gso || facts->gso) &&
	       (rule->descriptors == ANY_DESCRIPTOR || (rule->descriptors == STANDARD_STREAM) == standard);
}

static bool wants(const struct rule *rule, uint64_t number)
{
	uint64_t index = number - rule->after - 1;

	return number > rule->after && index < rule->first && index % rule->every == 0;
}

/* Returns the error that the call shall have, SHORT, or 0. */
static int fault(enum call call, const void *caller, int fd, bool gso)
{
	const struct facts facts = {call, caller, fd, gso};
	bool own = (uintptr_t)caller >= daemon_begin && (uintptr_t)caller < daemon_end;

	if (!own && call != CALL_EPOLL_WAIT)
		return 0;
	for (unsigned i = 0; i < rule_count; i++) {
		if (!fits(&rules[i], &facts))
			continue;
		if (!wants(&rules[i], atomic_fetch_add(&counts[i].calls, 1) + 1))
			continue;
		atomic_fetch_add(&counts[i].injected, 1);
		return rules[i].error;
	}
	return 0;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

#define CALLER __builtin_return_address(0)

/* Declares real_NAME: the function that this one hides. */
#define REAL(name)                                                                                                     \
	static __typeof__(name) *real_##name;                                                                          \
	if (!real_##name)                                                                                              \
	*(void **)&real_##name = dlsym(RTLD_NEXT, #name)

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	REAL(recvmmsg);
	int error = fault(CALL_RECVMMSG, CALLER, fd, false);

	if (error > 0)
		return fail(error);
	return real_recvmmsg(fd, messages, error == SHORT ? 1 : count, flags, timeout);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	REAL(recv);
	int error = fault(CALL_RECV, CALLER, fd, false);

	return error > 0 ? fail(error) : real_recv(fd, data, size, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	REAL(recvmsg);
	int error = fault(CALL_RECVMSG, CALLER, fd, false);

	return error > 0 ? fail(error) : real_recvmsg(fd, message, flags);
}

static bool is_gso(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			return true;
	}
	return false;
}

static bool has_gso_rule(void)
{
	for (unsigned i = 0; i < rule_count; i++) {
		if (rules[i].gso)
			return true;
	}
	return false;
}

/* Like the kernel: returns the error of the first message. If a later message fails, sends those before it. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	REAL(sendmmsg);
	unsigned plain = 0;
	int error;

	while (has_gso_rule() && plain < count && !is_gso(&messages[plain].msg_hdr))
		plain++;
	error = fault(CALL_SENDMMSG, CALLER, fd, has_gso_rule() && !plain);
	if (error > 0)
		return fail(error);
	if (error == SHORT)
		count = (count + 1) / 2;
	return real_sendmmsg(fd, messages, plain ? plain : count, flags);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	REAL(send);
	int error = fault(CALL_SEND, CALLER, fd, false);

	return error > 0 ? fail(error) : real_send(fd, data, size, flags);
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
	REAL(epoll_wait);
	int error = fault(CALL_EPOLL_WAIT, CALLER, epoll, false);

	return error > 0 ? fail(error) : real_epoll_wait(epoll, events, count, timeout);
}

int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
	REAL(epoll_pwait);
	int error = fault(CALL_EPOLL_WAIT, CALLER, epoll, false);

	return error > 0 ? fail(error) : real_epoll_pwait(epoll, events, count, timeout, mask);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	REAL(epoll_ctl);
	int error = operation == EPOLL_CTL_ADD ? fault(CALL_EPOLL_CTL, CALLER, fd, false) : 0;

	return error > 0 ? fail(error) : real_epoll_ctl(epoll, operation, fd, event);
}

int socket(int domain, int type, int protocol)
{
	REAL(socket);
	int error = fault(CALL_SOCKET, CALLER, -1, false);

	return error > 0 ? fail(error) : real_socket(domain, type, protocol);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
	REAL(connect);
	int error = fault(CALL_CONNECT, CALLER, fd, false);

	return error > 0 ? fail(error) : real_connect(fd, address, length);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	REAL(setsockopt);
	int error = level == SOL_UDP && option == UDP_GRO ? fault(CALL_SETSOCKOPT, CALLER, fd, false) : 0;

	return error > 0 ? fail(error) : real_setsockopt(fd, level, option, value, size);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	REAL(poll);
	int error = fault(CALL_POLL, CALLER, count ? fds->fd : -1, false);

	return error > 0 ? fail(error) : real_poll(fds, count, timeout);
}

ssize_t write(int fd, const void *data, size_t size)
{
	REAL(write);
	int error = fault(CALL_WRITE, CALLER, fd, false);

	if (error > 0)
		return fail(error);
	return real_write(fd, data, error == SHORT ? (size + 1) / 2 : size);
}
