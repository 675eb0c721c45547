"""Apache Kafka's jars, resolved once by Maven into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freshet.core.errors import ServiceError

KAFKA_VERSION = "4.1.1"
SLF4J_VERSION = "1.7.36"  # what this Kafka asks for; without a binding it starts silently
LEAST_JAVA = 17
SWITCH_OFF = "FRESHET_NO_KAFKA=1 leaves out the tests that need it"
HEAP = "-Xmx512m"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>freshet</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>{SLF4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def java_command() -> list[str]:
    """Return the beginning of a command line that runs a class of Kafka.

    Raises:
        ServiceError: Java or the jars are missing.
    """
    return [
        find_java(), HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{resolve_jars()}/*",
    ]  # fmt: skip


def cache_folder() -> Path:
    """Return the folder of the jars: `$XDG_CACHE_HOME` or `~/.cache`, then `freshet`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "freshet" / f"kafka-{KAFKA_VERSION}" / "libs"


def find_java() -> str:
    """Return the path of a Java that Kafka runs on.

    Raises:
        ServiceError: there is none, or it is too old.
    """
    java = shutil.which("java")
    if not java:
        raise ServiceError(
            "kafka",
            f"Apache Kafka needs Java {LEAST_JAVA} and there is no java on the PATH; install "
            f"openjdk-{LEAST_JAVA}-jre-headless ({SWITCH_OFF})",
        )
    banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = banner.split('"')[1] if banner.count('"') >= 2 else ""
    if not version.split(".")[0].isdigit() or int(version.split(".")[0]) < LEAST_JAVA:
        raise ServiceError(
            "kafka",
            f"{java} is Java {version or 'of unknown version'}, expected {LEAST_JAVA} or newer; "
            f"install openjdk-{LEAST_JAVA}-jre-headless ({SWITCH_OFF})",
        )
    return java


def resolve_jars(folder: Path | None = None) -> Path:
    """Return the folder that holds Kafka and all it depends on, asking Maven the first time.

    Args:
        folder: where the jars lie or will lie; `cache_folder()` when None.

    Raises:
        ServiceError: Maven is missing or could not fetch them.
    """
    folder = folder or cache_folder()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if not maven:
        raise ServiceError(
            "kafka",
            f"the jars of Apache Kafka {KAFKA_VERSION} are not in {folder} and there is no mvn on "
            f"the PATH to fetch them; install maven ({SWITCH_OFF})",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.parent):
        if not folder.is_dir():  # else another process was quicker
            _fetch(maven, folder)
    return folder


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here: two Mavens harm each other's downloads."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _fetch(maven: str, folder: Path) -> None:
    """Let Maven copy the jars into a folder that does not exist yet; all of them or none."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="resolving-") as staging:
        pom = Path(staging) / "pom.xml"
        pom.write_text(_POM)
        libs = Path(staging) / "libs"
        fetch = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        fetched = subprocess.run(
            [*fetch, "-DincludeScope=runtime", f"-DoutputDirectory={libs}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode or not libs.is_dir():
            end = "\n".join((fetched.stdout + fetched.stderr).splitlines()[-10:])
            raise ServiceError(
                "kafka", f"Maven could not fetch Apache Kafka {KAFKA_VERSION} ({SWITCH_OFF})\n{end}"
            )
        libs.rename(folder)
