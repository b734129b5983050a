/* The whole data path in both directions, with arbitrary batches, socket errors from the input, and peers that are
 * added and removed. The counters must always balance. Calls of the kernel are replaced (-Wl,--wrap). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "datapath/pipeline.h"
#include "net/socket.h"
#include "relay/relay.h"
#include "relay/relay_action.h"
#include "relay/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_socket_open_send_only(const struct address *peer, int send_buffer);
int __wrap_socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer);
void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record);
void __wrap_record_ring_wake(struct record_ring *ring);

#define PEERS 3
#define PAYLOAD 4096

/* --- The input, and after its end zeros --- */

static const uint8_t *input;
static size_t left;

static unsigned next(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static unsigned next_up_to(unsigned most)
{
	return next() % (most + 1);
}

/* --- The kernel --- */

static int spare; /* a descriptor, whose copies stand for sockets */

/* Most calls go well. */
static int next_error(void)
{
	static const int errors[] = {EAGAIN, ENOBUFS, EINTR,  EPERM,        EMSGSIZE,    ECONNREFUSED,
				     EIO,    EINVAL,  ENOMEM, EHOSTUNREACH, ENETUNREACH, ENOTCONN};
	unsigned choice = next();

	return choice >= 240 ? errors[choice % (sizeof(errors) / sizeof(errors[0]))] : 0;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	int error = next_error();

	(void)fd;
	(void)messages;
	(void)flags;
	if (error) {
		errno = error;
		return -1;
	}
	return (int)(1 + next_up_to(count - 1)); /* a short one now and then */
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
	(void)data;
	return __wrap_sendmmsg(fd, NULL, 1, flags) == 1 ? (ssize_t)size : -1;
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	(void)epoll;
	(void)operation;
	(void)fd;
	(void)event;
	errno = ENOSPC;
	return next() == 255 ? -1 : 0;
}

int __wrap_socket_open_send_only(const struct address *peer, int send_buffer)
{
	static const int errors[] = {EMFILE, EAGAIN, ENETUNREACH, ECONNREFUSED};
	unsigned choice = next();

	(void)peer;
	(void)send_buffer;
	return choice >= 224 ? -errors[choice % 4] : dup(spare);
}

int __wrap_socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer)
{
	(void)receive_buffer;
	return __wrap_socket_open_send_only(peer, send_buffer);
}

/* --- Recorded payloads must be readable memory --- */

static uint64_t recorded;
static volatile uint8_t sum;

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	(void)ring;
	for (uint32_t i = 0; i < record->size; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)record->payload)[i]);
	if ((record->verdict == VERDICT_RELAYED || record->verdict == VERDICT_ANSWERED) && !record->peer)
		abort();
	recorded++;
}

void __wrap_record_ring_wake(struct record_ring *ring)
{
	(void)ring;
}

/* --- A listener with its peers --- */

struct world {
	struct listener_config config;
	struct peer_config peers[PEERS], *peer_list[PEERS];
	struct own_addresses *own;
	struct log *log;
	struct peer_socket peer_sockets[PEERS];
	struct listener_counters counters;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct pipeline pipeline;
	struct relay relay;
	struct session_quota quota;
	struct paused_sessions paused;
	endpoint_epoch epoch;
	struct tx_socket tx;
	struct address local;
	uint64_t now_ms;
	struct session *alive[8]; /* some that were alive lately */
};

static struct endpoints_snapshot *snapshot_of(struct world *w, unsigned present)
{
	struct peer_endpoints lists[PEERS] = {{0}};
	struct endpoint *targets[PEERS] = {0};
	struct endpoints_snapshot *snapshot;

	for (unsigned i = 0; i < PEERS; i++) {
		if (!(present >> i & 1))
			continue;
		targets[i] = endpoint_create(&w->peers[i], &w->peers[i].address, &w->epoch);
		lists[i] = (struct peer_endpoints){.items = &targets[i], .count = 1};
	}
	snapshot = endpoints_snapshot_create(lists, PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		endpoint_put(targets[i]);
	return snapshot;
}

static void configure(struct world *w)
{
	static char *names[PEERS] = {(char *)"a", (char *)"b", (char *)"c"};
	static char *encodings[] = {(char *)"gbk"};

	w->config = (struct listener_config){.name = (char *)"l",
					     .action = (enum action_kind)next_up_to(ACTION_RELAY),
					     .encodings = encodings,
					     .encoding_count = 1,
					     .errors = (enum codec_errors)next_up_to(CODEC_BACKSLASHREPLACE),
					     .log_every = 1 + next_up_to(2),
					     .max_datagram = 1 + next() * 16,
					     .loop_guard = true,
					     .peers = w->peer_list,
					     .peer_count = PEERS,
					     .balance = (enum balance)next_up_to(BALANCE_FAILOVER),
					     .idle_timeout_ms = 1 + next(),
					     .max_sessions = 1 + next_up_to(7),
					     .responses = next_up_to(3)};
	if (w->config.responses == 3)
		w->config.responses = RESPONSES_UNLIMITED;
	for (size_t i = 0; i < PEERS; i++) {
		w->peers[i] = (struct peer_config){
			.name = names[i], .index = i, .weight = 1 + next_up_to(2), .max_fails = next_up_to(2)};
		w->peers[i].fail_timeout_ms = 1 + next();
		w->peers[i].encoding = next() >= 192 ? (char *)"utf-8" : NULL;
		w->peers[i].backup = i && next() >= 192;
		address_from_ip(&w->peers[i].address, i == 2 ? "::1" : "127.0.0.1", (uint16_t)(9000 + i));
		w->peer_list[i] = &w->peers[i];
	}
}

static void must_work(int error)
{
	if (error)
		abort();
}

static void begin_relay(struct world *w)
{
	struct endpoints_snapshot *snapshot = snapshot_of(w, 7);
	struct relay_setup setup = {.config = &w->config,
				    .log = w->log,
				    .peer_sockets = w->peer_sockets,
				    .delivery = &w->pipeline.delivery,
				    .quota = &w->quota,
				    .paused = &w->paused,
				    .epoch = &w->epoch,
				    .snapshot = snapshot};

	w->quota.max = w->config.max_sessions;
	paused_sessions_init(&w->paused, spare);
	must_work(relay_init(&w->relay, &setup));
	endpoints_snapshot_put(snapshot);
	w->pipeline.action_state = &w->relay;
}

static void begin(struct world *w)
{
	configure(w);
	address_from_ip(&w->local, "0.0.0.0", 7788);
	must_work(own_addresses_create(&w->own, &w->local, 1));
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_init(&w->peer_sockets[i], &w->peers[i], 65536, w->own, w->log);
	must_work(pipeline_init(&w->pipeline,
				action_traits[w->config.action].has_sessions ? &relay_action
									     : action_of(w->config.action),
				&w->config, w->peer_sockets));
	must_work(tx_batch_create(&w->tx_batch, pipeline_chunks_max(&w->pipeline), pipeline_flows_max(&w->pipeline)));
	must_work(arena_create(&w->arena, w->pipeline.delivery.converts ? PEERS : 0));
	w->pipeline.own = w->own;
	w->pipeline.delivery.tx_batch = w->tx_batch;
	w->pipeline.delivery.arena = &w->arena;
	w->pipeline.counters = &w->counters;
	w->pipeline.delivery.ring = (struct record_ring *)w; /* never looked into */
	w->pipeline.delivery.log = w->log;
	if (action_traits[w->config.action].has_ring_guard)
		must_work(ring_guard_create(&w->pipeline.delivery.ring_guard));
	w->tx = (struct tx_socket){.fd = spare, .gso = true};
	if (action_traits[w->config.action].has_sessions)
		begin_relay(w);
}

static void finish(struct world *w)
{
	if (w->pipeline.action_state)
		relay_finish(&w->relay);
	ring_guard_destroy(w->pipeline.delivery.ring_guard);
	pipeline_finish(&w->pipeline);
	arena_destroy(&w->arena);
	tx_batch_destroy(w->tx_batch);
	own_addresses_destroy(w->own);
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_finish(&w->peer_sockets[i]);
}

/* --- The balance of the counters --- */

static uint64_t total(const counter dropped[DROP_REASONS])
{
	uint64_t n = 0;

	for (int i = 0; i < DROP_REASONS; i++)
		n += counter_get(&dropped[i]);
	return n;
}

static void check(const struct world *w)
{
	const struct listener_counters *l = &w->counters;
	const struct relay_counters *r = &w->relay.counters;

	if (counter_get(&l->received) != counter_get(&l->sunk) + counter_get(&l->echoed) + counter_get(&l->forwarded) +
						 counter_get(&l->relayed) + total(l->dropped))
		abort();
	if (counter_get(&r->replies) != counter_get(&r->replied) + total(r->dropped))
		abort();
	if (counter_get(&r->started) - counter_get(&r->ended) != atomic_load(&w->quota.open))
		abort();
	for (size_t i = 0; i < PEERS; i++) {
		const struct peer_counters *p = &w->peer_sockets[i].counters;

		if (counter_get(&p->submitted) != counter_get(&p->sent) + total(p->dropped))
			abort();
	}
}

/* --- Batches --- */

static uint8_t payload[PAYLOAD];
static struct pktinfo locals[RX_BATCH_TRAINS];

static struct address source_of(unsigned choice)
{
	static const char *const hosts[] = {"127.0.0.1", "192.0.2.1", "192.0.2.2",   "0.0.0.0",
					    "224.0.0.1", "::1",       "2001:db8::1", "::ffff:192.0.2.1"};
	struct address source;

	address_from_ip(&source, hosts[choice % 8], choice >= 250 ? 7788 : (uint16_t)(choice / 8 * 100));
	return source;
}

static void make_train(struct train *train, struct pktinfo *local)
{
	uint32_t size = (next() << 8 | next()) % (PAYLOAD + 1);
	uint32_t segment = 1 + (next() << 4 | next_up_to(15));

	*train = (struct train){.data = payload, .size = size, .source = source_of(next())};
	train->segment = segment < size ? segment : size;
	if (size > train->segment * TRAIN_MAX)
		train->segment = (size + TRAIN_MAX - 1) / TRAIN_MAX;
	train->count = (uint16_t)(size ? (size + train->segment - 1) / train->segment : 1);
	train->end = train->count;
	if (next() >= 128) {
		address_from_ip(&local->destination, "127.0.0.1", 0);
		local->reply_source = local->destination;
		train->local = local;
	}
}

static void flush(struct world *w)
{
	for (int i = 0; i < 400 && !tx_batch_flush(w->tx_batch, w->now_ms); i++)
		w->now_ms++;
	tx_batch_drop_pending(w->tx_batch);
}

static void note_alive(struct world *w, const struct train *trains, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (w->pipeline.action_state && !trains[i].drop && w->relay.batch_sessions[i]->tx.fd >= 0)
			w->alive[i % 8] = w->relay.batch_sessions[i];
	}
}

static void clients_speak(struct world *w)
{
	static struct train trains[RX_BATCH_TRAINS];
	struct rx_context rx = {&w->tx, &w->local, 1, w->now_ms};
	unsigned count = 1 + next_up_to(w->pipeline.delivery.batch_limit - 1);

	for (unsigned i = 0; i < count; i++)
		make_train(&trains[i], &locals[i]);
	pipeline_submit(&w->pipeline, &rx, trains, count);
	flush(w);
	pipeline_complete(&w->pipeline, &rx, trains, count);
	note_alive(w, trains, count);
}

static void peers_answer(struct world *w)
{
	static struct train trains[RX_BATCH_TRAINS];
	static struct reply_batch replies;
	unsigned limit = w->pipeline.delivery.batch_limit;

	replies.trains = trains;
	replies.count = replies.session_count = 0;
	for (unsigned i = 0; i < 8 && i < limit; i++) {
		struct session *session = w->alive[i];

		if (!session || session->tx.fd < 0)
			continue;
		replies.sessions[replies.session_count++] = session;
		session->tx.broken |= next() >= 250;
		make_train(&trains[replies.count], &locals[i]);
		trains[replies.count].local = NULL;
		replies.replies[replies.count++].session = session;
	}
	if (!replies.session_count)
		return;
	reply_batch_submit(&replies, 1, w->now_ms);
	flush(w);
	reply_batch_complete(&replies);
}

static void peers_move(struct world *w)
{
	struct endpoints_snapshot *snapshot = snapshot_of(w, next_up_to(7));

	relay_set_peers(&w->relay, snapshot, w->now_ms);
	endpoints_snapshot_put(snapshot);
}

static void step(struct world *w)
{
	unsigned choice = next_up_to(7);

	w->now_ms += next();
	if (choice < 4 || !w->pipeline.action_state)
		clients_speak(w);
	else if (choice < 6)
		peers_answer(w);
	else if (choice == 6)
		relay_expire(&w->relay, w->now_ms, next_up_to(3));
	else
		peers_move(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log *log;
	struct world world = {.now_ms = 1000};

	if (!log) {
		spare = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		must_work(log_create(&log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT));
	}
	world.log = log;
	input = data;
	left = size;
	begin(&world);
	do {
		step(&world);
		check(&world);
	} while (left);
	finish(&world);
	check(&world);
	if (atomic_load(&world.quota.open))
		abort();
	return 0;
}
