"""What a training runs on: one device, several of one machine, or several machines.

A global batch is spread over the replicas. Losses are divided so that their sum over the replicas
is the loss of the global batch, and Keras sums gradients over replicas: the update is the same on
any number of devices.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf
from absl import logging

from hmr.errors import UserError
from hmr.network.hmr import HMR
from hmr.ports import try_port
from hmr.processor import emulates_bfloat16
from hmr.tensor import Tensor

Scalars = dict[str, float]
# Starts a training step of a batch, and returns what waits for its scalars.
Step = Callable[[Mapping[str, Tensor]], Callable[[], Scalars]]
# None stands for one device, without any strategy's cost.
STRATEGIES: dict[str, Callable[[], tf.distribute.Strategy] | None] = {
    "none": None,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}
# A worker's, in TF_CONFIG.
_ADDRESS = re.compile(r"(?:\[[\w:.%]+\]|[\w.-]+):([1-9][0-9]*)", re.ASCII)
_MOST_SHOWN = 1000


class Devices:
    """The replicas that share a training.

    Args:
        strategy: of `tf.distribute`; None for one device.
    Attributes:
        replicas: of all processes together; each takes an equal part of a batch.
        workers, worker: how many processes train together, and which of them this is.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self._strategy = strategy
        self.replicas = strategy.num_replicas_in_sync if strategy else 1
        resolver = strategy.cluster_resolver if strategy else None
        cluster = resolver.cluster_spec().as_dict() if resolver else {}
        self.workers = max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))
        self.worker = _position(resolver) if self.workers > 1 else 0
        self._ask = tf.function(self._count_ones)
        self._has_gpu = bool(tf.config.list_logical_devices("GPU"))

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Variables made inside are kept on every device."""
        return self._strategy.scope() if self._strategy else contextlib.nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """Inside a step: the sum over the replicas."""
        if not self._strategy:
            return value
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)

    def step_function(self, model: HMR) -> Step:
        """A compiled training step of this process's part of a batch.

        The scalars are those of the global batch, and leave the device together, as one vector.
        """
        names: list[str] = []

        def step(batch: dict[str, Tensor]) -> Tensor:
            logs = model.train_step(batch)
            names[:] = logs
            return self.total(tf.stack(list(logs.values())))

        run = tf.function(self._on_every_replica(step), jit_compile=model.jit_compile)

        def start(batch: Mapping[str, Tensor]) -> Callable[[], Scalars]:
            scalars = run(batch)
            return lambda: dict(zip(names, scalars.numpy().tolist()))

        return start

    def agree(self, flag: bool) -> bool:
        """Whether any process says yes. A barrier: all of them must ask before one goes on."""
        return flag if self.workers == 1 else bool(self._ask(tf.constant(float(flag))) > 0)

    def _count_ones(self, value: Tensor) -> Tensor:
        # The identity puts the value on the replica's device, where a sum wants it.
        return self._on_every_replica(lambda flag: self.total(tf.identity(flag)))(value)

    def _on_every_replica(self, function: Callable[[Tensor], Tensor]) -> Callable:
        strategy = self._strategy
        if not strategy:
            return function

        def run(values: Tensor) -> Tensor:
            results = strategy.run(function, args=(values,))
            return strategy.experimental_local_results(results)[0]

        return run

    def place(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Starts the copy of a batch to the device, or of each replica's part to its own device."""
        local = self.replicas // self.workers
        if not self._strategy and self._has_gpu:
            with tf.device("GPU:0"):
                return {key: tf.identity(value) for key, value in batch.items()}
        if not self._strategy or local == 1:
            return batch

        def part(context: tf.distribute.InputReplicaContext) -> dict[str, Tensor]:
            index = context.replica_id_in_sync_group % local
            return {key: tf.split(value, local)[index] for key, value in batch.items()}

        return self._strategy.experimental_distribute_values_from_function(part)


def open_devices(name: str, batch_size: int) -> Devices:
    """The devices of a strategy's name; several workers read their places from `TF_CONFIG`.

    It has to come before anything else that TensorFlow does in the process.

    Raises:
        UserError: there is no such strategy, the workers cannot be set up, or the devices cannot
            share a batch of this size evenly.
    """
    if name not in STRATEGIES:
        raise UserError(
            f"config.strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}."
        )
    make = STRATEGIES[name]
    if name == "multi_worker":
        workers, own = read_cluster(os.environ.get("TF_CONFIG", ""))
        # Warnings are what absl shows by default: TensorFlow waits without a word.
        logging.warning("%s waits until all workers have started: %s", own, ", ".join(workers))
    try:
        devices = Devices(make() if make else None)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"config.strategy={name} cannot be set up: {str(error).splitlines()[0]} Every process "
            "needs TF_CONFIG with the same cluster and a task of its own: see docs/training.md."
        ) from error
    if batch_size % devices.replicas:
        raise UserError(
            f"config.train.batch_size must be a multiple of the {devices.replicas} devices of "
            f"config.strategy={name}. Received: {batch_size}."
        )
    return devices


def read_cluster(text: str) -> tuple[list[str], str]:
    """The addresses of all workers of a `TF_CONFIG`, and this process's own.

    TensorFlow waits for ever for some mistakes, and trains alone with others.

    Raises:
        UserError: it is not a cluster with a task in it, or this process's port is taken.
    """
    try:
        config = json.loads(text or "null")
        cluster, task = config["cluster"], config["task"]
        groups = {job: cluster[job] for job in ("chief", "worker") if job in cluster}
        index = int(str(task["index"]))  # neither 1.5 nor true
        own = dict(enumerate(groups[task["type"]]))[index]
        addresses = [address for group in groups.values() for address in group]
        matches = [_ADDRESS.fullmatch(address) for address in addresses]
        ports = [int(match[1]) if match else 0 for match in matches]
        whole = all(0 < port < 65536 for port in ports)
        whole &= len({address.lower() for address in addresses}) == len(addresses)
        whole &= cluster.keys() == groups.keys() and len(groups.get("chief", "1")) == 1
        port = ports[addresses.index(own)]
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(
            "config.strategy=multi_worker: TF_CONFIG must name different addresses HOST:PORT of "
            "workers and at most one chief, and one of them as the task of this process: "
            '{"cluster": {"worker": ["first:5000", "second:5000"]}, "task": {"type": "worker", '
            f'"index": 0}}}}. Received: {text[:_MOST_SHOWN] or "nothing"}.'
        )
    try:
        try_port("", port)  # TensorFlow listens at every address
    except OSError as error:
        raise UserError(
            f"config.strategy=multi_worker: port {port} of {own} in TF_CONFIG cannot be used here "
            f"({os.strerror(error.errno or 0)}): name another port in every TF_CONFIG."
        ) from error
    return addresses, own


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
    """Turns the error of an all-reduce with a process that has ended into a `UserError`."""
    try:
        yield
    except tf.errors.OpError as error:
        if "Collective ops is aborted" not in str(error):
            raise
        raise UserError(
            "another process of this training is gone: an all-reduce with it was aborted. Start "
            "all of them again with the same commands; they resume from the last checkpoint that "
            "all of them have."
        ) from error


def check_precision(precision: str) -> None:
    """Refuses bfloat16 where the processor would emulate it and there is no GPU.

    A step of `from_scratch` takes 2.8 times as long there as in float32.

    Raises:
        UserError: it would.
    """
    on_processor = not tf.config.list_physical_devices("GPU")
    if precision == "mixed_bfloat16" and on_processor and emulates_bfloat16():
        raise UserError(
            "config.precision=mixed_bfloat16: this processor has no bfloat16 and would emulate it, "
            "several times as slow as float32. Train with --config.precision=float32."
        )


def _position(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """Place among all workers; a chief comes before those named worker."""
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    return resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
