"""The peer's program: workflows of seven steps, many at once, and workflows that wait for a message."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
from dbos import DBOS

STEPS = 7
"""As a chat has from nothing to ready."""
AT_ONCE = 16
TOPIC = "bench"


class Task(msgspec.Struct):
    """What to do."""

    dsn: str
    rounds: int
    workflows: int
    waits: int


class Found(msgspec.Struct):
    """By round."""

    steps_per_s: list[float]
    woken_s: list[list[float]]


@DBOS.step()
def step(number: int) -> int:
    """A step that costs nothing itself."""
    return number + 1


@DBOS.workflow()
def seven() -> int:
    """Steps one after another, each kept."""
    number = 0
    for _ in range(STEPS):
        number = step(number)
    return number


waiting = threading.Event()


@DBOS.workflow()
def wait() -> float:
    """When the message came."""
    waiting.set()
    DBOS.recv(TOPIC, timeout_seconds=60)
    return time.perf_counter()


def steps_per_s(workflows: int) -> float:
    """So many workflows, some at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        began = time.perf_counter()
        for done in [pool.submit(seven) for _ in range(workflows)]:
            done.result()
        return workflows * STEPS / (time.perf_counter() - began)


def woken_s() -> float:
    """Seconds from `send` to the workflow that waits."""
    waiting.clear()
    handle = DBOS.start_workflow(wait)
    waiting.wait()
    time.sleep(0.03)  # it waits now
    began = time.perf_counter()
    DBOS.send(handle.workflow_id, "now", TOPIC)
    came: float = handle.get_result(polling_interval_sec=0.01)
    return came - began


def main() -> None:
    """Says `up`, then what it found."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    url = task.dsn.replace("postgresql://", "postgresql+psycopg://")
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()
    print("up", flush=True)
    steps_per_s(task.workflows // 4)  # warm
    found = Found([], [])
    for _ in range(task.rounds):
        found.steps_per_s.append(steps_per_s(task.workflows))
        found.woken_s.append([woken_s() for _ in range(task.waits)])
    DBOS.destroy()
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main()
