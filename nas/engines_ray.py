"""A pool of Ray actors; the only file that imports Ray. Knows nothing of jobs: it moves calls and results.

Ray Core, not Ray Tune: Tune brings a loop, a store and a searcher contract of its own. A local Ray listens on
loopback only, in a folder of its own, joins no cluster that happens to run on the machine, and reports
nothing to anybody. An actor that dies is replaced and its job tried once more; a second death fails the job.
"""

import importlib
import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.engines import WorkerLostError, WorkerPool
from nas.engines_process import THREADS
from search_spaces.errors import InputError, MissingExtraError

PACKAGES = ("search_spaces", "latency_tables", "evaluators", "nas")
_OBJECT_STORE_BYTES = 100 * 2**20
"""We ship few and small objects; Ray's default takes a third of the memory, and /dev/shm may have 64 MB."""

_SOCKET_ROOT_CHARS = 30
"""A socket's path has 107 bytes; Ray needs about 70 below its folder."""


class RayPool(WorkerPool):
    """`num_workers` actors with one CPU each (and `num_gpus`), here or on the cluster at `address`."""

    def __init__(self, num_workers: int, *, address: str | None = None, num_gpus: float = 0.0) -> None:
        if num_workers < 1:
            raise InputError(f"workers: {num_workers} given, at least 1 allowed")
        self._folder: str | None = None
        self._ray: Any = _imported_ray(local=address is None)
        self._started = not self._ray.is_initialized()
        if self._started:
            self._start(num_workers, address)
        self._shipped: dict[int, tuple[Any, Any]] = {}
        actor = self._ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=0, max_task_retries=0)(_Seat)
        super().__init__(lambda _: _ActorWorker(self._ray, actor, self._ship), num_workers, lost_retries=1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As WorkerPool; then ends the Ray that this pool started."""
        super().shutdown(wait=True, cancel_futures=cancel_futures)
        if self._started:
            self._started = False
            self._ray.shutdown()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, num_workers: int, address: str | None) -> None:
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": "ERROR",
            "configure_logging": True,
        }
        if address is None:
            root = tempfile.gettempdir()
            self._folder = tempfile.mkdtemp(prefix="vn-", dir=root if len(root) <= _SOCKET_ROOT_CHARS else "/tmp")
            options |= {
                "address": "local", "num_cpus": num_workers, "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES, "_temp_dir": self._folder,
                "runtime_env": {"env_vars": {"PYTHONPATH": _python_path()}},
            }  # fmt: skip
        else:
            # Our own four packages travel along: the workers run the driver's code, installed there or not.
            modules = [str(_folder_of(name)) for name in PACKAGES]
            options |= {"address": address, "runtime_env": {"py_modules": modules}}
        try:
            self._ray.init(**options)
        except (ConnectionError, ValueError) as error:
            where = "a local Ray" if address is None else f"Ray at {address!r}"
            raise InputError(f"ray: {where} cannot be started or reached: {error}") from None

    def _ship(self, value: Any) -> Any:
        """A callable argument (an evaluator) is put in the object store once; jobs are small."""
        if not callable(value):
            return value
        if id(value) not in self._shipped:
            # The value is kept beside its reference, so that its id is not given to another object.
            self._shipped[id(value)] = (value, self._ray.put(value))
        return self._shipped[id(value)][1]


def _imported_ray(*, local: bool) -> Any:
    """Ray, imported after what it reads on import is set; a Ray that the caller has started is used as it is."""
    settings = {"RAY_USAGE_STATS_ENABLED": "0"}
    if local:
        settings["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # bind to 127.0.0.1 and not to every interface
        if "RAY_AUTH_MODE" not in os.environ:
            # A token of this process alone: without one, Ray writes a file into HOME, which may be read-only.
            settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    loaded = sys.modules.get("ray")
    if loaded is None:
        os.environ.update(settings)
    elif local and not loaded.is_initialized() and os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER") != "0":
        raise InputError(
            "engine ray: ray was imported before it could be told to listen on loopback only; "
            "import it later, set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before, or call ray.init() yourself"
        )
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise MissingExtraError("ray", "ray", "engine ray") from None


class _Seat:
    """What runs in the actor."""

    def __init__(self) -> None:
        for name, value in THREADS.items():
            os.environ.setdefault(name, value)

    def call(self, fn: Callable[..., Any], kwargs: dict[str, Any], *args: Any) -> Any:
        """The result of `fn`; Ray has put the shipped arguments in place of their references."""
        return fn(*args, **kwargs)


class _ActorWorker:
    """A seat: the actor is started at the first call, and again after it died."""

    def __init__(self, ray: Any, actor: Any, ship: Callable[[Any], Any]) -> None:
        self._ray, self._new, self._ship = ray, actor, ship
        self._actor: Any = None
        self._killed = False

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of `fn(*args, **kwargs)` in the actor. Raises WorkerLostError if that dies."""
        if self._killed:
            raise WorkerLostError("the worker was ended")
        if self._actor is None:
            self._actor = self._new.options(runtime_env={"env_vars": THREADS}).remote()
        try:
            return self._ray.get(self._actor.call.remote(fn, kwargs, *map(self._ship, args)))
        except self._ray.exceptions.RayError as error:
            self._actor = None
            raise WorkerLostError(f"the Ray actor was lost ({type(error).__name__})") from None

    def kill(self) -> None:
        """End the actor at once and start no other."""
        self._killed = True
        actor, self._actor = self._actor, None
        if actor is not None and self._ray.is_initialized():
            self._ray.kill(actor)

    def retire(self) -> None:
        """As `kill`: an idle actor holds nothing that would be lost."""
        self.kill()


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _python_path() -> str:
    """Where this process found our packages, then what the user has set."""
    roots = list(dict.fromkeys(str(_folder_of(name).parent) for name in PACKAGES))
    return os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])])
