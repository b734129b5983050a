/* A load generator for echoes and forwarders.
 *
 * Flows are connected sockets that send numbered datagrams to one address. Closed loop: each keeps so many under way;
 * what comes back makes room for more. Paced: all together send at a rate, whatever comes back. Datagrams come back to
 * their flow (an echo) or to every one of some receivers (a forwarder's peers). For a relay there are peers that send
 * back whatever they get, in here, so that they take none of the relay's processor. The result is one line of JSON.
 *
 *     -a HOST:PORT  the target      -f N  flows         -s N  bytes of a datagram     -n N  seconds
 *     -b HOST:PORT  bound to        -d N  depth         -t N  datagrams of a train    -r N  paced: datagrams a second
 *     -p N          receivers       -l    latencies     -e N  echoing peers           -i N  idle sessions
 *
 * With -p or -e the ports are told first, in a line, and the target is read from standard input. With -e or -i each
 * session is opened by one datagram, and then the generator says "ready" and waits for a line before the load begins:
 * whoever measures can leave out what the sessions cost to open. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "udprelay/tracker.h"

#define BATCH 64
#define SLOT 65536
#define CONTROL 64
#define MAGIC UINT32_C(0x7788abcd)
#define LATENCIES (1 << 20)

/* Where nothing has come back for so long, what is under way is given up as lost. */
#define STALL_NS 100000000

/* At the end, what is still under way is waited for until nothing has come for so long; so are the first answers. */
#define DRAIN_NS 500000000

/* Sessions that are opened together: no more than any server's buffer holds. */
#define OPENED_TOGETHER 64

struct header {
	uint32_t magic, flow;
	uint64_t seq, time_ns;
};

struct flow {
	int fd;
	uint64_t sent;
	uint64_t answers; /* of all receivers together */
	uint64_t written_off; /* answers that will not come any more */
	bool answered; /* since the last refill */
};

struct receiver {
	int fd;
	struct tracker *trackers; /* by flow; of an echo's, only its own is used */
	uint32_t only_flow; /* UINT32_MAX: takes all flows */
	bool echoes; /* sends all back, and looks at nothing */
};

static struct {
	struct sockaddr_in target, local;
	unsigned flows, depth, size, train, peers, echoes, idle;
	double seconds, rate;
	bool latency;
} options = {.flows = 1, .depth = 1, .size = 64, .train = 1, .seconds = 1};

static struct flow *flows; /* those that talk, then the idle ones */
static uint32_t *answered; /* flows to refill */
static unsigned answered_count;
static struct receiver *receivers;
static unsigned receiver_count, watched_count; /* watched: by epoll(7) */
static struct tally tally;
static uint32_t *latencies;
static size_t latency_count;
static uint64_t greeted; /* answers that came before the load */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned answers_each(void)
{
	return options.peers ? options.peers : 1;
}

/* The talking and the idle ones. */
static unsigned all_flows(void)
{
	return options.flows + options.idle;
}

/* --- Sending --- */

/* Makes the message a train of datagrams of that size; control has room for CMSG_SPACE(2) bytes. */
static void set_segment(struct msghdr *message, void *control, size_t size)
{
	struct cmsghdr *c = control;
	uint16_t segment = (uint16_t)size;

	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(sizeof(segment));
	*c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(segment))};
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

/* Sends count datagrams of one flow: one by one, or as one train. Returns how many the kernel took. */
static unsigned send_some(uint32_t flow, unsigned count)
{
	static uint8_t data[SLOT];
	static struct mmsghdr messages[1024];
	static struct iovec vectors[1024];
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	unsigned datagrams = count, sends = options.train > 1 ? 1 : count;
	uint64_t time = now_ns();

	if (!data[sizeof(struct header)])
		memset(data, 'x', sizeof(data));
	for (unsigned i = 0; i < datagrams; i++) {
		struct header header = {MAGIC, flow, flows[flow].sent + i, time};

		memcpy(data + i * options.size, &header, sizeof(header));
	}
	for (unsigned i = 0; i < sends; i++) {
		vectors[i] = (struct iovec){data + i * options.size,
					    options.train > 1 ? datagrams * options.size : options.size};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	if (options.train > 1)
		set_segment(&messages[0].msg_hdr, control, options.size);
	int taken = sendmmsg(flows[flow].fd, messages, sends, MSG_DONTWAIT);

	if (taken < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != ENOBUFS)
		die("sendmmsg");
	datagrams = taken <= 0 ? 0 : options.train > 1 ? count : (unsigned)taken;
	flows[flow].sent += datagrams;
	return datagrams;
}

/* Datagrams that one call may carry. */
static unsigned send_max(void)
{
	unsigned most = SLOT / options.size;

	return options.train > 1 ? options.train : most < BATCH ? most : BATCH;
}

/* Datagrams of the flow that may be sent now. */
static unsigned window_room(const struct flow *flow)
{
	uint64_t back = (flow->answers + flow->written_off) / answers_each();
	uint64_t under_way = flow->sent > back ? flow->sent - back : 0;

	return under_way < options.depth ? options.depth - (unsigned)under_way : 0;
}

/* Fills a flow's window by whole trains, once a quarter of it is free: what is sent together costs the generator less,
 * so that it is not what the servers wait for. */
static void fill_window(uint32_t flow)
{
	unsigned room = window_room(&flows[flow]);

	if (room < options.depth / 4)
		return;
	while (room && room >= options.train) {
		unsigned sent = send_some(flow, room < send_max() ? room : send_max());

		if (!sent)
			return;
		room -= sent;
	}
}

/* Sends what the rate allows by now, by turns. */
static void send_paced(uint64_t elapsed_ns, uint64_t *sent)
{
	static uint32_t turn;
	uint64_t due = (uint64_t)((double)elapsed_ns * options.rate / 1e9);

	for (unsigned i = 0; i < BATCH && *sent + options.train <= due; i++) {
		*sent += send_some(turn, options.train);
		turn = (turn + 1) % options.flows;
	}
}

/* --- Receiving --- */

static void note_latency(uint64_t since_ns, uint64_t now)
{
	uint64_t latency = now - since_ns;

	if (latency_count < LATENCIES)
		latencies[latency_count++] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
}

static void take(struct receiver *receiver, const uint8_t *data, size_t size, uint64_t now)
{
	struct header header;

	if (size == options.size)
		memcpy(&header, data, sizeof(header));
	if (size != options.size || header.magic != MAGIC || header.flow >= all_flows() ||
	    (receiver->only_flow != UINT32_MAX && header.flow != receiver->only_flow)) {
		tally.misdelivered++;
		return;
	}
	tracker_see(&receiver->trackers[receiver->only_flow == UINT32_MAX ? header.flow : 0], header.seq, &tally);
	flows[header.flow].answers++;
	if (!flows[header.flow].answered && header.flow < options.flows) {
		flows[header.flow].answered = true;
		answered[answered_count++] = header.flow;
	}
	if (options.latency)
		note_latency(header.time_ns, now);
}

static size_t segment_of(struct msghdr *message, size_t size)
{
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	return segment > 0 ? (size_t)segment : size;
}

static void take_message(struct receiver *receiver, struct msghdr *message, size_t size, uint64_t now)
{
	const uint8_t *data = message->msg_iov->iov_base;
	size_t segment = segment_of(message, size);

	for (size_t at = 0; at < size; at += segment)
		take(receiver, data + at, size - at < segment ? size - at : segment, now);
}

static struct mmsghdr inbox[BATCH];

/* Before use, and after it: receiving and sending back both leave their sizes there. */
static void prepare_inbox(unsigned count)
{
	static _Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL];
	static uint8_t slots[BATCH][SLOT];
	static struct sockaddr_in sources[BATCH];
	static struct iovec vectors[BATCH];

	for (unsigned i = 0; i < count; i++) {
		vectors[i] = (struct iovec){slots[i], SLOT};
		inbox[i].msg_hdr = (struct msghdr){.msg_name = &sources[i],
						   .msg_namelen = sizeof(sources[i]),
						   .msg_iov = &vectors[i],
						   .msg_iovlen = 1,
						   .msg_control = control[i],
						   .msg_controllen = CONTROL};
	}
}

static void receive(struct receiver *receiver)
{
	int count;

	do {
		count = recvmmsg(receiver->fd, inbox, BATCH, MSG_DONTWAIT, NULL);
		uint64_t now = now_ns();

		for (int i = 0; i < count; i++)
			take_message(receiver, &inbox[i].msg_hdr, inbox[i].msg_len, now);
		prepare_inbox(count > 0 ? (unsigned)count : 0);
	} while (count == BATCH);
}

/* What came in as a train goes back as one. */
static void turn_round(struct mmsghdr *message)
{
	struct msghdr *header = &message->msg_hdr;
	size_t segment = segment_of(header, message->msg_len);

	header->msg_iov->iov_len = message->msg_len;
	header->msg_controllen = 0;
	if (segment < message->msg_len)
		set_segment(header, header->msg_control, segment);
}

/* What the kernel does not take is passed over, and counts as lost. */
static void send_inbox(int fd, unsigned count)
{
	for (unsigned sent = 0; sent < count;) {
		int taken = sendmmsg(fd, inbox + sent, count - sent, MSG_DONTWAIT);

		sent += taken > 0 ? (unsigned)taken : 1;
	}
}

/* One batch: the flows have their turn before the next. */
static void echo_back(int fd)
{
	int count = recvmmsg(fd, inbox, BATCH, MSG_DONTWAIT, NULL);

	if (count <= 0)
		return;
	for (int i = 0; i < count; i++)
		turn_round(&inbox[i]);
	send_inbox(fd, (unsigned)count);
	prepare_inbox((unsigned)count);
}

/* --- Running --- */

static void write_off(void)
{
	for (unsigned i = 0; i < all_flows(); i++)
		flows[i].written_off = flows[i].sent * answers_each() - flows[i].answers;
}

static void refill(bool more)
{
	for (unsigned i = 0; i < answered_count; i++) {
		flows[answered[i]].answered = false;
		if (more)
			fill_window(answered[i]);
	}
	answered_count = 0;
}

static uint64_t answers_all(void)
{
	return tally.received + tally.duplicated;
}

/* So few of a kind (peers, flows) are just asked: a socket that epoll(7) watches costs more to send from (sock_wfree()
 * in net/core/sock.c), and it is the servers that are to be measured. */
#define FEW 4

/* Of peers and flows. */
static struct receiver *asked[2 * FEW];
static unsigned asked_count;

/* Those that may have something. Returns how many. */
static unsigned find_ready(int epoll, struct receiver *ready[2 * FEW + BATCH])
{
	struct epoll_event events[BATCH];
	unsigned ready_count = 0;
	int count = watched_count ? epoll_wait(epoll, events, BATCH, 0) : 0;

	while (ready_count < asked_count) {
		ready[ready_count] = asked[ready_count];
		ready_count++;
	}
	for (int i = 0; i < count; i++)
		ready[ready_count++] = events[i].data.ptr;
	return ready_count;
}

/* Takes what has come, and sends what there is room for where more is wanted. */
static void serve(int epoll, bool more)
{
	struct receiver *ready[2 * FEW + BATCH];
	unsigned count = find_ready(epoll, ready);

	for (unsigned i = 0; i < count; i++) {
		if (ready[i]->echoes) {
			echo_back(ready[i]->fd);
			continue;
		}
		receive(ready[i]);
		refill(more);
	}
}

static uint64_t expected_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < all_flows(); i++)
		sum += flows[i].sent * answers_each();
	return sum;
}

static unsigned count_unanswered(unsigned first, unsigned end)
{
	unsigned count = 0;

	for (unsigned i = first; i < end; i++)
		count += !flows[i].answers;
	return count;
}

/* Opens the sessions of some flows, by a datagram each, and waits for the answers. */
static void greet_some(int epoll, unsigned first, unsigned end)
{
	uint64_t last = now_ns();
	unsigned unanswered = end - first;

	for (unsigned i = first; i < end; i++)
		send_some(i, 1);
	while (unanswered && now_ns() - last < DRAIN_NS) {
		serve(epoll, false);
		unsigned count = count_unanswered(first, end);

		if (count != unanswered)
			last = now_ns();
		unanswered = count;
	}
	if (unanswered == end - first) {
		fprintf(stderr, "the target does not answer\n");
		exit(1);
	}
}

/* Opens all sessions, and waits until the load is wanted. */
static void greet(int epoll)
{
	char line[128];

	for (unsigned i = 0; i < all_flows(); i += OPENED_TOGETHER)
		greet_some(epoll, i, all_flows() - i < OPENED_TOGETHER ? all_flows() : i + OPENED_TOGETHER);
	write_off();
	latency_count = 0;
	greeted = tally.received;
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		die("a line to begin, in standard input");
}

/* Never sleeps: to wake it would cost the server time that is none of its own, more or less by chance. */
static void run(int epoll)
{
	uint64_t begin = now_ns(), end = begin + (uint64_t)(options.seconds * 1e9);
	uint64_t now = begin, last = begin, answers = answers_all(), paced = 0;

	for (unsigned i = 0; options.rate == 0 && i < options.flows; i++)
		fill_window(i);
	for (; now < end || (tally.received < expected_all() && now - last < DRAIN_NS); now = now_ns()) {
		if (options.rate > 0 && now < end)
			send_paced(now - begin, &paced);
		serve(epoll, options.rate == 0 && now < end);
		if (answers_all() != answers) {
			answers = answers_all();
			last = now;
		} else if (options.rate == 0 && now - last > STALL_NS && now < end) {
			write_off();
			for (unsigned i = 0; i < options.flows; i++)
				fill_window(i);
			last = now;
		}
	}
}

/* --- Setting up --- */

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, buffer = 8 << 20;

	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)))
		die("UDP_GRO");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (bind(fd, (struct sockaddr *)&options.local, sizeof(options.local)))
		die("bind");
	return fd;
}

/* One of so many of its kind: if they are few, it is asked. */
static struct receiver *add_receiver(int epoll, int fd, unsigned kin)
{
	struct receiver *receiver = &receivers[receiver_count++];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = receiver};

	receiver->fd = fd;
	if (kin <= FEW) {
		asked[asked_count++] = receiver;
		return receiver;
	}
	watched_count++;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
	return receiver;
}

static void track(struct receiver *receiver, uint32_t only_flow)
{
	receiver->only_flow = only_flow;
	receiver->trackers = calloc(only_flow == UINT32_MAX ? options.flows : 1, sizeof(struct tracker));
	if (!receiver->trackers)
		die("memory");
}

/* The peers' ports are told on standard output; the target is read from standard input, since a forwarder or a relay
 * can be started only once its peers are known. */
static void open_peers(int epoll)
{
	unsigned count = options.peers + options.echoes;

	for (unsigned i = 0; i < count; i++) {
		struct sockaddr_in name;
		socklen_t length = sizeof(name);
		int fd = open_socket();
		struct receiver *receiver = add_receiver(epoll, fd, count);

		getsockname(fd, (struct sockaddr *)&name, &length);
		printf("%s%u", i ? " " : "", ntohs(name.sin_port));
		receiver->echoes = options.echoes > 0;
		if (!receiver->echoes)
			track(receiver, UINT32_MAX);
	}
	printf("\n");
	fflush(stdout);
}

/* The idle ones are watched however few they are: next to nothing is sent from them. */
static void open_flows(int epoll)
{
	for (unsigned i = 0; i < all_flows(); i++) {
		flows[i].fd = open_socket();
		if (connect(flows[i].fd, (struct sockaddr *)&options.target, sizeof(options.target)))
			die("connect");
		if (!options.peers)
			track(add_receiver(epoll, flows[i].fd, i < options.flows ? options.flows : UINT32_MAX), i);
	}
}

static void parse_address(struct sockaddr_in *address, const char *text)
{
	char host[64];
	unsigned port;

	*address = (struct sockaddr_in){.sin_family = AF_INET};
	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address->sin_addr) != 1) {
		fprintf(stderr, "`%s` is no HOST:PORT\n", text);
		exit(64);
	}
	address->sin_port = htons((uint16_t)port);
}

static void parse_options(int argc, char **argv)
{
	int option;

	parse_address(&options.local, "127.0.0.1:0");
	while ((option = getopt(argc, argv, "a:b:f:d:s:t:p:e:i:n:r:l")) != -1) {
		switch (option) {
		case 'a':
			parse_address(&options.target, optarg);
			break;
		case 'b':
			parse_address(&options.local, optarg);
			break;
		case 'f':
			options.flows = (unsigned)atoi(optarg);
			break;
		case 'd':
			options.depth = (unsigned)atoi(optarg);
			break;
		case 's':
			options.size = (unsigned)atoi(optarg);
			break;
		case 't':
			options.train = (unsigned)atoi(optarg);
			break;
		case 'p':
			options.peers = (unsigned)atoi(optarg);
			break;
		case 'e':
			options.echoes = (unsigned)atoi(optarg);
			break;
		case 'i':
			options.idle = (unsigned)atoi(optarg);
			break;
		case 'n':
			options.seconds = atof(optarg);
			break;
		case 'r':
			options.rate = atof(optarg);
			break;
		case 'l':
			options.latency = true;
			break;
		default:
			exit(64);
		}
	}
	if (options.rate == 0 && options.depth < options.train) {
		fprintf(stderr, "a window of %u datagrams holds no train of %u\n", options.depth, options.train);
		exit(64);
	}
	if (options.peers && (options.echoes || options.idle)) {
		fprintf(stderr, "what goes to receivers (-p) does not come back, as -e and -i want it\n");
		exit(64);
	}
	if (options.size < sizeof(struct header) || !options.flows || !options.train ||
	    options.size * options.train > 65507) {
		fprintf(stderr, "a datagram has at least %zu bytes, a train at most 65507\n", sizeof(struct header));
		exit(64);
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile(double share)
{
	return latency_count ? latencies[(size_t)((double)(latency_count - 1) * share)] / 1000.0 : 0;
}

static void report(void)
{
	uint64_t sent = expected_all() / answers_each();

	qsort(latencies, latency_count, sizeof(*latencies), compare);
	printf("{\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"greeted\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"duplicated\": %" PRIu64 ", \"reordered\": %" PRIu64 ", \"misdelivered\": %" PRIu64
	       ", \"p50_us\": %.3f, \"p99_us\": %.3f}\n",
	       sent, tally.received, greeted, sent * answers_each() - tally.received, tally.duplicated, tally.reordered,
	       tally.misdelivered, percentile(0.5), percentile(0.99));
}

int main(int argc, char **argv)
{
	char line[128];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	parse_options(argc, argv);
	flows = calloc(all_flows(), sizeof(*flows));
	answered = calloc(options.flows, sizeof(*answered));
	receivers = calloc(all_flows() + options.peers + options.echoes, sizeof(*receivers));
	latencies = malloc(LATENCIES * sizeof(*latencies));
	if (!flows || !answered || !receivers || !latencies)
		die("memory");
	if (options.peers || options.echoes) {
		open_peers(epoll);
		if (!fgets(line, sizeof(line), stdin))
			die("the target, in standard input");
		parse_address(&options.target, line);
	}
	open_flows(epoll);
	prepare_inbox(BATCH);
	if (options.echoes || options.idle)
		greet(epoll);
	run(epoll);
	report();
	return 0;
}
