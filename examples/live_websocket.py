"""Learn CartPole from a live server over a websocket, while it runs.

A second process serves CartPole-v1 in real time, ``--speed`` times faster than the real one (50
steps a second). The world waits for nobody: where no action arrives in time, it keeps to the last
one. This process connects, acts on what it sees, and learns beside it until it can do the task::

    pip install . websockets        # in a checkout
    python examples/live_websocket.py --speed 20 --cuts 10 --seconds-between-cuts 1

``--cuts 10`` makes the server drop the connection ten times in mid-run. At the end it tells how long actions took,
from the moment the server showed an observation until the action on it was on the wire, all while learning went on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gymnasium as gym
import numpy as np
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.server import ServerConnection, serve
from websockets.uri import parse_uri

import tensor_optix as tx

REAL_STEPS_PER_SECOND = 50
SOLVED_SCORE = 475.0


# The server: a world that goes on whether or not anyone acts.


class World:
    """CartPole in real time, for one client at a time.

    Args:
        speed: How many times faster than real time.
        num_cuts: How often to drop the connection.
        seconds_between_cuts: How long to wait before each.
    """

    def __init__(self, speed: float, num_cuts: int, seconds_between_cuts: float) -> None:
        self.seconds_per_step = 1.0 / (REAL_STEPS_PER_SECOND * speed)
        self.cuts_left = num_cuts
        self.seconds_between_cuts = seconds_between_cuts
        self.next_cut_at = time.monotonic() + seconds_between_cuts
        self.env = gym.make("CartPole-v1")
        self.env.reset(seed=0)

    def __call__(self, connection: ServerConnection) -> None:
        """Play episode after episode until the connection is gone."""
        with contextlib.suppress(ConnectionClosed, OSError):
            while True:
                self.play_episode(connection)

    def play_episode(self, connection: ServerConnection) -> None:
        """Show one observation per tick and apply the newest action, whether or not it came in time."""
        observation, _ = self.env.reset()
        reward, terminated, truncated, is_late = 0.0, False, False, False
        action, tick, due_at = 0, 0, time.monotonic()
        while True:
            shown = [tick, time.monotonic(), observation.tolist(), reward, terminated, truncated, action, is_late]
            connection.send(json.dumps(shown))
            if terminated or truncated:
                return
            due_at = max(due_at + self.seconds_per_step, time.monotonic())
            action, is_late = self.await_tick(connection, tick, action, due_at)
            observation, reward, terminated, truncated, _ = self.env.step(action)
            tick += 1
            self.cut_if_due(connection)

    def await_tick(self, connection: ServerConnection, tick: int, action: int, due_at: float) -> tuple[int, bool]:
        """Wait for the next tick; return the newest action, and whether none came for this observation."""
        is_late = True
        while (seconds_left := due_at - time.monotonic()) > 0:
            try:
                answered_tick, action = json.loads(connection.recv(timeout=seconds_left))
            except TimeoutError:
                break
            is_late = answered_tick != tick
        return action, is_late

    def cut_if_due(self, connection: ServerConnection) -> None:
        """Drop the line without a goodbye, as networks do."""
        if self.cuts_left and time.monotonic() >= self.next_cut_at:
            self.cuts_left -= 1
            self.next_cut_at = time.monotonic() + self.seconds_between_cuts
            connection.socket.shutdown(socket.SHUT_RDWR)


def run_server(speed: float, num_cuts: int, seconds_between_cuts: float) -> None:
    """Serve on a free port of the loopback interface, and print which."""
    # Python hands over between threads every 5 ms unless told otherwise; a LivePipeline sees to that by itself.
    sys.setswitchinterval(1e-5)
    world = World(speed, num_cuts, seconds_between_cuts)
    with serve(world, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


@contextlib.contextmanager
def server_process(speed: float, num_cuts: int, seconds_between_cuts: float) -> Iterator[str]:
    """Run the server in a process of its own and yield its address."""
    command = [sys.executable, __file__, "--serve", "--speed", str(speed)]
    command += ["--cuts", str(num_cuts), "--seconds-between-cuts", str(seconds_between_cuts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline())
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


# The client: a data source for LivePipeline.


class Line:
    """A websocket that is read and written by whoever calls.

    The library's own clients read in a thread or an event loop beside. Each message then passes from one to the other,
    and each time may wait for a processor or for Python's lock, while the learner has them.

    Args:
        uri: Address of the server.
    """

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        # A line that says nothing for so long is a lost one (TimeoutError), and is opened again.
        self._socket = socket.create_connection((address.hostname, address.port), timeout=5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = ClientProtocol(parse_uri(uri))
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def messages(self) -> Iterator[bytes]:
        """Yield what the server sends, until the line is gone."""
        while data := self._socket.recv(65536):
            self._protocol.receive_data(data)
            self._flush()
            for event in self._protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    yield event.data

    def send(self, text: str) -> None:
        """Send one message."""
        self._protocol.send_text(text.encode())
        self._flush()

    def close(self) -> None:
        """Hang up, from any thread: whoever reads is let go."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)


class CartPoleFeed:
    """The server's messages as the items of a feed, and actions as answers to them.

    Args:
        uri: Address of the server.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.num_actions = 0
        self.num_late = 0
        # From the moment the server showed an observation until the action on it left this process.
        self.latencies_seconds: deque[float] = deque(maxlen=100_000)
        self._line: Line | None = None
        self._tick = 0
        self._shown_at = 0.0

    def stream(self) -> Iterator[tuple[Any, float, bool, bool, dict[str, Any]]]:
        """Connect, and yield what the server shows."""
        self._line = line = Line(self.uri)
        with contextlib.closing(line):
            for message in line.messages():
                self._tick, self._shown_at, *step, applied_action, is_late = json.loads(message)
                self.num_late += is_late
                yield *step, {"applied_action": applied_action, "is_late": is_late}

    def send_action(self, action: int) -> None:
        """Answer the observation that was yielded last."""
        if self._line is not None:
            self._line.send(json.dumps([self._tick, action]))
            self.num_actions += 1
            # Both processes read the same clock of one machine.
            self.latencies_seconds.append(time.monotonic() - self._shown_at)

    def close(self) -> None:
        """Interrupt a read, from any thread."""
        if self._line is not None:
            self._line.close()


# The run.


@dataclass
class LiveReport:
    """What a run came to.

    Attributes:
        result: Of the loop.
        seconds: How long it took.
        reconnects: How often the connection came back.
        dropped_steps: Steps that the learner had no time for.
        late_share: Share of actions that missed their tick.
        latencies_seconds: From observation to action, across the wire and back onto it.
    """

    result: tx.RunResult
    seconds: float
    reconnects: int
    dropped_steps: int
    late_share: float
    latencies_seconds: np.ndarray

    def __str__(self) -> str:
        median, tail, longest = 1000 * np.percentile(self.latencies_seconds, [50, 99, 100])
        return (
            f"{self.result}\n"
            f"{self.seconds:.0f} s, reconnects {self.reconnects}, dropped steps {self.dropped_steps}, "
            f"late actions {self.late_share:.2%}\n"
            f"observation to action, of {len(self.latencies_seconds):,} beside {self.result.windows} updates: "
            f"median {median:.2f} ms, p99 {tail:.2f} ms, longest {longest:.1f} ms"
        )


def make_agent(seed: int) -> tx.TFAgent:
    """Return an agent with a 64x64 policy."""
    import keras

    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(64, activation="tanh") for _ in range(2)]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(2)])
    return tx.TFAgent(
        model, keras.optimizers.Adam(), tx.HyperparamSet({"learning_rate": 1e-3, "gamma": 0.99}, episode_id=0)
    )


def learn_from(uri: str, seconds: float, seed: int, checkpoint_dir: str) -> LiveReport:
    """Learn from the server until the task is solved or the time is up."""
    feed, agent = CartPoleFeed(uri), make_agent(seed)
    pipeline = tx.LivePipeline(
        feed,
        agent,
        tx.LivePipeline.every_n_steps(256),
        buffer_size=1024,
        on_full="drop_oldest",
        silence_timeout_seconds=10.0,
        max_reconnect_wait_seconds=1.0,
    )
    optimizer = tx.RLOptimizer(
        agent,
        pipeline,
        checkpoint_dir=checkpoint_dir,
        seed=seed,
        evaluation_env=lambda: gym.make("CartPole-v1"),
        target_score=SOLVED_SCORE,
    )
    alarm = threading.Timer(seconds, optimizer.stop)
    alarm.daemon = True
    alarm.start()
    started_at = time.monotonic()
    try:
        result = optimizer.run()
    finally:
        alarm.cancel()
    return LiveReport(
        result,
        seconds=time.monotonic() - started_at,
        reconnects=pipeline.reconnects,
        dropped_steps=pipeline.dropped_steps,
        late_share=feed.num_late / max(1, feed.num_actions),
        latencies_seconds=np.array(feed.latencies_seconds),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="time to learn in")
    parser.add_argument("--speed", type=float, default=20.0, help="times real time")
    parser.add_argument("--cuts", type=int, default=0, help="times the connection is dropped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint-dir", default="./tensor_optix_checkpoints")
    parser.add_argument("--serve", action="store_true", help="only run the server")
    parser.add_argument("--seconds-between-cuts", type=float, help="default: spread over --seconds")
    options = parser.parse_args(arguments)
    # One thread for TensorFlow: on a machine with two cores, one of them stays free for acting.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    between_cuts = options.seconds_between_cuts or options.seconds / (options.cuts + 1)
    if options.serve:
        run_server(options.speed, options.cuts, between_cuts)
        return
    with server_process(options.speed, options.cuts, between_cuts) as uri:
        print(learn_from(uri, options.seconds, options.seed, options.checkpoint_dir))


if __name__ == "__main__":
    main()
