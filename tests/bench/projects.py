"""The projects that builds use: four, with new files for each cold build.

A Dockerfile copies ``id`` first, so a new one leaves no layer to reuse. It copies ``source`` late,
like a project's code, so a new one leaves the layers of dependencies as they are.
"""

import random

SEED = random.Random(0).randbytes(2**20)  # noqa: S311 - no secret
"""Bytes that do not compress; repetitions are further apart than gzip's window."""

_HEAD = "ARG BASE\nFROM ${BASE}\n"

_SMALL = (
    _HEAD
    + """\
COPY id source /app/
RUN sed s/old/new/ /app/source > /app/built
CMD ["cat", "/app/built"]
"""
)

_STAGES = """\
ARG BASE
FROM ${BASE} AS dependencies
COPY id seed /dependencies/
RUN mkdir /dependencies/lib \\
 && for number in $(seq 100); do \\
      dd if=/dependencies/seed of=/dependencies/lib/$number bs=64k count=1 skip=$((number % 16)); \\
      sha256sum /dependencies/seed >> /dependencies/sums; \\
    done 2>/dev/null
FROM dependencies AS compile
COPY source /source/
RUN mkdir /out \\
 && cat /dependencies/lib/* /source/source | gzip > /out/program \\
 && sha256sum /out/program > /out/sum
FROM ${BASE}
COPY --from=dependencies /dependencies/lib/ /app/lib/
COPY --from=compile /out/ /app/
USER 1001:1001
CMD ["cat", "/app/sum"]
"""

_LAYERS = (
    _HEAD
    + "COPY id /layers/\n"
    + "".join(f"RUN echo {number} > /layers/{number}\n" for number in range(18))
    + "COPY source /layers/\nRUN cat /layers/* > /layers/all\n"
)

_BIG = (
    _HEAD
    + """\
COPY id seed /data/
# The registry keeps one of equal layers, and with its times this one is equal in every build.
RUN for copy in $(seq 200); do cat /data/seed; done > /data/big && touch -d @0 /data /data/big
COPY source /app/
"""
)

PROJECTS = {"small": _SMALL, "several stages": _STAGES, "20 layers": _LAYERS, "200 MB layer": _BIG}
"""The Dockerfiles, by the names in the tables."""


def files(project: str, build: str, source: str) -> dict[str, str | bytes]:
    """Return a project's files; ``build`` makes the first layer different from any other."""
    return {"Dockerfile": PROJECTS[project], "id": build, "seed": SEED, "source": source}
