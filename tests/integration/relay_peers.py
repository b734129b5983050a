"""Common parts of the relay tests: configurations, and peers that reply."""
import random
import selectors
import socket
import threading


def at(sock):
    """HOST:PORT of a socket or of a pair."""
    host, port = (sock if isinstance(sock, tuple) else sock.getsockname())[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def returning(test):
    """Returns a socket whose port stays unused while it is closed: the port is below the range of automatic ports."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest = int(file.read().split()[0])
    for port in random.sample(range(lowest // 2, lowest), 100):
        try:
            return test.udp(port=port)
        except OSError:
            continue
    raise AssertionError("no port is free")


def config(peers, extra="", address="127.0.0.1:0", name="a", peer="p", peer_extra="", log=""):
    """Returns a relay configuration. peer_extra is for all peers, or a list with one text per peer."""
    extras = peer_extra if isinstance(peer_extra, list) else [peer_extra] * len(peers)
    sections = "".join(f"[peer:{peer}{i}]\naddress = {to}\n{more}\n" for i, (to, more) in enumerate(zip(peers, extras)))
    names = ", ".join(f"{peer}{i}" for i in range(len(peers)))
    return (f"[listener:{name}]\naddress = {address}\naction = relay\npeers = {names}\n{extra}\n{sections}"
            + (f"[log]\n{log}\n" if log else ""))


class Echo(threading.Thread):
    """Peers that reply to each datagram with their name and the payload, in a thread, until they are stopped."""

    def __init__(self, test, *sockets):
        super().__init__(daemon=True)
        self.sockets = {sock: name for name, sock in enumerate(sockets)}
        self.heard = {name: [] for name in self.sockets.values()}  # payload, session
        self.stopped, self.wake = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        for sock in [*self.sockets, self.stopped]:
            self.selector.register(sock, selectors.EVENT_READ)
        self.start()
        test.addCleanup(self.stop)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.stopped:
                    return
                self.answer(key.fileobj)

    def answer(self, sock):
        try:
            payload, session = sock.recvfrom(65536)
        except ConnectionRefusedError:
            return
        name = self.sockets[sock]
        self.heard[name].append((payload, session))
        sock.sendto(b"%d:" % name + payload, session)

    def stop(self):
        if self.is_alive():
            self.wake.send(b".")
            self.join()
            self.selector.close()
            self.stopped.close()
            self.wake.close()
