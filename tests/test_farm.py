"""Schedulers elsewhere: TLS by Dask's own settings, versions, a `Client` of the user's."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client

from pixelsieve.core import farm
from pixelsieve.core.errors import RunError
from pixelsieve.core.workers import Scheduler, Task, run_tasks
from pixelsieve.formats import parquet
from tests.test_cli import pixelsieve, refused
from tests.test_docs import blocks
from tests.test_parallel import add

Report = Callable[[Any], None]

ROOT = Path(__file__).parents[1]


def certificates(home: Path) -> dict[str, Any]:
    """Dask's settings for new certificates, made as the documentation says."""
    home.mkdir()
    script = blocks("how_to/batch_farm.md", "sh")["certificates.sh"]
    command = ["sh", "-e", "-c", script]
    environment = {**os.environ, "HOME": str(home)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    (settings,) = dask.config.collect_yaml([str(home / ".config/dask")])
    return dict(flat(settings))


def flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield above + name, value


@dataclass(frozen=True)
class Farm:
    address: str
    folder: Path
    settings: dict[str, Any]
    others: dict[str, Any]

    def client(self) -> Client:
        with dask.config.set(self.settings):
            return Client(self.address, set_as_default=False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A scheduler and a worker that know their certificates from a file of settings."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH, which makes the certificates")
    folder = tmp_path_factory.mktemp("farm")
    settings, others = certificates(folder / "mine"), certificates(folder / "theirs")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    environment = os.environ | {
        "DASK_CONFIG": str(folder / "mine/.config/dask"),
        "PYTHONPATH": path,
    }
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    words = {
        "scheduler": ["--protocol", "tls", "--host", "127.0.0.1", "--port", "0"],
        "worker": ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)],
    }
    with ExitStack() as stack:
        for role, options in words.items():
            log = stack.enter_context((folder / f"{role}.log").open("w"))
            command = [sys.executable, "-m", "dask", role, *common, *options]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.send_signal, signal.SIGTERM)
            while not (file.exists() and file.read_text().endswith("}")):
                assert process.poll() is None, (folder / f"{role}.log").read_text()
                time.sleep(0.05)
        yield Farm(json.loads(file.read_text())["address"], folder, settings, others)


def one(scheduler: Scheduler) -> Any:
    return run_tasks([Task("t", add, (1,))], 100, workers=1, scheduler=scheduler)["t"]


def test_certificates_of_dask_s_settings_open_a_scheduler(tls: Farm, tmp_path: Path) -> None:
    assert tls.address.startswith("tls://")
    words = ["simulate", "--signal", 20, "--bib", 20, "--out"]
    with dask.config.set(tls.settings):
        result = pixelsieve(*words, tmp_path / "c.parquet", "--scheduler", tls.address)
    assert result.exit_code == 0, result.output
    assert len(parquet.read(tmp_path / "c.parquet")) > 0


def test_without_the_right_certificates_one_line_says_what_to_set(
    tls: Farm, tmp_path: Path
) -> None:
    def line(address: str, *settings: dict[str, Any]) -> str:
        with ExitStack() as stack:
            for each in settings:
                stack.enter_context(dask.config.set(each))
            words = ["--signal", 5, "--bib", 5, "--scheduler", address]
            said = refused(pixelsieve("simulate", "--out", tmp_path / "c.parquet", *words))
        assert list(tmp_path.iterdir()) == []
        assert f"scheduler {address}: " in said
        return said

    assert "needs certificates; set distributed.comm.tls.ca-file" in line(tls.address)
    assert "refused by TLS" in line(tls.address, tls.others)
    cert, key = "distributed.comm.tls.client.cert", "distributed.comm.tls.client.key"
    impostor = {name: tls.others[name] for name in (cert, key)}
    assert "refused by TLS" in line(tls.address, tls.settings, impostor)
    no_file = {cert: "/none.pem"}
    assert f"{cert} names no file: /none.pem" in line(tls.address, tls.settings, no_file)
    mixed = {key: tls.others[key]}
    assert "cannot be used ([X509: KEY_VALUES" in line(tls.address, tls.settings, mixed)
    plain = tls.address.replace("tls://", "tcp://")
    assert "if it speaks TLS, give its address as tls://" in line(plain)
    assert "encryption required by Dask" in line(plain, tls.settings)


def test_a_service_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm, "_CONNECT_S", 1)
    refusal = pytest.raises(RunError, match="nothing said within 1 s")
    with socket.create_server(("127.0.0.1", 0)) as silent, refusal:
        one(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


CHANGE = """
import sys
import distributed.versions as v
import pixelsieve
kept = v.get_package_info, pixelsieve
def info(names):
    return {**kept[0](names), **change}
def restore():
    v.get_package_info, sys.modules["pixelsieve"] = kept
    pixelsieve.__version__ = version
version, v.restore = pixelsieve.__version__, restore
pixelsieve.__version__ = change.pop("pixelsieve", version)
if pixelsieve.__version__ is None:
    sys.modules["pixelsieve"] = None  # as if it were not installed
v.get_package_info = info
"""
RESTORE = "import distributed.versions as v; v.restore()"


@pytest.mark.parametrize("where", ["run", "run_on_scheduler"])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"pixelsieve": "0.0.1"}, r"has pixelsieve 0\.0\.1, here is \d.*; start it in the same"),
        ({"pixelsieve": None}, "pixelsieve is not installed on"),
        ({"python": "3.8.1.final.0"}, r"has Python 3\.8\.1, here is 3\.\d+\.\d+;"),
        ({"numpy": "1.26.4"}, r"has numpy 1\.26\.4, here is"),
        ({"cloudpickle": None}, r"has no cloudpickle, here is"),
    ],
)
def test_other_versions_are_told_before_any_work(
    tls: Farm, where: str, change: dict[str, Any], line: str
) -> None:
    with tls.client() as client:
        run = getattr(client, where)
        run(exec, CHANGE, {"change": change})
        try:
            with pytest.raises(RunError, match=line) as told:
                one(client)
            assert ("the scheduler" if where != "run" else "worker tls://") in str(told.value)
        finally:
            run(exec, RESTORE, {})
        assert one(client) == 101


def test_bug_fix_releases_and_what_only_workers_need_may_differ(tls: Farm) -> None:
    with tls.client() as client:
        release = ".".join(farm.our_versions()["numpy"].split(".")[:2])  # type: ignore[union-attr]
        client.run(exec, CHANGE, {"change": {"numpy": f"{release}.99"}})
        client.run_on_scheduler(exec, CHANGE, {"change": {"jax": None}})
        try:
            assert one(client) == 101
        finally:
            client.run(exec, RESTORE, {})
            client.run_on_scheduler(exec, RESTORE, {})


def grow_old(shared: int, report: Report) -> None:
    exec(CHANGE, {"change": {"pixelsieve": "0.0.1"}})


def test_a_worker_that_joins_with_another_version_does_no_work(tls: Farm) -> None:
    tasks = [Task("old", grow_old, ()), Task("t", add, (1,), ("old",))]
    with tls.client() as client:
        try:
            with pytest.raises(RunError, match=r"worker tls://.* has pixelsieve 0\.0\.1, here"):
                run_tasks(tasks, 100, workers=1, scheduler=client)
        finally:
            client.run(exec, RESTORE, {})


def subscribers(dask_scheduler: Any) -> list[str]:
    """All who would hear of a task's reports."""
    return list(dask_scheduler._broker._topics["pixelsieve"].subscribers)


def test_a_client_of_the_user_stays_as_it_was(tls: Farm) -> None:
    heard: list[tuple[str, Any]] = []
    with tls.client() as client:
        level = logging.getLogger("distributed").level
        tasks = [Task("a", add, (1,)), Task("b", add, (2,), ("a",))]
        for _ in range(2):  # the second run follows at once
            results = run_tasks(
                tasks, 100, workers=1, scheduler=client,
                on_report=lambda name, item: heard.append((name, item)),
            )  # fmt: skip
            assert results == {"a": 101, "b": 102}
        assert ("a", "adding 1") in heard
        assert client.status == "running"
        assert client.submit(sum, [1, 2]).result() == 3
        assert client.run_on_scheduler(subscribers) == []
        assert logging.getLogger("distributed").level == level
    with pytest.raises(RunError, match="the Client is closed"):
        one(client)


def test_nothing_stays_of_a_scheduler_given_by_address(tls: Farm) -> None:
    level = logging.getLogger("distributed").level
    with dask.config.set(tls.settings):
        assert one(tls.address) == 101
        assert logging.getLogger("distributed").level == level
        with pytest.raises(ValueError, match="No client"):
            Client.current()
