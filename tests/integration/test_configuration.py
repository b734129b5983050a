"""Invalid configurations, as users write them: all errors are reported at once, each with its line."""
import subprocess

import harness

GOOD = "[listener:a]\naddress = 127.0.0.1:0\naction = sink\n"


class ConfigurationTest(harness.TestCase):
    def assert_refused(self, config, *complaints):
        said = self.refused(config, 78)
        for complaint in complaints:
            self.assertRegex(said, complaint)
        self.assertEqual(len(said.splitlines()), len(complaints), said)

    def test_mistyped_key(self):
        self.assert_refused(GOOD + "adress = 127.0.0.1:1\n", r"\.ini:4: \[listener:a\] adress: .*`address`")

    def test_all_errors_are_reported_at_once(self):
        self.assert_refused("[udprelayd]\nworkers = many\n[nonsense]\nx = 1\n[listener:a]\naction = shout\n"
                            "[peer:b]\naddress = nowhere\n",
                            r":2: \[udprelayd\] workers: .*many", r":3: \[nonsense\]", r":5: \[listener:a\] address: ",
                            r":6: \[listener:a\] action: .*shout", r":8: \[peer:b\] address: .*nowhere")

    def test_repeated_section_and_key(self):
        self.assert_refused(GOOD + "action = echo\n" + GOOD,
                            r":4: \[listener:a\] action: .*line 3", r":5: \[listener:a\]: .*line 1",
                            r":6: \[listener:a\] address: ", r":7: \[listener:a\] action: ")

    def test_long_line(self):
        self.assert_refused(GOOD + "encoding = " + "utf-8," * 60 + "utf-8\n", r":4: ")

    def test_nul_byte(self):
        self.assert_refused(GOOD + "encoding = utf\0-8\n", r":4: ")

    def test_http_on_all_addresses(self):
        self.assert_refused(GOOD + "[http]\nlisten = *:9090\n", r":5: \[http\] listen: `\*:9090` shows the names and addresses of listeners and peers to every host")

    def test_forward_to_our_own_listener(self):
        self.assert_refused("[listener:a]\naddress = *:7799\naction = forward\npeers = b\n"
                            "[peer:b]\naddress = 127.0.0.1:7799\n", r":6: \[peer:b\] address: .*listener `a`")

    def test_suspicious_peers_get_a_warning(self):
        """The warnings have a line. They appear with -t, at the start and at a reload."""
        unused = r"\.ini:4: \[peer:spare\]: no listener uses this peer: add `spare` to the peers of one, or remove"
        config = GOOD + "[peer:spare]\naddress = 192.0.2.1:9\n"
        daemon = self.serve(config)
        said = subprocess.run([harness.DAEMON, "-c", daemon.path, "-t"], capture_output=True, text=True, check=True)
        self.assertRegex(said.stderr, "^warning: .*" + unused)
        self.assertIn("the configuration is valid", said.stdout)
        self.assertRegex(daemon.lines[0], "warning: .*" + unused)
        with open(daemon.path, "w", encoding="utf-8") as file:
            file.write("[listener:a]\naddress = 127.0.0.1:0\naction = forward\npeers = b, c\n"
                       "[peer:b]\naddress = 127.0.0.9:7\n[peer:c]\naddress = 127.0.0.9:7\n")
        daemon.send_signal(harness.signal.SIGHUP)
        daemon.await_line(r"warning: .*\.ini:4: \[listener:a\] peers: `b` and `c` have the same address, `127\.0\.0\.9:7`, "
                          "which gets every datagram twice: remove one of them")
        daemon.end()

    def test_peers_without_a_host_address(self):
        self.assert_refused(GOOD + "".join(f"[peer:{name}]\naddress = {address}:9\n" for name, address in (
            ("a", "255.255.255.255"), ("b", "127.255.255.255"), ("c", "0.1.2.3"), ("d", "239.1.2.3"))),
                            r":5: \[peer:a\] address: .* is a broadcast address", r":7: \[peer:b\] address: .* broadcast",
                            r":9: \[peer:c\] address: `0\.1\.2\.3:9` is not the address of a host")

    def test_unknown_peer(self):
        self.assert_refused("[listener:a]\naddress = *:7799\naction = forward\npeers = b\n", r":4: \[listener:a\] peers: ")

    def test_empty_file(self):
        self.assert_refused("", r"listener")


if __name__ == "__main__":
    harness.main()
