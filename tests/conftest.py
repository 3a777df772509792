"""What holds for every test."""

import signal

from hypothesis import HealthCheck, settings

# How fast a machine is says nothing about the code.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
