"""A Dask scheduler to send work to: reached safely, with workers that give our numbers.

Certificates are those of Dask's own configuration (`distributed.comm.tls`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pkgutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixelsieve
from pixelsieve.core.errors import RunError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

    from pixelsieve.core.workers import Scheduler

_CONNECT_S = 20
_AS_DOCUMENTED = "as docs/how_to/batch_farm.md shows"
_OF_PICKLES = ("distributed", "cloudpickle", "numpy")
_OF_NUMBERS = ("numba", "jax", "jaxlib", "keras", "hgq2", "optax")

Versions = Mapping[str, str | None]
"""By package; None if it is not installed."""


@contextlib.contextmanager
def connected(scheduler: Scheduler) -> Iterator[Client]:
    """Give a client of a scheduler that has workers, all with the versions of this process.

    That of an address is closed at the end; a `Client` is given back as it came. Raise `RunError`
    if the scheduler cannot be reached, has no workers, loses them, or versions differ.
    """
    from distributed import KilledWorker

    with contextlib.ExitStack() as ending:
        if isinstance(scheduler, str):
            where = f"scheduler {scheduler}"
            client = ending.enter_context(_client(scheduler, where))
        else:
            client, where = scheduler, f"scheduler {_address(scheduler)}"
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            msg = f"{where}: has no workers; start some with 'dask worker'"
            raise RunError(msg) from error
        _require_our_versions(client)
        try:
            yield client
        except KilledWorker as error:
            msg = f"{where}: lost its workers ({error}); run the same command again to go on"
            raise RunError(msg) from error


def _address(client: Client) -> str:
    if client.status != "running" or client.asynchronous:
        state = "asynchronous" if client.asynchronous else client.status
        msg = f"scheduler: the Client is {state}; give one that is open and not asynchronous"
        raise RunError(msg)
    return str(client.scheduler_info()["address"])


@contextlib.contextmanager
def _client(address: str, where: str) -> Iterator[Client]:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    log = logging.getLogger("distributed")
    before = log.level
    log.setLevel(logging.CRITICAL)  # errors are told in one line
    try:
        security = _security(address, where)
        _greet(address, where, security)
        with warnings.catch_warnings():  # of packages that do not matter to us, too
            warnings.simplefilter("ignore", VersionMismatchWarning)
            try:
                client = Client(
                    address, timeout=_CONNECT_S, security=security, set_as_default=False
                )
            except (OSError, ValueError) as error:
                msg = f"{where}: the scheduler is lost ({error})"
                raise RunError(msg) from error
        with client:
            yield client
    finally:
        log.setLevel(before)


def _security(address: str, where: str) -> Security:
    """Return Dask's own settings; raise `RunError` if its certificates are missing or unusable."""
    from distributed.security import Security

    try:
        security = Security()
        used = security.get_tls_config_for_role("client")
        named = {"ca-file": used["ca_file"], "client.cert": used["cert"], "client.key": used["key"]}
        for name, path in named.items():
            if path and "\n" not in path and not Path(path).is_file():
                msg = f"{where}: distributed.comm.tls.{name} names no file: {path}"
                raise RunError(msg)
        context = security.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:  # errors of OpenSSL are OSErrors
        msg = f"{where}: the settings distributed.comm.tls of Dask cannot be used ({error})"
        raise RunError(msg) from error
    if address.startswith("tls://") and context is None:
        msg = (
            f"{where}: needs certificates; set distributed.comm.tls.ca-file, .client.cert and "
            ".client.key in Dask's configuration, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
            f"__CLIENT__CERT and __CLIENT__KEY in the environment, {_AS_DOCUMENTED}"
        )
        raise RunError(msg)
    return security


def _greet(address: str, where: str, security: Security) -> None:
    """Shake hands with the scheduler; raise `RunError` if that fails or takes too long.

    A `Client` waits for ever for a service that never answers, and stays half open after errors.
    """
    from distributed.comm.core import CommClosedError, connect

    async def shake_hands() -> None:
        async with asyncio.timeout(_CONNECT_S):
            comm = await connect(  # its own timeout, which says more, comes first
                address, timeout=0.9 * _CONNECT_S, **security.get_connection_args("client")
            )
            await comm.close()

    try:
        with ThreadPoolExecutor(1) as pool:  # a notebook's own thread has a loop already
            pool.submit(asyncio.run, shake_hands()).result()
    except CommClosedError as error:
        if address.startswith("tls://"):
            msg = (
                f"{where}: refused by TLS ({error.__cause__ or error}); the scheduler must speak "
                "TLS, and it and you need certificates of one CA, distributed.comm.tls in Dask's "
                f"configuration, {_AS_DOCUMENTED}"
            )
        else:
            msg = f"{where}: hangs up ({error}); if it speaks TLS, give its address as tls://"
        raise RunError(msg) from error
    except (OSError, ValueError) as error:
        why = str(error) or f"nothing said within {_CONNECT_S} s"
        msg = (
            f"{where}: no Dask scheduler answers there ({why}); "
            "start one with 'dask scheduler' or leave the option out"
        )
        raise RunError(msg) from error
    except RuntimeError as error:  # Dask's require-encryption
        msg = f"{where}: {error}; give its address as tls://"
        raise RunError(msg) from error


def our_versions() -> Versions:
    """Return the versions here of all that changes numbers or what is sent to a worker."""
    from distributed.versions import get_package_info

    return _with_ours(get_package_info([*_OF_PICKLES, *_OF_NUMBERS]), pixelsieve.__version__)


def require_same(who: str, there: Versions, here: Versions) -> None:
    """Raise `RunError` naming the first difference; bug-fix releases of packages may differ."""
    for name, ours in here.items():
        theirs = there.get(name)
        if name == "pixelsieve" and theirs is None:
            msg = f"pixelsieve is not installed on {who}; {_SAME_ENVIRONMENT}"
            raise RunError(msg)
        if name == "pixelsieve":
            same = theirs == ours
        else:
            same = ours is None or _release(theirs) == _release(ours)
        if not same:
            has = f"{name} {theirs}" if theirs else f"no {name}"
            msg = f"{who} has {has}, here is {ours}; {_SAME_ENVIRONMENT}"
            raise RunError(msg)


_SAME_ENVIRONMENT = "start it in the same Python environment as this program"


def _release(version: str | None) -> list[str]:
    return (version or "").split(".")[:2]


def _with_ours(packages: Mapping[str, Any], version: str | None) -> Versions:
    python = ".".join(packages["python"].split(".")[:3])  # without 'final.0'
    named = {name: packages.get(name) for name in (*_OF_PICKLES, *_OF_NUMBERS)}
    return {"pixelsieve": version, "Python": python, **named}


def _require_our_versions(client: Client) -> None:
    """Raise `RunError` if the scheduler, which unpickles what is sent, or a worker differs."""
    here = our_versions()
    found: Any = client.get_versions(packages=[*_OF_PICKLES, *_OF_NUMBERS])
    # An import there tells more than metadata, which a checkout lacks or has from another day.
    asked = (pkgutil.resolve_name, "pixelsieve:__version__")
    try:
        version = client.run_on_scheduler(*asked)
    except (ImportError, AttributeError):
        version = None
    there = _with_ours(found["scheduler"]["packages"], version)
    of_scheduler = ("pixelsieve", "Python", *_OF_PICKLES)
    require_same("the scheduler", there, {name: here[name] for name in of_scheduler})
    answers = client.run(*asked, on_error="return")
    for address, told in found["workers"].items():
        answer = answers.get(address)
        if isinstance(answer, str | ImportError | AttributeError):  # others are lost meanwhile
            there = _with_ours(told["packages"], answer if isinstance(answer, str) else None)
            require_same(f"worker {address}", there, here)
