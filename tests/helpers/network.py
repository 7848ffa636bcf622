"""Machines of one's own: network namespaces, joined by a bridge that nothing else can reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Host:
    """A namespace: its name for `ip netns exec`, and the address that the others reach it by."""

    name: str
    address: str

    @property
    def enter(self) -> list[str]:
        """What stands before a command that shall run there."""
        return ["ip", "netns", "exec", self.name]

    def sent_bytes(self) -> int:
        """What has left it since it was made, headers counted."""
        counter = "/sys/class/net/eth0/statistics/tx_bytes"
        command = [*self.enter, "cat", counter]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def slow_down(self, megabits_per_s: int) -> None:
        """Limits what it sends, by a token bucket: not every kernel can delay packets (netem)."""
        words = f"-n {self.name} qdisc add dev eth0 root tbf rate {megabits_per_s}mbit"
        command = ["tc", *words.split(), "burst", "64kb", "latency", "1s"]
        subprocess.run(command, check=True, capture_output=True)


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """`count` hosts; skips the test where the system grants none."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("needs root and iproute2, for network namespaces")
    prefix = f"hmr{os.getpid()}"
    hub, names = f"{prefix}hub", [f"{prefix}n{index}" for index in range(count)]
    with contextlib.ExitStack() as stack:
        for name in (hub, *names):
            try:
                _ip(f"netns add {name}")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
            stack.callback(_ip, f"netns del {name}")
        _ip(f"-n {hub} link add bridge type bridge")
        _ip(f"-n {hub} link set bridge up")
        for index, name in enumerate(names):
            _ip(f"-n {hub} link add to{index} type veth peer name eth0 netns {name}")
            _ip(f"-n {hub} link set to{index} master bridge up")
            _ip(f"-n {name} addr add 10.77.0.{index + 1}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {name} link set lo up")
        yield [Host(name, f"10.77.0.{index + 1}") for index, name in enumerate(names)]
