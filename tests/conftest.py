"""What holds for every test."""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
