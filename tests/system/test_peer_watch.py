"""peer_watch, on what JAX's coordination service really wrote when a process died."""

import subprocess
import sys

import pytest

from alexnet_jax.system import peer_watch

HELLO = f"{peer_watch.NAMES}a:10 b:20\n"
WORKER_DIED = """\
E1121 06:48:20.623416     892 coordination_service.cc:1549] [1290] Use error polling to propagate \
the following error to all tasks: UNAVAILABLE: The following tasks are unhealthy (stopped sending \
heartbeats):
1
The tasks have crashed. Check the task logs for an earlier error, or scheduler events (e.g. \
preemption, eviction) to debug further. [type.googleapis.com/tensorflow.CoordinationServiceError='']
E1121 06:48:20.627172     903 coordination_service_agent.cc:289] Polled an error from coordination \
service (this can be an error from this or another task).
F1121 06:48:20.627306     903 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: The following tasks are unhealthy (stopped \
sending heartbeats):
1
The tasks have crashed. Check the task logs for an earlier error.

RPC: /xla.coordination.CoordinationService/PollForError [type.googleapis.com/tensorflow.Coord='']
*** Check failure stack trace: ***
    @     0x7f4051840634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""
COORDINATOR_DIED = """\
W1121 06:48:24.601724     972 preemption_sync_manager.cc:147] Failed to retrieve preemption notice \
from coordination service: UNAVAILABLE: Socket closed
Additional GRPC error information from remote target coordination_service while calling /xla.coor:
:UNKNOWN:Error received from peer  {grpc_status:14, grpc_message:"Socket closed"}.
F1121 06:48:24.602536     972 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: Failed to send RPC to coordination service. \
Either the leader task was preempted/died/restarted unexpectedly or this task is experiencing \
network issues.
*** Check failure stack trace: ***
"""
NO_COORDINATOR = """\
F1121 06:52:30.613876    1923 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: DEADLINE_EXCEEDED: Deadline Exceeded

RPC: /xla.coordination.CoordinationService/RegisterTask
*** Check failure stack trace: ***
"""
NEVER_CAME = """\
E1121 07:49:32.714621   26858 coordination_service.cc:1199] [1753] Stopping coordination service \
as cluster registration failed. This may be due to 1) some tasks crashed earlier.

Original error: DEADLINE_EXCEEDED: Barrier timed out. Id: [Init]Wait_for_all_tasks_to_register::0. \
This usually happens because a task triggered the barrier too early or too slowly.
# of tasks that reached the barrier: 1/3.
The first task at the barrier: 0. Some timed out task names:
1
2
 [type.googleapis.com/tensorflow.BarrierError='Wait_for_all_tasks_to_register']
F1121 07:49:32.714981   26850 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: DEADLINE_EXCEEDED: Barrier timed out.
# of tasks that reached the barrier: 1/3.
The first task at the barrier: 0. Some timed out task names:
1
2


RPC: /xla.coordination.CoordinationService/RegisterTask [type.googleapis.com/tensorflow.Coord='']
*** Check failure stack trace: ***
    @     0x7f4051840634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""


def relayed(text: str) -> list[str]:
    return list(peer_watch.relay(text.splitlines(keepends=True)))


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (WORKER_DIED, "error: process 1 (b:20) no longer answers; the same command"),
        (COORDINATOR_DIED, "error: process 0 (a:10), the coordinator, no longer answers"),
        (NO_COORDINATOR, "error: process 0, the coordinator, did not come in time"),
        (NEVER_CAME, "error: process 1, 2 did not come in time"),
    ],
)
def test_names_the_process_in_one_line(log, says):
    own = ["step 20/40 train loss 2.3\n"]
    *shown, last = relayed(HELLO + own[0] + log)
    assert shown == own
    assert last.startswith(says)
    assert last.count("\n") == 1


def test_passes_everything_else_on():
    lines = [
        "warning: checkpoint 3 is damaged\n",
        "\n",
        "12\n",
        "Traceback (most recent call last)\n",
    ]
    assert relayed(HELLO + "".join(lines)) == lines


def test_a_crash_of_another_kind_is_shown_whole():
    crash = "F1121 06:48:24 1 client.h:80] Terminating process because of something new\n"
    assert relayed(crash + "    @     0x7f4051840634  absl::SendToLog()\n")[0] == crash


def test_as_a_program_it_outlives_signals_and_ends_with_its_input():
    program = [sys.executable, "-I", peer_watch.__file__]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        watch.stdin.write("ready\n")
        watch.stdin.flush()
        assert watch.stderr.readline() == "ready\n"
        watch.terminate()
        rest = watch.communicate(HELLO + WORKER_DIED, timeout=20)[1]
    assert rest.startswith("error: process 1 (b:20)")
    assert watch.returncode == 0
