"""Cuts every process of the tests off the network and logs its requests; Python imports this at its start."""

import os
import socket
import traceback

LOG = os.environ.get("DLTASKS_TESTS_NETWORK", os.devnull)


def refuse(function):
    """A replacement of a function of `socket` that logs the request and raises OSError."""

    def wrapper(*arguments, **options):
        if function is not ORIGINALS["getaddrinfo"]:
            connection, address = arguments[:2]
            if connection.family not in (socket.AF_INET, socket.AF_INET6):
                return function(*arguments, **options)
        else:
            address = arguments[0]
        request = f"{function.__name__} {address!r}"
        with open(LOG, "a") as log:
            log.write(f"{request}\n{''.join(traceback.format_stack(limit=12))}\n")
        raise OSError(f"the tests have no network: {request}")

    return wrapper


ORIGINALS = {
    "connect": socket.socket.connect,
    "connect_ex": socket.socket.connect_ex,
    "getaddrinfo": socket.getaddrinfo,
}
socket.socket.connect = refuse(ORIGINALS["connect"])
socket.socket.connect_ex = refuse(ORIGINALS["connect_ex"])
socket.getaddrinfo = refuse(ORIGINALS["getaddrinfo"])
