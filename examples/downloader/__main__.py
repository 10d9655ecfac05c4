"""
Download images, protected by switchgear: see ``--help``.
"""

from __future__ import annotations

import signal
import sys


def _main() -> int:
    # Until there is something to tell, Ctrl-C just ends the program: raised in
    # the middle of an import, KeyboardInterrupt would be a long story.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from command import main

    return main()


if __name__ == "__main__":
    sys.exit(_main())
