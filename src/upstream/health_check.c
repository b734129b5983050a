#include "upstream/health_check.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"

/* Of an answer, so much is looked at: all that UDP can carry. */
#define ANSWER_MAX 65536

#define SOCKET_BUFFER 65536 /* bytes */

/* Of the answers that wait when time is up, so many are still looked at. */
#define LAST_ANSWERS 16

/* After the first probe, which comes at once, the targets spread over so many parts of their interval. */
#define SPREAD 16

/* One target under check. */
struct health_check {
	struct health_checks *checks;
	struct health_check *next; /* of the same peer */
	struct endpoint *target; /* with a reference */
	uv_timer_t timer; /* until the next probe, or the end of this one */
	uv_poll_t poll;
	unsigned handles; /* that are not closed yet */
	bool stopped;
	int fd; /* -1: no probe is under way */
	uint64_t began_ms; /* the last probe, by the loop's clock */
	unsigned first_interval; /* of SPREAD, once; then 0 */
	bool wrong; /* an answer came, but not the one that is expected */
	bool up;
	uint32_t row; /* checks in a row that say otherwise */
};

struct health_checks {
	uv_loop_t *loop;
	const struct own_addresses *own;
	struct log *log;
	struct log_limit unable_limit;
	unsigned begun; /* checks, ever */
	unsigned alive; /* that are not closed yet */
	size_t peer_count;
	uint8_t answer[ANSWER_MAX];
	struct health_check *peers[]; /* by the peer's index */
};

static const struct peer_config *config_of(const struct health_check *check)
{
	return check->target->peer;
}

/* --- What a probe says --- */

static void set_up(struct health_check *check, bool up)
{
	check->up = up;
	check->row = 0;
	endpoint_set_checked(check->target, up);
}

static void passed(struct health_check *check)
{
	char text[ADDRESS_TEXT_MAX];

	if (check->up) {
		check->row = 0;
		return;
	}
	if (++check->row < config_of(check)->check.rise)
		return;
	set_up(check, true);
	log_notice(check->checks->log, "peer %s: %s is up again", config_of(check)->name,
		   address_format(&check->target->address, text));
}

/* why stands before "3 checks in a row". */
static void failed(struct health_check *check, const char *why)
{
	char text[ADDRESS_TEXT_MAX];
	uint32_t fall = config_of(check)->check.fall;

	if (!check->up) {
		check->row = 0;
		return;
	}
	if (++check->row < fall)
		return;
	set_up(check, false);
	log_warning(check->checks->log, "peer %s: %s is down: %s %u check%s", config_of(check)->name,
		    address_format(&check->target->address, text), why, fall, fall > 1 ? "s in a row" : "");
}

/* What is wrong with ourselves says nothing of the target. EAGAIN: there is no free port, but an AF_UNIX peer that does
 * not read has no room. */
static bool is_our_own_trouble(int error, sa_family_t family)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       (error == EAGAIN && family != AF_UNIX);
}

static void failed_by(struct health_check *check, int error)
{
	char text[ADDRESS_TEXT_MAX], why[128];
	sa_family_t family = check->target->address.any.sa_family;

	if (is_our_own_trouble(error, family))
		log_write_limited(check->checks->log, &check->checks->unable_limit, LOG_LEVEL_WARNING,
				  "peer %s: %s cannot be checked: %s", config_of(check)->name,
				  address_format(&check->target->address, text), strerror(error));
	else if (error == ECONNREFUSED && family != AF_UNIX)
		failed(check, "refused (ICMP),");
	else {
		snprintf(why, sizeof(why), "%s,", strerror(error));
		failed(check, why);
	}
}

/* Silence will do where nothing is expected: ICMP would have told that nobody listens. */
static void judge_silence(struct health_check *check)
{
	if (!config_of(check)->check.expect.size)
		passed(check);
	else
		failed(check, check->wrong ? "wrong answer to" : "no answer to");
}

/* --- Probes --- */

static void on_timer(uv_timer_t *timer);

static void probe_later(struct health_check *check)
{
	uint64_t interval = config_of(check)->check.interval_ms;
	uint64_t spent = uv_now(check->checks->loop) - check->began_ms;

	if (check->first_interval)
		interval = interval * check->first_interval / SPREAD;
	check->first_interval = 0;
	uv_timer_start(&check->timer, on_timer, spent < interval ? interval - spent : 0, 0);
}

/* The last handle closes the life of a check; the poll handle alone only that of a probe. */
static void on_closed(uv_handle_t *handle)
{
	struct health_check *check = handle->data;

	if (--check->handles) {
		if (!check->stopped)
			probe_later(check);
		return;
	}
	endpoint_put(check->target);
	check->checks->alive--;
	free(check);
}

static void end_probe(struct health_check *check)
{
	uv_timer_stop(&check->timer);
	uv_close((uv_handle_t *)&check->poll, on_closed);
	close(check->fd);
	check->fd = -1;
}

static bool is_expected(const struct health_check *check, const void *answer, size_t size)
{
	const struct payload *expect = &config_of(check)->check.expect;

	return !expect->size || memmem(answer, size, expect->bytes, expect->size);
}

enum heard { HEARD_NOTHING, HEARD_OTHER, HEARD_ENOUGH };

/* Reads one answer, or an error, and judges the target by it unless it is another answer than expected. */
static enum heard hear(struct health_check *check)
{
	uint8_t *answer = check->checks->answer;
	ssize_t size = recv(check->fd, answer, ANSWER_MAX, 0);

	if (size < 0 && errno == EAGAIN)
		return HEARD_NOTHING;
	if (size < 0) {
		failed_by(check, errno);
		return HEARD_ENOUGH;
	}
	if (!is_expected(check, answer, (size_t)size)) {
		check->wrong = true;
		return HEARD_OTHER;
	}
	passed(check);
	return HEARD_ENOUGH;
}

/* What came in time counts, even where the loop was too busy to look. */
static void hear_last(struct health_check *check)
{
	enum heard heard = HEARD_OTHER;

	for (int i = 0; i < LAST_ANSWERS && heard == HEARD_OTHER; i++)
		heard = hear(check);
	if (heard != HEARD_ENOUGH)
		judge_silence(check);
}

/* libuv tells only that there is an error, with UV_EBADF, and watches no longer (libuv#3796). */
static int pending_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error ? error : EIO;
}

/* One answer at a time: the loop calls again when there are more, and sees to others in between. */
static void on_event(uv_poll_t *poll, int status, int events)
{
	struct health_check *check = poll->data;

	(void)events;
	if (status)
		failed_by(check, pending_error(check->fd));
	else if (hear(check) != HEARD_ENOUGH)
		return;
	end_probe(check);
}

/* ICMP errors that the kernel takes for passing ones are told too. Answers come one by one, so that none of them ends
 * where the next begins. */
static void set_options(int fd, int family)
{
	int on = 1, off = 0;

	if (family == AF_UNIX)
		return;
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof(off));
}

/* Returns 0 or a negative errno. */
static int open_probe(struct health_check *check)
{
	const struct address *address = &check->target->address;
	int fd = socket_open_duplex(address, SOCKET_BUFFER, SOCKET_BUFFER);
	int error;

	if (fd < 0)
		return fd;
	set_options(fd, address->any.sa_family);
	error = uv_poll_init(check->checks->loop, &check->poll, fd);
	if (error) {
		close(fd);
		return error;
	}
	check->poll.data = check;
	check->handles++;
	check->fd = fd;
	return 0;
}

static int send_probe(const struct health_check *check)
{
	const struct payload *payload = &config_of(check)->check.send;

	return send(check->fd, payload->bytes, payload->size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void probe(struct health_check *check)
{
	int error = open_probe(check);

	check->wrong = false;
	if (error) {
		failed_by(check, -error);
		probe_later(check);
		return;
	}
	error = send_probe(check);
	if (!error)
		error = uv_poll_start(&check->poll, UV_READABLE, on_event);
	if (error) {
		failed_by(check, -error);
		end_probe(check);
		return;
	}
	uv_timer_start(&check->timer, on_timer, config_of(check)->check.timeout_ms, 0);
}

static bool has_own_address(const struct health_check *check)
{
	const struct own_addresses *own = check->checks->own;

	return own && own_addresses_reaches_us(own, &check->target->address);
}

static void on_timer(uv_timer_t *timer)
{
	struct health_check *check = timer->data;

	if (check->fd >= 0) {
		hear_last(check);
		end_probe(check);
		return;
	}
	check->began_ms = uv_now(timer->loop);
	if (has_own_address(check))
		probe_later(check);
	else
		probe(check);
}

/* --- Which targets --- */

static void start_check(struct health_checks *checks, struct endpoint *target)
{
	struct health_check *check = calloc(1, sizeof(*check));
	char text[ADDRESS_TEXT_MAX];

	if (!check) {
		log_error(checks->log, "peer %s: no memory to check %s", target->peer->name,
			  address_format(&target->address, text));
		return;
	}
	check->checks = checks;
	check->target = endpoint_get(target);
	check->fd = -1;
	check->up = !atomic_load(&target->check_failed);
	check->first_interval = checks->begun++ % SPREAD + 1;
	check->next = checks->peers[target->peer->index];
	checks->peers[target->peer->index] = check;
	uv_timer_init(checks->loop, &check->timer);
	check->timer.data = check;
	check->handles = 1;
	checks->alive++;
	uv_timer_start(&check->timer, on_timer, 0, 0);
}

/* Takes the check at *place out of its list. */
static void stop_check(struct health_check **place)
{
	struct health_check *check = *place;

	*place = check->next;
	check->stopped = true;
	if (check->fd >= 0)
		end_probe(check);
	uv_close((uv_handle_t *)&check->timer, on_closed);
}

static bool is_checked(const struct health_check *list, const struct endpoint *target)
{
	while (list && list->target != target)
		list = list->next;
	return list;
}

static bool is_among(const struct endpoint *target, const struct peer_endpoints *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		if (targets->items[i] == target)
			return true;
	}
	return false;
}

static void set_targets(struct health_checks *checks, struct health_check **list, const struct peer_endpoints *targets)
{
	for (struct health_check **place = list; *place;) {
		if (is_among((*place)->target, targets))
			place = &(*place)->next;
		else
			stop_check(place);
	}
	for (size_t i = 0; i < targets->count; i++) {
		struct endpoint *target = targets->items[i];

		if (target->peer->check.on && !is_checked(*list, target))
			start_check(checks, target);
	}
}

void health_checks_set(struct health_checks *checks, const struct endpoints_snapshot *snapshot)
{
	assert(snapshot->peer_count == checks->peer_count);
	for (size_t i = 0; i < checks->peer_count; i++)
		set_targets(checks, &checks->peers[i], &snapshot->peers[i]);
}

/* --- Life --- */

int health_checks_create(struct health_checks **out, uv_loop_t *loop, const struct config *config,
			 const struct own_addresses *own, struct log *log)
{
	struct health_checks *checks = calloc(1, sizeof(*checks) + config->peer_count * sizeof(struct health_check *));

	if (!checks)
		return -ENOMEM;
	checks->loop = loop;
	checks->own = own;
	checks->log = log;
	checks->peer_count = config->peer_count;
	*out = checks;
	return 0;
}

void health_checks_close(struct health_checks *checks)
{
	for (size_t i = 0; checks && i < checks->peer_count; i++) {
		while (checks->peers[i])
			stop_check(&checks->peers[i]);
	}
}

bool health_checks_closed(const struct health_checks *checks)
{
	return !checks || !checks->alive;
}

void health_checks_destroy(struct health_checks *checks)
{
	free(checks);
}
