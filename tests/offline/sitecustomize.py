"""Python imports this when it starts: every process of the tests is without a network, and writes down who asked for one."""

import os
import socket
import traceback

LOG = os.environ.get("DLTASKS_TESTS_NETWORK", os.devnull)


def refused(asked):
    def refuse(*arguments, **options):
        where = arguments[0] if asked == "getaddrinfo" else arguments[1]
        if asked != "getaddrinfo" and arguments[0].family not in (socket.AF_INET, socket.AF_INET6):
            return real[asked](*arguments, **options)
        with open(LOG, "a") as log:
            log.write(f"{asked} {where!r}\n{''.join(traceback.format_stack(limit=12))}\n")
        raise OSError(f"the tests have no network: {asked} {where!r}")

    return refuse


real = {"connect": socket.socket.connect, "connect_ex": socket.socket.connect_ex}
socket.socket.connect, socket.socket.connect_ex = refused("connect"), refused("connect_ex")
socket.getaddrinfo = refused("getaddrinfo")
