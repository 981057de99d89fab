"""The child process that draws: it holds the weights and the device, and nothing else.

Started as `python -m safelight.engine.child` by its parent, which speaks the protocol over standard input and
output. It has no credentials and, where the kernel allows that, no network. It ends when its parent does.
"""

from __future__ import annotations

from typing import NoReturn

from safelight.engine.pipes import enter
from safelight.engine.protocol import Begun, Generate, Ready, Setup

IDLE_S = 2
"""After so long without a first job the child loads a model on its own: the first picture comes sooner."""


def main() -> NoReturn:
    """Take the network away, then serve one job after the other until the parent is gone."""
    parent, confined = enter()
    from safelight.engine.runner import Runner

    setup = parent.requests.get()
    assert isinstance(setup, Setup)  # noqa: S101 - the parent's first word
    runner = Runner(setup, parent.send, parent.wants_stop)
    parent.send(Ready(confined))
    if not parent.has_asked.wait(IDLE_S):
        runner.warm_up()
    while True:
        request = parent.requests.get()
        assert isinstance(request, Generate)  # noqa: S101 - the parent says nothing else
        parent.send(Begun())
        parent.send(runner.run(request))


if __name__ == "__main__":
    main()
