"""Several workers: each flow is on one worker and in order, and the counters are the sum of all workers."""
import os
import socket
import tempfile

import harness

CLIENTS, EACH = 40, 25


def config(workers, peer, listener="address = 127.0.0.1:0"):
    host, port = peer.getsockname()
    return (f"[udprelayd]\nworkers = {workers}\n[datagram_log]\ntarget = off\n"
            f"[listener:a]\n{listener}\naction = forward\npeers = p\n[peer:p]\naddress = {host}:{port}\n")


class WorkersTest(harness.TestCase):
    def peer(self):
        peer = self.udp()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        return peer

    def threads(self, daemon):
        tasks = f"/proc/{daemon.process.pid}/task"
        names = [open(f"{tasks}/{task}/comm", encoding="ascii").read().strip() for task in os.listdir(tasks)]
        return sorted(name for name in names if name.startswith("worker-"))

    def test_a_flow_stays_on_one_worker_in_order(self):
        """Each worker has a separate port towards the peer, so the peer sees which worker forwarded a datagram."""
        peer = self.peer()
        daemon = self.serve(config(4, peer))
        clients = [self.udp() for _ in range(CLIENTS)]
        for number in range(EACH):
            for i, client in enumerate(clients):
                client.sendto(b"%d %d" % (i, number), daemon.address("a"))
        ways, numbers = {}, {}
        for _ in range(CLIENTS * EACH):
            payload, source = peer.recvfrom(100)
            client, number = map(int, payload.split())
            ways.setdefault(client, set()).add(source)
            numbers.setdefault(client, []).append(number)
        self.assertEqual(numbers, {client: list(range(EACH)) for client in range(CLIENTS)})
        self.assertEqual({len(way) for way in ways.values()}, {1})
        self.assertIn(len(set.union(*ways.values())), (2, 3, 4))  # all on one of four workers: once in 10**24 runs
        counters = daemon.end()
        self.assertEqual(counters["listener a"]["forwarded"], CLIENTS * EACH)
        self.assertEqual(counters["peer p"]["sent"], CLIENTS * EACH)

    def test_the_number_of_workers_is_as_configured(self):
        daemon = self.serve(config(3, self.peer()))
        self.assertEqual(self.threads(daemon), ["worker-0", "worker-1", "worker-2"])
        daemon.end()
        daemon = self.serve(config("auto", self.peer()))
        self.assertEqual(len(self.threads(daemon)), len(os.sched_getaffinity(0)))
        daemon.end()

    def test_a_unix_socket_is_served_by_one_worker(self):
        peer = self.peer()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "socket")
            daemon = self.serve(config(4, peer, f"address = unix:{path}"))
            client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            client.connect(path)
            sources = set()
            for number in range(100):
                client.send(b"%d" % number)
                payload, source = peer.recvfrom(100)
                self.assertEqual(payload, b"%d" % number)
                sources.add(source)
            client.close()
            self.assertEqual(len(sources), 1)
            self.assertEqual(daemon.end()["listener a"]["forwarded"], 100)


if __name__ == "__main__":
    harness.main()
