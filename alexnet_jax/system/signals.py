"""The signals that ask a program to stop, and a line for those that come while JAX is imported.

The import takes seconds. From then on `interrupt.py` handles the signals.
"""

import os
import signal

# SIGUSR1, SIGUSR2 and SIGXCPU announce the end of a job (SLURM's --signal, the limits of Grid
# Engine and LSF); SIGHUP, a lost ssh connection.
SIGNALS = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
)


def leave_with_a_line() -> None:
    """Let each of SIGNALS end the process with one line, until `interrupt.stop_at_once`."""
    for number in heeded():
        signal.signal(number, _leave)


def heeded() -> list[signal.Signals]:
    """Return SIGNALS without those that whoever started the program ignores, as nohup does."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _leave(number: int, _) -> None:
    line = f"stopped by {signal.Signals(number).name}: nothing had begun\n"
    os.write(2, line.encode())
    os._exit(128 + number)  # an exception would end as a traceback of whatever is imported
