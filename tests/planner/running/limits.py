"""This process with fewer descriptors than it asks for, or with more."""

from __future__ import annotations

import itertools
import os
import resource
from contextlib import contextmanager

import pytest


@contextmanager
def few_descriptors(left=10):
    """Numbers may be in use beyond the limit: what counts is how many are free below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    used -= {number for number in used if not _is_open(number)}  # that of the listing
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, left, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def many_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"this user may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
