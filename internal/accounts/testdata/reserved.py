#!/usr/bin/env python3
"""reserved.py - which system accounts and groups Debian packages make

    apt-get download PACKAGE...; reserved.py *.deb

prints "NAME  PACKAGE ..." for every name that a sysusers.d file, or an adduser,
addgroup, useradd or groupadd in a maintainer script, makes. Names that a script
computes are not found. The result is the Debian part of ../reserved.txt.
"""
import io
import re
import shlex
import subprocess
import sys
import tarfile

NAME = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_.-]{0,31}$")
# Options of the four programs that are followed by a value.
VALUED = {
    "--home", "--shell", "--gecos", "--comment", "--ingroup", "--uid", "--gid", "--firstuid", "--lastuid", "--conf",
    "-d", "-s", "-c", "-g", "-u", "-G", "-K", "-k", "-b", "-e", "-f", "-p", "--home-dir", "--groups",
}


def members(deb, part):
    data = subprocess.run(["dpkg-deb", part, deb], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for entry in tar:
            if entry.isfile():
                yield entry.name, lambda e=entry: tar.extractfile(e).read().decode("utf-8", "replace")


def sysusers(text):
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0][0] in "ug":
            yield fields[1]


def scripted(text):
    values = dict(re.findall(r"""^\s*(?:local |export )?([A-Za-z_]+)=["']?([A-Za-z0-9_-]+)["']?\s*$""", text, re.M))
    values.update({k: v for k, v in re.findall(r"\$\{([A-Za-z_]+):[-=]([A-Za-z0-9_-]+)\}", text)})
    for line in text.replace("\\\n", " ").splitlines():
        found = re.search(r"\b(adduser|addgroup|useradd|groupadd)\s+(-.*)", line)
        if not found or line.lstrip().startswith("#"):
            continue
        rest = re.split(r"[;|&>]", found[2])[0]
        try:
            words = shlex.split(rest)
        except ValueError:
            words = rest.split()
        skip = False
        for word in words:
            if skip:
                skip = False
            elif word in VALUED:
                skip = True
            elif not word.startswith("-"):
                variable = re.fullmatch(r"\$\{?([A-Za-z_]+)[^}]*\}?", word)
                yield values.get(variable[1], "") if variable else word


def main():
    names = {}
    for deb in sys.argv[1:]:
        package = deb.rsplit("/", 1)[-1].split("_", 1)[0]
        found = set()
        for name, text in members(deb, "--ctrl-tarfile"):
            if name.rsplit("/", 1)[-1] in ("preinst", "postinst", "config"):
                found.update(scripted(text()))
        for name, text in members(deb, "--fsys-tarfile"):
            if "/sysusers.d/" in name:
                found.update(sysusers(text()))
        for name in found:
            if NAME.match(name) and name not in ("then", "else", "fi", "true", "false"):
                names.setdefault(name, set()).add(package)
    for name in sorted(names):
        print(f"{name:<28} # {' '.join(sorted(names[name]))}")


main()
