"""The numbers of nss-iam, written from docs/ids.md and nothing else.

Reads lines "kind id low high" and prints the number for each.
"""
import hashlib
import itertools
import sys


def words(kind, principal):
    domain = kind if kind == "fixed" or "-" not in principal else "uuid/" + kind
    for block in itertools.count():
        text = b"nss-iam/v1/" + domain.encode() + b"\0" + principal.encode() + b"\0" + block.to_bytes(4, "big")
        digest = hashlib.sha256(text).digest()
        for i in range(8):
            yield int.from_bytes(digest[4 * i:4 * i + 4], "big")


def number(kind, principal, low, high):
    size = high - low + 1
    usable = 2**32 - 2**32 % size
    return low + next(w for w in words(kind, principal) if w < usable) % size


for line in sys.stdin:
    kind, principal, low, high = line.split()
    print(number(kind, principal, int(low), int(high)))
